"""What a concept is: prompts that show it and prompts that must stay, each with a caption and the caption's rivals.

The embedded worlds have five attributes, each value of which is a concept. The prompts that judge masks share no
combination of texture, color and shape with the prompts that make them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from maskunet.tabletop.captions import NUMBERS, with_article
from maskunet.tabletop.scenes import COLORS, HELD_OUT, SHAPES, SIZES, TEXTURES

ATTRIBUTES = {
    "color": tuple(COLORS), "shape": SHAPES, "texture": TEXTURES, "size": tuple(SIZES),
    "count": tuple(NUMBERS.values())[1:],
}  # fmt: skip
ORDER = ("size", "texture", "color", "shape")  # of English
CHANCE = {"color": 0.7, "texture": 0.5, "size": 0.25, "count": 0.15}  # that a prompt names it
RETAIN = ("color", "texture", "shape", "count")  # the embedded rewards do not see size
Words = Mapping[str, str]  # the value of each attribute that a prompt names; always of the shape


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """A prompt, what rewards look for in its picture, and the captions that are its rivals.

    Attributes:
        attribute: in which the rivals differ from the caption. seed: of the picture's noise.
    """

    prompt: str
    caption: str
    attribute: str
    rivals: tuple[str, ...]
    seed: int


class Concept(Protocol):
    """What can be erased, and what is to stay."""

    name: str
    attribute: str

    def showing(self, n: int, turn: int, amplify: bool = False) -> list[Example]:
        """Prompts with the concept, others in every turn; their rivals have others of its attribute.

        Args:
            amplify: prompts that leave the attribute open, where there can be such.
        """

    def staying(self, n: int, turn: int) -> list[Example]:
        """Prompts of the retain set, attribute by attribute; none has the concept among what must stay."""


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
    return with_article(text)


def rivals(words: Words, attribute: str) -> tuple[str, ...]:
    """The prompts with every other value of an attribute."""
    return tuple(worded({**words, attribute: other}) for other in ATTRIBUTES[attribute] if other != words[attribute])


def _unseen(words: Words) -> bool:
    """Whether no training picture of the base shows this pair of color and shape."""
    return (words.get("color"), words.get("shape")) in HELD_OUT


def judges(words: Words) -> bool:
    """Whether a combination is for judging masks, not for making them: every other one, by the values' places.

    Pairs of color and shape that no training picture of the base shows are for judging, too.
    """
    places = [ATTRIBUTES[name].index(words[name]) for name in ("texture", "color", "shape")]
    return sum(places) % 2 == 1 or _unseen(words)


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

    def showing(self, n: int, turn: int, amplify: bool = False) -> list[Example]:
        """See `Concept`; a shape or a number cannot be left open."""
        rng = np.random.default_rng((self.seed, turn, 0))
        opened = (self.attribute,) if amplify and self.attribute in ("color", "texture", "size") else ()
        return [_example(self._words(rng, {self.attribute: self.name}), self.attribute, rng, opened) for _ in range(n)]

    def staying(self, n: int, turn: int) -> list[Example]:
        """See `Concept`; every other prompt of another attribute shows the concept, which need not stay there."""
        rng = np.random.default_rng((self.seed, turn, 1))
        found = []
        for i in range(n):
            attribute = self.retain[i % len(self.retain)]
            others = [value for value in ATTRIBUTES[attribute] if value != self.name]
            fixed = {attribute: str(rng.choice(others))}
            shown = {**fixed, self.attribute: self.name}
            every_other = (i // len(self.retain)) % 2 and self.attribute in ATTRIBUTES
            if every_other and attribute != self.attribute and not _unseen(shown):
                fixed = shown
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


def _example(words: Words, attribute: str, rng: np.random.Generator, opened: Sequence[str] = ()) -> Example:
    prompt = worded({name: value for name, value in words.items() if name not in opened})
    others = tuple(str(caption) for caption in rng.permutation(rivals(words, attribute)))  # few of them are looked at
    return Example(
        prompt=prompt, caption=worded(words), attribute=attribute, rivals=others,
        seed=int(rng.integers(2**32)),
    )  # fmt: skip


def concepts() -> Iterator[TabletopConcept]:
    """Every color, shape, texture and count of the embedded worlds, attribute by attribute."""
    for name in RETAIN:
        yield from (TabletopConcept(name=value, attribute=name) for value in ATTRIBUTES[name])


def retained(names: Sequence[str], concept: str) -> tuple[str, ...]:
    """The attributes of these names, such as "colors" or "color".

    Raises:
        ValueError: no attribute, or the concept itself; says which there are.
    """
    found = []
    for name in names:
        if name == concept:
            raise ValueError(
                f"The retain set holds “{concept}”, which is to go. Name attributes; of its own the others stay."
            )
        if name.removesuffix("s") not in ATTRIBUTES:
            raise ValueError(
                f"There is no attribute “{name:.40}”. There are: {', '.join(f'{each}s' for each in ATTRIBUTES)}."
            )
        found.append(name.removesuffix("s"))
    if not found:
        raise ValueError("The retain set is empty, so that everything else could go. Name attributes, such as colors.")
    return tuple(dict.fromkeys(found))
