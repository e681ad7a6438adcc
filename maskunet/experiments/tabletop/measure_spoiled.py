"""How often pictures are spoiled: what a base makes of plain prompts, and how well the judges tell."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from maskunet import rewards
from maskunet.evaluation.intervals import wilson
from maskunet.experiments.counted import share
from maskunet.experiments.evaluate import evaluate
from maskunet.experiments.markdown import markdown_table
from maskunet.experiments.tabletop.measure import GUIDANCE_SEED, best_scale
from maskunet.experiments.tabletop.train_inspector import HELD_OUT_SHARD
from maskunet.library.weights import reward_folders
from maskunet.models import SPECS as MODELS
from maskunet.records import Request
from maskunet.records.disk import whole
from maskunet.tabletop import checker, data, inspector
from maskunet.tabletop.place import CHECKER, INSPECTOR, MODEL
from maskunet.tabletop.scenes import Scene, Thing
from maskunet.tabletop.spoiling import CLEAN, PICTURES

log = logging.getLogger(__name__)

SCALES = (1.0, 2.5, 4.0, 7.5, 10.0, 15.0)
BATCH = 7  # pictures of a task that share U-Net calls


def curve(folder: Path, n: int) -> str:
    """Measure the model in a training folder on training prompts and choose its guidance scale.

    Writes curve.json, curve.md and guidance.json into `folder`.

    Args:
        folder: holds model/. n: pictures per task and scale.

    Returns:
        The text of curve.md.
    """
    from maskunet.library.library import Library

    loaded = Library("tabletop", weights=folder / "model", device="cpu").load("tabletop")
    loaded = replace(loaded, checker=checker.load(CHECKER), inspector=inspector.load(INSPECTOR))
    points = []
    for scale in SCALES:
        request = Request(prompt="-", model="tabletop", method="plain", guidance=scale)
        rows = list(evaluate(loaded, request, tasks="all", n=n, seed=GUIDANCE_SEED, split="train", batch=BATCH))
        points.append({"guidance": scale, **shares(rows)})
        log.info("guidance %g: %s", scale, json.dumps(points[-1]))
    return written(folder, points, f"python -m maskunet tabletop curve --n {n}")


def written(folder: Path, points: Sequence[Mapping[str, Any]], command: str) -> str:
    """Write what `curve` measured, and the guidance scale that follows.

    Returns:
        The text of curve.md.
    """
    most, chosen = best_scale(points), lowest_scale(points)
    found = {
        "command": command, "split": "train", "seed": GUIDANCE_SEED, "most": most, "chosen": chosen, "curve": points
    }  # fmt: skip
    text = _text(found)
    whole.write(folder / "curve.json", json.dumps(found, indent=1))
    whole.write(folder / "guidance.json", json.dumps({"guidance": chosen}))
    whole.write(folder / "curve.md", text)
    return text


def lowest_scale(points: Sequence[Mapping[str, Any]]) -> float:
    """The smallest scale whose share correct may be the largest one: it lies within the 95 % interval.

    Where the curve is flat, more guidance only makes colors harsher.
    """
    most = max(point["correct"] for point in points)
    return min(point["guidance"] for point in points if point["intervals"]["correct"][1] >= most)


def judge(out: Path, n: int) -> str:
    """Ask the shipped judges about n held-out renders of each kind; write `out`.

    Returns:
        The text that was written: how often inspector, checker and rewards are right, by kind.
    """
    from maskunet.experiments.tabletop.train_inspector import held_out_pictures

    shown = held_out_pictures(MODEL / "vae", n)
    found, scenes = inspector.load(INSPECTOR), data.training_scenes(HELD_OUT_SHARD)[:n]
    kinds = {f"inspector, {what}": inspector.accuracy(found, pictures) for what, pictures in shown.items()}
    eye = checker.load(CHECKER)
    kinds["checker"] = {kind: _named(eye, scenes, pictures) for kind, pictures in shown["renders"].items()}
    looks, matches = _rewards(n)
    text = (
        "# The judges on spoiled pictures\n\n"
        f"Made by `python -m maskunet tabletop inspect --n {n}`, on {n} held-out renders of each kind, with 95 % intervals.\n\n"
        "**Inspector**: the share that it takes for that kind, as rendered and after the autoencoder. **Checker**: the share in "
        "which it finds every thing by shape and color, and nothing else.\n\n"
        f"{_table(kinds, inspector.KINDS, n)}\n\n"
        "**Rewards**: how often a clean picture scores above itself spoiled, both under the true caption; and, on clean pictures, "
        "the true caption above a hard negative.\n\n"
        f"{_table({name: {**looks[name], 'caption': matches[name]} for name in looks}, (*PICTURES, 'caption'), n)}\n"
    )
    whole.write(out, text)
    return text


def _named(eye: checker.Checker, scenes: Sequence[Scene], pictures: Tensor) -> float:
    """The share of pictures in which all things are seen, by shape and color, and no others; wherever they are."""
    seen = [things for some in pictures.split(50) for things in eye.see(some)]
    return float(np.mean([_names(real) == _names(found) for real, found in zip(scenes, seen, strict=True)]))


def _names(things: Sequence[Thing]) -> list[tuple[str, str]]:
    return sorted((thing.shape, thing.color) for thing in things)


def _table(columns: Mapping[str, Mapping[str, float]], rows: Sequence[str], n: int) -> str:
    def cell(share: float) -> str:
        low, high = wilson(round(share * n), n)
        return f"{share:.3f} ({low:.2f} to {high:.2f})"

    return markdown_table(["kind", *columns], [[row, *(cell(each[row]) for each in columns.values())] for row in rows])


def _rewards(n: int) -> tuple[dict[str, dict[str, float]], dict[str, float]]:
    """Of every embedded reward, how often it prefers clean to spoiled, by kind, and a true caption to a false one."""
    from maskunet.experiments.tabletop.train_rewards import held_out, held_out_looks, looks_accuracy, told_apart

    pairs, asked = held_out_looks(n), held_out(n)
    embedded = [spec for spec in MODELS.values() if spec.embedded]
    places = {place: spec.name for spec in reversed(embedded) for place in reward_folders(spec).items()}
    looks, matches = {}, {}
    for (name, folder), model in places.items():  # one that both have is tabletop's
        reward, called = rewards.load(name, folder=folder, device="cpu"), f"{name} of {model}"
        looks[called] = looks_accuracy(reward, pairs)
        matches[called] = told_apart(reward, *asked)
    return looks, matches


def shares(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Of judged pictures n, the share correct, and the shares spoiled, at all and by kind, each with its interval over prompts."""
    asked = {"correct": lambda row: row["correct"], "spoiled": lambda row: row["looks"] != CLEAN}
    asked |= {kind: lambda row, kind=kind: row["looks"] == kind for kind in PICTURES}
    prompts = [row["prompt"] for row in rows]
    found = {name: share([is_so(row) for row in rows], prompts) for name, is_so in asked.items()}
    intervals = {name: (each["low"], each["high"]) for name, each in found.items()}
    return {"n": len(rows), **{name: each["value"] for name, each in found.items()}, "intervals": intervals}


def _text(found: Mapping[str, Any]) -> str:
    names = ("correct", "spoiled", *PICTURES)

    def cell(point: Mapping[str, Any], name: str) -> str:
        low, high = point["intervals"][name]
        return f"{point[name]:.3f} ({low:.2f} to {high:.2f})"

    rows = [[f"{p['guidance']:g}", str(p["n"]), *(cell(p, name) for name in names)] for p in found["curve"]]
    return (
        f"Made by `{found['command']}`: unmasked pictures of training prompts, 15 steps; correct by the checker, "
        f"spoiled by the inspector, with 95 % intervals. Most are correct at guidance {found['most']:g}; "
        f"{found['chosen']:g} is the smallest scale that is not clearly worse, and the model's own.\n\n"
        f"{markdown_table(['guidance', 'n', *names], rows)}\n"
    )
