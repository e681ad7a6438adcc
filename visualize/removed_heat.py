"""How much is removed where and when: removed ratio over denoising steps and sites."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from maskunet.records import Run
from maskunet.records.site_stats import SiteStats, name_of
from visualize.base import NO_STATISTICS, PlotSpec

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def table(run: Run) -> list[dict[str, Any]]:
    """One row per step and site, with all that was counted there; `SiteStats.rows`."""
    return list(_stats(run).rows())


def _stats(run: Run) -> SiteStats:
    if run.stats is None:
        raise ValueError(NO_STATISTICS)
    return run.stats


def draw(run: Run) -> Figure:
    """Draw the heat map; rows are sites in module order, columns steps.

    Raises:
        ValueError: the run has no statistics.
    """
    stats = _stats(run)
    count = len(stats.sites)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 1.2 + 0.13 * count), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(100 * stats.ratio.T, aspect="auto", cmap="cividis", interpolation="nearest")
    axes.set_yticks(range(count), [name_of(site) for site in stats.sites], fontsize=5.5)
    axes.set_xticks(range(len(stats.timesteps)), stats.timesteps.tolist(), fontsize=7, rotation=60)
    axes.set(xlabel="timestep", ylabel="site")
    figure.colorbar(image, label="removed, %", shrink=0.6)
    return figure


SPEC = PlotSpec(
    name="removed_heat",
    title="Removed weights by site and step",
    summary="The share of weights removed at every site and denoising step.",
    draw=draw,
    table=table,
    of_run=True,
)
