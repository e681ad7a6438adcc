"""Captions of tabletop scenes from templates with paraphrases, and hard negatives that almost fit."""

from dataclasses import replace

import numpy as np

from maskunet.tabletop.scenes import (
    COLORS,
    OPPOSITE,
    RELATIONS,
    SHAPES,
    TEXTURES,
    Scene,
    Thing,
    holds,
)

NUMBERS = {1: "one", 2: "two", 3: "three", 4: "four"}
RELATION_WORDS = {
    "left of": ("left of", "to the left of", "on the left of"),
    "right of": ("right of", "to the right of", "on the right of"),
    "in front of": ("in front of",),
    "behind": ("behind",),
}
VOCABULARY = {
    "shape": SHAPES,
    "color": tuple(COLORS),
    "texture": TEXTURES,
    "size": ("small", "large"),
    "number": tuple(NUMBERS.values()),
    "relation": RELATIONS,
}

Mention = tuple[str, ...]  # which attributes of a thing a caption names besides its shape


def mention(rng: np.random.Generator) -> Mention:
    """Choose the attributes to name: color mostly, texture and size sometimes."""
    chances = (("size", 0.15), ("texture", 0.28), ("color", 0.8))
    return tuple(name for name, chance in chances if rng.random() < chance)


def phrase(thing: Thing, named: Mention, article: bool = True) -> str:
    """A noun phrase such as "a small striped red cube"; attributes in the order of English."""
    words = [getattr(thing, name) for name in ("size", "texture", "color") if name in named]
    text = " ".join([*words, thing.shape])
    return with_article(text) if article else text


def with_article(text: str) -> str:
    """“a red cube”, “an orange cube”."""
    return f"{'an' if text[0] in 'aeiou' else 'a'} {text}"


def plan(scene: Scene, rng: np.random.Generator) -> dict:
    """Draw everything random about a caption, so that a negative can be worded the same way."""
    count = len(scene)
    kind = "list"
    if count > 1 and len({t.shape for t in scene}) == 1 and (count != 2 or rng.random() < 0.6):
        kind = "count"
    order = [int(i) for i in rng.permutation(count)]
    relation = None
    if kind == "list" and count == 2:
        true = [r for r in RELATIONS if holds(r, scene[order[0]], scene[order[1]])]
        if true and rng.random() < 0.75:
            relation = true[0]
    bare = rng.random() < 0.25  # "a cube left of a cone": the shapes alone, as the easier tasks ask
    return {
        "kind": kind,
        "order": order,
        "relation": relation,
        "words": int(rng.integers(0, 6)),
        "named": [() if bare else mention(rng) for _ in scene],
        "prefix": str(rng.choice(("", "", "", "a photo of ", "a picture of ", "there is "))),
        "suffix": str(rng.choice(("", "", "", "", " on a table", " on a gray table"))),
    }


def write(scene: Scene, plan: dict) -> str:
    """Word the caption that `plan` describes for `scene`."""
    named = plan["named"]
    if plan["kind"] == "count":
        shared = [n for n in named[0] if n != "size" and len({getattr(t, n) for t in scene}) == 1]
        words = [getattr(scene[0], n) for n in ("texture", "color") if n in shared]
        text = " ".join([NUMBERS[len(scene)], *words, scene[0].shape + "s"])
        prefix = plan["prefix"].replace("there is", "there are")
        return prefix + text + plan["suffix"]
    parts = [phrase(scene[i], named[i]) for i in plan["order"]]
    if plan["relation"]:
        forms = RELATION_WORDS[plan["relation"]]
        verb = " is " if plan["words"] % 3 == 0 and not plan["prefix"] else " "
        text = f"{parts[0]}{verb}{forms[plan['words'] % len(forms)]} {parts[1]}"
    elif len(parts) == 1:
        text = parts[0]
    else:
        text = ", ".join(parts[:-1]) + " and " + parts[-1]
    return plan["prefix"] + text + plan["suffix"]


def caption(scene: Scene, rng: np.random.Generator) -> str:
    """One random true caption; it names every thing in the scene, some of its attributes, its place."""
    return write(scene, plan(scene, rng))


def negatives(scene: Scene, rng: np.random.Generator, count: int) -> tuple[str, list[str]]:
    """A true caption and `count` captions that differ in one respect and are false.

    Colors swapped between things, one color, shape or texture changed, a number changed, left and
    right exchanged, a thing too many or too few. Of several, one exchanges the relation if there is one:
    it is the hardest to learn.
    """
    how = plan(scene, rng)
    if how["kind"] == "list":  # a negative needs something named that can be wrong
        how["named"] = [tuple({*named, "color"}) if rng.random() < 0.8 else named for named in how["named"]]
    true = write(scene, how)
    false: list[str] = []
    for _ in range(40 * count):
        if len(false) == count:
            break
        hardest = how["relation"] and count > 1 and not false
        other, changed = _corrupt(scene, how, rng, "relation" if hardest else "")
        text = write(other, changed)
        if text != true and not _still_true(scene, other, changed):
            false.append(text)
    while len(false) < count:
        false.append(
            write(
                (replace(scene[0], shape=_other(SHAPES, scene[0].shape, rng)),),
                {**how, "kind": "list", "order": [0], "relation": None},
            )
        )
    return true, false


def _other(choices, value, rng: np.random.Generator) -> str:
    return str(rng.choice([c for c in choices if c != value]))


def _corrupt(scene: Scene, how: dict, rng: np.random.Generator, move: str = "") -> tuple[Scene, dict]:
    things, changed = list(scene), dict(how)
    i = int(rng.integers(len(things)))
    moves = ["color", "shape", "texture"]
    if how["kind"] == "count":
        moves += ["number"] * 4
    elif len(things) > 1:
        moves += ["swap"] * 4
        moves += ["relation"] * 4 if how["relation"] else ["drop"]
    move = move or str(rng.choice(moves))
    if move == "swap":
        j = int(rng.choice([k for k in range(len(things)) if k != i]))
        name = str(rng.choice(("color", "color", "texture", "shape")))
        a, b = getattr(things[i], name), getattr(things[j], name)
        things[i], things[j] = replace(things[i], **{name: b}), replace(things[j], **{name: a})
    elif move == "relation":
        changed["relation"] = OPPOSITE[how["relation"]]
    elif move == "number":
        number = int(rng.choice([n for n in (2, 3, 4) if n != len(things)]))
        things = [things[k % len(things)] for k in range(number)]
        changed["named"] = [how["named"][0]] * number
    elif move == "drop":
        things.append(things[i])
        things[-1] = replace(things[-1], shape=_other(SHAPES, things[i].shape, rng))
        changed["order"] = [*how["order"], len(things) - 1]
        changed["named"] = [*how["named"], ("color",)]
    else:
        choices = {"color": COLORS, "shape": SHAPES, "texture": TEXTURES}[move]
        every = range(len(things)) if how["kind"] == "count" else [i]
        value = _other(choices, getattr(things[i], move), rng)
        for k in every:
            things[k] = replace(things[k], **{move: value})
    return tuple(things), changed


def _still_true(scene: Scene, other: Scene, how: dict) -> bool:
    """Whether the corrupted caption happens to describe the scene after all."""
    if how["kind"] == "count":
        named = [n for n in how["named"][0] if n != "size" and len({getattr(t, n) for t in other}) == 1]
        return len(other) == len(scene) and all(
            getattr(t, n) == getattr(other[0], n) for t in scene for n in ("shape", *named)
        )
    if len(other) != len(scene):
        return False

    def fits(thing: Thing, asked: Thing, named: Mention) -> bool:
        return all(getattr(thing, n) == getattr(asked, n) for n in ("shape", *named))

    order = how["order"]
    if how["relation"]:
        a, b = order
        return any(
            fits(scene[i], other[a], how["named"][a])
            and fits(scene[j], other[b], how["named"][b])
            and holds(how["relation"], scene[i], scene[j])
            for i, j in ((0, 1), (1, 0))
        )
    return _matching([[fits(t, other[k], how["named"][k]) for t in scene] for k in order])


def _matching(fits: list[list[bool]]) -> bool:
    """Whether each asked thing can have a thing of its own (at most four: try them all)."""
    if not fits:
        return True
    return any(_matching([[*row[:i], *row[i + 1 :]] for row in fits[1:]]) for i, good in enumerate(fits[0]) if good)
