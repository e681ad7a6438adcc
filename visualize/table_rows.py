"""A table of the paper made anew: each row's change against the first, with its interval, and the paper's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from visualize.base import COLORS, PlotSpec

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def table(made: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row per line of the table, with the paper's figures in columns that say so."""
    papers = dict.fromkeys(title for line in made["summary"] for title in line["paper"])
    return [
        {key: value for key, value in line.items() if key != "paper"}
        | {f"paper's {title}": line["paper"].get(title) for title in papers}
        for line in made["summary"]
    ]


def draw(made: Mapping[str, Any]) -> Figure:
    """Draw the rows, or the course of a training where checkpoints were measured.

    Args:
        made: NAME.json of `python -m maskunet table`, read.

    Raises:
        ValueError: there are no rows besides the first.
    """
    lines = made["summary"]
    if len(lines) < 2:
        raise ValueError("The table has its first row only. Make it again with all rows.")
    along = any(not line["last"] for line in lines)
    return _course(lines) if along else _rows(made, lines)


def _rows(made: Mapping[str, Any], lines: list[Mapping[str, Any]]) -> Figure:
    """Percent of the first row's Fréchet distance, one row per line, the paper's beside it."""
    others = lines[1:]
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 1.4 + 0.42 * len(others)), layout="constrained")
    panel = figure.subplots()
    panel.spines[["top", "right", "left"]].set_visible(False)
    places = range(len(others))
    for place, line in zip(places, others, strict=True):
        _bar(panel, place, line, "change", COLORS["a"], "here" if place == 0 else None)
    papers = _of_paper(lines)
    if papers:
        panel.scatter(
            list(papers.values()), [place for place, line in enumerate(others) if line["row"] in papers],
            marker="D", s=26, facecolors="none", edgecolors=COLORS["b"], label="the paper's, SD 1.5 on COCO", zorder=3,
        )  # fmt: skip
    panel.axvline(0, color=COLORS["ink"], linewidth=0.8, linestyle="--", zorder=0)
    panel.set_yticks(list(places), [line["title"] for line in others], fontsize=9)
    panel.tick_params(axis="y", length=0)
    panel.set_ylim(len(others) - 0.5, -0.5)
    first = lines[0]
    panel.set_xlabel(
        f"change of the Fréchet distance against “{first['title']}” in %, less is better\n"
        f"{made['about']['model']}, {first['seeds']} seeds of {first['n']:,} pictures; bars are 95 % intervals",
        fontsize=8,
    )
    figure.legend(frameon=False, fontsize=8, loc="outside upper center", ncols=2)
    return figure


def _of_paper(lines: list[Mapping[str, Any]]) -> dict[str, float]:
    """The paper's change against its first row in percent, by row, in the last column that it has."""
    titles = list(lines[0]["paper"])
    if not titles:
        return {}
    first = lines[0]["paper"][titles[-1]]
    return {x["row"]: 100 * (x["paper"][titles[-1]] / first - 1) for x in lines[1:] if titles[-1] in x["paper"]}


def _course(lines: list[Mapping[str, Any]]) -> Figure:
    """Removed ratio and Fréchet distance over the training steps."""
    first, *others = sorted(lines, key=lambda line: line["step"] or 0)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.5, 3.6), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    for panel in (upper, lower):
        panel.spines[["top", "right"]].set_visible(False)
    steps = [line["step"] for line in others]
    upper.plot(steps, [100 * line["removed"] for line in others], marker="o", markersize=4, color=COLORS["a"])
    upper.set_ylabel("weights removed, %", fontsize=9)
    for line in others:
        _bar(lower, line["step"], line, "change", COLORS["a"], None, upright=True)
    lower.axhline(0, color=COLORS["ink"], linewidth=0.8, linestyle="--", zorder=0)
    lower.set_ylabel("Fréchet distance,\nchange in %", fontsize=9)
    lower.set_xlabel(
        f"training steps; {first['seeds']} seeds of {first['n']:,} pictures; bars are 95 % intervals",
        fontsize=8,
    )
    return figure


def _bar(
    panel: Axes,
    place: float,
    line: Mapping[str, Any],
    name: str,
    color: str,
    label: str | None,
    *,
    upright: bool = False,
) -> None:
    value, low, high = (line[name], line[f"{name}_low"], line[f"{name}_high"])
    reach = None if low is None else [[value - low], [high - value]]
    style = {"fmt": "o", "color": color, "markersize": 5, "linewidth": 1.6, "label": label}
    if upright:
        panel.errorbar([place], [value], yerr=reach, **style)
    else:
        panel.errorbar([value], [place], xerr=reach, **style)


SPEC = PlotSpec(
    name="table_rows",
    title="A table of the paper, made anew",
    summary="Each row's Fréchet distance against the first row's, with intervals, and the paper's own.",
    draw=draw,
    table=table,
)
