"""The twin of ReVersion: a word learns a relation that no tabletop caption names, and the checker looks for it.

The word "and", from which it begins, tells how often the relation stands there by chance. Whether a relation's word has
learned its pictures' colors instead, the colors' entropy tells.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import product
from math import hypot
from pathlib import Path
from typing import Any

import numpy as np

from maskunet import seeds
from maskunet.evaluation.intervals import RESAMPLES
from maskunet.experiments.counted import change, share
from maskunet.experiments.tables import drawn
from maskunet.library.library import Loaded
from maskunet.methods import SPECS as METHODS
from maskunet.models.base import DiffusionModel
from maskunet.plugins import chosen
from maskunet.records import Request
from maskunet.tabletop.render import render
from maskunet.tabletop.scenes import COLORS, HELD_OUT, Scene, Thing, place, random_thing
from maskunet.training import checkpoint, loop
from maskunet.training.own_pictures import OwnPictures
from maskunet.training.recipes import SPECS as RECIPES

EXEMPLARS = 10
TOKEN = "<relates>"
# Three pairs of shapes to learn from, and the three others, in either order, to ask for.
LEARNED = (("cube", "sphere"), ("sphere", "cube"), ("cylinder", "cone"), ("cone", "cylinder"), ("cube", "cone"))
ASKED = (
    ("cube", "cylinder"), ("cylinder", "cube"), ("sphere", "cylinder"), ("cylinder", "sphere"), ("sphere", "cone"),
    ("cone", "sphere"),
)  # fmt: skip
FRAMES = ("{}", "a photo of {}", "a picture of {}", "there is {}", "{} on a table")


def diagonal(a: Thing, b: Thing) -> bool:
    """Whether they stand as far apart in depth as sideways, which is neither left nor right, front nor behind."""
    across, deep = abs(a.x - b.x), abs(a.y - b.y)
    return min(across, deep) > 0.6 and max(across, deep) <= 1.2 * min(across, deep)


def touching(a: Thing, b: Thing) -> bool:
    """Whether hardly anything is between them."""
    return hypot(a.x - b.x, a.y - b.y) <= 1.15 * (a.radius + b.radius)


def same_color(a: Thing, b: Thing) -> bool:
    """Whether they have one color."""
    return a.color == b.color


RELATIONS = {"same color": same_color, "diagonal": diagonal, "touching": touching}


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table: the weight of the steering by which its word learned, None for the word "and"; the method."""

    title: str
    steering: float | None = None
    method: str = "plain"


AND, TOKEN_ROW = "and", "token"
ROWS = {
    AND: Row("“and”"),
    "unsteered": Row("token, steering 0", 0.0),
    TOKEN_ROW: Row("token, steering 0.01", 0.01),
    drawn.MASKED: Row("that token, trained masks", 0.01, "maskunet_trained"),
    drawn.RANDOM: Row("that token, random masks", 0.01, "random_mask"),
}
STEERINGS = (0.0, 0.01)


def exemplars(relation: str) -> list[tuple[Scene, str]]:
    """The scenes to learn from with their captions; every pair of shapes twice."""
    rng, found = np.random.default_rng((41, [*RELATIONS].index(relation))), []
    colors = [str(color) for color in rng.permutation([*COLORS])]
    for number in range(EXEMPLARS):
        shapes = LEARNED[number % len(LEARNED)]
        known = [color for color in colors if not {(color, shape) for shape in shapes} & HELD_OUT]
        fixed = {"color": known[number % len(known)]} if relation == "same color" else {}
        found.append((_standing(relation, shapes, fixed, rng), "a {} {{}} a {}".format(*shapes)))
    return found


def _standing(relation: str, shapes: tuple[str, str], fixed: Mapping[str, str], rng: np.random.Generator) -> Scene:
    """Two things in the relation."""
    while True:
        scene = place([random_thing(rng, shape=shape, **fixed) for shape in shapes], rng)
        if RELATIONS[relation](*scene):
            return scene


def prompts(n: int) -> list[tuple[str, tuple[str, str]]]:
    """Prompts with a gap for the relation, and the shapes in each."""
    found = []
    for number in range(n):
        turn, which = divmod(number, len(ASKED))
        first, second = ASKED[which]
        found.append((FRAMES[turn % len(FRAMES)].format(f"a {first} {{}} a {second}"), ASKED[which]))
    return found


def settings(changes: Mapping[str, Any], steering: float, seed: int) -> Any:
    """Those of a training."""
    own = {**changes, "token": TOKEN, "steering": steering, "seed": seed}
    return chosen(RECIPES["reversion"].presets, "reversion", "tabletop", own)


def train(model: DiffusionModel, relation: str, chosen: Any, out: Path) -> Iterator[Any]:
    """Train on a folder of ten pictures with their captions, as a user's, or go on with it."""
    from PIL import Image

    folder, said = out / relation.replace(" ", "-") / "pictures", {}
    folder.mkdir(parents=True, exist_ok=True)
    for number, (scene, caption) in enumerate(exemplars(relation)):
        Image.fromarray(render([scene])[0].permute(1, 2, 0).numpy()).save(folder / f"{number}.png")
        said[f"{number}.png"] = [caption]
    (folder / "text.json").write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")
    training = _training(out, relation, chosen.steering, chosen.seed)
    resume = (training / checkpoint.STATE).exists()
    about = {"data": relation, "examples": EXEMPLARS}
    pairs = OwnPictures(folder, model.pixels)
    yield from loop.train(model, RECIPES["reversion"], chosen, pairs, training, about=about, resume=resume)


def _training(out: Path, relation: str, steering: float, seed: int) -> Path:
    return out / relation.replace(" ", "-") / f"steering-{steering:g}-{seed}"


def verdict(seen: Sequence[Thing], relation: str, shapes: tuple[str, str]) -> dict[str, Any]:
    """What the checker finds: both things, whether two such stand in the relation, and the colors of all things."""
    pairs = [(a, b) for a, b in product(seen, seen) if a is not b and (a.shape, b.shape) == shapes]
    return {
        "related": any(RELATIONS[relation](a, b) for a, b in pairs),
        "entities": bool(pairs),
        "colors": [thing.color for thing in seen],
    }


def make(
    loaded: Loaded, n: int, trainings: range, out: Path, *, done: Sequence[Mapping[str, Any]], guidance: float,
    should_stop: Callable[[], str] = str,
) -> Iterator[dict[str, Any]]:  # fmt: skip
    """Make and judge what is missing; all trainings must be there.

    Yields:
        row, relation, training (None where there is none in it), number, prompt, what `verdict` says, the share removed.
    """
    made = {key(row): dict(row) for row in done}
    looked = partial(_looked, loaded, guidance=guidance)
    base = replace(loaded.model, trained={**loaded.model.trained})
    by_chance = cache(partial(looked, base, ROWS[AND]))  # the same pictures for every relation
    for relation, (training, steering) in product(RELATIONS, [(None, None), *product(trainings, STEERINGS)]):
        model = base
        if steering is not None:
            model = drawn.reading(base, _training(out, relation, steering, training) / checkpoint.PART, TOKEN)
        names = [name for name, row in ROWS.items() if row.steering == steering]
        for name, numbers, removed in drawn.missing(made, names, (relation, training), n):
            if should_stop():
                return
            seen = by_chance(tuple(numbers)) if name == AND else looked(model, ROWS[name], numbers, removed=removed)
            for number, (prompt, things, gone) in zip(numbers, seen, strict=True):
                row = {"row": name, "relation": relation, "training": training, "number": number, "prompt": prompt}
                row |= {**verdict(things, relation, prompts(number + 1)[number][1]), "removed": gone}
                made[key(row)] = row
                yield row


def key(row: Mapping[str, Any]) -> tuple[str, str, int | None, int]:
    """What tells a picture from the others."""
    return row["row"], row["relation"], row["training"], row["number"]


def _looked(
    loaded: Loaded, model: DiffusionModel, row: Row, numbers: Sequence[int], *, guidance: float, removed: float = 0.0
) -> list[tuple[str, list[Thing], float]]:
    """Of pictures made in one batch each one's prompt, what is seen in it, and the share removed.

    All rows have the same noise.
    """
    word = "and" if row.steering is None else TOKEN
    requests = [
        Request(
            prompt=prompts(number + 1)[number][0].format(word), model=model.name, seed=seeds.of_case(3, number),
            method=row.method, guidance=guidance, previews=False,
        )
        for number in numbers
    ]  # fmt: skip
    chosen = METHODS[row.method].settings("", {"removed": removed} if row.method == "random_mask" else {})
    pictures = zip(requests, drawn.together(model, row.method, chosen, requests), strict=True)
    return [(request.prompt, loaded.checker.see(image)[0], gone) for request, (image, gone) in pictures]


def summarize(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One line per relation and row over the pictures that all rows have: shares, entropy, and paired changes.

    Raises:
        ValueError: no relation has a picture of every row.
    """
    made = {key(row): row for row in rows}
    lines = []
    for relation in RELATIONS:
        asked = sorted({key(row)[2:] for row in rows if (row["row"], row["relation"]) == (TOKEN_ROW, relation)})
        of = {name: [made.get((name, relation, _of(name, t), number)) for t, number in asked] for name in ROWS}
        whole = [place for place in range(len(asked)) if all(found[place] for found in of.values())]
        if whole:
            of = {name: [found[place] for place in whole] for name, found in of.items()}
            lines += [_line(relation, name, of) for name in ROWS]
    if not lines:
        raise ValueError("No relation has a picture of every row yet; let it run longer.")
    return lines


def _of(name: str, training: int) -> int | None:
    return None if ROWS[name].steering is None else training


def _line(relation: str, name: str, of: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    mine = list({key(row): row for row in of[name]}.values())  # of several trainings "and" has the same pictures
    related = {other: [row["related"] for row in found] for other, found in of.items()}
    entities = {other: [row["entities"] for row in found] for other, found in of.items()}
    prompts, own = [row["prompt"] for row in of[name]], [row["prompt"] for row in mine]
    masked = name in drawn.METHODS_OF
    return {
        "relation": relation,
        "row": name,
        "related": share([row["related"] for row in mine], own),
        "entities": share([row["entities"] for row in mine], own),
        "entropy": entropy([row["colors"] for row in mine], own),
        "against_and": None if name == AND else change(related[name], related[AND], prompts),
        "entities_against_and": None if name == AND else change(entities[name], entities[AND], prompts),
        "against_token": change(related[name], related[TOKEN_ROW], prompts) if masked or name == "unsteered" else None,
        "removed": float(np.mean([row["removed"] for row in mine])),
    }


def entropy(colors: Sequence[Sequence[str]], of: Sequence[int]) -> dict[str, float]:
    """Of the colors of all things in some pictures, in bits, 3 at most; percentiles of a bootstrap over their prompts."""
    each = np.array([[mine.count(color) for color in COLORS] for mine in colors], float)
    counts = np.array([each[np.array(of) == prompt].sum(0) for prompt in dict.fromkeys(of)])
    which = np.random.default_rng(0).integers(0, len(counts), (RESAMPLES // 10, len(counts)))
    low, high = np.quantile(_bits(counts[which].sum(1)), (0.025, 0.975))
    return {
        "value": float(_bits(counts.sum(0, keepdims=True))[0]),
        "low": float(low),
        "high": float(high),
        "n": len(each),
    }


def _bits(counts: np.ndarray) -> np.ndarray:
    p = counts / counts.sum(1, keepdims=True).clip(1)
    return -(p * np.log2(p, where=p > 0, out=np.zeros_like(p))).sum(1)
