"""What every plot shares: its SPEC, sizes, and colors that stay apart for color-blind eyes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Ink and gray, and colors for what comes in any number; more than there are begin again.
COLORS = {
    "ink": "#222222",
    "all": "#8a8a8a",
    "a": "#0f766e",
    "b": "#b45309",
    "c": "#0067a5",
    "d": "#7c3aed",
    "e": "#be185d",
}
# A mark and its color by what a checker says of a picture; nothing where none has looked.
VERDICTS = {True: ("✓ ", COLORS["a"]), False: ("✗ ", COLORS["b"]), None: ("", COLORS["ink"])}
NO_STATISTICS = (
    "This run has no statistics of its masks: its method removes nothing, or it was made before they were kept. "
    "Make one with a method that masks."
)
NO_COURSE = "This run kept no pictures of its steps. Make one with previews and with its unmasked picture."


@dataclass(frozen=True, kw_only=True, slots=True)
class PlotSpec:
    """A plot's name, what it shows, and the functions that draw it and list its numbers.

    Attributes:
        of_run: whether `draw(run, **options)` and `table(run, **options)` take one finished Run; such a
            plot is in `python -m maskunet figures`.
    """

    name: str
    title: str
    summary: str
    draw: Callable[..., Figure]
    table: Callable[..., Sequence[Mapping[str, Any]]] | None = None
    of_run: bool = False


def panels(count: int, width: float = 5.5, height: float = 1.6) -> tuple[Figure, list[Axes]]:
    """A figure of `count` panels under each other that share x; sizes of one panel in inches."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height * count), layout="constrained")
    axes = figure.subplots(count, 1, sharex=True, squeeze=False)[:, 0]
    for panel in axes:
        panel.spines[["top", "right"]].set_visible(False)
    return figure, list(axes)


def column(rows: Any, name: str) -> list[float]:
    """One column of a run's rows, without the final one; NaN where a row has no value."""
    return [float("nan") if row.get(name) is None else row[name] for row in rows if not row["final"]]


def chance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The overlap (intersection over union) expected of two independent random masks of these ratios."""
    both = a * b
    return np.divide(both, a + b - both, out=np.full(np.shape(both), np.nan), where=(a + b) > 0)


def spread(count: int, shown: int = 5) -> list[int]:
    """At most `shown` of `count` steps, the first and the last among them, evenly apart."""
    if count <= shown:
        return list(range(count))
    return [round(i * (count - 1) / (shown - 1)) for i in range(shown)]


def nearest(timesteps: np.ndarray, timestep: int) -> int:
    """The step whose timestep is the nearest one."""
    return int(np.abs(np.asarray(timesteps) - timestep).argmin())


def save(figure: Figure, place: Path, kinds: Sequence[str], dpi: int) -> None:
    """Write PLACE.KIND for each kind, such as "png".

    Everything gets its place in the figure for the first one, and stays there: finding it takes as long as drawing.
    """
    for kind in kinds:
        figure.savefig(f"{place}.{kind}", dpi=dpi)
        figure.set_layout_engine(None)


def darkened(figure: Figure) -> Figure:
    """The same figure for a dark page: near-black ground, light text and lines."""
    from matplotlib.text import Text

    ground, ink = "#09090b", "#e4e4e7"
    figure.set_facecolor(ground)
    for text in figure.findobj(Text):
        text.set_color(ink)
    for axes in figure.axes:
        axes.set_facecolor(ground)
        axes.tick_params(colors=ink)
        for spine in axes.spines.values():
            spine.set_edgecolor("#52525b")
        for line in axes.lines:
            if line.get_color() == COLORS["ink"]:
                line.set_color(ink)
    return figure
