"""What the Features tab shows: sets of pictures as points in the plane, and their measures as a table."""

import json
import math
from collections.abc import Mapping
from html import escape
from types import MappingProxyType
from typing import Any

import numpy as np

from maskunet.records.features import FeatureEvent, Measures, Plane
from maskunet.ui import words
from maskunet.ui.html import pictures, plots
from maskunet.ui.html import status as status_line
from visualize import embedding

WIDTH, HEIGHT, EDGE = 480, 420, 12  # of the drawing, in its own units
# Shapes of about one area around a point, by matplotlib's letters.
MARKS = {
    "o": "m-3.2 0a3.2 3.2 0 1 0 6.4 0a3.2 3.2 0 1 0-6.4 0",
    "^": "m0-4l3.8 6.6h-7.6z",
    "s": "m-2.8-2.8h5.6v5.6h-5.6z",
    "D": "m0-4l4 4l-4 4l-4-4z",
    "v": "m0 4l3.8-6.6h-7.6z",
    "P": "m-1.3-4h2.6v2.7h2.7v2.6h-2.7v2.7h-2.6v-2.7h-2.7v-2.6h2.7z",
}


def cloud(plane: Plane, precomputed: Mapping[str, bool], networks: Mapping[str, str] = MappingProxyType({})) -> str:
    """The sets as points with everything a selection needs: nothing more is asked of the server.

    Args:
        precomputed: by title of the set, whether its features came with the project.
        networks: titles of the networks that describe pictures, by name.
    """
    notes = "".join(f'<p class="hint">{escape(note)}</p>' for note in plane.notes)
    if plane.problem:
        return f"{pictures.empty(plane.problem)}{notes}"
    rows = [
        {**row, "caption": caption}
        for row, caption in zip(
            embedding.table(plane.points, plane.files),
            (caption for name in plane.points for caption in plane.captions[name]),
            strict=True,
        )
    ]
    about = _attribute([_about(plane, name) for name in plane.points])
    said = _attribute(words.CHOSEN)
    sheets = "".join(f".sheet{i}{{{_sheet(plane, name)}}}" for i, name in enumerate(plane.points))
    inside = (
        f'{_legend(plane, precomputed)}<style>{sheets}</style><div class="cloud" data-sets="{about}" data-words="{said}">'
        f'<div class="drawn">{_drawing(plane)}<div class="peek" hidden></div></div>'
        f'<output class="chosen" aria-live="polite">{words.NOTHING_CHOSEN}</output><div class="picked"></div></div>{notes}'
    )
    least = min(map(len, plane.points.values()))
    said = f"{words.few(least)} {plane.caveat}".strip()
    title = words.plane(plane.title, networks.get(plane.extractor, plane.extractor))
    return plots.framed(title, inside, rows, "embedding", said)


def _about(plane: Plane, name: str) -> dict:
    n = len(plane.files[name])
    columns = _columns(n)
    return {
        "name": name,
        "files": plane.files[name],
        "captions": plane.captions[name],
        "columns": columns,
        "rows": math.ceil(n / columns),
    }


def _attribute(value: Any) -> str:
    return escape(json.dumps(value, ensure_ascii=False), quote=True)


def _columns(n: int) -> int:
    return math.ceil(math.sqrt(n))


def _sheet(plane: Plane, name: str) -> str:
    """All thumbnails of a set on one sheet, as the declarations of a CSS rule."""
    thumbnails = plane.thumbnails[name]
    n, size = len(thumbnails), thumbnails.shape[1]
    columns = _columns(n)
    rows = math.ceil(n / columns)
    padded = np.zeros((rows * columns, *thumbnails.shape[1:]), np.uint8)
    padded[:n] = thumbnails
    grid = padded.reshape(rows, columns, size, size, 3).swapaxes(1, 2)
    sheet = grid.reshape(rows * size, columns * size, 3)
    image = pictures.uri(sheet, max(sheet.shape), "webp")
    return f"background-image:url({image});background-size:{100 * columns}% {100 * rows}%"


def _legend(plane: Plane, precomputed: Mapping[str, bool]) -> str:
    items = "".join(
        f'<span><svg viewBox="-5 -5 10 10" aria-hidden="true"><path fill="{embedding.style(i)[0]}" '
        f'd="M0 0{MARKS[embedding.style(i)[1]]}"/></svg>{escape(name)}, n = {len(table):,}'
        f"{f' <b class=badge>{words.PRECOMPUTED}</b>' if precomputed.get(name) else ''}</span>"
        for i, (name, table) in enumerate(plane.points.items())
    )
    return f'<div class="marks">{items}</div>'


def _drawing(plane: Plane) -> str:
    """One path per point; a group per set gives the color. Both axes have one scale, as in the plane."""
    together = np.concatenate(list(plane.points.values()))
    low, high = together.min(0), together.max(0)
    spans = np.maximum(high - low, 1e-12)
    scale = min((WIDTH - 2 * EDGE) / spans[0], (HEIGHT - 2 * EDGE) / spans[1])
    groups = []
    for i, points in enumerate(plane.points.values()):
        color, marker = embedding.style(i)
        places = (points - (low + high) / 2) * (scale, -scale) + (WIDTH / 2, HEIGHT / 2)
        marks = "".join(f'<path d="M{x:.2f} {y:.2f}{MARKS[marker]}"/>' for x, y in places.tolist())
        groups.append(f'<g fill="{color}" data-set="{i}">{marks}</g>')
    counts = ", ".join(f"{len(points):,} of {name}" for name, points in plane.points.items())
    about = escape(f"{plane.title}: {len(together):,} pictures as points, {counts}", quote=True)
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="application" tabindex="0" aria-label="{about}">'
        f'{"".join(groups)}<rect class="brush" width="0" height="0"/></svg>'
    )


def measures(found: Measures) -> str:
    """The table: a row for every set, a column for every measure."""
    if not found.rows:
        return f'<p class="hint">{words.ONE_SET}</p>'
    names = list(dict.fromkeys(row["measure"] for row in found.rows))
    sets: dict[str, dict[str, Mapping]] = {}
    for row in found.rows:
        sets.setdefault(row["set"], {})[row["measure"]] = row
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in names)
    lines = "".join(_line(name, mine, names) for name, mine in sets.items())
    first = found.rows[0]
    title = f"{words.MEASURED} {found.reference}, n = {first['n_reference']:,}"
    notes = dict.fromkeys(f"{row['measure']}: {row['note']}" for row in found.rows if row["note"])
    said = "".join(f'<p class="hint">{escape(note)}</p>' for note in (*notes, words.INTERVALS))
    about = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in found.about.items())
    inside = (
        f'<div class="wide" tabindex="0"><table class="measures"><thead><tr><td></td>{head}</tr></thead>'
        f"<tbody>{lines}</tbody></table></div>{said}"
        f'<details class="reading"><summary>{words.HOW_MEASURED}</summary><dl>{about}</dl></details>'
    )
    return plots.framed(title, inside, found.rows, "measures")


def _line(name: str, mine: Mapping[str, Mapping], names: list[str]) -> str:
    n = next(iter(mine.values()))["n"]
    cells = "".join(f"<td>{_cell(mine[each]) if each in mine else ''}</td>" for each in names)
    return f'<tr><th scope="row">{escape(name)}, n = {n:,}</th>{cells}</tr>'


def _cell(row: Mapping) -> str:
    """A value with its interval below it."""
    if row["value"] is None:
        return words.NOT_MEASURED
    value, low, high = (plots.number(row[name]) for name in ("value", "low", "high"))
    return f"{value} <small>[{low}, {high}]</small>"


def status(event: FeatureEvent) -> str:
    """The line under the buttons: what is done, how far it is where that can be known, and the time."""
    if event.phase in ("done", "stopped"):
        return status_line.said(words.DRAWING_ENDS[event.phase])
    return drawing(f"{words.DRAWING_PHASES[event.phase]} {event.name}".rstrip(), event.done, event.total, event.seconds)


def drawing(name: str, done: int, total: int, seconds: float) -> str:
    """How far a drawing is."""
    far = f", {done:,} of {total:,}" if total else ""
    return status_line.going(name, far, words.seconds(seconds), done / total if total else None)
