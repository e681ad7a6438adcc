"""What a person should know of how a prompt is read: what is cut, what counts as letters, which words are unknown."""

import re
from collections.abc import Collection, Iterable
from typing import Any

from maskunet.prompts.tokens import cut_note, unread
from maskunet.prompts.words import shortened, words_of

# How AUTOMATIC1111's page, compel and others write weights, extra networks and alternatives.
LITERAL = re.compile(
    r"<\w+:[^<>]*>|\(+[^()]+\)+[\d.]*|\[[^\[\]]+\]|\{[^{}]*\|[^{}]*\}|\w+(?:\+{2,}|-{2,})(?=\W|$)|\bembedding:\S+|__\w+__"
)
COMMANDS = re.compile(r"\b(?:BREAK|AND)\b")
SHOWN = 8  # pieces or words, at most


def encoder_note(text: str, tokenizer: Any, what: str = "") -> str:
    """One sentence on what the text encoder does not read, or empty; `what` is the text it speaks of."""
    return cut_note("The text encoder", tokenizer.model_max_length, unread(text, tokenizer), what)


def literal(text: str) -> list[str]:
    """The pieces of a prompt that mean something in other programs and are only letters here."""
    found = LITERAL.findall(text)
    return found + (COMMANDS.findall(text) if text != text.upper() else [])


def literal_note(texts: Iterable[str]) -> str:
    """One sentence on them, or empty."""
    found = list(dict.fromkeys(piece for text in texts for piece in literal(text)))
    if not found:
        return ""
    return f"Drawn as letters, not read as weights or commands: {_some(found)}."


def unknown(text: str, tokenizer: Any, known: Collection[str] = ()) -> list[str]:
    """The words of a prompt that a small vocabulary does not hold as one piece, and that are not `known` besides."""
    for piece in literal(text):
        text = text.replace(piece, " ")
    words = dict.fromkeys(word.text.lower() for word in words_of(text))
    return [word for word in words if word not in known and not _is_known(word, tokenizer)]


def _is_known(word: str, tokenizer: Any) -> bool:
    # Every letter and digit is a piece, so that anything can be spelled; of these only the article is a word.
    return word == "a" or (len(word) > 1 and len(tokenizer(word, add_special_tokens=False).input_ids) == 1)


def unknown_note(texts: Iterable[str], tokenizer: Any, known: Collection[str] = ()) -> str:
    """One sentence on them, or empty."""
    found = list(dict.fromkeys(word for text in texts for word in unknown(text, tokenizer, known)))
    if not found:
        return ""
    return f"{_some(found)} {'is no word' if len(found) == 1 else 'are not words'} of this small model."


def _some(found: list[str]) -> str:
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return ", ".join(shortened(one, 40) for one in found[:SHOWN]) + more
