"""What random masks do to reward and correctness, over the share of weights they remove."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from visualize.base import COLORS, PlotSpec, panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STYLES = tuple((COLORS[color], marker) for color, marker in zip("cbade", "os^Dv", strict=True))
PANELS = (
    ("win_rate", "win_low", "win_high", "share with a\nhigher reward"),
    ("reward", "reward_low", "reward_high", "reward difference,\nmean"),
    ("correct", "correct_low", "correct_high", "share correct"),
)


def table(study: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row per mask and ratio, as study.csv has them."""
    return [dict(line) for line in study["summary"]]


def draw(study: Mapping[str, Any]) -> Figure:
    """Draw one line per kind of mask, with bands for the 95 % intervals.

    Args:
        study: study.json, or what `maskunet.experiments.study.summarize` returns.

    Raises:
        ValueError: the study has no masked pictures.
    """
    lines = study["summary"]
    if not lines:
        raise ValueError("The study has no masked pictures yet. Run python -m maskunet study with more time.")
    shown = PANELS if study["plain"]["correct"] is not None else PANELS[:2]  # nobody says what is correct
    figure, axes = panels(len(shown), height=1.9)
    curves = list(dict.fromkeys(line["curve"] for line in lines))
    for panel, names in zip(axes, shown, strict=True):
        for i, curve in enumerate(curves):
            mine = sorted((x for x in lines if x["curve"] == curve), key=lambda x: x["removed"])
            _curve(panel, mine, names[:3], STYLES[i % len(STYLES)], curve)
        panel.set_ylabel(names[3], fontsize=9)
    _references(axes, study["plain"])
    _ratios(axes[-1], sorted({line["removed"] for line in lines}))
    sizes = sorted({line["n"] for line in lines})
    n = f"n = {sizes[0]:,}" if len(sizes) == 1 else f"n = {sizes[0]:,} to {sizes[-1]:,}"
    label = f"share of weights removed (square-root scale)\n{n} pictures per point; bands are 95 % intervals"
    axes[-1].set_xlabel(label, fontsize=9)
    handles, labels = axes[0].get_legend_handles_labels()
    place = {"loc": "outside upper center", "ncols": min(3, len(labels))}
    figure.legend(handles, labels, **place, frameon=False, fontsize=8)
    return figure


def _curve(panel: Axes, mine: list[Mapping], names: tuple, style: tuple[str, str], label: str) -> None:
    if names[0] == "win_rate":  # where nothing is removed no reward can rise
        mine = [line for line in mine if line["unchanged"] < line["n"]]
    x = [line["removed"] for line in mine]
    middle, low, high = ([line[name] for line in mine] for name in names)
    color, marker = style
    panel.fill_between(x, low, high, color=color, alpha=0.15, linewidth=0)
    panel.plot(x, middle, color=color, marker=marker, markersize=4, linewidth=1.3, label=label, clip_on=False)


def _references(axes: list[Axes], plain: Mapping[str, Any]) -> None:
    """Where a mask that does nothing, or chance, would be."""
    for panel, level in zip(axes, (0.5, 0.0, plain["correct"]), strict=False):
        panel.axhline(level, color=COLORS["ink"], linewidth=0.8, linestyle="--", zorder=0)
    axes[0].set_ylim(0, 1)
    if len(axes) < len(PANELS):
        return
    axes[2].axhspan(plain["correct_low"], plain["correct_high"], color=COLORS["all"], alpha=0.15, zorder=0)
    axes[2].annotate(
        f"plain, n = {plain['n']:,}",
        (1, plain["correct"]),
        xycoords=("axes fraction", "data"),
        ha="right",
        va="bottom",
        fontsize=7,
    )
    axes[2].set_ylim(0, 1)


def _ratios(panel: Axes, ratios: list[float]) -> None:
    panel.set_xscale("function", functions=(lambda x: np.sqrt(np.maximum(x, 0)), np.square))
    panel.set_xlim(0, max(ratios[-1], 1e-3) * 1.03)
    panel.set_xticks(ratios, [f"{100 * ratio:g}%" for ratio in ratios], fontsize=8)
    panel.minorticks_off()


SPEC = PlotSpec(
    name="random_ratio",
    title="How often a random mask wins",
    summary="Share of pictures with a higher reward, reward difference and share correct over the removed ratio.",
    draw=draw,
    table=table,
)
