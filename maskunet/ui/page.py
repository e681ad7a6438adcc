"""The page: a header, the controls, and the tabs that are found; the run on the stage, and the job that goes on."""

import math
import time
from collections.abc import Iterator
from typing import Any

import gradio as gr

from maskunet.records import JobEvent, MaskSet, Request, Run
from maskunet.runs import run_folder
from maskunet.ui import (
    column,
    controls,
    fold,
    gallery,
    groups,
    lightbox,
    links,
    opening_words,
    remembered,
    story,
    tabs,
    windows,
    words,
)
from maskunet.ui.handlers import QUEUED, QUICK, Blocks, picked, shows_a_run
from maskunet.ui.html import live
from maskunet.ui.html import status as status_line
from maskunet.ui.html.header import header
from maskunet.ui.remembered import Remembered
from maskunet.ui.server import endpoint, grid_endpoint, video_endpoint
from maskunet.ui.studio import Studio
from maskunet.ui.tabs.base import Part, Stage, press_start

STORE = {"secret": "maskunet-lab", "storage_key": "maskunet-lab-{}"}  # fixed, or a restart forgets
PACE = 0.5  # seconds between two pictures of a job at least: drawing them takes a core from the work itself
ADDRESS = "http://127.0.0.1:7860"  # where a page is found by default
FORGET_LINK = """() => {
  const theme = new URLSearchParams(location.search).get('__theme');
  history.replaceState(null, '', location.pathname + (theme ? `?__theme=${theme}` : ''));
}"""
DELETE_CACHE = (3600, 6 * 3600)  # look every hour for files older than six


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
        offered: the tabs that this studio's page has, in their order. parts: what they have drawn.
        shown: the id of the run on the stage. kept, grid, video: the runs, the newest grid and video that this browser
            remembers. heard: the runs, as another of its windows has changed them.
        place: what a link says of where to look, see `links.PLACE`, and its prompt; empty without one.
        wish: what one tab asks Intervene to take out, {"what": a selection, "asked": any new text}.
        video_query: what a link to the newest video says.
        late: what the form is to say, where that is known only when the run was found.
        arrived: the job that a loaded page is to follow, also when another one has been started since.
        restored: the event after which the page has its browser's id and what its link says.
    """

    def __init__(self, studio: Studio, shelf: dict[str, Run], address: str = ADDRESS):
        self.studio, self.shelf, self.address = studio, shelf, address
        self.models, self.methods = studio.cards(), studio.methods()
        self.offered = {spec.name: spec for spec in sorted(tabs.SPECS.values(), key=lambda spec: spec.order)}
        self.offered = {name: spec for name, spec in self.offered.items() if spec.offered(studio)}
        self.presets = {card.name: card.presets for card in self.methods}
        self.titles = {card.name: card.title for card in (*self.models, *self.methods, *studio.rewards())}
        self.weights = {card.name: card.weight for card in studio.rewards()}

    def draw(self, demo: gr.Blocks) -> None:
        """Lay out everything and wire it."""
        self.demo = demo
        self.owner, self.job, self.kept, self.grid, self.video = (
            gr.BrowserState(empty, secret=STORE["secret"], storage_key=STORE["storage_key"].format(name))
            for name, empty in (("owner", ""), ("job", {}), ("runs", []), ("grid", ""), ("video", ""))
        )
        self.shown, self.place, self.late, self.arrived = gr.State(""), gr.State({}), gr.State({}), gr.State({})
        self.wish, self.video_query = gr.State({}), gr.Textbox(visible=False)
        with gr.Row(elem_id="top"):
            self.head = gr.HTML(self.header(), elem_id="header")
            self.copy = gr.Button(words.COPY_LINK, size="sm", scale=0, min_width=0, elem_id="copy-link")
        with gr.Row(elem_id="columns"):
            with gr.Column(scale=0, min_width=300, elem_id="controls"):
                self.c = column.build(self.studio, self.models, self.methods, self.titles, self.shelf)
            with gr.Column(scale=1, min_width=300, elem_id="stage"):
                fold.form()
                with gr.Tabs(elem_id="tabs") as self.tabs:
                    self.parts = list(self._parts())
        lightbox.build()
        self.heard = windows.build(self.kept)
        story.build(self)
        endpoint.build(self.studio)
        grid_endpoint.build(self.studio)
        video_endpoint.build(self.studio)
        self._wire()

    def _parts(self) -> Iterator[Part]:
        """Draw the tabs that this studio's page has, in their order."""
        for spec in self.offered.values():
            looks = [name for name, so in (("wide", spec.wide), ("own-start", spec.starts)) if so]
            with gr.Tab(spec.title, id=spec.name, elem_classes=looks) as tab:
                yield spec.build(self, tab)

    def _wire(self) -> None:
        c = self.c
        begun = [self.job, self.owner, self.place, c.status, c.generate]
        started = c.generate.click(self.start, [*c.inputs(), self.owner], begun, **QUEUED)
        c.prompt.submit(None, None, None, js=press_start(self.offered.values()), api_visibility="private")
        self._follow(started.success)
        c.stop.click(self.stop, self.job, c.status, **QUICK)  # which never waits
        filled = [*c.filled(), self.tabs]
        self.restored = self.demo.load(self.restore, [self.owner, self.job], [self.owner, self.place, *filled], **QUICK)
        self.late.change(c.fill, self.late, c.filled(), **QUICK)
        self._follow(self.restored.then, arriving=True)
        opened = c.examples.select(self.open_example, None, self.opening(), **QUEUED)
        for begun in (started, opened):
            self.forget_link(begun)
        added = c.wire()
        groups.wire(self.studio, self.methods, c, [added, self.restored], self.shown)
        for part in self.parts:
            part.wire(self)

    def forget_link(self, event: Any) -> None:
        """Once this has begun something else, a reload must not bring the link back."""
        event.success(None, None, None, js=FORGET_LINK, api_visibility="private")

    def _follow(self, after: Any, arriving: bool = False) -> None:
        """Begin, or `arrive`, then watch, end. Gradio makes anew every component that it is told to change or to leave as it is, which
        takes a core from the work itself; so what it is told while a job goes on is a few words and pictures alone.
        """
        c = self.c
        every = [c.status, c.generate, c.stop, self.head, *self.staged(), self.shown, self.kept]
        moving = [c.status, self.head, *(each for part in self.parts for each in part.moving())]
        self.unchanged, self.unmoved = (gr.skip(),) * len(every), (gr.skip(),) * len(moving)
        job = self.arrived if arriving else self.job
        if arriving:
            begun = after(self.arrive, [self.job, self.kept, self.place], [*every, self.late, job], **QUEUED)
        else:
            begun = after(self.begin, [job, self.kept], every, **QUEUED)
        watched = begun.then(self.watch, job, moving, **QUEUED)
        watched.then(self.end, [job, self.kept, self.shown], every, **QUEUED)

    def staged(self) -> list[Any]:
        """The components of all tabs that follow the stage."""
        return [each for part in self.parts for each in part.staged()]

    def stage(self, stage: Stage) -> Iterator[Any]:
        """Their values."""
        return (value for part in self.parts for value in part.show(stage))

    def header(self) -> str:
        """Name, one sentence, and the machine in chips."""
        return header(self.studio.status(), story.BUTTON)

    def request(self, values: controls.Values) -> Request:
        """What the form says.

        Raises:
            ValueError: a value is out of range.
        """
        known = values.preset in self.presets.get(values.method, ())
        return controls.request(values if known else values._replace(preset=""))  # the method changed a moment ago

    def start(self, visitor: gr.Request, *values: Any) -> tuple[Any, ...]:
        """Queue what the controls say; the job's id goes to the browser, so that a reload finds it."""
        *fields, owner = values
        owner = remembered.owner(owner)
        asked = self.request(controls.Values(*fields))
        job_id = self.studio.start(asked, owner=owner, address=visitor.client.host)
        return remembered.job(job_id, asked), owner, {}, status_line.STARTED, gr.Button(interactive=False)

    def stop(self, job: Remembered) -> str:
        """Ask the job to end after its current update; beside gradio's queue, which tells no refusals."""
        said = "Stopping after this update…"
        try:
            self.studio.stop(job.get("id", ""))
        except ValueError as error:
            said = str(error)
        return status_line.said(said)

    def restore(self, owner: str | None, job: Remembered, request: gr.Request) -> tuple[Any, ...]:
        """Give this browser an id, and fill in what its link says, or else its last job; nothing runs."""
        asked, place = links.read(dict(request.query_params) if request else {})
        tab = gr.Tabs(selected=place["tab"]) if place.get("tab") in self.offered else gr.skip()
        if asked or place:
            place = {"prompt": asked.get("prompt", ""), **place}  # never empty, also where it names no place
        else:
            asked, _ = links.read(str(job.get("query", "")))
        return remembered.owner(owner), place, *self.c.fill(asked), tab

    @shows_a_run
    def arrive(self, job: Remembered, kept: list[Remembered], place: dict[str, str]) -> tuple[Any, ...]:
        """What a page that was just loaded shows: its link's run, or what its browser did last, which it goes on to follow.

        Of the form only what `restore` could not know, lest it changes under somebody's hands.
        """
        event = self.now(job)
        goes_on = event is not None and not live.over(event)
        if not place.get("run") and not place.get("prompt"):  # such as of a tab alone
            gone = bool(job.get("query")) and event is None
            run = next(iter(self.shelf.values()), None) if gone else None
            drawn = self.idle(kept) if event is None else self.moment(event, self.watcher(job), kept)
            return *drawn, self.asked(run) if run else gr.skip(), job if goes_on else {}
        if event is not None and event.run is not None:
            kept = remembered.with_run(kept, event.run)
        run = self.find(place.get("run", ""))
        said = opening_words.LINK_GONE if run is None and "run" in place else ""
        stage = Stage(run=run, precomputed=place.get("run") in self.shelf, kept=kept)
        # Its own job, which is not shown here, can be stopped all the same: until it ends no other one may begin.
        outer = (status_line.said(said), gr.Button(interactive=True), gr.Button(visible=goes_on), self.header())
        late = self.asked(run) if run and run.request.prompt != place["prompt"] else gr.skip()
        return *outer, *self.stage(stage), run.id if run else "", kept, late, {}

    @shows_a_run
    def begin(self, job: Remembered, kept: list[Remembered]) -> tuple[Any, ...]:
        """Make room for a job that was started, unless it is over already."""
        event = self.now(job)
        return self.unchanged if event is None or live.over(event) else self.moment(event, self.watcher(job), kept)

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
    def end(self, job: Remembered, kept: list[Remembered], shown: str = "") -> tuple[Any, ...]:
        """Put what became of a job on the stage; where there is no picture of it, the run that stood there before."""
        event = self.now(job)
        before = self.find(shown) if event and live.over(event) and event.run is None else None
        if before is None:
            return self.unchanged if event is None else self.moment(event, self.watcher(job), kept)
        stage = Stage(run=before, precomputed=shown in self.shelf, kept=kept)
        return *self._outer(live.status(event, words.RESTORED), over=True), *self.stage(stage), shown, kept

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

    def opening(self) -> list[Any]:
        """The components that `open` has values for: whatever speaks of the run on the stage."""
        return [*self.staged(), self.shown, self.place, self.c.status, *self.c.filled()]

    @shows_a_run
    def show(self, run_id: str) -> tuple[Any, ...]:
        """Put a run on the stage: the values of `staged` and `shown`."""
        stage = Stage(run=self.found(run_id), precomputed=run_id in self.shelf)
        return *self.stage(stage), run_id

    @shows_a_run
    def open(self, run_id: str) -> tuple[Any, ...]:
        """Put a run on the stage, and what it was asked with into the form."""
        return *self.show(run_id), {}, "", *self.c.fill(self.asked(self.found(run_id)))

    @shows_a_run
    def open_example(self, event: gr.EventData) -> tuple[Any, ...]:
        """Open the precomputed run whose chip was clicked."""
        return self.open(str(picked(event).get("run", "")))

    def asked(self, run: Run) -> dict[str, Any]:
        """What the form said when this run was asked for, see `links.fields`."""
        return links.fields(self.studio.as_made(run.request, run.settings))
