"""Noun groups from a dependency parse, as SynGen finds them, where spaCy is installed."""

from collections.abc import Iterable
from functools import cache
from typing import Any

from maskunet.prompts.words import Group, Word

MODIFIERS = frozenset({"amod", "nmod", "compound", "npadvmod", "acomp"})


@cache
def language() -> Any:
    """spaCy's small English pipeline, or None where it is not installed."""
    try:
        import spacy

        return spacy.load("en_core_web_sm")
    except (ImportError, OSError):
        return None


def groups(document: Iterable[Any]) -> tuple[Group, ...]:
    """Each noun of a spaCy document with the modifiers below it and those behind its copula."""
    found = []
    for token in document:
        if token.pos_ not in ("NOUN", "PROPN") or token.dep_ in MODIFIERS:
            continue
        below = [*_below(token)]
        if token.dep_ == "nsubj" and token.head.pos_ == "AUX":
            below += _below(token.head)
        words = sorted(map(_word, below), key=lambda word: word.start)
        found.append(Group(_word(token), tuple(words)))
    return tuple(found)


def _below(token: Any) -> Iterable[Any]:
    for child in token.children:
        if child.dep_ in MODIFIERS or (child.dep_ == "conj" and child.pos_ == "ADJ"):
            yield child
            yield from _below(child)


def _word(token: Any) -> Word:
    return Word(token.text, token.idx, token.idx + len(token.text))
