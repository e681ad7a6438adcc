"""How the removed ratio spreads over the sites at one step, of one run or of two."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from maskunet.records import Run
from visualize.base import COLORS, NO_STATISTICS, PlotSpec, nearest, spread

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BINS = 20


def table(run: Run, step: int = -1, other: Run | None = None) -> list[dict[str, Any]]:
    """Sites per bin of the removed ratio; the bins are shared by all steps and both runs.

    Args:
        step: index of the denoising step; the other run's is the one with the nearest timestep.

    Raises:
        ValueError: the run has no statistics.
    """
    if run.stats is None:
        raise ValueError(NO_STATISTICS)
    both = [run.stats, *([other.stats] if other is not None and other.stats is not None else [])]
    every = np.concatenate([stats.ratio.ravel() for stats in both])
    low, high = every.min(), every.max()
    if high == low:  # a percent around it, of what is possible
        low = min(max(low - 0.005, 0.0), 0.99)
        high = low + 0.01
    edges = np.linspace(low, high, BINS + 1)
    timestep = run.stats.timesteps[step]
    counts = [np.histogram(stats.ratio[nearest(stats.timesteps, timestep)], edges)[0] for stats in both]
    return [
        {"low": float(edges[i]), "high": float(edges[i + 1]), "sites": int(counts[0][i])}
        | ({"sites_b": int(counts[1][i])} if len(both) > 1 else {})
        for i in range(BINS)
    ]


def draw(run: Run, other: Run | None = None) -> Figure:
    """Draw one panel for each of up to five steps, the other run's bars as outlines.

    Raises:
        ValueError: the run has no statistics.
    """
    if run.stats is None:
        raise ValueError(NO_STATISTICS)
    steps = spread(len(run.stats.timesteps))
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.7 * len(steps) + 0.6, 1.9), layout="constrained")
    panels = figure.subplots(1, len(steps), sharey=True, squeeze=False)[0]
    for panel, step in zip(panels, steps, strict=True):
        rows = table(run, step, other)
        left, width = [100 * row["low"] for row in rows], 100 * (rows[0]["high"] - rows[0]["low"])
        panel.bar(left, [row["sites"] for row in rows], width, align="edge", color=COLORS["a"], alpha=0.8)
        if "sites_b" in rows[0]:
            ends = [*left, left[-1] + width]
            panel.stairs([row["sites_b"] for row in rows], ends, color=COLORS["b"], linewidth=1.3)
        panel.set_title(f"t = {run.stats.timesteps[step]}", fontsize=8)
        panel.spines[["top", "right"]].set_visible(False)
        panel.set_xlabel("removed, %")
    panels[0].set_ylabel("sites")
    return figure


SPEC = PlotSpec(
    name="ratio_histogram",
    title="Mask ratios over the sites",
    summary="How many sites lose how large a share of their weights, step by step.",
    draw=draw,
    table=table,
    of_run=True,
)
