"""Rewards and keep ratio over all updates of a run, with the denoising steps marked."""

from typing import Any

from matplotlib.figure import Figure

from maskunet.records import Run
from visualize.base import COLORS, PlotSpec, column, panels

TITLES = {
    "reward_total": "total reward",
    "reward_image_reward": "ImageReward",
    "reward_hpsv2": "HPSv2",
    "keep_ratio": "keep ratio",
}


def table(run: Run) -> list[dict[str, Any]]:
    """One row per update, as steps.csv has them."""
    return [dict(row) for row in run.rows]


def draw(run: Run) -> Figure:
    """Draw the course of one run.

    Raises:
        ValueError: no update has a reward; the method optimized nothing.
    """
    rows = run.rows
    shown = [name for name in TITLES if any(row.get(name) is not None for row in rows if not row["final"])]
    if not shown:
        raise ValueError("This run has no rewards over its updates. Take one of a training-free method.")
    figure, axes = panels(len(shown))
    steps = [row["step"] for row in rows if not row["final"]]
    for panel, name in zip(axes, shown, strict=True):
        for i in range(1, len(steps)):
            if steps[i] != steps[i - 1]:
                panel.axvline(i + 0.5, color="#dddddd", linewidth=0.7, zorder=0)
        panel.plot(range(1, len(steps) + 1), column(rows, name), color=COLORS[name.removeprefix("reward_")])
        panel.set_ylabel(TITLES[name])
    axes[-1].set_xlabel("update; lines separate denoising steps")
    return figure


SPEC = PlotSpec(
    name="reward_curve",
    title="Reward curves",
    summary="Each reward, their sum and the keep ratio over every update.",
    draw=draw,
    table=table,
    of_run=True,
)
