"""The Grid tab: pictures over up to three axes, each made once; a click makes a cell's pair and opens it."""

import math
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from maskunet.failures import sentence
from maskunet.records import Card
from maskunet.records.grid import FIELDS, GridRequest
from maskunet.ui import controls, grid_words, remembered
from maskunet.ui.handlers import QUEUED, QUICK, picked
from maskunet.ui.html import grid as views
from maskunet.ui.html import pictures
from maskunet.ui.html import status as status_line
from maskunet.ui.studio import GridStudio, Studio
from maskunet.ui.tabs.base import Part, TabSpec

if TYPE_CHECKING:
    from maskunet.ui.page import Page

SCRIPT = Path(__file__).with_name("grid.js")
FIRST = (("seed", "1..4"), ("method", "{plain}, {random_mask}"), ("", ""))  # the axes as they are found, with titles
PACE = 0.5  # seconds between two looks of the page at least
THUMBNAIL = 128  # pixels


@dataclass(frozen=True, slots=True)
class GridTab(Part):
    """The tab's components.

    Attributes:
        axes: what varies and its values, x first.
        job: of the newest grid, kept in the browser. plan: what is told before it starts.
    """

    page: "Page"
    axes: tuple[tuple[gr.Dropdown, gr.Textbox], ...]
    job: gr.BrowserState
    plan: gr.HTML
    start: gr.Button
    stop: gr.Button
    status: gr.HTML
    cells: gr.HTML
    row: gr.Row
    files: tuple[gr.DownloadButton, ...]

    @property
    def studio(self) -> GridStudio:
        """The studio's part for grids."""
        return self.page.studio.grids

    def wire(self, page: "Page") -> None:
        """Offer what can vary, tell what it takes, make it, stop it, open a cell."""
        c, fields = page.c, [each for axis in self.axes for each in axis]
        asked = [*fields, *c.inputs()]
        shown = [self.start, self.stop, self.status, self.cells, self.row, *self.files]
        c.method.change(self.offer, c.method, [which for which, _ in self.axes], **QUICK)
        changes = [*(each.change for each in fields), c.method.change, c.preset.change, c.model.change, c.steps.change]
        gr.on(changes, self.tell, asked, self.plan, trigger_mode="always_last", **QUICK)
        begun = self.start.click(self.begin, [*asked, page.owner], [self.job, page.owner], **QUEUED)
        begun.success(self.follow, self.job, shown, **QUEUED)
        page.restored.then(self.follow, self.job, shown, **QUEUED)
        self.stop.click(self.end, self.job, None, **QUICK)
        outputs = [page.job, page.owner, c.status, c.generate, page.tabs]
        page._follow(self.cells.select(self.open, [self.job, page.owner], outputs, **QUEUED).success)

    def offer(self, method: str) -> tuple[gr.Dropdown, ...]:
        """What an axis can vary with this method."""
        return tuple(gr.Dropdown(choices=choices(self.page, method)) for _ in self.axes)

    def tell(self, *values: Any) -> str:
        """What the grid takes, or why it cannot be made."""
        try:
            return views.plan(self.studio.plan(asked(self.page, *values)))
        except ValueError as error:
            return status_line.failed(sentence(error))

    def begin(self, visitor: gr.Request, *values: Any) -> tuple[str, str]:
        """Queue what the fields say; the job's id goes to the browser, so that a reload finds it."""
        *fields, owner = values
        owner = remembered.owner(owner)
        return self.studio.start(asked(self.page, *fields), owner=owner, address=visitor.client.host), owner

    def follow(self, job: str | None) -> Iterator[tuple[Any, ...]]:
        """Show the newest grid from now to its end; also after a reload, also when it is over."""
        try:
            plan, events = self.studio.plan_of(job or ""), self.page.studio.events(job)
        except ValueError:  # there is none, or it is gone
            yield *(gr.skip(),) * 3, {}, *(gr.skip(),) * 4  # to skip the cells would take their template's table away
            return
        none, seen, shown = [gr.skip()] * 3, set(), -math.inf
        drawn = gr.HTML({"job": job, "cells": []}, table=views.table(plan))
        yield gr.Button(interactive=False), gr.Button(visible=True), "", drawn, gr.Row(visible=False), *none
        try:
            for event in events:
                over = event.phase in ("done", "stopped", "failed")
                if not over and time.monotonic() - shown < PACE:
                    continue
                new = [line for line in event.rows if over or line["number"] not in seen]
                seen |= {line["number"] for line in new}
                shown = time.monotonic()
                yield (
                    gr.Button(interactive=over),
                    gr.Button(visible=not over),
                    views.status(event, len(event.rows), plan.count),
                    {"job": job, "cells": [self.told(job, line) for line in new]},
                    gr.Row(visible=bool(over and event.rows)),
                    *(self.offered(job) if over and event.rows else none),
                )
        except ValueError:  # the sentence is told; the form must be of use again
            yield (
                gr.Button(interactive=True),
                gr.Button(visible=False),
                gr.skip(),
                {"job": job, "cells": []},
                gr.skip(),
                *none,
            )
            raise

    def told(self, job: str, line: Mapping[str, Any]) -> dict[str, Any]:
        """A cell with its picture, or where others have taken its place with a sentence that says so."""
        try:
            picture = self.studio.picture(job, line["number"])
        except ValueError as error:
            picture, line = None, {**line, "note": sentence(error)}
        return views.told(line, "" if picture is None else pictures.uri(picture, THUMBNAIL))

    def offered(self, job: str) -> list[gr.DownloadButton]:
        """The files of a grid that is over."""
        files = self.studio.files(job)
        return [gr.DownloadButton(value=file and str(file), visible=file is not None) for file in files]

    def end(self, job: str | None) -> None:
        """Ask the grid to end after its current picture; `follow` shows how it does."""
        with suppress(ValueError):  # it ended a moment ago
            self.page.studio.stop(job or "")

    def open(self, job: str | None, owner: str | None, event: gr.EventData, visitor: gr.Request) -> tuple[Any, ...]:
        """Make a cell's picture beside the unmasked one, as “Generate” does, and show both in Compare."""
        number = picked(event).get("number")
        request = self.studio.request(job or "", number if isinstance(number, int) else -1)
        owner, request = remembered.owner(owner), replace(request, previews=True)
        run = self.page.studio.start(request, owner=owner, address=visitor.client.host)
        return (
            remembered.job(run, request),
            owner,
            status_line.STARTED,
            gr.Button(interactive=False),
            gr.Tabs(selected="compare"),
        )


def build(page: "Page", tab: gr.Tab) -> GridTab:
    """Draw the tab over the studio's part for grids."""
    first = page.c.method.value
    gr.HTML(f'<p class="said">{grid_words.INTRO}</p>')
    with gr.Column(elem_id="grid-form", elem_classes="tab-form"):
        axes = tuple(_axis(page, first, *each) for each in zip(grid_words.AXES, FIRST, strict=True))
        gr.HTML(f'<p class="hint">{escape(grid_words.HINT)}</p>')
        plan = gr.HTML("", elem_id="grid-plan")
        with gr.Row(elem_id="grid-row"):
            start = gr.Button(grid_words.MAKE, variant="primary", elem_id="make-grid")
            stop = gr.Button(grid_words.STOP, variant="stop", visible=False, elem_id="stop-grid")
        status = gr.HTML("", elem_id="grid-status")
    cells = gr.HTML(
        {}, html_template="${table}", table=pictures.empty(grid_words.EMPTY), js_on_load=SCRIPT.read_text(encoding="utf-8"),
        apply_default_css=False, elem_id="grid",
    )  # fmt: skip
    with gr.Row(visible=False, elem_id="grid-files") as row:
        files = tuple(gr.DownloadButton(label, size="sm") for label in grid_words.FILES)
    made = GridTab(page, axes, page.grid, plan, start, stop, status, cells, row, files)
    tab.select(made.tell, [*(each for axis in axes for each in axis), *page.c.inputs()], plan, **QUICK)
    return made


def _axis(page: "Page", method: str, label: str, first: tuple[str, str]) -> tuple[gr.Dropdown, gr.Textbox]:
    """A row of the form."""
    with gr.Row(elem_classes="axis"):
        which = gr.Dropdown(
            choices(page, method), value=first[0], label=label, allow_custom_value=True, min_width=150, scale=0
        )
        return which, gr.Textbox(
            first[1].format(**page.titles), label=grid_words.VALUES, lines=1, max_lines=6, min_width=180
        )


def choices(page: "Page", method: str) -> list[tuple[str, str]]:
    """What an axis can vary: nothing, the fields of the form, and the method's settings."""
    card = next(card for card in page.methods if card.name == method)
    own = dict.fromkeys(each.name for preset in card.presets.values() for each in preset)
    names = [*FIELDS, *own, *([card.takes] if card.takes else [])]
    return [(grid_words.NOTHING, ""), *((grid_words.FIELDS.get(name, name), name) for name in names)]


def asked(page: "Page", *values: Any) -> GridRequest:
    """The grid that the fields hold: names and values of three axes, then those of the form.

    Raises:
        ValueError: a value of the form is out of range, or no axis varies anything.
    """
    fields, form = values[:6], values[6:]
    axes = zip(fields[::2], fields[1::2], strict=True)
    cards = {"method": page.methods, "model": page.models}
    axes = tuple((name, named(cards.get(name, ()), text or "")) for name, text in axes if name)
    given = controls.Values(*form)
    if "prompt" in dict(axes):
        given = given._replace(prompt="-")
    return GridRequest(request=page.request(given), axes=axes)


def named(cards: Sequence[Card], text: str) -> str:
    """The values of an axis of methods or models, where their titles, which the page shows, become their names."""
    if not cards:
        return text
    known = {card.title.casefold(): card.name for card in cards}
    each = "|".join(re.escape(title) for title in sorted(known, key=len, reverse=True))  # a title may begin another
    found = re.compile(rf"(?<![\w/:])(?:{each})(?!\w)", re.IGNORECASE)
    return found.sub(lambda title: known.get(title[0].casefold(), title[0]), text)  # “ı” matches i, and is none


def offered(studio: Studio) -> bool:
    """Not where the device is only lent."""
    return studio.grids is not None


SPEC = TabSpec(name="grid", title=grid_words.TITLE, order=35, build=build, offered=offered, starts="make-grid")
