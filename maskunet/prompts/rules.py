"""Noun groups from word classes alone: a phrase ends at a preposition, a verb or a punctuation mark."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from maskunet.prompts import lexicon
from maskunet.prompts.words import WORD, Group, Word, words_of


@dataclass(slots=True)
class _Phrase:
    """A run of adjectives and nouns.

    Attributes:
        opened: whether an article or a count stands before it.
        before, after: what bounds it: "and", ",", "is", "of", or anything else.
    """

    words: list[Word]
    opened: bool
    before: str
    after: str = ""

    @property
    def describes(self) -> bool:
        """Whether there are only adjectives in it."""
        return all(map(_is_adjective, self.words))


def groups(prompt: str) -> tuple[Group, ...]:
    """The groups of a prompt in English, in its order."""
    found: list[Group] = []
    waiting: list[Word] = []  # adjectives whose noun is still to come: "a blue and white vase"
    for phrase, following in pairwise([*_phrases(prompt), None]):
        goes_on = phrase.after in ("and", ",") and following is not None and not following.opened
        predicate = phrase.before == "is" and not phrase.opened
        if phrase.describes and goes_on and (waiting or not (predicate or following.describes)):
            waiting += phrase.words
        elif found and not waiting and not phrase.opened and (predicate or phrase.describes):
            found[-1] = _described(found[-1], phrase.words)
        else:
            *modifiers, noun = phrase.words
            found.append(Group(noun, (*waiting, *modifiers)))
            waiting = []
    return tuple(found)


def _described(group: Group, words: Iterable[Word]) -> Group:
    """The group with adjectives that stand behind it; what is "attached" or "sitting" is no attribute."""
    return Group(group.noun, (*group.modifiers, *filter(_is_adjective, words)))


def _phrases(prompt: str) -> list[_Phrase]:
    phrases: list[_Phrase] = []
    run: list[Word] = []
    before, opened = "", False
    for word, kind in [*_classes(prompt), (None, "end")]:
        if kind == "open":
            run.append(word)
        elif kind != "skipped":
            if run:
                phrases.append(_Phrase(run, opened, before, kind))
            if run or kind != "starter":  # "is a", "and the": what stands before the article counts
                before = "" if kind == "starter" else kind
            run, opened = [], kind == "starter"
    return [p for p in phrases if not (p.after == "of" and p.words[-1].text.lower() in lexicon.CARRIERS)]


def _classes(prompt: str) -> list[tuple[Word, str]]:
    """Each word and punctuation mark with its class.

    "open" is an adjective or a noun, "starter" what opens a phrase, "skipped" what is as if it were not
    there; "and", ",", "of", "is" and "break" bound phrases.
    """
    tokens = words_of(prompt, rf"{WORD}|[^\w\s]")
    classes: list[str] = []
    for i, word in enumerate(tokens):
        following = tokens[i + 1].text.lower() if i + 1 < len(tokens) else ""
        kind = _class(word.text.lower(), following)
        previous = tokens[i - 1] if i and classes[-1] == "open" else None
        if kind == "open" and _is_verb(word.text.lower(), previous, following):
            kind = "break"
        classes.append(kind)
    return list(zip(tokens, classes, strict=True))


def _class(text: str, following: str) -> str:
    if text in ("and", "&"):
        return "and"
    if text in (",", "of"):
        return text
    if text in lexicon.STARTERS or text.isdigit():
        return "starter"
    if text in lexicon.COPULAS:
        return "is"
    adverb = text.endswith("ly") and text not in lexicon.LY_BUT_NO_ADVERB
    if adverb or text in lexicon.ADVERBS or text.endswith(("'s", "’s")):
        return "skipped"
    if text in lexicon.PLACES and following in ("", "of", "to", "and", ",", "."):
        return "break"
    return "break" if text in lexicon.BOUNDS or not text[0].isalnum() else "open"


def _is_verb(text: str, previous: Word | None, following: str) -> bool:
    """Whether a word is a verb; right behind an adjective none is ("a metallic stand").

    Two noun phrases never touch, so what stands between a noun and an article is one, and few nouns end
    in -ing.
    """
    if previous is not None and _is_adjective(previous):
        return False
    if text in lexicon.VERBS:
        return True
    participle = text.endswith("ing") and text not in lexicon.NOUNS_IN_ING
    return previous is not None and (participle or following in lexicon.STARTERS)


def _is_adjective(word: Word) -> bool:
    text = word.text.lower()
    return text in lexicon.ADJECTIVES or text.endswith(("-shaped", "-colored", "-sized", "ish"))
