"""The tabletop twins of the published tasks: prompts with what a correct picture must hold.

single, two, counting, colors, position and color_attribution follow GenEval's six tasks;
texture_attribution follows T2I-CompBench's texture binding. Prompts come in two splits that share
no seed: "train" never names a held-out combination, "test" draws from all of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from maskunet.tabletop.captions import NUMBERS, RELATION_WORDS, with_article
from maskunet.tabletop.scenes import COLORS, HELD_OUT, RELATIONS, SHAPES, TEXTURES, Thing

NEAR = 0.3  # world units; closer than this along an axis is neither left nor right, front nor behind


@dataclass(frozen=True, slots=True)
class Case:
    """A prompt, the attributes each thing must have, how many there must be, how they must stand.

    `count` is exact where it is given (counting); elsewhere more things may stand on the table.
    """

    task: str
    prompt: str
    things: tuple[Mapping[str, str], ...]
    count: int | None = None
    relation: str | None = None

    @property
    def held_out(self) -> bool:
        """Whether a color-shape pair of it was never rendered for training."""
        return any((t.get("color"), t.get("shape")) in HELD_OUT for t in self.things)

    def satisfied(self, seen: list[Thing]) -> bool:
        """Whether the things seen in a picture are what the prompt asks for."""
        if self.count is not None:
            fitting = [t for t in seen if fits(t, self.things[0])]
            return len(fitting) == self.count
        return _assign(self.things, seen, [], self.relation)


def fits(thing: Thing, asked: Mapping[str, str]) -> bool:
    """Whether a thing has the attributes that are asked for."""
    return all(getattr(thing, name) == value for name, value in asked.items())


def _assign(asked, seen: list[Thing], chosen: list[Thing], relation: str | None) -> bool:
    if len(chosen) == len(asked):
        return relation is None or stands(relation, chosen[0], chosen[1])
    wanted = asked[len(chosen)]
    return any(
        fits(t, wanted) and all(t is not c for c in chosen) and _assign(asked, seen, [*chosen, t], relation)
        for t in seen
    )


def stands(relation: str, a: Thing, b: Thing) -> bool:
    """Whether `a` is left of, right of, in front of or behind `b`, by more than `NEAR`."""
    along = {"left of": b.x - a.x, "right of": a.x - b.x, "in front of": b.y - a.y, "behind": a.y - b.y}
    return along[relation] > NEAR


def cases(task: str, n: int, seed: int = 1, split: str = "test") -> list[Case]:
    """`n` cases of a task, the same ones for the same seed and split.

    Raises:
        ValueError: no such task.
    """
    if task not in TASKS:
        raise ValueError(f"There is no task “{task}”. There are: {', '.join(TASKS)}, all.")
    rng = np.random.default_rng((seed, list(TASKS).index(task), split == "test"))
    found = []
    while len(found) < n:
        case = TASKS[task](rng)
        if split == "test" or not case.held_out:
            found.append(case)
    return found


def _pick(rng: np.random.Generator, choices, count: int = 1) -> list[str]:
    return [str(c) for c in rng.permutation(list(choices))[:count]]


def _a(*words: str) -> str:
    return with_article(" ".join(words))


def _single(rng) -> Case:
    (shape,) = _pick(rng, SHAPES)
    return Case("single", _a(shape), ({"shape": shape},))


def _two(rng) -> Case:
    a, b = _pick(rng, SHAPES, 2)
    return Case("two", f"{_a(a)} and {_a(b)}", ({"shape": a}, {"shape": b}))


def _counting(rng) -> Case:
    (shape,), count = _pick(rng, SHAPES), int(rng.integers(2, 5))
    return Case("counting", f"{NUMBERS[count]} {shape}s", ({"shape": shape},), count=count)


def _colors(rng) -> Case:
    (shape,), (color,) = _pick(rng, SHAPES), _pick(rng, COLORS)
    return Case("colors", _a(color, shape), ({"shape": shape, "color": color},))


def _position(rng) -> Case:
    (a, b), (relation,) = _pick(rng, SHAPES, 2), _pick(rng, RELATIONS)
    words = RELATION_WORDS[relation][0]
    return Case("position", f"{_a(a)} {words} {_a(b)}", ({"shape": a}, {"shape": b}), relation=relation)


def _color_attribution(rng) -> Case:
    (a, b), (c, d) = _pick(rng, SHAPES, 2), _pick(rng, COLORS, 2)
    things = ({"shape": a, "color": c}, {"shape": b, "color": d})
    return Case("color_attribution", f"{_a(c, a)} and {_a(d, b)}", things)


def _texture_attribution(rng) -> Case:
    (a, b), (c, d) = _pick(rng, SHAPES, 2), _pick(rng, TEXTURES, 2)
    things = ({"shape": a, "texture": c}, {"shape": b, "texture": d})
    return Case("texture_attribution", f"{_a(c, a)} and {_a(d, b)}", things)


TASKS = {
    "single": _single,
    "two": _two,
    "counting": _counting,
    "colors": _colors,
    "position": _position,
    "color_attribution": _color_attribution,
    "texture_attribution": _texture_attribution,
}
