"""Pictures of one prompt: a row per mask, a column per seed, each with its reward and whether it is correct."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from visualize.base import VERDICTS, PlotSpec

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(
    images: np.ndarray,
    rewards: np.ndarray,
    correct: np.ndarray,
    rows: Sequence[str],
    columns: Sequence[str],
    title: str = "",
) -> Figure:
    """Draw the grid.

    Args:
        images: (R, C, H, W, 3) uint8, the plain pictures in the first row.
        rewards: (R, C) total reward. correct: (R, C) bool, what the checker says, or None.
        rows, columns: their names. title: such as the prompt.

    Raises:
        ValueError: the shapes do not fit together.
    """
    shape = (len(rows), len(columns))
    if not images.shape[:2] == rewards.shape == correct.shape == shape or images.ndim != 5:
        raise ValueError(
            f"For {shape[0]} rows and {shape[1]} columns, images {images.shape}, rewards {rewards.shape} and "
            f"correct {correct.shape} were given. Give (R, C, H, W, 3), (R, C) and (R, C)."
        )
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.15 * shape[1] + 0.9, 1.3 * shape[0] + 0.3), layout="constrained")
    grid = figure.subplots(*shape, squeeze=False)
    for place, panel in np.ndenumerate(grid):
        mark, color = VERDICTS[correct[place]]
        panel.imshow(images[place])
        panel.set(xticks=[], yticks=[])
        panel.spines[:].set_visible(False)
        panel.set_xlabel(f"{mark}{rewards[place]:+.2f}", color=color, fontsize=8, labelpad=2)
    for panel, name in zip(grid[0], columns, strict=True):
        panel.set_title(name, fontsize=8)
    for panel, name in zip(grid[:, 0], rows, strict=True):
        panel.set_ylabel(name, fontsize=8)
    if title:
        figure.suptitle(title, fontsize=9, wrap=True)
    return figure


SPEC = PlotSpec(
    name="seed_grid",
    title="One prompt, many seeds",
    summary="Pictures by mask and seed, with total reward and the checker's verdict.",
    draw=draw,
)
