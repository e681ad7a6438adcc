"""The Explore tab: which weights a finished run removed, where, when, and what that did."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from maskunet.records import Run
from maskunet.ui import words
from maskunet.ui.handlers import QUEUED, QUICK, picked, shows_a_run
from maskunet.ui.html import explore as views
from maskunet.ui.html import pictures, plots, study
from maskunet.ui.remembered import Remembered
from maskunet.ui.tabs.base import Part, TabSpec
from visualize import SPECS

if TYPE_CHECKING:
    from maskunet.ui.page import Page

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Explore(Part):
    """The tab's components; `chosen` is the selection, {"step": index, "site": name or ""}."""

    run: gr.Dropdown
    other: gr.Dropdown
    upload: gr.UploadButton
    said: gr.HTML
    heat: gr.HTML
    linked: gr.HTML
    strip: gr.HTML
    against: gr.HTML
    draw: gr.Button
    figures: gr.DownloadButton
    chosen: gr.State

    def wire(self, page: "Page") -> None:
        """The run on the stage is the one explored, until another is picked."""

        @shows_a_run
        def follow(run_id: str | None, kept: list[Remembered], other: str | None) -> tuple[Any, ...]:
            options = choices(page, kept, run_id)
            found = gr.Dropdown(choices=options, value=run_id or None)
            return found, gr.Dropdown(choices=[(words.NO_OTHER, ""), *options]), *opened(run_id, other)

        @shows_a_run
        def opened(run_id: str | None, other: str | None) -> tuple[Any, ...]:
            run = page.find(run_id)
            chosen = {"step": last(run), "site": ""}
            return *views_of(run, page.find(other), chosen), overlap(page, run_id, other), chosen

        @shows_a_run
        def select(run_id: str | None, other: str | None, event: gr.EventData) -> tuple[str, str, dict]:
            chosen = {name: picked(event).get(name) for name in ("step", "site")}
            return *linked(page.find(run_id), page.find(other), chosen), chosen

        @shows_a_run
        def pin(run_id: str | None, other: str | None, chosen: dict) -> tuple[str, str, str]:
            return *linked(page.find(run_id), page.find(other), chosen), overlap(page, run_id, other)

        @shows_a_run
        def take(path: str, kept: list[Remembered], other: str | None, request: gr.Request) -> tuple[Any, ...]:
            visitor = {"owner": request.session_hash, "address": request.client.host}
            return follow(page.studio.shelf.take(Path(path), **visitor), kept, other)

        @shows_a_run
        def figures(run_id: str) -> gr.DownloadButton:
            file = page.studio.shelf.figures(page.found(run_id))
            return gr.DownloadButton(value=str(file), visible=True)

        stage = [
            self.heat,
            self.said,
            self.linked,
            self.strip,
            self.draw,
            self.figures,
            self.against,
            self.chosen,
        ]
        everything = [self.run, self.other, *stage]
        page.shown.change(follow, [page.shown, page.kept, self.other], everything, **QUICK)
        self.run.input(opened, [self.run, self.other], stage, **QUEUED)
        self.other.input(pin, [self.run, self.other, self.chosen], [self.said, self.linked, self.against], **QUEUED)
        self.heat.select(
            select,
            [self.run, self.other],
            [self.said, self.linked, self.chosen],
            trigger_mode="always_last",
            **QUICK,
        )
        self.upload.upload(take, [self.upload, page.kept, self.other], everything, **QUEUED)
        self.draw.click(figures, self.run, self.figures, **{**QUEUED, "show_progress": "full"})


def build(page: "Page", tab: gr.Tab) -> Explore:
    """Draw the tab."""
    with gr.Row(elem_id="picker"):
        run = gr.Dropdown([], label=words.RUN_A, allow_custom_value=True, min_width=260)
        other = gr.Dropdown([(words.NO_OTHER, "")], value="", label=words.RUN_B, allow_custom_value=True, min_width=260)
        upload = gr.UploadButton(words.UPLOAD, file_types=[".zip"], size="sm", scale=0, min_width=130)
    said = gr.HTML("")
    heat = gr.HTML(pictures.empty(words.EMPTY_EXPLORE), js_on_load=(HERE / "explore.js").read_text(), elem_id="heat")
    linked_ = gr.HTML("", elem_id="linked")
    against = gr.HTML("", elem_id="against")
    strip = gr.HTML("", js_on_load=(HERE / "scrub.js").read_text(), elem_id="strip")
    with gr.Row(elem_id="figures-row"):
        draw = gr.Button(words.DRAW_FIGURES, size="sm", visible=False)
        figures = gr.DownloadButton(words.DOWNLOAD_FIGURES, size="sm", visible=False)
    gr.HTML(study.section(), elem_id="study")
    return Explore(
        run,
        other,
        upload,
        said,
        heat,
        linked_,
        strip,
        against,
        draw,
        figures,
        gr.State({"step": 0, "site": ""}),
    )


def views_of(run: Run | None, other: Run | None, chosen: dict) -> tuple[Any, ...]:
    """Map, linked views, strip and the figures' buttons of a run."""
    if run is None or not views.usable(run.stats):
        said = pictures.empty(words.EMPTY_EXPLORE if run is None else run.note or words.NO_STATISTICS)
        rest = "" if run is None else views.strip(run)
        return said, "", "", rest, gr.Button(visible=False), gr.DownloadButton(visible=False)
    drawn = views.heat(run, chosen["step"], chosen["site"] or None)
    buttons = gr.Button(visible=True), gr.DownloadButton(visible=False)
    return drawn, *linked(run, other, chosen), views.strip(run), *buttons


def choices(page: "Page", kept: Sequence[Remembered], run_id: str) -> list[tuple[str, str]]:
    """The runs that can be explored: this browser's, then the precomputed ones."""
    mine = [
        (words.run(item.get("prompt", ""), item.get("seed", 0), item.get("method", "")), item.get("id", ""))
        for item in kept
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


def linked(run: Run | None, other: Run | None, chosen: dict) -> tuple[str, str]:
    """The sentence and the views for a selection that came from a browser: what does not exist in this run is ignored."""
    if run is None or not views.usable(run.stats):
        return "", ""
    step, site = chosen.get("step"), chosen.get("site")
    step = step if isinstance(step, int) and 0 <= step <= last(run) else last(run)
    site = site if site in run.stats.sites else None
    return views.headline(run, step, site), views.views(run, step, site, other)


def overlap(page: "Page", run_id: str, other: str) -> str:
    """The overlap of two runs' masks, or why it cannot be shown."""
    if not other or other == run_id:
        return ""
    try:
        masks = [page.masks(run_id), page.masks(other)]
        if None in masks:
            return f'<p class="hint">{words.NO_MASKS}</p>'
        rows = [{**row, "number": row["step"] + 1} for row in SPECS["run_overlap"].table(*masks)]
    except ValueError as error:
        return f'<p class="hint">{escape(str(error))}</p>'
    series = [("overlap", words.OVERLAP_AB, "a"), ("chance", words.CHANCE, "all")]
    drawn = plots.lines(rows, series, x="number", xlabel=words.STEP, ylabel=words.OVERLAP)
    return plots.framed(words.OVERLAP_AB, drawn, rows, "run_overlap", words.OVERLAP_HINT)


SPEC = TabSpec(name="explore", title="Explore", order=30, build=build)
