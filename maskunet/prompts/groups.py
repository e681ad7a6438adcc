"""Which words of a prompt belong together: a noun with its modifiers, such as "red cube"."""

import re
from collections.abc import Iterable, Sequence

from maskunet.prompts import rules, syntax
from maskunet.prompts.records import Group, Word

MAX_GROUPS = 16


def groups_of(prompt: str, edited: str = "") -> list[Group]:
    """The noun-modifier groups of a prompt, in its order.

    Args:
        edited: groups as a person wrote them, "red cube; blue sphere", the noun last; every word must stand
            in the prompt. Empty: the prompt is parsed, by spaCy if it and an English model are installed,
            else by rules.

    Raises:
        ValueError: no noun was found, a word is not in the prompt or there more seldom than named, or
            there are more than 16 groups.
    """
    found = placed(prompt, edited) if edited.strip() else parse(prompt)
    if not found:
        raise ValueError(
            "No noun was found in the prompt. Name its things yourself, the noun last: “red cube; blue sphere”."
        )
    if len(found) > MAX_GROUPS:
        raise ValueError(f"There are {len(found)} groups of words; allowed are {MAX_GROUPS}. Name fewer.")
    return found


def parse(prompt: str) -> list[Group]:
    """The groups that spaCy sees, or without it the rules."""
    seen = syntax.parse(prompt)
    return rules.parse(prompt) if seen is None else seen


def written(groups: Iterable[Group]) -> str:
    """The groups as a person would write them: "red cube; blue sphere"."""
    return "; ".join(str(group) for group in groups)


def placed(prompt: str, edited: str) -> list[Group]:
    """The groups a person wrote, each word at its place in the prompt.

    Of a word that stands there several times, the one is meant that is nearest to the rest of its group
    and that no other group has.

    Raises:
        ValueError: a word is not in the prompt, or named more often than it stands there.
    """
    unused = _places(prompt)
    found = [_place(text.split(), unused) for text in re.split(r"[;\n]", edited) if text.strip()]
    return sorted(found, key=lambda group: group.noun.start)


def _places(prompt: str) -> dict[str, list[Word]]:
    places: dict[str, list[Word]] = {}
    for match in re.finditer(rules.WORD, prompt):
        places.setdefault(match.group().lower(), []).append(Word(match.group(), match.start(), match.end()))
    return places


def _place(words: Sequence[str], unused: dict[str, list[Word]]) -> Group:
    for word in words:
        if word.lower() not in unused:
            raise ValueError(
                f"“{word}” is not a word of the prompt. Groups name words of the prompt, the noun last, with "
                "semicolons between them: “red cube; blue sphere”."
            )
        if len(unused[word.lower()]) < sum(other.lower() == word.lower() for other in words):
            raise ValueError(
                f"“{word}” is named more often in the groups than it stands in the prompt. Name each once."
            )
    *modifiers, noun = words
    tries = [_near(place, modifiers, unused) for place in unused[noun.lower()]]
    best = min(tries, key=_spread)
    for word in best.words:
        unused[word.text.lower()].remove(word)
    return best


def _near(noun: Word, modifiers: Sequence[str], unused: dict[str, list[Word]]) -> Group:
    """The noun at this place with the nearest free place of each modifier."""
    taken = [noun]
    for text in modifiers:
        free = [place for place in unused[text.lower()] if place not in taken]
        taken.append(min(free, key=lambda place: abs(place.start - noun.start)))
    return Group(noun, tuple(sorted(taken[1:], key=lambda word: word.start)))


def _spread(group: Group) -> int:
    return sum(abs(word.start - group.noun.start) for word in group.modifiers)
