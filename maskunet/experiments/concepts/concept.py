"""What a concept is: a value of an attribute, and prompts that show it or something else, each with its rivals.

The embedded worlds have five attributes. The prompts that judge masks share no combination of texture, color and shape
with the prompts that make them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Protocol

import numpy as np

from maskunet.tabletop.captions import NUMBERS
from maskunet.tabletop.scenes import COLORS, HELD_OUT, SHAPES, SIZES, TEXTURES

ATTRIBUTES = {
    "color": tuple(COLORS), "shape": SHAPES, "texture": TEXTURES, "size": tuple(SIZES),
    "count": tuple(NUMBERS.values())[1:],
}  # fmt: skip
ORDER = ("size", "texture", "color", "shape")  # of English
CHANCE = {"color": 0.7, "texture": 0.5, "size": 0.25, "count": 0.15}  # that a prompt names it
RETAIN = ("color", "shape", "texture", "count")  # the embedded rewards do not see size
Words = Mapping[str, str]  # the value of each attribute that a prompt names; always of the shape


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """A prompt with the captions that are its rivals: they differ from it in one attribute.

    Attributes:
        seed: of its picture's noise.
    """

    prompt: str
    attribute: str
    rivals: tuple[str, ...]
    seed: int


class Concept(Protocol):
    """What can be erased, and what is to stay."""

    name: str
    attribute: str

    def showing(self, n: int, round_: int) -> list[Example]:
        """Prompts with the concept, others in every round; their rivals have others of its attribute."""

    def staying(self, n: int, round_: int) -> list[Example]:
        """Prompts of the retain set, attribute by attribute; none has the concept's value among what must stay."""


def attribute_of(value: str) -> str:
    """The attribute of which a word is a value.

    Raises:
        ValueError: none; says which words there are.
    """
    for attribute, values in ATTRIBUTES.items():
        if value in values:
            return attribute
    known = "; ".join(f"{attribute}: {', '.join(values)}" for attribute, values in ATTRIBUTES.items())
    raise ValueError(
        f"The embedded worlds know no “{value:.40}”. They know {known}. For another concept give --prompts."
    )


def worded(words: Words) -> str:
    """A prompt such as "a small striped red cube" or "three red cubes"."""
    text = " ".join(words[name] for name in ORDER if name in words)
    if "count" in words:
        return f"{words['count']} {text}s"
    return f"{'an' if text[0] in 'aeiou' else 'a'} {text}"


def rivals(words: Words, attribute: str) -> tuple[str, ...]:
    """The prompts with every other value of an attribute."""
    return tuple(worded({**words, attribute: other}) for other in ATTRIBUTES[attribute] if other != words[attribute])


def judges(words: Words) -> bool:
    """Whether a combination is for judging masks, not for making them: every other one, by the values' places.

    Pairs of color and shape that no training picture of the base shows are for judging, too.
    """
    places = [ATTRIBUTES[name].index(words[name]) for name in ("texture", "color", "shape")]
    return sum(places) % 2 == 1 or (words["color"], words["shape"]) in HELD_OUT


@dataclass(frozen=True, kw_only=True, slots=True)
class TabletopConcept:
    """A value of an attribute of the embedded worlds.

    Attributes:
        retain: the attributes whose values are to stay; of the concept's own, all the others.
        seed: of prompts and noise.
    """

    name: str
    attribute: str
    retain: tuple[str, ...] = RETAIN
    seed: int = 0

    def showing(self, n: int, round_: int) -> list[Example]:
        """See `Concept`."""
        rng = np.random.default_rng((self.seed, round_, 0))
        named = ((self.attribute, self._words(rng, {self.attribute: self.name})) for _ in range(n))
        return [_example(words, attribute, rng) for attribute, words in named]

    def staying(self, n: int, round_: int) -> list[Example]:
        """See `Concept`; every other prompt of another attribute shows the concept, which need not stay there."""
        rng = np.random.default_rng((self.seed, round_, 1))
        found = []
        for i in range(n):
            attribute = self.retain[i % len(self.retain)]
            others = [value for value in ATTRIBUTES[attribute] if value != self.name]
            fixed = {attribute: str(rng.choice(others))}
            if attribute != self.attribute and (i // len(self.retain)) % 2:
                fixed[self.attribute] = self.name
            found.append(_example(self._words(rng, fixed), attribute, rng))
        return found

    def _words(self, rng: np.random.Generator, fixed: Words) -> Words:
        """A random prompt that makes masks; the concept is in it only if it is fixed."""
        while True:
            drawn = {name: str(rng.choice(values)) for name, values in ATTRIBUTES.items()} | dict(fixed)
            named = {"shape", *fixed, *(name for name, chance in CHANCE.items() if rng.random() < chance)}
            if {"count", "size"} <= named:  # no caption of the base's has both
                named -= {"count", "size"} - fixed.keys()
            words = {name: value for name, value in drawn.items() if name in named}
            shown = {**drawn, "texture": words.get("texture", TEXTURES[0])}
            if not judges(shown) and (self.name not in words.values() or self.name in fixed.values()):
                return words


def _example(words: Words, attribute: str, rng: np.random.Generator) -> Example:
    return Example(
        prompt=worded(words), attribute=attribute, rivals=rivals(words, attribute), seed=int(rng.integers(2**32))
    )


def concepts() -> Iterator[TabletopConcept]:
    """Every color, shape, texture and count of the embedded worlds, of each attribute one after the other."""
    by_place = zip_longest(*([(name, value) for value in ATTRIBUTES[name]] for name in RETAIN))
    for name, value in (found for together in by_place for found in together if found):
        yield TabletopConcept(name=value, attribute=name)
