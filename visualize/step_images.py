"""The predicted image after each denoising step, unmasked above, masked below."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from maskunet.records import Run
from visualize.base import NO_COURSE, PlotSpec, spread

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def table(run: Run) -> list[dict[str, Any]]:
    """One row per step: the mean absolute difference of the two images, 0 to 255.

    Raises:
        ValueError: the run kept no pictures of its steps.
    """
    if run.course is None:
        raise ValueError(NO_COURSE)
    gap = np.abs(run.course.base.astype(np.int16) - run.course.result).mean((1, 2, 3))
    times = run.course.timesteps
    return [{"step": i, "timestep": t, "difference": float(gap[i])} for i, t in enumerate(times)]


def draw(run: Run) -> Figure:
    """Draw up to eight steps.

    Raises:
        ValueError: the run kept no pictures of its steps.
    """
    if run.course is None:
        raise ValueError(NO_COURSE)
    steps = spread(len(run.course.timesteps), 8)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(len(steps) + 0.4, 2.35), layout="constrained")
    grid = figure.subplots(2, len(steps), squeeze=False)
    for row, (name, frames) in enumerate((("unmasked", run.course.base), ("masked", run.course.result))):
        for column, step in enumerate(steps):
            panel = grid[row, column]
            panel.imshow(frames[step])
            panel.set(xticks=[], yticks=[])
            panel.spines[:].set_visible(False)
            if row == 0:
                panel.set_title(f"t = {run.course.timesteps[step]}", fontsize=7)
        grid[row, 0].set_ylabel(name, fontsize=8)
    return figure


SPEC = PlotSpec(
    name="step_images",
    title="Predicted images",
    summary="The image predicted after each denoising step, unmasked and masked.",
    draw=draw,
    table=table,
    of_run=True,
)
