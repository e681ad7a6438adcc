"""What GenEval asks of the things found in a picture: how many, of which color, on which side."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

TASKS = ("single_object", "two_object", "counting", "colors", "position", "color_attr")
COLORS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white")
SIDES = ("left of", "right of", "above", "below")
THRESHOLD = 0.3
COUNTING_THRESHOLD = 0.9
MOST = 16  # things of one name
MARGIN = 0.1  # of both sizes, by which centers must be apart


@dataclass(frozen=True, slots=True, eq=False)
class Thing:
    """A thing that a detector found.

    Attributes:
        score: how sure it is, 0 to 1.
        box: left, top, right, bottom in pixels; the last two are one beyond the thing.
        mask: which pixels are the thing's, (H, W) bool.
    """

    name: str
    score: float
    box: tuple[float, float, float, float]
    mask: np.ndarray


@dataclass(frozen=True, slots=True)
class Clause:
    """At least `count` things of a name, each of a color and on a side of those of an earlier clause.

    Attributes:
        color, side: empty where nothing is asked.
        target: number of that earlier clause.
    """

    name: str
    count: int
    color: str = ""
    side: str = ""
    target: int = 0


@dataclass(frozen=True, slots=True)
class Demand:
    """What one prompt asks: every clause of `include`, and none of `exclude`."""

    task: str
    include: tuple[Clause, ...]
    exclude: tuple[Clause, ...] = ()

    @property
    def names(self) -> frozenset[str]:
        """What the things are called."""
        return frozenset(clause.name for clause in (*self.include, *self.exclude))


Things = Mapping[str, Sequence[Thing]]
ColorsOf = Callable[[Sequence[Thing]], Sequence[str]]


def read(record: Mapping[str, Any]) -> Demand:
    """A line of GenEval's evaluation_metadata.jsonl.

    Raises:
        ValueError: it is in another format; says what, as a clause without a full stop.
    """
    task, include, exclude = (record.get(name, ()) for name in ("tag", "include", "exclude"))
    if task not in TASKS:
        raise ValueError(f"“tag” must be one of {', '.join(TASKS)}, not {task!r}")
    if not (include and isinstance(include, list | tuple) and isinstance(exclude, list | tuple)):
        raise ValueError("“include” must be a list with at least one entry, and “exclude” a list")
    return Demand(
        task,
        tuple(_clause(entry, i) for i, entry in enumerate(include)),
        tuple(_clause(entry, 0) for entry in exclude),
    )


def _clause(entry: Any, place: int) -> Clause:
    """The clause at a place of its list; it may point to those before it."""
    if not isinstance(entry, Mapping) or not isinstance(entry.get("class"), str):
        raise ValueError(f"each entry must be an object with a “class”, not {entry!r}")
    count, color = entry.get("count"), entry.get("color", "")
    if type(count) is not int or count < 1:
        raise ValueError(f"“count” must be a whole number from 1 on, not {count!r}")
    if color not in ("", *COLORS):
        raise ValueError(f"“color” must be one of {', '.join(COLORS)}, not {color!r}")
    side, target = _position(entry["position"], place) if "position" in entry else ("", 0)
    return Clause(entry["class"], count, color, side, target)


def _position(given: Any, place: int) -> tuple[str, int]:
    try:
        side, target = given
        if side in SIDES and type(target) is int and 0 <= target < place:
            return side, target
    except (TypeError, ValueError):
        pass
    raise ValueError(f"“position” must be one of {', '.join(SIDES)} and the number of an earlier entry, not {given!r}")


def sure(things: Sequence[Thing], task: str) -> dict[str, list[Thing]]:
    """The things that count for a task, by name, the surest first."""
    threshold = COUNTING_THRESHOLD if task == "counting" else THRESHOLD
    found: dict[str, list[Thing]] = {}
    for thing in sorted(things, key=lambda thing: -thing.score):
        of_name = found.setdefault(thing.name, [])
        if thing.score > threshold and len(of_name) < MOST:
            of_name.append(thing)
    return found


def sides(thing: Thing, other: Thing) -> set[str]:
    """On which sides of another thing one is; none if the centers are too near each other.

    The offset of the centers is shortened in each direction by a tenth of both things' sizes. A side
    holds if what is left is more than half of the centers' distance, so that two may hold at once.
    """
    boxes = np.array([thing.box, other.box]).reshape(2, 2, 2)
    center, size = boxes.mean(1), np.abs(boxes[:, 1] - boxes[:, 0])
    offset = center[0] - center[1]
    left = np.sign(offset) * np.maximum(np.abs(offset) - MARGIN * size.sum(0), 0)
    if (np.abs(left) < 1e-3).all():
        return set()
    x, y = left / np.linalg.norm(offset)
    holds = (x < -0.5, x > 0.5, y < -0.5, y > 0.5)
    return {side for side, true in zip(SIDES, holds, strict=True) if true}


def judge(found: Things, demand: Demand, colors_of: ColorsOf) -> tuple[bool, str]:
    """Whether a picture shows what is asked, and if not, every reason.

    Color and side are asked of the `count` surest things of a name, as published.

    Args:
        found: as `sure` gives them.
        colors_of: names the color of each of some things of one name.
    """
    reasons: list[str] = []
    matched: list[Sequence[Thing]] = []  # of each clause; empty where it does not hold
    for clause in demand.include:
        things = found.get(clause.name, ())[: clause.count]
        reason = (
            _too_few(things, clause) or _wrong_color(things, clause, colors_of) or _wrong_side(things, clause, matched)
        )
        matched.append(() if reason else things)
        reasons += [reason] if reason else []
    for clause in demand.exclude:
        n = len(found.get(clause.name, ()))
        if n >= clause.count:
            reasons.append(f"expected fewer than {clause.count} {clause.name}, found {n}")
    return not reasons, "; ".join(reasons)


def _too_few(things: Sequence[Thing], clause: Clause) -> str:
    if len(things) >= clause.count:
        return ""
    return f"expected {clause.count} {clause.name}, found {len(things)}"


def _wrong_color(things: Sequence[Thing], clause: Clause, colors_of: ColorsOf) -> str:
    colors = colors_of(things) if clause.color else ()
    if all(color == clause.color for color in colors):
        return ""
    return f"expected {clause.count} {clause.color} {clause.name}, found {' and '.join(colors)}"


def _wrong_side(things: Sequence[Thing], clause: Clause, matched: Sequence[Sequence[Thing]]) -> str:
    if not clause.side:
        return ""
    targets = matched[clause.target]
    if not targets:
        return f"nothing found for {clause.name} to be {clause.side}"
    for is_on in (sides(thing, target) for thing in things for target in targets):
        if clause.side not in is_on:
            return (
                f"expected {clause.name} {clause.side} the other, found {' and '.join(sorted(is_on)) or 'neither side'}"
            )
    return ""
