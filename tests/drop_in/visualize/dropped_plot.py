"""A plot in one file."""

from typing import Any

from matplotlib.figure import Figure

from maskunet.records import Run
from visualize.base import PlotSpec


def table(run: Run) -> list[dict[str, Any]]:
    return [{"seed": run.request.seed}]


def draw(run: Run) -> Figure:
    return Figure(figsize=(1, 1))


SPEC = PlotSpec(
    name="dropped_plot",
    title="Dropped plot",
    summary="A plot in one file.",
    draw=draw,
    table=table,
    of_run=True,
)
