"""Which pictures judge a concept mask, which choose its dose, and what the checker says of one.

Prompts name texture, color and shape, or a number, color and shape. Those that judge make no masks and choose no dose
(`concept.judges`).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count, islice, product

from maskunet import seeds
from maskunet.experiments.concepts.concept import ATTRIBUTES, Concept, Words, judges, worded
from maskunet.tabletop.captions import NUMBERS
from maskunet.tabletop.scenes import Thing

SEED = 29  # of the noise
Named = tuple[tuple[str, str], ...]  # what a prompt names


@dataclass(frozen=True, slots=True)
class Subject:
    """A picture to make.

    Attributes:
        words: what its prompt names. number: of its noise, among the pictures of this prompt.
        opened: an attribute of them that the prompt leaves open all the same, or empty.
    """

    words: Named
    number: int
    opened: str = ""

    @property
    def prompt(self) -> str:
        """What is asked for."""
        return worded({name: value for name, value in self.words if name != self.opened})

    @property
    def seed(self) -> int:
        """Of its noise: prompts share none."""
        return seeds.of_prompt(SEED, PLACES[self.words], self.number)


def _combinations() -> Iterator[Words]:
    """Of texture, color and shape, in an order in which neighbors differ; then of number, color and shape."""
    every = product(ATTRIBUTES["texture"], ATTRIBUTES["color"], ATTRIBUTES["shape"])
    textured = [dict(zip(("texture", "color", "shape"), values, strict=True)) for values in every]
    yield from (textured[i * 37 % len(textured)] for i in range(len(textured)))
    every = [*product(ATTRIBUTES["count"], ATTRIBUTES["color"], ATTRIBUTES["shape"])]
    counted = [dict(zip(("count", "color", "shape"), values, strict=True)) for values in every]
    yield from (counted[i * 37 % len(counted)] for i in range(len(counted)))


PLACES = {tuple(words.items()): place for place, words in enumerate(_combinations())}
JUDGING = [words for words in PLACES if judges({"texture": ATTRIBUTES["texture"][0], **dict(words)})]
TRAINING = [words for words in PLACES if words not in JUDGING]


def showing(concept: Concept, n: int, among: Sequence[Named] = JUDGING) -> list[Subject]:
    """`n` pictures whose prompts name the concept; the first are those of a smaller n.

    Raises:
        ValueError: no prompt names it; says what they name.
    """
    kind = "count" if concept.attribute == "count" else "texture"
    fitting = [words for words in among if dict(words).get(concept.attribute) == concept.name and kind in dict(words)]
    if not fitting:
        raise ValueError(
            f"No prompt names “{concept.name:.40}”: those that judge masks name a texture, color and shape, or a "
            "number, color and shape. Take a concept that is one of these."
        )
    return _pictures(fitting, n)


def _pictures(prompts: Sequence[Named], n: int) -> list[Subject]:
    """`n` pictures of these prompts, of which there is one at least; once all had theirs, with other noise again."""
    return [*islice((Subject(words, number) for number in count() for words in prompts), n)]


def opened(concept: Concept, n: int) -> list[Subject]:
    """`n` pictures whose prompts leave the concept's attribute open; their words have it, to look for.

    Raises:
        ValueError: as of `showing`.
    """
    return [replace(each, opened=concept.attribute) for each in showing(concept, n)]


def others(concept: Concept, n: int, among: Sequence[Named] = JUDGING) -> list[Subject]:
    """`n` pictures whose prompts do not name it, n // 4 of them with a number of things.

    Those of a smaller n are among them.
    """
    free = [words for words in among if concept.name not in dict(words).values()]
    counted, textured = ([w for w in free if (kind in dict(w))] for kind in ("count", "texture"))
    return _pictures(textured, n - n // 4) + _pictures(counted, n // 4)


def shows(seen: Sequence[Thing], words: Words, attribute: str) -> bool:
    """Whether things on a picture have the value of an attribute that the words name; of a number, exactly so many."""
    if attribute == "count":
        fitting = sum(_fits(thing, words, without=("count",)) for thing in seen)
        return NUMBERS[fitting] == words["count"] if fitting in NUMBERS else False
    return any(getattr(thing, attribute) == words[attribute] for thing in seen)


def right(seen: Sequence[Thing], words: Words, without: str = "") -> bool:
    """Whether one thing has all that the words name, or of a number exactly so many do.

    Args:
        without: an attribute that does not matter.
    """
    if "count" in words and without != "count":
        return shows(seen, {name: value for name, value in words.items() if name != without}, "count")
    return any(_fits(thing, words, without=("count", without)) for thing in seen)


def _fits(thing: Thing, words: Words, without: Iterable[str]) -> bool:
    return all(getattr(thing, name) == value for name, value in words.items() if name not in without)


def things(rows: Iterable[Mapping[str, str]]) -> list[Thing]:
    """The things of a row on disk."""
    return [Thing(**row) for row in rows]
