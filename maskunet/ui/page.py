"""The page: a header, the controls, and the tabs that are found; the run on the stage, and the job that goes on."""

import math
import time
from collections.abc import Iterator
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from maskunet.records import JobEvent, MaskSet, Run
from maskunet.runs import run_folder
from maskunet.ui import controls, fold, gallery, groups, lightbox, remembered, story, tabs, words
from maskunet.ui.handlers import QUEUED, QUICK, Blocks, shows_a_run
from maskunet.ui.html import live
from maskunet.ui.remembered import Remembered
from maskunet.ui.server import endpoint, grid_endpoint
from maskunet.ui.studio import Studio
from maskunet.ui.tabs.base import Part, Stage

CSS = sorted(Path(__file__).parent.rglob("*.css"))  # of the page and, beside them, of its parts
STORE = {"secret": "maskunet-lab", "storage_key": "maskunet-lab-{}"}  # fixed, or a restart forgets
PACE = 0.5  # seconds between two pictures of a job at least: drawing them takes a core from the work itself
ADDRESS = "http://127.0.0.1:7860"  # where a page is found by default
DELETE_CACHE = (3600, 6 * 3600)  # look every hour for files older than six


def theme() -> gr.Theme:
    """System fonts, neutral grays, one accent: no request to another server."""
    fonts = ["system-ui", "-apple-system", "Segoe UI", "Helvetica Neue", "Arial", "sans-serif"]
    mono = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"]
    return gr.themes.Base(
        primary_hue="teal", neutral_hue="zinc", radius_size="md", text_size="md", font=fonts, font_mono=mono
    ).set(
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700",
        button_primary_text_color="white",
        block_border_width="0px",
        block_shadow="none",
        block_background_fill="transparent",
        block_label_background_fill="transparent",
        body_background_fill="white",
        body_background_fill_dark="*neutral_950",
    )


def build(studio: Studio, shelf: dict[str, Run] | None = None, address: str = ADDRESS) -> Blocks:
    """Build the page over a Studio; `shelf` are the precomputed runs, by default the gallery's.

    `address` is where programs find the page.
    """
    page = Page(studio, gallery.load() if shelf is None else shelf, address)
    with Blocks(title=words.TITLE, analytics_enabled=False, delete_cache=DELETE_CACHE) as demo:
        page.draw(demo)
        _still(demo)
        demo.guard()
    return demo


def _still(demo: gr.Blocks) -> None:
    """Let no hidden progress move: gradio counts its time 60 times a second for each output, and for some for ever."""
    nowhere = gr.State()
    for event in demo.fns.values():
        if event.show_progress == "hidden":
            event.show_progress_on = [nowhere]


class Page:
    """The components of one page and the handlers between them; plain values only, no model.

    Attributes:
        titles: of models, methods and rewards, by name. presets: of the methods. weights: of the rewards.
        address: where programs find the page.
        parts: what the tabs have drawn.
        shown: the id of the run on the stage. kept: the runs that this browser remembers.
        restored: the event after which the page has its browser's id and what its link says.
    """

    def __init__(self, studio: Studio, shelf: dict[str, Run], address: str = ADDRESS):
        self.studio, self.shelf, self.address = studio, shelf, address
        self.models, self.methods = studio.cards(), studio.methods()
        self.presets = {card.name: card.presets for card in self.methods}
        self.titles = {card.name: card.title for card in (*self.models, *self.methods, *studio.rewards())}
        self.weights = {card.name: card.weight for card in studio.rewards()}

    def draw(self, demo: gr.Blocks) -> None:
        """Lay out everything and wire it."""
        self.demo = demo
        self.owner, self.job, self.kept = (
            gr.BrowserState(empty, secret=STORE["secret"], storage_key=STORE["storage_key"].format(name))
            for name, empty in (("owner", ""), ("job", {}), ("runs", []))
        )
        self.shown = gr.State("")
        self.head = gr.HTML(self.header(), elem_id="header")
        with gr.Row(elem_id="columns"):
            with gr.Column(scale=0, min_width=300, elem_id="controls"):
                self.c = controls.build(self.studio, self.models, self.methods, self.titles)
            with gr.Column(scale=1, min_width=300, elem_id="stage"):
                fold.build()
                with gr.Tabs(elem_id="tabs") as self.tabs:
                    self.parts = list(self._parts())
        lightbox.build()
        story.build(self)
        endpoint.build(self.studio)
        grid_endpoint.build(self.studio)
        self._wire()

    def _parts(self) -> Iterator[Part]:
        """Draw the tabs that this studio's page has, in their order."""
        for spec in sorted(tabs.SPECS.values(), key=lambda spec: spec.order):
            if spec.offered(self.studio):
                with gr.Tab(spec.title, id=spec.name, elem_classes="wide" if spec.wide else None) as tab:
                    yield spec.build(self, tab)

    def _wire(self) -> None:
        c = self.c
        started = gr.on(
            [c.generate.click, c.prompt.submit],
            self.start,
            [*c.inputs(), self.owner],
            [self.job, self.owner, c.status, c.generate],
            **QUEUED,
        )
        self._follow(started.success)
        c.stop.click(self.stop, self.job, c.status, **QUICK)  # which never waits
        fields = [self.owner, *self.link_fields()]
        self.restored = self.demo.load(self.restore, [self.owner], fields, **QUICK)
        self._follow(self.restored.then)
        added = c.wire(self.models, self.methods, self.titles)
        groups.wire(self.studio, self.methods, c, [added, self.restored])
        for part in self.parts:
            part.wire(self)

    def _follow(self, after: Any) -> None:
        """Begin, watch, end. Gradio makes anew every component that it is told to change or to leave as it is, which
        takes a core from the work itself; so what it is told while a job goes on is a few words and pictures alone.
        """
        c = self.c
        every = [c.status, c.generate, c.stop, self.head, *self.staged(), self.shown, self.kept]
        moving = [c.status, self.head, *(each for part in self.parts for each in part.moving())]
        self.unchanged, self.unmoved = (gr.skip(),) * len(every), (gr.skip(),) * len(moving)
        begun = after(self.begin, [self.job, self.kept], every, **QUEUED)
        watched = begun.then(self.watch, self.job, moving, **QUEUED)
        watched.then(self.end, [self.job, self.kept], every, **QUEUED)

    def staged(self) -> list[Any]:
        """The components of all tabs that follow the stage."""
        return [each for part in self.parts for each in part.staged()]

    def stage(self, stage: Stage) -> Iterator[Any]:
        """Their values."""
        return (value for part in self.parts for value in part.show(stage))

    def link_fields(self) -> list[Any]:
        """What a link can set."""
        c = self.c
        return [c.prompt, c.negative, c.seed, c.model, c.method, c.preset]

    def header(self) -> str:
        """Name, one sentence, and the machine in chips."""
        status = self.studio.status()
        busy = "idle" if not status.running else f"busy, {status.waiting} waiting"
        chips = (
            ("Model", self.titles.get(status.model, status.model)),
            ("Device", f"{status.device}, {status.dtype}"),
            ("Queue", busy),
        )
        items = "".join(f"<li><span>{name}</span>{escape(value)}</li>" for name, value in chips)
        return (
            f"<header><div><h1>{words.TITLE}</h1><p>{words.TAGLINE}</p></div>"
            f"<ul>{items}<li>{story.BUTTON}</li></ul></header>"
        )

    def start(self, visitor: gr.Request, *values: Any) -> tuple[Any, ...]:
        """Queue what the controls say; the job's id goes to the browser, so that a reload finds it."""
        *fields, owner = values
        owner = remembered.owner(owner)
        asked = controls.request(controls.Values(*fields))
        if asked.preset not in self.presets.get(asked.method, ()):
            asked = replace(asked, preset="")  # the method changed a moment ago: its default
        job_id = self.studio.start(asked, owner=owner, address=visitor.client.host)
        started = '<div class="status">…</div>'
        return remembered.job(job_id, asked), owner, started, gr.Button(interactive=False)

    def stop(self, job: Remembered) -> str:
        """Ask the job to end after its current update; beside gradio's queue, which tells no refusals."""
        said = "Stopping after this update…"
        try:
            self.studio.stop(job.get("id", ""))
        except ValueError as error:
            said = escape(str(error))
        return f'<div class="status" role="status">{said}</div>'

    def restore(self, owner: str | None, request: gr.Request) -> tuple[Any, ...]:
        """Give this browser an id, and fill in what its link says; nothing runs."""
        query = dict(request.query_params) if request else {}
        owner = remembered.owner(owner)
        names = ("prompt", "negative_prompt", "seed", "model", "method", "preset")
        fields = [gr.skip() if query.get(name) is None else query[name] for name in names]
        if query.get("seed") is not None:
            fields[2] = query["seed"] if query["seed"].isdecimal() and len(query["seed"]) <= 20 else gr.skip()
        if query.get("model") not in {card.name for card in self.models}:
            fields[3] = gr.skip()
        method = query.get("method")
        if method not in self.presets:
            fields[4] = fields[5] = gr.skip()
        else:
            preset = query.get("preset")
            preset = preset if preset in self.presets[method] else next(iter(self.presets[method]))
            fields[5] = gr.Dropdown(choices=list(self.presets[method]), value=preset)
        return owner, *fields

    @shows_a_run
    def begin(self, job: Remembered, kept: list[Remembered]) -> tuple[Any, ...]:
        """Make room for a job that goes on, also after a reload; without any job, the first precomputed pair."""
        event = self.now(job)
        if event is None:
            return self.idle(kept)
        return self.unchanged if live.over(event) else self.moment(event, self.watcher(job), kept)

    def watch(self, job: Remembered) -> Iterator[tuple[Any, ...]]:
        """Show a job from now to its end; what became of it is for `end`."""
        watcher, shown = self.watcher(job), -math.inf
        for event in self.studio.events(job["id"]) if self.now(job) else ():
            first = watcher.see(event)
            due = first or live.over(event) or time.monotonic() - shown >= PACE
            if due and event.run is None:
                moved = (value for part in self.parts for value in part.move(event, watcher))
                yield live.status(event), self.header(), *moved
                shown = time.monotonic()
        if shown < 0:  # no value at all would empty what it should leave
            yield self.unmoved

    @shows_a_run
    def end(self, job: Remembered, kept: list[Remembered]) -> tuple[Any, ...]:
        """Put what became of a job on the stage."""
        event = self.now(job)
        return self.unchanged if event is None else self.moment(event, self.watcher(job), kept)

    def now(self, job: Remembered) -> JobEvent | None:
        """A job's newest event; None if there is no job, or it is gone."""
        try:
            return self.studio.now(job["id"]) if job.get("id") else None
        except ValueError:
            return None

    def watcher(self, job: Remembered) -> live.Watcher:
        """What follows this job, or none."""
        return live.Watcher(*(job.get(name, "") for name in ("prompt", "model", "method")), self.titles, self.weights)

    def idle(self, kept: list[Remembered]) -> tuple[Any, ...]:
        """Nothing runs: the first precomputed pair, or words."""
        run = next(iter(self.shelf.values()), None)
        stage = Stage(run=run, precomputed=True, kept=kept)
        return *self._outer("", over=True), *self.stage(stage), run.id if run else "", kept

    def moment(self, event: JobEvent, watcher: live.Watcher, kept: list[Remembered]) -> tuple[Any, ...]:
        """Every output for one event."""
        if event.run is not None:
            kept = remembered.with_run(kept, event.run)
            run = self.find(event.run.id) or event.run  # from the disk, with its steps
            stage = Stage(run=run, kept=kept)
            return *self._outer(live.status(event), over=True), *self.stage(stage), run.id, kept
        watcher.see(event)
        stage = Stage(event=event, watcher=watcher, kept=kept)
        outer = self._outer(live.status(event), live.over(event))
        return *outer, *self.stage(stage), gr.skip(), gr.skip()

    def _outer(self, status: str, over: bool) -> tuple[Any, ...]:
        """The line under the buttons, both buttons, the header."""
        return status, gr.Button(interactive=over), gr.Button(visible=not over), self.header()

    def find(self, run_id: str) -> Run | None:
        """A run by id, from the gallery or the studio; None if it is gone."""
        if run_id in self.shelf:
            return self.shelf[run_id]
        try:
            return self.studio.run(run_id)
        except ValueError:
            return None

    def found(self, run_id: str) -> Run:
        """A run by id.

        Raises:
            ValueError: it is gone.
        """
        run = self.find(run_id)
        if run is None:
            raise ValueError(words.GONE)
        return run

    def masks(self, run_id: str) -> MaskSet | None:
        """The masks a run kept, or None."""
        folder = gallery.folder(run_id) if run_id in self.shelf else None
        return self.studio.shelf.masks(run_id) if folder is None else run_folder.masks(folder)

    @shows_a_run
    def show(self, run_id: str) -> tuple[Any, ...]:
        """Put a run on the stage: the values of `staged` and `shown`."""
        stage = Stage(run=self.found(run_id), precomputed=run_id in self.shelf)
        return *self.stage(stage), run_id
