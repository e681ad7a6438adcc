"""Groups of a noun and what describes it: "a red cube and a blue sphere" has "red cube" and "blue sphere".

A modifier is an adjective, a participle or a noun that stands before the noun ("coffee table"), or an
adjective behind a copula ("the cube is red"). Articles, counts, adverbs and the words of places ("on top
of") belong to no group, nor does "a photo of".
"""

from maskunet.prompts import dependencies, rules
from maskunet.prompts.words import Group, Word, shortened, words_of

GIVE = "Name one, such as “a red cube”, or give the groups yourself, such as “red cube; blue sphere”."


def groups_of(prompt: str, edited: str = "") -> tuple[Group, ...]:
    """The groups of a prompt: as somebody edited them, or else parsed.

    Args:
        edited: such as "red cube; blue sphere"; the last word of each is the noun.

    Raises:
        ValueError: there is no noun, or an edited word is not in the prompt; says what to do.
    """
    groups = read(edited, prompt) if edited.strip() else parse(prompt)
    if not groups:
        raise ValueError(f"No noun was found in “{shortened(prompt)}”. {GIVE}")
    return groups


def parse(prompt: str) -> tuple[Group, ...]:
    """The groups of a prompt, by spaCy where it and its small English model are installed, else by rules."""
    language = dependencies.language()
    return dependencies.groups(language(prompt)) if language else rules.groups(prompt)


def read(edited: str, prompt: str) -> tuple[Group, ...]:
    """Groups as somebody wrote them; each word is looked up in the prompt, from left to right.

    Raises:
        ValueError: a group has no word, or a word stands there more often than in the prompt.
    """
    unused = words_of(prompt)
    groups = []
    for text in filter(str.strip, edited.split(";")):
        found = [_taken(word.text, unused) for word in words_of(text)]
        if not found:
            raise ValueError(f"The group “{shortened(text.strip())}” holds no word. {GIVE}")
        groups.append(Group(found[-1], tuple(found[:-1])))
    return tuple(groups)


def _taken(text: str, unused: list[Word]) -> Word:
    """The first unused word of that spelling; it is used then."""
    for word in unused:
        if word.text.lower() == text.lower():
            unused.remove(word)
            return word
    raise ValueError(
        f"The groups name “{shortened(text)}” more often than the prompt does. Use the prompt's own words, each at most "
        "as often as it stands there."
    )
