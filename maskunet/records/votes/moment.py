"""What a voter sees: the pair that comes next, or, at the end, what was what."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """A pair that was voted on, with its methods; pictures are PNG."""

    prompt: str
    names: tuple[str, str]
    pictures: tuple[bytes, bytes]
    answers: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Tally:
    """How often one voter preferred each of two methods, to one question."""

    question: str
    names: tuple[str, str]
    preferred: tuple[int, int]
    equal: int
    neither: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What was what, for one who has answered everything. `same` of `repeated` answers stayed the same."""

    tallies: Sequence[Tally]
    seen: Sequence[Seen]
    same: int
    repeated: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Moment:
    """Where a voter is.

    Attributes:
        at: questions answered, which names this moment; `of` how many there are.
        item, items: the pair, from 0, and how many.
        question: of `ballot.QUESTIONS`, empty when all are answered. prompt: only where it is asked about.
        pictures: PNG, the left and the right one; none when all are answered.
        outcome: once the voter has asked for it; nothing can be changed then.
        note: why something was not taken, a sentence.
    """

    at: int
    of: int
    item: int
    items: int
    question: str = ""
    prompt: str = ""
    pictures: tuple[bytes, ...] = ()
    outcome: Outcome | None = None
    note: str = ""
