"""Small live line charts as SVG: they follow the page's theme and need no library in the browser."""

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from types import MappingProxyType
from typing import Any

from maskunet.ui import words
from maskunet.ui.html import plots

MOST, COLORS = 8, 4  # rewards drawn, and their colors in the page's styles
SIZE, LEFT, RIGHT, TOP, BOTTOM = (480, 130), 46, 12, 10, 20
NONE: Mapping[str, float] = MappingProxyType({})
Rows = Sequence[Mapping[str, Any]]


def charts(
    rows: Rows,
    titles: Mapping[str, str],
    *,
    weights: Mapping[str, float] = NONE,
    base: Mapping[str, float] = NONE,
    still: bool = True,
) -> str:
    """One chart of the total, one per reward and one of the keep ratio, over all updates so far.

    Behind each reward is the unmasked picture's at the same step, where it was recorded; else its last one.

    Args:
        titles: of the rewards, by name, and their `weights` in the total.
        base: rewards of the unmasked picture.
        still: whether they stay, so that someone can point at a value; else they are drawn anew in a moment.
    """
    found = []
    shown = [row for row in rows if not row["final"]]
    for key, title, look in _curves(rows, titles, weights):
        points = [(i, row[key]) for i, row in enumerate(shown) if row.get(key) is not None]
        if points:
            times = [row.get("timestep") for row in rows] if still else None
            unmasked = _unmasked(shown, key, base)
            last = next((row[key] for row in reversed(rows) if row.get(key) is not None), points[-1][1])
            ended = base.get(key.removeprefix("reward_"), unmasked[-1][1] if unmasked else None)
            found.append(line(title, points, unmasked, _starts(shown), times, (last, ended), look))
    if not found:
        return ""
    drawn = "".join(found)
    hint = " ".join([words.CHART_HINT, *[words.UNMASKED_HINT] * ('class="unmasked"' in drawn)])
    return f'<div class="charts">{drawn}</div><p class="hint">{hint}</p>'


def _curves(rows: Rows, titles: Mapping[str, str], weights: Mapping[str, float]) -> Iterator[tuple[str, str, str]]:
    """Each column that is drawn, its title, and the class that gives its color: a reward's goes by its place."""
    keys = dict.fromkeys(key for row in rows for key in row if key.startswith("reward_"))
    rewards = [key.removeprefix("reward_") for key in keys if key != "reward_total"]
    parts = [(titles.get(name, name), weights[name]) for name in rewards if name in weights]
    yield "reward_total", words.total(parts if len(parts) == len(rewards) else []), "total"
    for place, name in enumerate(rewards[:MOST]):
        yield f"reward_{name}", titles.get(name, name), f"reward{place % COLORS}"
    yield "keep_ratio", words.KEPT, "keep_ratio"


def _unmasked(rows: Rows, key: str, base: Mapping[str, float]) -> list[tuple[int, float]]:
    """The same of the unmasked picture: step by step, or level where only its end is known."""
    known = [(i, row[f"base_{key}"]) for i, row in enumerate(rows) if row.get(f"base_{key}") is not None]
    end = base.get(key.removeprefix("reward_"))
    return known or ([] if end is None else [(0, end), (max(len(rows) - 1, 1), end)])


def _starts(rows: Sequence[Mapping[str, Any]]) -> list[int]:
    """Where each denoising step begins."""
    return [i for i, row in enumerate(rows) if i == 0 or row["step"] != rows[i - 1]["step"]]


def line(
    title: str, points: Sequence[tuple[int, float]], unmasked: Sequence[tuple[int, float]], starts: Sequence[int],
    times: Sequence[Any] | None, ends: tuple[float, float | None], look: str,
) -> str:  # fmt: skip
    """One line chart.

    Args:
        points: update and value. unmasked: the same of the unmasked picture, or none.
        times: the points' timesteps, so that pointing at one tells its value.
        ends: the last value, and the unmasked picture's. look: its class.
    """
    last = max(points[-1][0], 1)
    width, height = SIZE[0] - LEFT - RIGHT, SIZE[1] - TOP - BOTTOM
    most = 1.0 if look == "keep_ratio" else math.inf
    levels = plots.ticks(*plots.reach([*(v for _, v in points), *(v for _, v in unmasked)], most), 3)
    low, high = levels[0], levels[-1]

    def x(i: float) -> float:
        return LEFT + width * i / last

    def y(v: float) -> float:
        return TOP + height * (high - v) / (high - low)

    def path(line: Sequence[tuple[int, float]]) -> str:
        return " ".join(f"{x(i):.1f},{y(v):.1f}" for i, v in line)

    grid = "".join(
        f'<line class="step" x1="{x(i):.1f}" x2="{x(i):.1f}" y1="{TOP}" y2="{TOP + height}"/>' for i in starts
    )
    labels = "".join(
        f'<text class="tick" x="{LEFT - 6}" y="{y(v) + 4:.1f}" text-anchor="end">{plots.percent(v) if look == "keep_ratio" else f"{v:.3g}"}</text>'
        for v in levels
    )
    behind = f'<polyline class="unmasked" points="{path(unmasked)}"/>' if unmasked else ""
    slot = max(width / (last + 1), 2)
    hover = "".join(
        f'<rect x="{x(i) - slot / 2:.1f}" y="{TOP}" width="{slot:.1f}" height="{height}">'
        f"<title>update {i + 1}, t {times[i]}: {_number(v, look)}</title></rect>"
        for i, v in (points if times else ())
    )
    updates = "".join(
        f'<text class="tick" x="{x(n - 1):.1f}" y="{SIZE[1] - 4}" text-anchor="middle">{n:g}</text>'
        for n in plots.ticks(1, last + 1, 6, whole=True)
        if n <= last + 1 and x(n - 1) > LEFT + 60  # beside the first one's words
    )
    head = f'<div class="head"><span>{escape(title)}</span><b>{_number(ends[0], look)}{_change(ends, look)}</b></div>'
    about = f"{title} over {len(points)} updates, from {_number(points[0][1], look)} to {_number(points[-1][1], look)}"
    return (
        f'<div class="chart {look}">{head}'
        f'<svg viewBox="0 0 {SIZE[0]} {SIZE[1]}" role="img" aria-label="{escape(about, quote=True)}">'
        f'{grid}{labels}{behind}<polyline points="{path(points)}"/>'
        f'<circle cx="{x(points[-1][0]):.1f}" cy="{y(points[-1][1]):.1f}" r="3.5"/>'
        f'<text class="tick" x="{LEFT}" y="{SIZE[1] - 4}">update 1</text>{updates}'
        f'<g class="hover">{hover}</g></svg></div>'
    )


def _change(ends: tuple[float, float | None], look: str) -> str:
    """By how much the last value is above or below the unmasked picture's."""
    value, before = ends
    if before is None or _number(value - before, look).strip("-0.") == "":
        return ""
    sign, name = ("+", "rise") if value > before else ("−", "fall")
    return f'<small class="{name}">{words.CHANGES[name]} {sign}{_number(abs(value - before), look)}</small>'


def _number(value: float, look: str) -> str:
    if look == "keep_ratio":
        return plots.percent(value)
    return f"{value:.3f}" if abs(value) < 1 else f"{value:.2f}"
