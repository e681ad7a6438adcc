"""Small live line charts as SVG: they follow the page's theme and need no library in the browser."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from maskunet.ui import words

MOST, COLORS = 8, 4  # rewards drawn, and their colors in the page's styles
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 480, 130, 46, 12, 10, 20


def charts(rows: Sequence[Mapping[str, Any]], titles: Mapping[str, str], *, still: bool = True) -> str:
    """One chart of the total, one per reward and one of the keep ratio, over all updates so far.

    Args:
        titles: of the rewards, by name.
        still: whether they stay, so that someone can point at a value; else they are drawn anew in a moment.
    """
    found = []
    for key, title, look in _curves(rows, titles):
        points = [(i, row[key]) for i, row in enumerate(rows) if row.get(key) is not None and not row["final"]]
        if points:
            times = [row.get("timestep") for row in rows] if still else None
            found.append(line(title, points, _starts(rows), times, look))
    if not found:
        return ""
    return f'<div class="charts">{"".join(found)}</div><p class="hint">{words.CHART_HINT}</p>'


def _curves(rows: Sequence[Mapping[str, Any]], titles: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Each column that is drawn, its title, and the class that gives its color: a reward's goes by its place."""
    keys = dict.fromkeys(key for row in rows for key in row if key.startswith("reward_"))
    rewards = [key.removeprefix("reward_") for key in keys if key != "reward_total"]
    yield "reward_total", words.TOTAL, "total"
    for place, name in enumerate(rewards[:MOST]):
        yield f"reward_{name}", titles.get(name, name), f"reward{place % COLORS}"
    yield "keep_ratio", words.KEPT, "keep_ratio"


def _starts(rows: Sequence[Mapping[str, Any]]) -> list[int]:
    """Where each denoising step begins."""
    return [i for i, row in enumerate(rows) if i == 0 or row["step"] != rows[i - 1]["step"]]


def line(
    title: str,
    points: Sequence[tuple[int, float]],
    starts: Sequence[int],
    times: Sequence[Any] | None,
    look: str,
) -> str:
    """One line chart; with the points' timesteps, pointing at one tells its value. `look` is its class."""
    values = [v for _, v in points]
    low, high = min(values), max(values)
    told = (low, high)
    if high - low < 1e-9:  # a flat line runs through the middle, with its one value beside it
        low, high, told = low - 1, high + 1, (low,)
    last = max(points[-1][0], 1)
    width, height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def x(i: float) -> float:
        return LEFT + width * i / last

    def y(v: float) -> float:
        return TOP + height * (high - v) / (high - low)

    grid = "".join(
        f'<line class="step" x1="{x(i):.1f}" x2="{x(i):.1f}" y1="{TOP}" y2="{TOP + height}"/>' for i in starts
    )
    labels = "".join(
        f'<text class="tick" x="{LEFT - 6}" y="{y(v) + 4:.1f}" text-anchor="end">{_number(v, look)}</text>'
        for v in told
    )
    path = " ".join(f"{x(i):.1f},{y(v):.1f}" for i, v in points)
    slot = max(width / (last + 1), 2)
    hover = "".join(
        f'<rect x="{x(i) - slot / 2:.1f}" y="{TOP}" width="{slot:.1f}" height="{height}">'
        f"<title>update {i + 1}, t {times[i]}: {_number(v, look)}</title></rect>"
        for i, v in (points if times else ())
    )
    head = f'<div class="head"><span>{escape(title)}</span><b>{_number(values[-1], look)}</b></div>'
    about = f"{title} over {len(points)} updates, from {_number(values[0], look)} to {_number(values[-1], look)}"
    return (
        f'<div class="chart {look}">{head}'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(about, quote=True)}">'
        f'{grid}{labels}<polyline points="{path}"/>'
        f'<circle cx="{x(points[-1][0]):.1f}" cy="{y(values[-1]):.1f}" r="3.5"/>'
        f'<text class="tick" x="{LEFT}" y="{HEIGHT - 4}">update 1</text>'
        f'<text class="tick" x="{WIDTH - RIGHT}" y="{HEIGHT - 4}" text-anchor="end">{last + 1}</text>'
        f'<g class="hover">{hover}</g></svg></div>'
    )


def _number(value: float, look: str) -> str:
    if look == "keep_ratio":
        return f"{value:.1%}"
    return f"{value:.3f}" if abs(value) < 1 else f"{value:.2f}"
