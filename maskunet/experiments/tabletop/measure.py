"""Measure the shipped tabletop models and write down what came out: the guidance curve and the card."""

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from maskunet.experiments.counted import share, told
from maskunet.experiments.markdown import markdown_table
from maskunet.records.disk import whole
from maskunet.tabletop import checker, data
from maskunet.tabletop.place import CHECKER, GUIDANCE

if TYPE_CHECKING:
    from maskunet.library.library import Loaded

log = logging.getLogger(__name__)

SCALES = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 7.5, 9.0)
FRESH_SHARD = 9_002  # a seed that no training and no checkpoint report has used
GUIDANCE_SEED, CARD_SEED = 3, 1


def _loaded() -> "Loaded":
    """The shipped model, its rewards and the checker."""
    from maskunet.library.library import Library

    return replace(Library("tabletop", device="cpu").load("tabletop"), checker=checker.load(CHECKER))


def guidance_curve(docs: Path, n: int) -> None:
    """Share correct of plain pictures over guidance scales on training prompts; sets the default.

    Writes docs/results/guidance.json and docs/results/guidance.svg, and guidance.json beside the weights.

    Args:
        n: pictures per task and scale.
    """
    from maskunet.experiments.evaluate import evaluate
    from maskunet.records import Request

    loaded = _loaded()
    curve = []
    for scale in SCALES:
        request = Request(prompt="-", model="tabletop", method="plain", guidance=scale)
        rows = list(evaluate(loaded, request, tasks="all", n=n, seed=GUIDANCE_SEED, split="train"))
        right = share([row["correct"] for row in rows], [row["prompt"] for row in rows])
        curve.append(
            {"guidance": scale, "n": len(rows), "correct": right["value"], "low": right["low"], "high": right["high"]}
        )
        log.info("guidance %g: %s, n = %d", scale, told(right), len(rows))
    best = best_scale(curve)
    command = f"python -m maskunet tabletop guidance --n {n}"
    text = json.dumps({"command": command, "best": best, "curve": curve}, indent=1)
    whole.write(docs / "guidance.json", text)
    whole.write(GUIDANCE, json.dumps({"guidance": best}))
    _draw(curve, best, docs / "guidance.svg")


def best_scale(curve: list[dict[str, float]]) -> float:
    """The scale with the most correct pictures; of several, the middle one, the lower of two."""
    most = max(point["correct"] for point in curve)
    scales = [point["guidance"] for point in curve if point["correct"] == most]
    return scales[(len(scales) - 1) // 2]


def _draw(curve: list[dict[str, float]], best: float, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.5, 3), layout="constrained")
    axes = figure.add_subplot()
    scales = [point["guidance"] for point in curve]
    axes.fill_between(scales, [p["low"] for p in curve], [p["high"] for p in curve], color="#0f766e", alpha=0.18)
    axes.plot(scales, [p["correct"] for p in curve], color="#0f766e", marker="o", markersize=4)
    axes.axvline(best, color="#888", linewidth=0.8)
    axes.set(xlabel="guidance scale", ylabel="share correct", ylim=(0, 1))
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)


def card(docs: Path, n: int) -> None:
    """Measure every figure of the model card on fresh seeds and write docs/results/tabletop.json.

    Args:
        n: pictures per task.
    """
    from maskunet.experiments.evaluate import evaluate, summarize, table
    from maskunet.records import Request

    loaded = _loaded()
    request = Request(prompt="-", model="tabletop", method="plain")
    rows = list(evaluate(loaded, request, tasks="all", n=n, seed=CARD_SEED))
    lines = summarize(rows)
    new = [row for row in rows if row["held_out"]]
    found = {
        "command": f"python -m maskunet tabletop card --n {n}",
        "guidance": loaded.model.guidance,
        "judges": judges(loaded),
        "tasks": lines,
        "held_out": {"n": len(new), "correct": sum(row["correct"] for row in new) / max(len(new), 1)},
    }
    whole.write(docs / "tabletop.json", json.dumps(found, indent=1))
    whole.write(docs / "tabletop.md", _card_text(found, table(lines)))
    log.info("\n%s", (docs / "tabletop.md").read_text(encoding="utf-8"))


def judges(loaded: "Loaded", count: int = 500) -> dict[str, Any]:
    """The figures that need no sampling, on `count` fresh renders: autoencoder, checker, rewards."""
    from maskunet.experiments.tabletop.train_autoencoder import signal_to_noise
    from maskunet.experiments.tabletop.train_rewards import questions_about, told_apart
    from maskunet.tabletop.render import render

    vae, scenes = loaded.model.vae, data.training_scenes(FRESH_SHARD)[:count]
    pictures, questions = render(scenes).float() / 255, questions_about(scenes)
    with torch.no_grad():
        back = torch.cat(
            [
                (vae.decode(vae.encode(x * 2 - 1).latent_dist.mean).sample / 2 + 0.5).clamp(0, 1)
                for x in pictures.split(20)
            ]
        )
    return {
        "n": count,
        "psnr": signal_to_noise(back * 2 - 1, pictures * 2 - 1),
        "checker": checker.agreement(loaded.checker, scenes, pictures),
        "checker_after_autoencoder": checker.agreement(loaded.checker, scenes, back),
        "rewards": {
            name: told_apart(reward, pictures, questions) for name, (reward, _) in loaded.rewards.parts.items()
        },
    }


def _card_text(found: dict[str, Any], tasks: str) -> str:
    j = found["judges"]
    rows = [
        ("autoencoder PSNR", f"{j['psnr']:.1f} dB"),
        ("checker, things with the right shape and color", f"{j['checker']['things']:.1%}"),
        ("checker, also the right texture", f"{j['checker']['with_texture']:.1%}"),
        ("checker, after the autoencoder", f"{j['checker_after_autoencoder']['things']:.1%}"),
        *((f"{name}, true caption above a hard negative", f"{v:.1%}") for name, v in j["rewards"].items()),
    ]
    return (
        "# The tabletop models, measured\n\n"
        f"Made by `{found['command']}`. Renders are of fresh seeds; {j['n']} of them.\n\n"
        f"{markdown_table(['figure', 'value'], rows)}\n\n"
        f"Unmasked pictures, 15 DPM-Solver++ steps, guidance {found['guidance']:g}, judged by the checker; prompts "
        f"with a color-shape pair that was never rendered for training: {found['held_out']['n']} of them, "
        f"{found['held_out']['correct']:.3f} correct.\n\n{tasks}\n"
    )
