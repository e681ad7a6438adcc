"""What can stand on the table: objects, scenes, relations, and which combinations are held out.

World units: the table is the plane z = 0, x grows to the right, y away from the camera.
"""

from bisect import bisect
from dataclasses import dataclass, replace
from itertools import combinations
from math import hypot, pi

import numpy as np

SHAPES = ("sphere", "cube", "cylinder", "cone")
COLORS = {
    "red": (0.86, 0.09, 0.09),
    "orange": (0.97, 0.48, 0.05),
    "yellow": (0.94, 0.85, 0.08),
    "green": (0.10, 0.60, 0.16),
    "cyan": (0.10, 0.78, 0.82),
    "blue": (0.11, 0.20, 0.85),
    "purple": (0.45, 0.12, 0.66),
    "pink": (0.97, 0.50, 0.70),
}
TEXTURES = ("matte", "metal", "striped", "checkered")
SIZES = {"small": 0.52, "large": 0.74}  # radius in world units
RELATIONS = ("left of", "right of", "in front of", "behind")
OPPOSITE = {"left of": "right of", "right of": "left of", "in front of": "behind", "behind": "in front of"}

# Never rendered for training; evaluation prompts use them to measure generalization.
HELD_OUT = frozenset({("purple", "cone"), ("orange", "cylinder"), ("cyan", "cube"), ("green", "sphere")})

X_LIMIT, Y_LIMIT = 1.5, 1.3
PITCH_SIN, PITCH_COS = 0.64, 0.77  # the camera's pitch, only used to keep objects from hiding others


def _cumulated(*shares: float) -> tuple[float, ...]:
    total = np.cumsum(shares)
    return tuple((total / total[-1]).tolist())


# How often each is drawn in a training scene, cumulated.
TEXTURES_UP_TO, SIZES_UP_TO = _cumulated(0.4, 0.2, 0.2, 0.2), _cumulated(0.4, 0.6)
KINDS, KINDS_UP_TO = ("one", "two", "same", "three"), _cumulated(0.2, 0.47, 0.21, 0.12)


@dataclass(frozen=True, slots=True)
class Thing:
    """One object: its attributes by name, its place (x, y) and its rotation about z in radians."""

    shape: str
    color: str
    texture: str = "matte"
    size: str = "large"
    x: float = 0.0
    y: float = 0.0
    yaw: float = 0.0

    @property
    def radius(self) -> float:
        return SIZES[self.size]


Scene = tuple[Thing, ...]


def mirrored(scene: Scene) -> Scene:
    """The scene whose picture is the left-right flip; the light lies in the plane x = 0."""
    return tuple(replace(thing, x=-thing.x, yaw=-thing.yaw) for thing in scene)


def holds(relation: str, a: Thing, b: Thing) -> bool:
    """Whether `a` stands in `relation` to `b`: clearly, and more along that axis than the other."""
    return _stands(relation, a.x - b.x, a.y - b.y)


def _stands(relation: str, dx: float, dy: float) -> bool:
    sideways = abs(dx) > 0.7 and abs(dx) > 1.2 * abs(dy)
    in_depth = abs(dy) > 0.7 and abs(dy) > 1.2 * abs(dx)
    return {
        "left of": sideways and dx < 0,
        "right of": sideways and dx > 0,
        "in front of": in_depth and dy < 0,
        "behind": in_depth and dy > 0,
    }[relation]


def _hidden(a: Thing, b: Thing) -> float:
    """How much of the smaller object's box on the screen the two boxes share, in [0, 1]."""

    def box(thing: Thing) -> tuple[float, float, float, float]:
        r, v = thing.radius, thing.y * PITCH_SIN
        return thing.x - r, v - r * PITCH_SIN, thing.x + r, v + 1.7 * r * PITCH_COS

    ax0, ay0, ax1, ay1 = box(a)
    bx0, by0, bx1, by1 = box(b)
    shared = max(0.0, min(ax1, bx1) - max(ax0, bx0)) * max(0.0, min(ay1, by1) - max(ay0, by0))
    return shared / min((ax1 - ax0) * (ay1 - ay0), (bx1 - bx0) * (by1 - by0))


def place(things: list[Thing], rng: np.random.Generator, relation: str | None = None) -> Scene:
    """Put things on the table so that none hides another; `relation` binds the first to the second."""
    for attempt in range(2000):
        # Most attempts fail, so numbers are looked at before things are made of them.
        u = iter(rng.random(3 * len(things)).tolist())
        spots = [
            (2 * X_LIMIT * x - X_LIMIT, 2 * Y_LIMIT * y - Y_LIMIT, 2 * pi * yaw - pi) for x, y, yaw in zip(u, u, u)
        ]
        (x0, y0, _), (x1, y1, _) = spots[0], spots[min(1, len(spots) - 1)]
        wanted = relation is None or _stands(relation, x0 - x1, y0 - y1)
        if wanted and _apart(spots, [thing.radius for thing in things]):
            placed = [
                Thing(thing.shape, thing.color, thing.texture, thing.size, *spot)
                for thing, spot in zip(things, spots, strict=True)
            ]
            if all(_hidden(b, a) <= 0.12 for a, b in combinations(placed, 2)):
                return tuple(placed)
        if attempt % 200 == 199:  # crowded: large things give way
            things = [replace(thing, size="small") for thing in things]
    raise RuntimeError(f"no room for {len(things)} things")


def _apart(spots: list[tuple[float, float, float]], radii: list[float]) -> bool:
    """Whether no two things (x, y, yaw) touch."""
    return all(
        hypot(b[0] - a[0], b[1] - a[1]) >= 1.05 * (b_radius + a_radius)
        for (a, a_radius), (b, b_radius) in combinations(zip(spots, radii, strict=True), 2)
    )


def _choice(rng: np.random.Generator, names: tuple[str, ...], up_to: tuple[float, ...] | None = None) -> str:
    """One of the names, as `rng.choice` draws it and ten times as fast; `up_to`: cumulated probabilities."""
    return names[bisect(up_to, rng.random()) if up_to else int(rng.integers(len(names)))]


def random_thing(rng: np.random.Generator, held_out: bool = False, **fixed: str) -> Thing:
    """A thing with random attributes, some `fixed`; only (or never) from the held-out pairs."""
    while True:
        thing = Thing(
            shape=fixed.get("shape") or _choice(rng, SHAPES),
            color=fixed.get("color") or _choice(rng, tuple(COLORS)),
            texture=fixed.get("texture") or _choice(rng, TEXTURES, TEXTURES_UP_TO),
            size=fixed.get("size") or _choice(rng, tuple(SIZES), SIZES_UP_TO),
        )
        if ((thing.color, thing.shape) in HELD_OUT) == held_out:
            return thing


def random_scene(rng: np.random.Generator) -> Scene:
    """A training scene: one thing, two, several of a kind, or three different ones."""
    kind = _choice(rng, KINDS, KINDS_UP_TO)
    if kind == "one":
        things = [random_thing(rng)]
    elif kind == "same":
        first = random_thing(rng)
        count = int(rng.integers(2, 5))
        same_color = rng.random() < 0.6
        things = [
            random_thing(rng, shape=first.shape, **({"color": first.color} if same_color else {})) for _ in range(count)
        ]
    else:
        shapes = rng.permutation(SHAPES)[: 2 if kind == "two" else 3]
        if kind == "two" and rng.random() < 0.15:
            shapes = [shapes[0], shapes[0]]
        things = [random_thing(rng, shape=str(shape)) for shape in shapes]
    relation = _choice(rng, RELATIONS) if kind == "two" and rng.random() < 0.6 else None
    return place(things, rng, relation)
