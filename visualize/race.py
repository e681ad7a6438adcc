"""What each method gives over the time it is given: share correct and the held-out reward, one line each."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from visualize.base import COLORS, PlotSpec

# By kind of entrant, as the page groups the methods: learned masks, controls, rivals.
FAMILIES = (
    ("masks", ("maskunet", "syngen_maskunet"), "#0f766e"),
    ("controls", ("plain", "random_mask", "fine_tuned", "best_of"), "#52525b"),
    ("rivals", ("",), "#b45309"),
)
MARKERS = "osD^vPXp*h<>"
GAP = 0.034  # between the labels at the end of the lines, share of the panel's height


def table(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row per entrant and point of its curve."""
    return [{"entrant": name, **point} for name, points in found["curves"].items() for point in points]


def draw(found: Mapping[str, Any]) -> Figure:
    """Draw the curves; each ends, with its 95 % interval, where the entrant's budget ends.

    Args:
        found: race.json, or what `maskunet.race.report.report` returns.

    Raises:
        ValueError: nobody has run.
    """
    curves, held_out = found["curves"], found["held_out"]
    if not any(curves.values()):
        raise ValueError("Nobody has run yet. Let python -m maskunet race run longer.")
    figure = Figure(figsize=(7.2, 7.6), layout="constrained")
    axes = figure.subplots(2, 1, sharex=True)
    whats = (("correct", "share correct, by the checker"), (held_out, f"{held_out}, which nothing optimizes"))
    for panel, (what, label) in zip(axes, whats, strict=True):
        panel.spines[["top", "right"]].set_visible(False)
        panel.set_xscale("log")
        panel.set_ylabel(label, fontsize=9)
        for name, points in curves.items():
            _curve(panel, points, what, *_style(name, curves))
        _budget(panel, found["seconds"])
        _labels(panel, {name: points[-1] for name, points in curves.items()}, what)
    axes[1].set_xlabel(
        f"seconds per prompt (log scale), n = {found['prompts']} prompts\n"
        f"chosen by {found['optimized']}; bars are 95 % intervals",
        fontsize=9,
    )
    _seconds(axes[1], [point["seconds"] for points in curves.values() for point in points])
    return figure


def family(name: str) -> str:
    """The kind of an entrant: masks, controls or rivals."""
    return FAMILIES[_family(name)][0]


def _style(name: str, every: Sequence[str] | Mapping[str, Any]) -> tuple[str, str]:
    """A color by the entrant's family, a marker by its place in it."""
    mine = _family(name)
    place = [other for other in every if _family(other) == mine].index(name)
    return FAMILIES[mine][2], MARKERS[place % len(MARKERS)]


def _family(name: str) -> int:
    return next(i for i, (_, starts, _) in enumerate(FAMILIES) if name.startswith(starts))


def _curve(panel: Axes, points: Sequence[Mapping], what: str, color: str, marker: str) -> None:
    x, y, last = [p["seconds"] for p in points], [p[what] for p in points], points[-1]
    panel.plot(x, y, color=color, marker=marker, markersize=3.5, linewidth=1.1, alpha=0.9)
    # An interval of one prompt has no width, and rounding may put its ends on the wrong side.
    around = [[max(0.0, last[what] - last[f"{what}_low"])], [max(0.0, last[f"{what}_high"] - last[what])]]
    panel.errorbar(x[-1:], y[-1:], around, color=color, linewidth=0.8, alpha=0.45)


def _budget(panel: Axes, seconds: float) -> None:
    panel.axvline(seconds, color=COLORS["total"], linewidth=0.8, linestyle="--", zorder=0)
    panel.annotate(
        f"budget {seconds:g} s", (seconds, 1), xycoords=("data", "axes fraction"),
        xytext=(-3, -2), textcoords="offset points", ha="right", va="top", fontsize=7,
    )  # fmt: skip


def _labels(panel: Axes, ends: Mapping[str, Mapping], what: str) -> None:
    """The names at the right edge, moved apart, each with a thin line to where its curve ends."""
    low, high = panel.get_ylim()
    ordered = sorted(ends, key=lambda name: ends[name][what])
    places, before = {}, -1.0
    for name in ordered:
        before = max((ends[name][what] - low) / (high - low), before + GAP)
        places[name] = before
    over = max(0.0, before - 1.0)
    for name in ordered:
        color, marker = _style(name, ends)
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
