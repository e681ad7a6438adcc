"""Which values are removed: the removed weights against all weights, a column per timestep.

The layout of MaskUNet (CVPR 2025), Fig. 1 (a), with the predicted image of each step under it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from maskunet.records import Run
from maskunet.records.site_stats import SiteStats, edges
from visualize.base import COLORS, NO_STATISTICS, PlotSpec, spread

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def table(run: Run, step: int = -1, site: str | None = None) -> list[dict[str, Any]]:
    """Weights per bin of value, all of them and the removed ones, at one step.

    Values are in standard deviations of their site's weights, so that sites can be taken together; the
    outermost bins also count what lies beyond. For one site `value_low` and `value_high` are the weights'.

    Args:
        step: index of the denoising step. site: its name, or None for all sites together.

    Raises:
        ValueError: the run has no statistics, or no such site.
    """
    if run.stats is None:
        raise ValueError(NO_STATISTICS)
    stats, ends = run.stats.at(site), edges()
    rows = []
    for i, (everything, removed) in enumerate(
        zip(stats.histogram_all[0].tolist(), stats.histogram[step, 0].tolist(), strict=True)
    ):
        row = {"low": float(ends[i]), "high": float(ends[i + 1]), "weights": everything, "removed": removed}
        if site is not None:
            row |= {f"value_{name}": float(row[name] * stats.std[0]) for name in ("low", "high")}
        rows.append(row)
    return rows


def density(counts: np.ndarray) -> np.ndarray:
    """Counts as a density over standard deviations; zeros if there are none."""
    total = counts.sum()
    width = edges()[1] - edges()[0]
    return counts / (total * width) if total else np.zeros(len(counts))


def draw(run: Run, site: str | None = None) -> Figure:
    """Draw up to five timesteps side by side, and their predicted images if the run kept them.

    Raises:
        ValueError: the run has no statistics, or no such site.
    """
    if run.stats is None:
        raise ValueError(NO_STATISTICS)
    stats, steps = run.stats.at(site), spread(len(run.stats.timesteps))
    lines = 2 if run.course is not None else 1
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.6 * len(steps) + 0.5, 1.8 * lines), layout="constrained")
    grid = figure.subplots(lines, len(steps), squeeze=False)
    for i, step in enumerate(steps):
        _densities(grid[0, i], stats, step, labels=i == 0)
        grid[0, i].sharey(grid[0, 0])
        if run.course is not None:
            _picture(grid[1, i], run, int(stats.timesteps[step]))
    grid[0, 0].set_ylabel("density")
    return figure


def _densities(panel: Any, stats: SiteStats, step: int, labels: bool) -> None:
    ends = edges()
    panel.stairs(density(stats.histogram_all[0]), ends, color=COLORS["all"], fill=True, alpha=0.35, label="all")
    panel.stairs(density(stats.histogram[step, 0]), ends, color=COLORS["a"], linewidth=1.3, label="removed")
    panel.set_title(f"t = {stats.timesteps[step]}, {stats.ratio[step, 0]:.1%} removed", fontsize=7.5)
    panel.set_xlabel("weight / std of its site", fontsize=7)
    panel.tick_params(labelsize=7)
    panel.spines[["top", "right"]].set_visible(False)
    if labels:
        panel.set_ylim(top=1.45 * panel.dataLim.ymax)  # room for the legend
        panel.legend(fontsize=6.5, frameon=False, loc="upper left")


def _picture(panel: Any, run: Run, timestep: int) -> None:
    panel.axis("off")
    if timestep in run.course.timesteps:
        panel.imshow(run.course.result[run.course.timesteps.index(timestep)])


SPEC = PlotSpec(
    name="removed_weights",
    title="Removed weights by value",
    summary="The values of the removed weights against those of all weights, at several timesteps.",
    draw=draw,
    table=table,
    of_run=True,
)
