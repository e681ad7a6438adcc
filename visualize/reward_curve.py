"""Rewards and keep ratio over all updates of a run, with the denoising steps marked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import cycle
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from maskunet.records import Run
from visualize.base import COLORS, PlotSpec, column, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TOTAL, KEPT = "reward_total", "keep_ratio"


def table(run: Run) -> list[dict[str, Any]]:
    """One row per update, as steps.csv has them."""
    return [dict(row) for row in run.rows]


def draw(run: Run, titles: Mapping[str, str] = MappingProxyType({})) -> Figure:
    """Draw the course of one run, behind each reward the unmasked picture's.

    Args:
        titles: of rewards, by name; one without is called by its name.

    Raises:
        ValueError: no update has a reward; the method optimized nothing.
    """
    rows = run.rows
    shown = [
        (name, title, color)
        for name, title, color in _curves(rows, titles)
        if any(row.get(name) is not None for row in rows if not row["final"])
    ]
    if not shown:
        raise ValueError("This run has no rewards over its updates. Take one of a training-free method.")
    figure, axes = panels(len(shown))
    steps = [row["step"] for row in rows if not row["final"]]
    for panel, (name, title, color) in zip(axes, shown, strict=True):
        for i in range(1, len(steps)):
            if steps[i] != steps[i - 1]:
                panel.axvline(i + 0.5, color="#dddddd", linewidth=0.7, zorder=0)
        if any(row.get(f"base_{name}") is not None for row in rows):
            unmasked = column(rows, f"base_{name}")
            panel.plot(range(1, len(steps) + 1), unmasked, color=COLORS["all"], linestyle="--", linewidth=1)
        panel.plot(range(1, len(steps) + 1), column(rows, name), color=color)
        panel.set_ylabel(title)
    axes[-1].set_xlabel("update; lines separate denoising steps; dashed: the unmasked picture")
    return figure


def _curves(rows: Any, titles: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Each column that may be drawn, with its title and color: the total, the rewards in their order, what is kept."""
    columns = dict.fromkeys(name for row in rows for name in row if name.startswith("reward_"))
    yield TOTAL, "total reward", COLORS["ink"]
    for name, color in zip((name for name in columns if name != TOTAL), cycle("bcde")):
        short = name.removeprefix("reward_")
        yield name, titles.get(short, short), COLORS[color]
    yield KEPT, "keep ratio", COLORS["a"]


SPEC = PlotSpec(
    name="reward_curve",
    title="Reward curves",
    summary="Each reward, their sum and the keep ratio over every update.",
    draw=draw,
    table=table,
    of_run=True,
)
