"""What every plot shares: its SPEC, sizes, and colors that stay apart for color-blind eyes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLORS = {"total": "#222222", "image_reward": "#0067a5", "hpsv2": "#b45309", "keep_ratio": "#0f766e"}


@dataclass(frozen=True, kw_only=True, slots=True)
class PlotSpec:
    """A plot's name, what it shows, and the function that draws it."""

    name: str
    title: str
    summary: str
    draw: Callable[..., Figure]


def panels(count: int, width: float = 5.5, height: float = 1.6) -> tuple[Figure, list[Axes]]:
    """A figure of `count` panels under each other that share x; sizes of one panel in inches."""
    figure = Figure(figsize=(width, height * count), layout="constrained")
    axes = figure.subplots(count, 1, sharex=True, squeeze=False)[:, 0]
    for panel in axes:
        panel.spines[["top", "right"]].set_visible(False)
    return figure, list(axes)


def column(rows: Any, name: str) -> list[float]:
    """One column of a run's rows, without the final one; NaN where a row has no value."""
    return [float("nan") if row.get(name) is None else row[name] for row in rows if not row["final"]]
