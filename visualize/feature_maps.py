"""Three principal components of each up block's output, base above masked: MaskUNet Fig. 1 (b)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from maskunet.records import Run
from visualize.base import NO_COURSE, PlotSpec, spread

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def table(run: Run) -> list[dict[str, Any]]:
    """One row per step and block: the mean absolute difference of the two maps, 0 to 255.

    Raises:
        ValueError: the run kept no feature maps.
    """
    if run.course is None or not run.course.maps:
        raise ValueError(NO_COURSE)
    return [
        {"step": i, "timestep": t, "block": block, "difference": float(np.abs(np.diff(maps[:, i].astype(int), axis=0)).mean())}
        for block, maps in run.course.maps.items()
        for i, t in enumerate(run.course.timesteps)
    ]  # fmt: skip


def draw(run: Run) -> Figure:
    """Draw up to six steps; two rows per block, through the base's components at each step.

    Raises:
        ValueError: the run kept no feature maps.
    """
    if run.course is None or not run.course.maps:
        raise ValueError(NO_COURSE)
    steps, maps = spread(len(run.course.timesteps), 6), run.course.maps
    from matplotlib.figure import Figure

    figure = Figure(figsize=(len(steps) + 0.6, 2 * len(maps) + 0.3), layout="constrained")
    grid = figure.subplots(2 * len(maps), len(steps), squeeze=False)
    for row, (block, side) in enumerate((block, side) for block in maps for side in (0, 1)):
        for column, step in enumerate(steps):
            panel = grid[row, column]
            panel.imshow(maps[block][side, step], interpolation="nearest")
            panel.set(xticks=[], yticks=[])
            panel.spines[:].set_visible(False)
            if row == 0:
                panel.set_title(f"t = {run.course.timesteps[step]}", fontsize=7)
        grid[row, 0].set_ylabel(f"block {block}\n{('unmasked', 'masked')[side]}", fontsize=7)
    return figure


SPEC = PlotSpec(
    name="feature_maps",
    title="Feature maps",
    summary="The up blocks' outputs as colors, unmasked and masked, on one basis a step.",
    draw=draw,
    table=table,
    of_run=True,
)
