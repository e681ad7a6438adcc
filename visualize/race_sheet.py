"""Every method's chosen picture of a prompt, side by side, with the checker's verdict and the held-out reward."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from visualize.base import VERDICTS, PlotSpec

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = 9


def draw(
    images: np.ndarray,
    correct: np.ndarray,
    scores: np.ndarray,
    prompts: Sequence[str],
    entrants: Sequence[str],
    score: str,
) -> Figure:
    """Draw the sheet: a block of rows per prompt, the entrants in reading order.

    Args:
        images: (P, E, H, W, 3) uint8. correct: (P, E) bool, or None where it is not known. scores: (P, E), of the reward named `score`.

    Raises:
        ValueError: the shapes do not fit together.
    """
    shape = (len(prompts), len(entrants))
    if not images.shape[:2] == correct.shape == scores.shape == shape or images.ndim != 5:
        raise ValueError(
            f"For {shape[0]} prompts and {shape[1]} entrants, images {images.shape}, correct {correct.shape} and "
            f"scores {scores.shape} were given. Give (P, E, H, W, 3), (P, E) and (P, E)."
        )
    rows = -(-shape[1] // COLUMNS)
    columns = -(-shape[1] // rows)  # rows of one length, not nine and a rest of one
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.2 * columns, 1.55 * rows * shape[0] + 0.3 * shape[0]), layout="constrained")
    blocks = np.atleast_1d(figure.subfigures(shape[0], 1))
    for block, *mine, prompt in zip(blocks, images, correct, scores, prompts, strict=True):
        block.suptitle(f"“{prompt}”", fontsize=9)
        grid = block.subplots(rows, columns, squeeze=False)
        for panel in grid.flat:
            panel.axis("off")
        for panel, picture, right, value, name in zip(grid.flat, *mine, entrants, strict=False):
            mark, color = VERDICTS[right]
            panel.imshow(picture)
            panel.set_title(name.replace("/", "\n"), fontsize=6.5, pad=2)
            panel.text(
                0.5, -0.03, f"{mark}{value:.3f}", transform=panel.transAxes, ha="center", va="top",
                fontsize=7, color=color,
            )  # fmt: skip
    return figure


SPEC = PlotSpec(
    name="race_sheet",
    title="The race's pictures",
    summary="Every method's chosen picture of a prompt, with the checker's verdict and the held-out reward.",
    draw=draw,
)
