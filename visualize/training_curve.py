"""How a training goes: its loss step by step, and what its checkpoints measured.

The loss of one step is that of a few pictures at random timesteps, so a running mean with its interval is
drawn over it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from maskunet.records.training import TrainEvent
from visualize.base import COLORS, PlotSpec, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WINDOW = 25  # steps of the running mean
NORMAL = 1.96  # standard errors of a 95 % interval
MEASURED = {  # by panel, the figures with their labels; shares, drawn in percent
    "removed, %": {"removed": "as used", "expected": "expected when drawn"},
    "masks differ, %": {"distance_time": "t = 900 and 100", "distance_sample": "two pictures"},
    "unseen pairs, %": {"unseen_right": "in the right order"},
}
CHANGE, ERROR = "held_out_loss_change", "held_out_error"


def table(events: Sequence[TrainEvent], window: int = WINDOW) -> list[dict[str, Any]]:
    """One row per step: loss, its running mean with a 95 % interval, learning rate, and what was measured.

    Args:
        events: in their order, one per step.
        window: steps that the mean looks back on, itself among them.

    Returns:
        Rows with `loss_mean`, `loss_mean_low`, `loss_mean_high` and their `n`; the interval takes steps as
        independent and is None for one step. Figures stand at checkpoints only; the change of the held-out
        loss with a 95 % interval, `held_out_loss_change_low` and `_high`, from its standard error.
    """
    losses = np.array([event.loss for event in events], dtype=float)
    names = dict.fromkeys(name for event in events for name in event.figures)
    rows = []
    for i, event in enumerate(events):
        seen = losses[max(0, i + 1 - window) : i + 1]
        mean, half = seen.mean(), NORMAL * seen.std(ddof=1) / len(seen) ** 0.5 if len(seen) > 1 else None
        rows.append({
            "step": event.step, "loss": event.loss, "loss_mean": float(mean),
            "loss_mean_low": None if half is None else float(mean - half),
            "loss_mean_high": None if half is None else float(mean + half),
            "n": len(seen), "learning_rate": event.learning_rate,
            **{name: event.figures.get(name) for name in names}, **_interval(event),
        })  # fmt: skip
    return rows


def _interval(event: TrainEvent) -> dict[str, float]:
    if CHANGE not in event.figures:
        return {}
    change, half = event.figures[CHANGE], NORMAL * event.figures[ERROR]
    return {f"{CHANGE}_low": change - half, f"{CHANGE}_high": change + half}


def draw(events: Sequence[TrainEvent], window: int = WINDOW) -> Figure:
    """Draw loss and learning rate, the change of the held-out loss, and the figures of this recipe.

    Raises:
        ValueError: no step has been done.
    """
    rows = table(events, window)
    if not rows:
        raise ValueError("This training has done no step yet. Wait for its first one.")
    checkpoints = [event for event in events if event.figures]
    known = {name for event in checkpoints for name in event.figures}
    measured = {label: names for label, names in MEASURED.items() if known >= set(names)}
    figure, (top, *between, bottom) = panels(2 + (CHANGE in known) + len(measured))
    _losses(top, rows)
    if CHANGE in known:
        _change(between.pop(0), [row for row in rows if row[CHANGE] is not None])
    for panel, (label, names) in zip(between, measured.items(), strict=True):
        for (name, said), color in zip(names.items(), (COLORS["a"], COLORS["b"]), strict=False):
            points = [(event.step, 100 * event.figures[name]) for event in checkpoints]
            panel.plot(*zip(*points, strict=True), color=color, marker="o", markersize=3, label=said)
        panel.set_ylabel(label)
        panel.set_ylim(bottom=0)
        panel.legend(frameon=False, fontsize=7)
    bottom.plot(*_columns(rows, "learning_rate"), color=COLORS["ink"])
    bottom.set(ylabel="learning rate", xlabel="step")
    bottom.set_ylim(bottom=0)
    return figure


def _losses(panel: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    known = [row for row in rows if row["loss_mean_low"] is not None]
    panel.plot(*_columns(rows, "loss"), ".", color=COLORS["all"], markersize=2, label="one step")
    panel.plot(*_columns(rows, "loss_mean"), color=COLORS["c"], label=f"mean of {rows[-1]['n']}")
    steps, low = _columns(known, "loss_mean_low")
    panel.fill_between(steps, low, _columns(known, "loss_mean_high")[1], color=COLORS["c"], alpha=0.2, linewidth=0)
    panel.set_ylabel("loss")
    panel.legend(frameon=False, fontsize=7)


def _change(panel: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    steps, change = _columns(rows, CHANGE)
    half = [row[f"{CHANGE}_high"] - row[CHANGE] for row in rows]
    panel.axhline(0, color="#dddddd", linewidth=0.7)
    panel.errorbar(steps, change, half, color=COLORS["a"], marker="o", markersize=3, capsize=2)
    panel.set_ylabel("held-out loss,\nchange in %")


def _columns(rows: Sequence[Mapping[str, Any]], name: str) -> tuple[list[int], list[float]]:
    return [row["step"] for row in rows], [row[name] for row in rows]


SPEC = PlotSpec(
    name="training_curve",
    title="Training curve",
    summary="Loss with its running mean, mask ratio and mask distances at checkpoints, and learning rate.",
    draw=draw,
    table=table,
)
