"""How a mask moves: its ratio, and how much of it is the same as at the step before and at the first.

MaskUNet (CVPR 2025), section 4.5: the ratio stays while the locations change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from maskunet.records import Run
from visualize.base import COLORS, NO_STATISTICS, PlotSpec, chance, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def table(run: Run, site: str | None = None) -> list[dict[str, Any]]:
    """One row per step: removed ratio, overlaps, what chance would give, flips, logits, gradient.

    Args:
        site: its name, or None for all sites taken as one.

    Raises:
        ValueError: the run has no statistics, or no such site.
    """
    if run.stats is None:
        raise ValueError(NO_STATISTICS)
    stats = run.stats.at(site)
    ratio, weights = stats.ratio[:, 0], stats.weights[0]
    columns = {
        "removed_ratio": ratio,
        "overlap_before": stats.overlap("before")[:, 0],
        "overlap_first": stats.overlap("first")[:, 0],
        "chance_before": chance(ratio, stats.removed_before[:, 0] / weights),
        "flips": stats.flips[:, 0].astype(float),
        "logit_mean": stats.logit_mean[:, 0],
        "logit_std": stats.logit_std[:, 0],
        "gradient_norm": stats.gradient_norm[:, 0],
    }
    columns["chance_before"][0] = columns["flips"][0] = np.nan  # nothing comes before the first
    return [
        {"step": i, "timestep": int(t)}
        | {name: float(v[i]) if np.isfinite(v[i]) else None for name, v in columns.items()}
        for i, t in enumerate(stats.timesteps)
    ]


def draw(run: Run, site: str | None = None) -> Figure:
    """Draw ratio and overlaps over the steps.

    Raises:
        ValueError: the run has no statistics, or no such site.
    """
    rows = table(run, site)
    figure, (upper, lower) = panels(2)

    def line(panel: Any, name: str, scale: float = 1.0, **style: Any) -> None:
        points = [(row["step"] + 1, scale * row[name]) for row in rows if row[name] is not None]
        panel.plot(*zip(*points, strict=True), **style) if points else None

    line(upper, "removed_ratio", 100, color=COLORS["a"], marker="o", markersize=3)
    upper.set_ylabel("removed, %")
    upper.set_ylim(bottom=0)
    line(lower, "overlap_before", color=COLORS["c"], marker="o", markersize=3, label="step before")
    line(lower, "overlap_first", color=COLORS["b"], marker="s", markersize=3, label="first step")
    line(lower, "chance_before", color=COLORS["all"], linestyle="--", label="by chance")
    lower.set(ylabel="overlap (IoU)", xlabel="denoising step")
    lower.set_ylim(bottom=0)
    lower.legend(frameon=False, fontsize=7)
    return figure


SPEC = PlotSpec(
    name="mask_dynamics",
    title="Mask dynamics",
    summary="Removed ratio and overlap with earlier masks over the denoising steps.",
    draw=draw,
    table=table,
    of_run=True,
)
