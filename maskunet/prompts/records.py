"""Plain records of words and of the noun-modifier groups they make."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a prompt and where it stands: prompt[start:end]."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Group:
    """A noun and the words that say what it is like, in the prompt's order; as text the noun comes last."""

    noun: Word
    modifiers: tuple[Word, ...] = ()

    @property
    def words(self) -> tuple[Word, ...]:
        """The modifiers and the noun."""
        return (*self.modifiers, self.noun)

    def __str__(self) -> str:
        return " ".join(word.text.lower() for word in self.words)
