"""Plots as SVG that follows the page's theme, each with its numbers as a CSV link."""

import base64
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from typing import Any

from maskunet.records.table import csv_text
from maskunet.ui import words

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 480, 200, 44, 10, 22, 34
SMALL = (300, 160)  # of a plot that stands beside another one
FLAT = 0.05  # of the largest number, what an axis shows at least: smaller changes look as small as they are
ARROW = (
    '<svg viewBox="0 0 16 16" aria-hidden="true"><path d="M8 2v8M4.5 7 8 10.5 11.5 7M3 13.5h10"/></svg>'  # downwards
)
Rows = Sequence[Mapping[str, Any]]
Series = tuple[str, str, str]  # the rows' column, its label, its CSS class


def percent(value: float) -> str:
    """A share as people read it: three digits of it, or of what it lacks to the whole."""
    part = 100 * value
    near = min(abs(part), abs(100 - part))
    digits = min(max(0, 2 - math.floor(math.log10(near))), 6) if near else 0
    text = f"{part:.{digits}f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text} %"


def number(value: float) -> str:
    """A number in three digits, or whole with all of its digits."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def link(rows: Rows, name: str) -> str:
    """A link that holds the rows as a CSV file: nothing is asked of the server."""
    data = base64.b64encode(csv_text(rows).encode()).decode()
    said = f'title="{words.CSV}" aria-label="{words.CSV}"'
    return f'<a class="csv" download="{name}.csv" href="data:text/csv;base64,{data}" {said}>{ARROW}</a>'


def framed(title: str, inside: str, rows: Rows, name: str, hint: str = "") -> str:
    """A plot with its numbers and a sentence on how to read it; what it shows is its title, if its axis does not say so."""
    named = f"<h4>{escape(title)}</h4>" if title else "<span></span>"
    head = f'<div class="head">{named}{link(rows, name) if rows else ""}</div>'
    said = f'<p class="hint">{escape(hint)}</p>' if hint else ""
    return f'<section class="plot" id="plot-{name}">{head}{inside}{said}</section>'


def reach(values: Iterable[float], most: float = math.inf) -> tuple[float, float]:
    """From where to where an axis goes that shows these numbers; nearly equal ones are not blown up to its length.

    Args:
        most: what none can be above, such as 1 of a share.
    """
    low, high = min(values := [*values]), max(values)
    least = FLAT * max(abs(low), abs(high))
    if not least:
        return 0.0, 1.0
    if high - low >= least:
        return low, high
    top = min((low + high + least) / 2, most)
    return top - least, top


def ticks(low: float, high: float, count: int = 4, whole: bool = False) -> list[float]:
    """Round numbers, evenly apart, of which the first and the last enclose the range."""
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(count, steps=[1, 2, 2.5, 5, 10], integer=whole).tick_values(low, high).tolist()


class Axes:
    """Maps values to the drawing; `x` and `y` give coordinates, `frame` the axes with their labels."""

    def __init__(
        self, x: tuple[float, float], y: tuple[float, float], right: float = RIGHT, size: tuple[float, float] = (WIDTH, HEIGHT)
    ):  # fmt: skip
        self.low, self.high = x
        self.ticks = ticks(*y)
        self.floor, self.top = self.ticks[0], self.ticks[-1]
        self.width, self.height = size[0] - LEFT - right, size[1] - TOP - BOTTOM

    def x(self, value: float) -> float:
        return LEFT + self.width * (value - self.low) / ((self.high - self.low) or 1)

    def y(self, value: float) -> float:
        return TOP + self.height * (self.top - value) / ((self.top - self.floor) or 1)

    def frame(
        self, xlabel: str, ylabel: str, xs: Callable[[float], str], ys: Callable[[float], str], across: Sequence[float]
    ) -> str:  # fmt: skip
        """Base line, round numbers along both axes, and what they are; `across` are those along x."""
        base = TOP + self.height
        below = "".join(
            f'<text class="tick" x="{self.x(v):.1f}" y="{base + 14}" text-anchor="middle">{xs(v)}</text>'
            for v in across
            if self.low <= v <= self.high
        )
        beside = "".join(
            f'<line class="grid" x1="{LEFT}" x2="{LEFT + self.width}" y1="{self.y(v):.1f}" y2="{self.y(v):.1f}"/>'
            f'<text class="tick" x="{LEFT - 6}" y="{self.y(v) + 4:.1f}" text-anchor="end">{ys(v)}</text>'
            for v in self.ticks
        )
        return (
            f'{beside}<line class="base" x1="{LEFT}" x2="{LEFT + self.width}" y1="{base}" y2="{base}"/>{below}'
            f'<text class="tick" x="{LEFT + self.width / 2}" y="{base + BOTTOM - 4}" text-anchor="middle">{escape(xlabel)}</text>'
            f'<text class="tick" x="{LEFT}" y="{TOP - 10}">{escape(ylabel)}</text>'
        )


def _svg(inside: str, about: str, size: tuple[float, float] = (WIDTH, HEIGHT)) -> str:
    label = escape(about, quote=True)
    return f'<svg viewBox="0 0 {size[0]:g} {size[1]:g}" role="img" aria-label="{label}">{inside}</svg>'


def legend(series: Sequence[Series]) -> str:
    """Names of the series in their colors."""
    if len(series) < 2:
        return ""
    items = "".join(f'<span class="{cls}">{escape(label)}</span>' for _, label, cls in series)
    return f'<div class="legend">{items}</div>'


def bars(
    rows: Rows, series: Sequence[Series], *, xlabel: str, ylabel: str, xs: Callable[[float], str] = number,
    ys: Callable[[float], str] = number, size: tuple[float, float] = (WIDTH, HEIGHT),
) -> str:  # fmt: skip
    """Bars from `low` to `high` of each row; the first series is filled, the others are outlines."""
    top = max((row[key] for row in rows for key, *_ in series), default=0) or 1
    ends = rows[0]["low"], rows[-1]["high"]
    axes = Axes(ends, (0, top), size=size)
    parts = []
    for i, (key, _, cls) in enumerate(series):
        if i:
            points = " ".join(
                f"{axes.x(row[end]):.1f},{axes.y(row[key]):.1f}" for row in rows for end in ("low", "high")
            )
            parts.append(f'<polyline class="{cls}" points="{points}"/>')
            continue
        parts += [
            f'<rect class="{cls}" x="{axes.x(row["low"]):.2f}" y="{axes.y(row[key]):.2f}" '
            f'width="{max(axes.x(row["high"]) - axes.x(row["low"]) - 0.5, 0.5):.2f}" '
            f'height="{axes.y(0) - axes.y(row[key]):.2f}"/>'
            for row in rows
        ]
    for row in rows:  # one invisible column per bin tells all its values
        told = "; ".join(f"{label} {ys(row[key])}" for key, label, _ in series)
        parts.append(
            f'<rect class="hover" x="{axes.x(row["low"]):.2f}" y="{TOP}" height="{axes.height}" '
            f'width="{axes.x(row["high"]) - axes.x(row["low"]):.2f}"><title>{xs(row["low"])} to '
            f"{xs(row['high'])}: {escape(told)}</title></rect>"
        )
    about = f"{ylabel} over {xlabel}, {len(rows)} bins, highest {ys(top)}"
    frame = axes.frame(xlabel, ylabel, xs, ys, ticks(*ends))
    return legend(series) + _svg(frame + "".join(parts), about, size)


def lines(
    rows: Rows, series: Sequence[Series], *, x: str, xlabel: str, ylabel: str, ys: Callable[[float], str] = number,
    mark: float | None = None, level: float | None = None, floor: float | None = 0.0, xs: Callable[[float], str] = number,
    size: tuple[float, float] = (WIDTH, HEIGHT),
) -> str:  # fmt: skip
    """One line per series over the column `x`; None is a gap.

    Where the rows have KEY_low and KEY_high, a band shows them. `mark` draws a vertical line, `level` a
    horizontal one.
    """
    ends = [f"{key}{end}" for key, *_ in series for end in ("", "_low", "_high")]
    values = [row[key] for row in rows for key in ends if row.get(key) is not None]
    values += [] if level is None else [level]
    if not values:
        return '<p class="hint">There are no numbers to draw here.</p>'
    across = rows[0][x], rows[-1][x]
    axes = Axes(across, reach([*values, *([] if floor is None else [floor])]), size=size)
    whole = all(isinstance(row[x], int) for row in rows)
    parts = [axes.frame(xlabel, ylabel, xs, ys, ticks(*across, whole=whole))]
    if level is not None:
        at = f"{axes.y(level):.1f}"
        parts.append(f'<line class="mark" x1="{LEFT}" x2="{LEFT + axes.width}" y1="{at}" y2="{at}"/>')
    if mark is not None:
        at = f"{axes.x(mark):.1f}"
        parts.append(f'<line class="mark" x1="{at}" x2="{at}" y1="{TOP}" y2="{TOP + axes.height}"/>')
    for key, label, cls in series:
        known = [(row[x], row[key]) for row in rows if row.get(key) is not None]
        points = " ".join(f"{axes.x(a):.1f},{axes.y(b):.1f}" for a, b in known)
        parts.append(_band(axes, [row for row in rows if row.get(f"{key}_low") is not None], x, key, cls))
        parts.append(f'<polyline class="{cls}" points="{points}"/>')
        parts += [
            f'<circle class="{cls}" cx="{axes.x(a):.1f}" cy="{axes.y(b):.1f}" r="3">'
            f"<title>{escape(label)}, {xlabel} {xs(a)}: {ys(b)}</title></circle>"
            for a, b in known
        ]
    about = f"{ylabel} over {xlabel}, from {ys(min(values))} to {ys(max(values))}"
    return legend(series) + _svg("".join(parts), about, size)


def _band(axes: Axes, rows: Rows, x: str, key: str, cls: str) -> str:
    if not rows:
        return ""
    lower = [f"{axes.x(row[x]):.1f},{axes.y(row[f'{key}_low']):.1f}" for row in rows]
    upper = [f"{axes.x(row[x]):.1f},{axes.y(row[f'{key}_high']):.1f}" for row in reversed(rows)]
    return f'<polygon class="band {cls}" points="{" ".join([*lower, *upper])}"/>'


CURVES, LABEL_GAP = (560, 340), 12  # of `curves`: the drawing, and the least distance of two names
LETTER = 6.6  # width of a letter of a name, in bold
Point = tuple[float, float, float, float]  # x, y and the ends of y's interval


def curves(
    named: Sequence[tuple[str, str, Sequence[Point]]], *, xlabel: str, ylabel: str, mark: float,
    xs: Callable[[float], str] = number, ys: Callable[[float], str] = number,
) -> str:  # fmt: skip
    """Curves over the logarithm of x, each of its own length, with its name where it ends.

    Args:
        named: label, CSS class and points of each; the last point's interval is drawn.
        mark: x of a vertical line.
    """
    points = [point for *_, mine in named for point in mine]
    across = [*(math.log(x) for x, *_ in points), math.log(mark)]
    along = [value for *_, mine in named for value in (*mine[-1][1:], *(y for _, y, *_ in mine))]
    room = 12 + LETTER * max(len(label) for label, *_ in named)
    axes = Axes((min(across), max(across)), reach(along), room, CURVES)
    bases = (1, 2, 5) if max(across) - min(across) > math.log(20) else (1, 1.5, 2, 3, 5, 7)
    round_ones = [math.log(base * 10.0**power) for power in range(-3, 5) for base in bases]
    at = axes.x(math.log(mark))
    parts = [
        axes.frame(xlabel, ylabel, lambda value: xs(math.exp(value)), ys, round_ones),
        f'<line class="mark" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{TOP + axes.height}"/>',
    ]
    places = _apart([axes.y(mine[-1][1]) for *_, mine in named], LABEL_GAP, TOP, TOP + axes.height)
    for (label, cls, mine), place in zip(named, places, strict=True):
        parts.append(_curve(axes, label, cls, mine, place, lambda x, y: f"{xs(x)}: {ys(y)}"))
    about = f"{ylabel} over {xlabel}, {len(named)} curves, from {ys(min(along))} to {ys(max(along))}"
    return _svg("".join(parts), about, CURVES)


def _curve(
    axes: Axes,
    label: str,
    cls: str,
    points: Sequence[Point],
    place: float,
    told: Callable[[float, float], str],
) -> str:
    """One of `curves`, its name at the height `place`."""
    drawn = [(axes.x(math.log(x)), axes.y(y)) for x, y, *_ in points]
    (x, y), (low, high) = drawn[-1], (axes.y(end) for end in points[-1][2:])
    right = LEFT + axes.width + 10
    line = " ".join(f"{a:.1f},{b:.1f}" for a, b in drawn)
    dots = "".join(
        f'<circle class="{cls}" cx="{a:.1f}" cy="{b:.1f}" r="2.5"><title>{escape(label)}, {told(*point[:2])}</title></circle>'
        for (a, b), point in zip(drawn, points, strict=True)
    )
    return (
        f'<g class="curve {cls}"><polyline class="{cls}" points="{line}"/>{dots}'
        f'<line class="interval" x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}"/>'
        f'<line class="leader" x1="{x:.1f}" y1="{y:.1f}" x2="{right - 2:.1f}" y2="{place:.1f}"/>'
        f'<text x="{right:.1f}" y="{place + 4:.1f}">{escape(label)}</text></g>'
    )


def _apart(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places in [low, high], in the order of the wanted ones and at least `gap` apart while there is room."""
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    places = [0.0] * len(wanted)
    before = low - gap
    for i in order:
        places[i] = before = max(wanted[i], before + gap)
    after = high + gap
    for i in reversed(order):
        places[i] = after = min(places[i], after - gap)
    return places
