"""How often pictures are spoiled: what a base makes of plain prompts, and how well the inspector tells."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from maskunet.evaluation.intervals import wilson
from maskunet.experiments.evaluate import evaluate
from maskunet.experiments.markdown import markdown_table
from maskunet.experiments.tabletop.measure import GUIDANCE_SEED, best_scale
from maskunet.records import Request
from maskunet.records.disk import whole
from maskunet.tabletop import checker, inspector
from maskunet.tabletop.place import CHECKER, INSPECTOR, MODEL
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
    """Ask the shipped inspector about n held-out renders of each kind and their reconstructions; write `out`.

    Returns:
        The text that was written: the share that it takes for what they are, by kind.
    """
    from maskunet.experiments.tabletop.train_inspector import held_out_pictures

    found, shown = inspector.load(INSPECTOR), held_out_pictures(MODEL / "vae", n)
    right = {what: inspector.accuracy(found, pictures) for what, pictures in shown.items()}

    def cell(share: float) -> str:
        low, high = wilson(round(share * n), n)
        return f"{share:.3f} ({low:.2f} to {high:.2f})"

    rows = [[kind, *(cell(shares[kind]) for shares in right.values())] for kind in inspector.KINDS]
    text = (
        "# The inspector, measured\n\n"
        f"Made by `python -m maskunet tabletop inspect --n {n}`: the share of {n} held-out pictures of each kind that "
        "the inspector takes for that kind, with 95 % intervals; as rendered, and after the autoencoder.\n\n"
        f"{markdown_table(['kind', *right], rows)}\n"
    )
    whole.write(out, text)
    return text


def shares(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Of judged pictures n, the share correct, and the shares spoiled, at all and by kind, each with its interval."""
    looks = [row["looks"] for row in rows]
    counts = {"correct": sum(row["correct"] for row in rows), "spoiled": len(looks) - looks.count(CLEAN)}
    counts |= {kind: looks.count(kind) for kind in PICTURES}
    n = len(rows)
    intervals = {name: wilson(count, n) for name, count in counts.items()}
    return {"n": n, **{name: count / n for name, count in counts.items()}, "intervals": intervals}


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
