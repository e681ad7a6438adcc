"""What a kept mask removes, by place and step, and how it was made: as text and as plain data."""

import json
from collections.abc import Iterable, Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from maskunet.masks import held
from maskunet.records import held_mask
from maskunet.records.held_mask import HeldMask
from maskunet.records.selection import place_of

MAX_LINES = 20  # of a table in the text; the JSON has all
OPERANDS = "of"  # of a recipe: the recipes of what it was made from


def rows(mask: HeldMask) -> list[dict[str, Any]]:
    """How many weights go at each site and step: timestep, site, block, layer, attention, role, weights, removed."""
    ends = np.cumsum([prod(shape) for shape in mask.sites.values()])
    found = []
    for timestep, places in mask.steps.items():
        counts = np.bincount(np.searchsorted(ends, places, side="right"), minlength=len(ends))
        for (site, shape), removed in zip(mask.sites.items(), counts.tolist(), strict=True):
            where = place_of(site)
            found.append({
                "timestep": timestep, "site": site, "block": where.blocks[0], "layer": where.layers[0],
                "attention": where.attentions[0], "role": where.roles[0], "weights": prod(shape), "removed": removed,
            })  # fmt: skip
    return found


def about(name: str, mask: HeldMask) -> dict[str, Any]:
    """Everything but the weights themselves, ready for JSON."""
    steps = [{"timestep": t, "removed": len(places)} for t, places in mask.steps.items()]
    return {
        "name": name, "model": mask.model, "unet": dict(mask.weights), "weights": mask.total, "static": mask.static,
        "steps": steps, "sites": rows(mask), "recipe": dict(mask.recipe), "note": held.note(mask),
    }  # fmt: skip


def line(name: str, mask: HeldMask) -> str:
    """A mask in a line."""
    counts = [len(places) for places in mask.steps.values()]
    share = sum(counts) / len(counts) / mask.total
    span = "one for all steps" if mask.static else f"each of {len(counts)} steps its own"
    noted = f" {note}" if (note := held.note(mask)) else ""
    return f"{name}: {mask.model}, {share:.2%} of {mask.total:,} weights, {span}, made: {made(mask.recipe)}.{noted}"


def lines(files: Mapping[str, Path], made: str = "") -> list[str]:
    """Each mask of a model in a line; of one that cannot be read, why.

    Args:
        files: by name. made: only masks that were made so, or all.
    """
    found = []
    for name, path in files.items():
        try:
            mask = held_mask.load(path)
        except ValueError as error:
            found.append(f"{name}: {error}")
            continue
        if not made or mask.recipe["made"] == made:
            found.append(line(name, mask))
    return found


def text(name: str, mask: HeldMask) -> str:
    """The line, what goes where and when, and the recipe."""
    found = rows(mask)
    parts = [line(name, mask), "", *_table("where", ((_where(row), row) for row in found))]
    if not mask.static:
        parts += ["", *_table("timestep", ((str(row["timestep"]), row) for row in found))]
    recipe = json.dumps(dict(mask.recipe), indent=1, ensure_ascii=False)
    return "\n".join([*parts, "", "Recipe:", recipe, ""])


def made(recipe: Mapping[str, Any], depth: int = 2) -> str:
    """How it was made, in a few words: “union (run, random)”."""
    operands = recipe.get(OPERANDS)
    inner = (
        [made(each, depth - 1) for each in operands if isinstance(each, Mapping)] if isinstance(operands, list) else []
    )
    return f"{recipe.get('made')!s:.40}" + (f" ({', '.join(inner[:4])})" if inner and depth else "")


def _where(row: Mapping[str, Any]) -> str:
    return f"block{row['block']}.{row['attention']}.{row['role']}"


def _table(title: str, pairs: Iterable[tuple[str, Mapping[str, Any]]]) -> Iterator[str]:
    """Sums by the first of each pair."""
    sums: dict[str, list[int]] = {}
    for key, row in pairs:
        mine = sums.setdefault(key, [0, 0])
        mine[0] += row["removed"]
        mine[1] += row["weights"]
    yield f"{title:24s} {'removed':>12s} {'of':>12s} {'share':>8s}"
    for key, (removed, weights) in list(sums.items())[:MAX_LINES]:
        yield f"{key:24s} {removed:12,d} {weights:12,d} {removed / weights:8.2%}"
    if len(sums) > MAX_LINES:
        yield f"… and {len(sums) - MAX_LINES} more; --json has all"
