"""How much two runs' masks have in common at each step: two samples of a prompt, or two prompts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from maskunet.records import MaskSet
from maskunet.records.disk.trained_file import of_unet
from visualize.base import COLORS, PlotSpec, chance, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def table(a: MaskSet, b: MaskSet) -> list[dict[str, Any]]:
    """One row per timestep of both: removed ratios, overlap (intersection over union), and by chance.

    Raises:
        ValueError: the masks are of different models or share no timestep.
    """
    if a.sites != b.sites or of_unet(a.weights) != of_unet(b.weights):
        raise ValueError("These two runs masked different models, so their masks cannot be laid over each other.")
    times = [t for t in a.steps if t in b.steps]
    if not times:
        raise ValueError("These two runs share no timestep. Make both with the same number of steps.")
    return [{"step": i, "timestep": t} | _shared(a, b, t) for i, t in enumerate(times)]


def _shared(a: MaskSet, b: MaskSet, timestep: int) -> dict[str, float | None]:
    counts, weights = np.zeros(3), 0
    for site, shape in a.sites.items():
        one, two = ~a.steps[timestep][site], ~b.steps[timestep][site]
        size = int(np.prod(shape))
        padding = one.size * 8 - size  # bits of the last byte that are no weight: they look removed
        counts += [int(np.bitwise_count(bits).sum()) - padding for bits in (one, two, one & two)]
        weights += size
    in_a, in_b, shared = counts
    union = in_a + in_b - shared
    return {
        "removed_a": in_a / weights,
        "removed_b": in_b / weights,
        "overlap": shared / union if union else None,
        "chance": float(chance(np.array(in_a / weights), np.array(in_b / weights))) if union else None,
    }


def draw(a: MaskSet, b: MaskSet) -> Figure:
    """Draw the overlap over the steps, with what independent masks of these ratios would have.

    Raises:
        ValueError: as `table`.
    """
    rows = table(a, b)
    figure, (panel,) = panels(1, height=2)
    steps = [row["step"] + 1 for row in rows]
    for name, color, style in (("overlap", COLORS["a"], "-"), ("chance", COLORS["all"], "--")):
        values = [np.nan if row[name] is None else row[name] for row in rows]
        panel.plot(steps, values, color=color, linestyle=style, label=name)
    panel.set(xlabel="denoising step", ylabel="overlap (IoU)")
    panel.set_ylim(bottom=0)
    panel.legend(frameon=False, fontsize=7)
    return figure


SPEC = PlotSpec(
    name="run_overlap",
    title="Overlap of two runs",
    summary="Intersection over union of the weights two runs remove, and what chance would give.",
    draw=draw,
    table=table,
)
