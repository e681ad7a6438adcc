"""What each method gives over the time it is given: share correct and the held-out reward, one line each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from visualize.base import COLORS, PlotSpec

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KINDS = (
    COLORS["a"],
    "#52525b",
    *(COLORS[name] for name in "bcd"),
)  # by an entrant's place among the report's kinds
UNKNOWN = COLORS["all"]
MARKERS = "osD^vPXp*h<>"
GAP = 0.034  # between the labels at the end of the lines, share of the panel's height


def table(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row per entrant and point of its curve."""
    return [{"entrant": name, **point} for name, points in found["curves"].items() for point in points]


def draw(found: Mapping[str, Any]) -> Figure:
    """Draw the curves; each ends, with its 95 % interval, where the entrant's budget ends.

    Args:
        found: race.json, or what `maskunet.experiments.race.report.report` returns.

    Raises:
        ValueError: nobody has run.
    """
    curves, held_out = found["curves"], found["held_out"]
    if not any(curves.values()):
        raise ValueError("Nobody has run yet. Let python -m maskunet race run longer.")
    styles = _styles(found)
    from matplotlib.figure import Figure

    known = all(point["correct"] is not None for points in curves.values() for point in points)
    whats = [("correct", "share correct, by the checker")] if known else []
    whats += [(held_out, f"{held_out}, which nothing optimizes")]
    figure = Figure(figsize=(7.2, 0.4 + 3.6 * len(whats)), layout="constrained")
    axes = figure.subplots(len(whats), 1, sharex=True, squeeze=False)[:, 0]
    for panel, (what, label) in zip(axes, whats, strict=True):
        panel.spines[["top", "right"]].set_visible(False)
        panel.set_xscale("log")
        panel.set_ylabel(label, fontsize=9)
        for name, points in curves.items():
            _curve(panel, points, what, *styles[name])
        _budget(panel, found["seconds"])
        _labels(panel, {name: points[-1] for name, points in curves.items()}, what, styles)
    axes[-1].set_xlabel(
        f"seconds per prompt (log scale), n = {found['prompts']} prompts\n"
        f"chosen by {found['optimized']}; bars are 95 % intervals",
        fontsize=9,
    )
    _seconds(axes[-1], [point["seconds"] for points in curves.values() for point in points])
    return figure


def places(found: Mapping[str, Any]) -> dict[str, int | None]:
    """The place of every entrant's kind among the report's kinds; None where it says none."""
    order = list(found.get("kinds", ()))
    kinds = {line["entrant"]: line.get("kind") for line in found.get("equal_time", ())}
    return {name: order.index(kind) if (kind := kinds.get(name)) in order else None for name in found["curves"]}


def flat(line: Mapping[str, Any]) -> dict[str, Any]:
    """A line of the report in one level, its differences named such as plain_correct_low."""
    own = {name: value for name, value in line.items() if name != "against"}
    pairs = line["against"].items()
    return own | {f"{other}_{name}": value for other, found in pairs for name, value in found.items()}


def _styles(found: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """A color by an entrant's kind, a marker by its place in it."""
    styles, seen = {}, Counter()
    for name, place in places(found).items():
        color = UNKNOWN if place is None else KINDS[place % len(KINDS)]
        styles[name] = color, MARKERS[seen[place] % len(MARKERS)]
        seen[place] += 1
    return styles


def _curve(panel: Axes, points: Sequence[Mapping], what: str, color: str, marker: str) -> None:
    x, y, last = [p["seconds"] for p in points], [p[what] for p in points], points[-1]
    panel.plot(x, y, color=color, marker=marker, markersize=3.5, linewidth=1.1, alpha=0.9)
    # An interval of one prompt has no width, and rounding may put its ends on the wrong side.
    around = [[max(0.0, last[what] - last[f"{what}_low"])], [max(0.0, last[f"{what}_high"] - last[what])]]
    panel.errorbar(x[-1:], y[-1:], around, color=color, linewidth=0.8, alpha=0.45)


def _budget(panel: Axes, seconds: float) -> None:
    panel.axvline(seconds, color=COLORS["ink"], linewidth=0.8, linestyle="--", zorder=0)
    panel.annotate(
        f"budget {seconds:g} s", (seconds, 1), xycoords=("data", "axes fraction"),
        xytext=(-3, -2), textcoords="offset points", ha="right", va="top", fontsize=7,
    )  # fmt: skip


def _labels(panel: Axes, ends: Mapping[str, Mapping], what: str, styles: Mapping[str, tuple[str, str]]) -> None:
    """The names at the right edge, moved apart, each with a thin line to where its curve ends."""
    low, high = panel.get_ylim()
    ordered = sorted(ends, key=lambda name: ends[name][what])
    places, before = {}, -1.0
    for name in ordered:
        before = max((ends[name][what] - low) / (high - low), before + GAP)
        places[name] = before
    over = max(0.0, before - 1.0)
    for name in ordered:
        color, _ = styles[name]
        panel.annotate(
            name, (ends[name]["seconds"], ends[name][what]), xytext=(1.03, places[name] - over),
            textcoords="axes fraction", va="center", fontsize=7, color=color,
            arrowprops={"arrowstyle": "-", "color": color, "linewidth": 0.4, "alpha": 0.5, "shrinkB": 2},
        )  # fmt: skip


def _seconds(panel: Axes, values: Sequence[float]) -> None:
    bases = (1, 2, 5) if max(values) > 10 * min(values) else range(1, 10)
    ticks = [base * 10.0**power for power in range(-3, 4) for base in bases]
    inside = [tick for tick in ticks if min(values) * 0.9 <= tick <= max(values) * 1.1]
    panel.set_xticks(inside, [f"{tick:g}" for tick in inside])
    panel.minorticks_off()


SPEC = PlotSpec(
    name="race",
    title="The race",
    summary="Share correct and the held-out reward over the seconds per prompt, one line per method.",
    draw=draw,
    table=table,
)
