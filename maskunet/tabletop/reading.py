"""A typed prompt as a `Case`: what a picture must show to be right, or nothing where words are used that no caption has."""

import re

from maskunet.tabletop.captions import NUMBERS, RELATION_WORDS
from maskunet.tabletop.scenes import COLORS, SHAPES, SIZES, TEXTURES
from maskunet.tabletop.tasks import Case

KINDS = {word: kind for kind, words in (("size", SIZES), ("texture", TEXTURES), ("color", COLORS)) for word in words}
COUNTS = {"a": 1, "an": 1, "the": 1, **{word: number for number, word in NUMBERS.items()}}
FORMS = {form: relation for relation, forms in RELATION_WORDS.items() for form in forms}
AROUND = re.compile(r"^(?:a (?:photo|picture) of |there (?:is|are) )|(?: on a (?:gray )?table)?[.!]?$")
PLACED = re.compile(rf"(.+?)(?: is| stands)? ({'|'.join(sorted(FORMS, key=len, reverse=True))}) (.+)")


def read(prompt: str) -> Case | None:
    """What the prompt asks for, in the grammar of `captions`; None where it says anything else."""
    text = AROUND.sub("", " ".join(prompt.lower().split()))
    placed = PLACED.fullmatch(text)
    parts = [placed[1], placed[3]] if placed else re.split(r", and |, | and ", text)
    groups = [_group(part) for part in parts]
    if None in groups or (placed and any(count > 1 for count, _ in groups)):
        return None
    things = tuple(thing for count, thing in groups for _ in range(count))
    if len(groups) == 1 and len(things) > 1:
        return Case("typed", prompt, things[:1], count=len(things))
    return Case("typed", prompt, things, relation=FORMS[placed[2]] if placed else None)


def _group(text: str) -> tuple[int, dict[str, str]] | None:
    """How many things a noun phrase names, and what each must be."""
    *words, noun = text.split() or [""]
    count = COUNTS.get(words[0], 1) if words else 1
    adjectives = words[1:] if words and words[0] in COUNTS else words
    shape = noun.removesuffix("s") if count > 1 else noun
    if shape not in SHAPES or (count > 1) != (noun != shape) or any(word not in KINDS for word in adjectives):
        return None
    return count, {"shape": shape, **{KINDS[word]: word for word in adjectives}}
