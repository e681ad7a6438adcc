"""Subjects to personalize a model on: one that known words can name, and two that no base model has seen.

The new ones are stacks of disks. The renderer draws them, but they are no shapes of the world: no training scene, no
caption and no task has one, and the checker cannot name them. The spotter finds them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from maskunet.tabletop.scenes import HELD_OUT, SHAPES, Scene, Thing, place, random_thing

Disk = tuple[float, float, float, str]  # radius, foot and top in the unit frame, and a color's name
STACKS: Mapping[str, tuple[Disk, ...]] = MappingProxyType({
    "hat": ((1.0, 0.0, 0.32, "yellow"), (0.52, 0.32, 1.5, "purple")),
    "mushroom": ((0.45, 0.0, 1.1, "green"), (0.82, 1.1, 1.6, "pink")),
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Subject:
    """One thing to learn.

    Attributes:
        word: the class that prompts name beside the rare name; the nearest shape. thing: what it looks like.
        words: what names it in known words; empty where none do.
    """

    word: str
    thing: Thing
    words: str = ""

    @property
    def is_new(self) -> bool:
        """Whether no word that a base model knows names it."""
        return not self.words


SUBJECTS: Mapping[str, Subject] = MappingProxyType({
    "hat": Subject("cylinder", Thing("hat", "yellow")),
    "mushroom": Subject("cylinder", Thing("mushroom", "pink")),
    "cone": Subject("cone", Thing("cone", "orange", "checkered"), "checkered orange cone"),
})  # fmt: skip


def photos(subject: Subject, count: int, seed: int = 0) -> list[Scene]:
    """Scenes of the subject alone, large and small, each at another place."""
    rng = np.random.default_rng((31, seed))
    sizes = ("large", "large", "small")
    return [place([replace(subject.thing, size=sizes[i % 3])], rng) for i in range(count)]


def with_others(subject: Subject, rng: np.random.Generator) -> Scene:
    """A scene of the subject with no, one or two other things of the world."""
    size = "large" if rng.random() < 0.6 else "small"
    others = [random_thing(rng) for _ in range(int(rng.integers(0, 3)))]
    return place([replace(subject.thing, size=size), *others], rng)


def lookalike(rng: np.random.Generator) -> Scene:
    """A scene of what is easily mistaken for a new subject: things in its colors, one close behind the other."""
    colors = [color for disks in STACKS.values() for *_, color in disks]
    shapes = [shape for shape in SHAPES for _ in range(3 if shape == "cylinder" else 1)]
    things = []
    for _ in range(int(rng.integers(1, 4))):
        shape, color = str(rng.choice(shapes)), str(rng.choice(colors))
        if (color, shape) not in HELD_OUT:
            things.append(random_thing(rng, shape=shape, color=color))
    return place(things or [Thing("cylinder", colors[0])], rng)
