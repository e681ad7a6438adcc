"""A grid as a table of cells that fill while it is made. All text is escaped here."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from maskunet.records import JobEvent
from maskunet.records.grid import GridPlan, cost
from maskunet.ui import grid_words, words
from maskunet.ui.html import status as status_line


def table(plan: GridPlan) -> str:
    """The empty cells with their labels: a table for each value of z, in it rows of y and columns of x."""
    hint = f'<p class="hint">{grid_words.UNDER}</p>'
    x, y, z = (*plan.labels, *[("",)] * (3 - len(plan.labels)))
    if len(plan.labels) == 1:  # a strip, as in the sheet
        cells = "".join(
            f"<li>{_cell(number, label)}<span>{escape(label)}</span></li>" for number, label in enumerate(x)
        )
        return f'<ol class="cells">{cells}</ol>{hint}'
    numbers = iter(range(plan.count))
    return "".join(_panel(panel, x, y, numbers) for panel in z) + hint


def _panel(label: str, x: Sequence[str], y: Sequence[str], numbers: Any) -> str:
    head = "".join(f'<th scope="col">{escape(each)}</th>' for each in x)
    rows = "".join(
        f'<tr><th scope="row">{escape(row)}</th>'
        + "".join(f"<td>{_cell(next(numbers), ', '.join(filter(None, (column, row, label))))}</td>" for column in x)
        + "</tr>"
        for row in y
    )
    caption = f"<caption>{escape(label)}</caption>" if label else ""
    return f'<table class="cells">{caption}<thead><tr><td></td>{head}</tr></thead><tbody>{rows}</tbody></table>'


def _cell(number: int, label: str) -> str:
    said = escape(label, quote=True)
    return f'<button type="button" data-cell="{number}" data-label="{said}" aria-label="{said}" disabled></button>'


def told(line: Mapping[str, Any], picture: str) -> dict[str, Any]:
    """What the page is told of a cell, for `grid.js`."""
    facts = [] if line["failed"] else [f"removed {1 - line['keep_ratio']:.1%}", f"{line['seconds']:.1f} s"]
    verdict = {True: "✓ ", False: "✗ ", None: ""}[line["correct"]]
    reward = line.get("reward_total")
    under, title = f"{verdict}{'' if reward is None else f'{reward:.2f}'}".strip(), line["note"] or ", ".join(facts)
    if line["failed"]:
        under, title = f"{grid_words.NOT_MADE} {line['note']}".strip(), ""
    return {"n": line["number"], "src": picture, "under": under, "title": title}


def plan(found: GridPlan) -> str:
    """How many pictures, and what they take."""
    notes = "".join(f" {escape(note)}" for note in found.notes)
    return f'<p class="said">{grid_words.plan(found.count, cost(found.seconds, found.bytes, least=found.least))}{notes}</p>'


def status(event: JobEvent, made: int, count: int) -> str:
    """How far it is, and what is left."""
    if event.phase == "failed":
        return status_line.failed(event.message)
    name = grid_words.PHASES.get(event.phase, event.phase)
    said = grid_words.progress(made, count)
    if event.phase in ("done", "stopped"):
        return status_line.said(f"{name}: {said}. {event.message}".strip())
    waiting = f", {words.queued(event.ahead).lower()}" if event.ahead or event.phase == "queued" else ""
    clock = f"{words.seconds(event.elapsed)}{words.left(event.remaining)}"
    return status_line.going(name, f": {said}{waiting}", clock, made / count)
