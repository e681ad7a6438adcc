"""The Explore tab: which weights a finished run removed, where, when, and what that did."""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from maskunet.failures import sentence
from maskunet.records import Run
from maskunet.records.selection import named
from maskunet.records.site_stats import name_of
from maskunet.ui import explore_words, remembered, words
from maskunet.ui.handlers import QUEUED, QUICK, picked, shows_a_run
from maskunet.ui.html import copy_button, pictures, plots, study
from maskunet.ui.html import explore as views
from maskunet.ui.html import status as status_line
from maskunet.ui.html.heat_map import heat
from maskunet.ui.html.step_pictures import strip
from maskunet.ui.links import NOWHERE
from maskunet.ui.remembered import Remembered
from maskunet.ui.tabs.base import Part, TabSpec
from visualize import SPECS

if TYPE_CHECKING:
    from maskunet.ui.page import Page

HERE = Path(__file__).parent
MAX_NAME = 255  # characters of the name of a site


@dataclass(frozen=True, slots=True)
class Explore(Part):
    """The tab's components; `chosen` is the selection, {"step": index, "site": name or ""}."""

    run: gr.Dropdown
    other: gr.Dropdown
    upload: gr.UploadButton
    said: gr.HTML
    knock: gr.Button
    heat: gr.HTML
    linked: gr.HTML
    strip: gr.HTML
    against: gr.HTML
    draw: gr.Button
    stop: gr.Button
    figures: gr.DownloadButton
    drawing: gr.HTML
    chosen: gr.State

    def wire(self, page: "Page") -> None:
        """The run on the stage is the one explored; another that is picked comes onto it."""
        self._wire_runs(page)
        self._wire_buttons(page)

    def _wire_runs(self, page: "Page") -> None:
        """Which runs are shown, and what is chosen in their map."""

        @shows_a_run
        def follow(
            run_id: str | None, kept: list[Remembered], other: str | None, place: dict[str, str] = NOWHERE
        ) -> tuple[Any, ...]:
            options = choices(page, kept, run_id)
            found = gr.Dropdown(choices=options, value=run_id or None)
            return found, gr.Dropdown(choices=[(explore_words.NO_OTHER, ""), *options]), *opened(run_id, other, place)

        def opened(run_id: str | None, other: str | None, place: dict[str, str]) -> tuple[Any, ...]:
            run = page.find(run_id)
            chosen = {"step": last(run), "site": ""} | (told(place) if place.get("run") == run_id else {})
            button = gr.Button(visible=bool(to_take_out(run, chosen)))
            return *views_of(run, pinned(page, run_id, other), chosen), overlap(page, run_id, other), chosen, button

        @shows_a_run
        def select(run_id: str | None, other: str | None, event: gr.EventData) -> tuple[Any, ...]:
            chosen, run = clicked(picked(event)), page.find(run_id)
            return (
                *linked(run, pinned(page, run_id, other), chosen),
                chosen,
                gr.Button(visible=bool(to_take_out(run, chosen))),
            )

        @shows_a_run
        def pin(run_id: str | None, other: str | None, chosen: dict) -> tuple[Any, ...]:
            shown = views_of(page.find(run_id), pinned(page, run_id, other), chosen)
            return *shown[: len(self.views())], overlap(page, run_id, other)

        @shows_a_run
        def take(path: str, request: gr.Request) -> tuple[Any, ...]:
            visitor = {"owner": request.session_hash, "address": request.client.host}
            return page.show(page.studio.shelf.take(Path(path), **visitor))

        stage = [*self.views(), self.draw, self.figures, self.drawing, self.against, self.chosen, self.knock]
        everything = [self.run, self.other, *stage]
        page.shown.change(follow, [page.shown, page.kept, self.other, page.place], everything, **QUICK)
        on_stage = [*page.staged(), page.shown]
        self.run.input(page.show, self.run, on_stage, api_name="explore", **QUEUED)
        self.other.input(pin, [self.run, self.other, self.chosen], [*self.views(), self.against], **QUEUED)
        self.heat.select(
            select,
            [self.run, self.other],
            [self.said, self.linked, self.chosen, self.knock],
            trigger_mode="always_last",
            **QUICK,
        )
        self.upload.upload(take, self.upload, on_stage, **QUEUED)

    def _wire_buttons(self, page: "Page") -> None:
        """What is taken from the run: its figures as files, and the chosen site to Intervene."""

        def figures(run_id: str, request: gr.Request) -> Iterator[tuple[Any, ...]]:  # others' pages do not wait for it
            visitor = {"owner": request.session_hash, "address": request.client.host}
            event, download = None, gr.skip()
            try:
                for event in page.studio.shelf.figures(run_id, lambda: page.found(run_id), **visitor):
                    said = views.drawing(event)
                    yield gr.Button(visible=False), gr.Button(visible=True), download, said
                if event.file:
                    download = gr.DownloadButton(value=str(event.file), visible=True)
            except ValueError as error:
                if event is None:  # nothing was begun, and another drawing of this page may go on
                    raise
                said = status_line.failed(sentence(error))
            yield gr.Button(visible=True), gr.Button(visible=False), download, said

        def stop(request: gr.Request) -> None:
            page.studio.shelf.stop_figures(request.session_hash)

        @shows_a_run
        def knock_out(run_id: str | None, chosen: dict) -> tuple[Any, ...]:
            """The site of the run that is explored, with what that was asked for, for the Intervene tab."""
            run = page.found(run_id or "")
            wish = {"what": to_take_out(run, chosen), "asked": secrets.token_hex(4)}
            return *page.c.fill(page.asked(run)), wish, gr.Tabs(selected="intervene")

        self.knock.click(knock_out, [self.run, self.chosen], [*page.c.filled(), page.wish, page.tabs], **QUEUED)
        self.draw.click(figures, self.run, [self.draw, self.stop, self.figures, self.drawing], **QUEUED)
        self.stop.click(stop, None, None, **QUICK)

    def views(self) -> list[gr.HTML]:
        """What shows the runs, as `views_of` fills it."""
        return [self.strip, self.heat, self.said, self.linked]


def build(page: "Page", tab: gr.Tab) -> Explore:
    """Draw the tab: pictures, map and plots beside each other, on a phone below each other."""
    with gr.Row(elem_id="picker"):
        run = gr.Dropdown([], label=explore_words.RUN_A, allow_custom_value=True, min_width=200)
        other = gr.Dropdown(
            [(explore_words.NO_OTHER, "")], value="", label=explore_words.RUN_B, allow_custom_value=True, min_width=200
        )
        upload = gr.UploadButton(explore_words.UPLOAD, file_types=[".zip"], size="sm", scale=0, min_width=130)
        draw = gr.Button(explore_words.DRAW_FIGURES, size="sm", scale=0, min_width=110, visible=False)
        stop = gr.Button(explore_words.STOP_FIGURES, variant="stop", size="sm", scale=0, min_width=110, visible=False)
        figures = gr.DownloadButton(
            explore_words.DOWNLOAD_FIGURES, size="sm", scale=0, min_width=150, visible=False, elem_id="figures"
        )
    drawing = gr.HTML("", elem_id="drawing-figures")
    with gr.Row(elem_id="explored"):
        with gr.Column(min_width=0, elem_id="explored-pictures"):
            strip_ = gr.HTML("", js_on_load=(HERE / "scrub.js").read_text(encoding="utf-8"), elem_id="strip")
        with gr.Column(min_width=0, elem_id="explored-map"):
            empty = pictures.empty(explore_words.EMPTY)
            map_ = gr.HTML(empty, js_on_load=(HERE / "explore.js").read_text(encoding="utf-8"), elem_id="heat")
        with gr.Column(min_width=0, elem_id="explored-plots"):
            said = gr.HTML("", elem_id="explored-said")
            knock = gr.Button(explore_words.KNOCK_OUT, size="sm", visible=False, elem_id="knock-this")
            linked_ = gr.HTML("", elem_id="linked")
            against = gr.HTML("", elem_id="against")
    gr.HTML(study.section(), js_on_load=copy_button.SCRIPT, elem_id="study")
    chosen = gr.State({"step": 0, "site": ""})
    return Explore(
        run, other, upload, said, knock, map_, linked_, strip_, against, draw, stop, figures, drawing, chosen
    )


def views_of(run: Run | None, other: Run | None, chosen: dict) -> tuple[Any, ...]:
    """Pictures, map, sentence and plots of a run, and the figures' buttons, with nothing said of them yet."""
    if run is None or not views.usable(run.stats):
        said = pictures.empty(explore_words.EMPTY if run is None else run.note or explore_words.NO_STATISTICS)
        shown = "" if run is None else strip(run, other)
        return shown, said, "", "", gr.Button(visible=False), gr.DownloadButton(visible=False), ""
    step, site = existing(run, chosen)
    beside = other if other is not None and views.usable(other.stats) else None
    buttons = gr.Button(visible=True), gr.DownloadButton(visible=False)
    return strip(run, other), heat(run, step, site, beside), *linked(run, other, chosen), *buttons, ""


def pinned(page: "Page", run_id: str | None, other: str | None) -> Run | None:
    """The second run, if one is chosen that is not the first."""
    return page.find(other) if other and other != run_id else None


def choices(page: "Page", kept: Sequence[Remembered], run_id: str) -> list[tuple[str, str]]:
    """The runs that can be explored: this browser's, then the precomputed ones."""
    mine = [
        (words.run(item.get("prompt", ""), item.get("seed", 0), item.get("method", "")), item.get("id", ""))
        for item in remembered.listed(kept)
    ]
    shelf = [
        (f"{words.PRECOMPUTED}: {words.run(r.request.prompt, r.request.seed, r.request.method)}", key)
        for key, r in page.shelf.items()
    ]
    found = [*mine, *shelf]
    if run_id and run_id not in {key for _, key in found} and (run := page.find(run_id)) is not None:
        request = run.request
        found.insert(0, (words.run(request.prompt, request.seed, request.method), run_id))
    return found


def last(run: Run | None) -> int:
    """The last step's index."""
    return len(run.stats.timesteps) - 1 if run is not None and run.stats is not None else 0


def told(place: dict[str, str]) -> dict[str, Any]:
    """The selection that a link tells, see `links.PLACE`; `existing` ignores what this run does not have."""
    step, site = place.get("step", ""), place.get("site")
    return ({"step": int(step) - 1} if step.isdecimal() else {}) | ({"site": site} if site else {})


def clicked(chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Step and site that were clicked, as long as a site's name can be: the page keeps them."""
    step, site = chosen.get("step"), chosen.get("site")
    fits = isinstance(site, str) and len(site) <= MAX_NAME
    return {"step": step if type(step) is int else None, "site": site if fits else ""}


def existing(run: Run, chosen: dict) -> tuple[int, str | None]:
    """Step and site of a selection that came from a browser: what does not exist in this run is ignored."""
    step, site = chosen.get("step"), chosen.get("site")
    step = step if isinstance(step, int) and 0 <= step <= last(run) else last(run)
    known = {name: each for each in run.stats.sites for name in (each, name_of(each))}
    return step, known.get(site) if isinstance(site, str) else None


def to_take_out(run: Run | None, chosen: dict) -> str:
    """The chosen site as Intervene takes it, or nothing where none is chosen that can be taken out."""
    if run is None or not views.usable(run.stats):
        return ""
    _, site = existing(run, chosen)
    with suppress(ValueError):  # a site of another kind
        return named(site, run.stats.sites) if site else ""
    return ""


def linked(run: Run | None, other: Run | None, chosen: dict) -> tuple[str, str]:
    """The sentence and the plots for a selection."""
    if run is None or not views.usable(run.stats):
        return "", ""
    step, site = existing(run, chosen)
    return views.headline(run, step, site), views.views(run, step, site, other)


def overlap(page: "Page", run_id: str, other: str) -> str:
    """The overlap of two runs' masks, or why it cannot be shown."""
    if not other or other == run_id:
        return ""
    try:
        masks = [page.masks(run_id), page.masks(other)]
        if None in masks:
            return f'<p class="hint">{explore_words.NO_MASKS}</p>'
        rows = [{**row, "number": row["step"] + 1} for row in SPECS["run_overlap"].table(*masks)]
    except ValueError as error:
        return f'<p class="hint">{escape(str(error))}</p>'
    series = [("overlap", explore_words.OVERLAP_AB, "a"), ("chance", explore_words.CHANCE, "all")]
    how = {"xlabel": explore_words.STEP, "ylabel": explore_words.OVERLAP, "size": plots.SMALL}
    drawn = plots.lines(rows, series, x="number", **how)
    framed = plots.framed(explore_words.OVERLAP_AB, drawn, rows, "run_overlap")
    return f'<div class="plots small">{framed}</div>'


SPEC = TabSpec(name="explore", title="Explore", order=30, build=build, wide=True)
