"""Words of a prompt by their characters, and groups of them."""

import re
from dataclasses import dataclass

WORD = r"\w+(?:[-'’]\w+)*"  # a hyphen or an apostrophe within a word belongs to it


@dataclass(frozen=True, slots=True)
class Word:
    """A word and its characters in the prompt, `start` to `end` - 1."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Group:
    """A noun and the words that describe it, in the prompt's order."""

    noun: Word
    modifiers: tuple[Word, ...] = ()

    def __str__(self) -> str:
        return " ".join(word.text for word in (*self.modifiers, self.noun))

    @property
    def end(self) -> int:
        """The character behind its last word."""
        return max(word.end for word in (self.noun, *self.modifiers))


def words_of(text: str, pattern: str = WORD) -> list[Word]:
    """The words of a text in order, or whatever else a pattern matches."""
    return [Word(found.group(), *found.span()) for found in re.finditer(pattern, text)]


def shortened(text: str, length: int = 60) -> str:
    """A text as it fits into a message: not too long, and with “�” for what no screen shows."""
    text = "".join(letter if letter.isprintable() else "�" for letter in text)
    return text if len(text) <= length else f"{text[: length - 3]}..."
