"""The page: a header, the controls, tabs that look at one run, at sets of pictures, and at a training."""

import math
import secrets
import time
from collections.abc import Iterator
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from maskunet.records import JobEvent, MaskSet, Run, Status
from maskunet.runs import run_folder
from maskunet.ui import controls, gallery, groups, words
from maskunet.ui.handlers import QUICK, WATCHED
from maskunet.ui.html import live, pictures
from maskunet.ui.server import endpoint
from maskunet.ui.tabs import about, compare, explore, features, history, optimize, race, train

CSS = sorted(Path(__file__).parent.rglob("*.css"))  # of the page and, beside them, of its parts
STORE = {"secret": "maskunet-lab", "storage_key": "maskunet-lab-{}"}  # fixed, or a restart forgets
PACE = 0.5  # seconds between two pictures of a job at least: drawing them takes a core from the work itself
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


def build(studio: Any, shelf: dict[str, Run] | None = None) -> gr.Blocks:
    """Build the page over a Studio; `shelf` are the precomputed runs, by default the gallery's."""
    page = Page(studio, gallery.load() if shelf is None else shelf)
    with gr.Blocks(title=words.TITLE, analytics_enabled=False, delete_cache=DELETE_CACHE) as demo:
        page.draw(demo)
        _still(demo)
    return demo


def _still(demo: gr.Blocks) -> None:
    """Let no hidden progress move: gradio counts its time 60 times a second for each output, and for some for ever."""
    nowhere = gr.State()
    for event in demo.fns.values():
        if event.show_progress == "hidden":
            event.show_progress_on = [nowhere]


class Page:
    """The components of one page and the handlers between them; plain values only, no model."""

    def __init__(self, studio: Any, shelf: dict[str, Run]):
        self.studio, self.shelf = studio, shelf
        self.models, self.methods = studio.cards(), studio.methods()
        self.presets = {card.name: card.presets for card in self.methods}
        self.titles = {card.name: card.title for card in (*self.models, *self.methods, *studio.rewards())}

    def draw(self, demo: gr.Blocks) -> None:
        """Lay out everything and wire it."""
        owner = gr.BrowserState("", secret=STORE["secret"], storage_key=STORE["storage_key"].format("owner"))
        job = gr.BrowserState({}, secret=STORE["secret"], storage_key=STORE["storage_key"].format("job"))
        kept = gr.BrowserState([], secret=STORE["secret"], storage_key=STORE["storage_key"].format("runs"))
        shown = gr.State("")
        self.head = gr.HTML(self.header(), elem_id="header")
        with gr.Row(elem_id="columns"):
            with gr.Column(scale=0, min_width=300, elem_id="controls"):
                self.c = controls.build(self.studio, self.models, self.methods, self.titles)
            with gr.Column(scale=1, min_width=300, elem_id="stage"), gr.Tabs(elem_id="tabs") as tabs:
                with gr.Tab("Compare", id="compare"):
                    self.compare = compare.build(self.studio, self.shelf)
                with gr.Tab("Optimize", id="optimize"):
                    self.optimize = optimize.build()
                with gr.Tab("Explore", id="explore"):
                    self.explore = explore.build()
                with gr.Tab(words.RACE, id="race"):
                    race.build(self.titles)
                with gr.Tab(words.FEATURES, id="features"):
                    self.features = features.build(self.studio.features)
                if self.studio.training is not None:
                    with gr.Tab(words.TRAIN, id="train"):
                        self.train = train.build(self.studio.training)
                with gr.Tab("History", id="history"):
                    self.history = history.build()
                with gr.Tab("About", id="about") as tab:
                    about.build(self.studio, self.models, tab)
        endpoint.build(self.studio)
        restored = self._wire(demo, owner, job, kept, shown)
        if self.studio.training is not None:
            self.train.wire(restored, self, tabs)

    def _wire(self, demo, owner, job, kept, shown) -> Any:
        """Returns the event after which the page has its browser's id and what its link says."""
        c = self.c
        watched = [
            c.status, c.generate, c.stop, self.head, *self.compare.live(), self.optimize.view, *self.optimize.files(),
            shown, kept, self.history.grid,
        ]  # fmt: skip
        started = gr.on(
            [c.generate.click, c.prompt.submit], self.start, [*c.inputs(), owner], [job, owner, c.status, c.generate],
            **WATCHED,
        )  # fmt: skip
        self._follow(started.success, job, kept, watched)
        c.stop.click(self.stop, job, c.status, **WATCHED)
        restored = demo.load(self.restore, [owner], [owner, *self.link_fields()], **QUICK)
        self._follow(restored.then, job, kept, watched)
        for trigger in self.compare.picks:
            trigger[0].click(self.show, gr.State(trigger[1]), [*self.compare.live(), shown], **WATCHED)
        self.compare.wire(c, shown, self.find)
        self.explore.wire(self, shown, kept)
        self.features.wire(demo)
        added = c.wire(self.models, self.methods, self.titles)
        groups.wire(self.studio, self.methods, c, [added, restored])
        self.history.wire(self, kept, shown, self.compare.live(), self.optimize)
        return restored

    def _follow(self, after: Any, job: Any, kept: Any, watched: list[Any]) -> None:
        """Begin, watch, end. Gradio makes anew every component that it is told to change or to leave as it is, which
        takes a core from the work itself; so what it is told while a job goes on is a few words and pictures alone.
        """
        self.unchanged = (gr.skip(),) * len(watched)
        moving = [self.c.status, self.head, self.compare.running, self.optimize.view]
        begun = after(self.begin, [job, kept], watched, **WATCHED)
        begun.then(self.watch, job, moving, **WATCHED).then(self.end, [job, kept], watched, **WATCHED)

    def link_fields(self) -> list[Any]:
        """What a link can set."""
        c = self.c
        return [c.prompt, c.negative, c.seed, c.model, c.method, c.preset]

    def header(self) -> str:
        """Name, one sentence, and the machine in chips."""
        status: Status = self.studio.status()
        busy = "idle" if not status.running else f"busy, {status.waiting} waiting"
        chips = (
            ("Model", self.titles.get(status.model, status.model)),
            ("Device", f"{status.device}, {status.dtype}"),
            ("Queue", busy),
        )
        items = "".join(f"<li><span>{name}</span>{escape(value)}</li>" for name, value in chips)
        return f"<header><div><h1>{words.TITLE}</h1><p>{words.TAGLINE}</p></div><ul>{items}</ul></header>"

    def start(self, visitor: gr.Request, *values: Any) -> tuple[Any, ...]:
        """Queue what the controls say; the job's id goes to the browser, so that a reload finds it."""
        *fields, owner = values
        owner = owner or secrets.token_hex(8)
        try:
            asked = controls.request(controls.Values(*fields))
            if asked.preset not in self.presets.get(asked.method, ()):
                asked = replace(asked, preset="")  # the method changed a moment ago: its default
            job_id = self.studio.start(asked, owner=owner, address=visitor.client.host)
            job = {"id": job_id, "prompt": asked.prompt}
            job |= {"model": asked.model, "method": asked.method}
        except ValueError as error:
            raise gr.Error(escape(str(error)), print_exception=False) from error
        return job, owner, '<div class="status">…</div>', gr.Button(interactive=False)

    def stop(self, job: dict) -> str:
        """Ask the job to end after its current update."""
        try:
            self.studio.stop(job["id"])
        except ValueError as error:
            raise gr.Error(escape(str(error)), print_exception=False) from error
        return '<div class="status" role="status">Stopping after this update…</div>'

    def restore(self, owner: str, request: gr.Request) -> tuple[Any, ...]:
        """Give this browser an id, and fill in what its link says; nothing runs."""
        query = dict(request.query_params) if request else {}
        owner = owner or secrets.token_hex(8)
        names = ("prompt", "negative_prompt", "seed", "model", "method", "preset")
        fields = [gr.skip() if query.get(name) is None else query[name] for name in names]
        if query.get("seed") is not None:
            fields[2] = (
                int(query["seed"]) if query["seed"].isdecimal() and len(query["seed"]) < 11 else gr.skip()
            )
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

    def begin(self, job: dict, kept: list[dict]) -> tuple[Any, ...]:
        """Make room for a job that goes on, also after a reload; without any job, the first precomputed pair."""
        event = next(self.events(job), None)
        if event is None:
            return self.idle(kept)
        return self.unchanged if live.over(event) else self.moment(event, self.watcher(job), kept)

    def watch(self, job: dict) -> Iterator[tuple[Any, ...]]:
        """Show a job from now to its end; what became of it is for `end`."""
        watcher, shown = self.watcher(job), -math.inf
        for event in self.events(job):
            first = watcher.see(event)
            due = first or live.over(event) or time.monotonic() - shown >= PACE
            if due and event.run is None:
                pair = watcher.pair()
                yield live.status(event), self.header(), pair, watcher.optimize(event, pair)
                shown = time.monotonic()
        if shown < 0:  # no value at all would empty what it should leave
            yield (gr.skip(),) * 4

    def end(self, job: dict, kept: list[dict]) -> tuple[Any, ...]:
        """Put what became of a job on the stage."""
        event = next(self.events(job), None)
        return self.unchanged if event is None else self.moment(event, self.watcher(job), kept)

    def events(self, job: dict) -> Iterator[JobEvent]:
        """A job's events from now on; none if there is no job, or it is gone."""
        try:
            yield from self.studio.events(job["id"]) if job else ()
        except ValueError:
            return

    def watcher(self, job: dict) -> live.Watcher:
        """What follows this job, or none."""
        prompt, *names = (job.get(name, "") for name in ("prompt", "model", "method"))
        return live.Watcher(prompt, *(self.titles.get(name, name) for name in names))

    def idle(self, kept: list[dict]) -> tuple[Any, ...]:
        """Nothing runs: the first precomputed pair, or words."""
        run = next(iter(self.shelf.values()), None)
        return (
            "", gr.Button(interactive=True), gr.Button(visible=False), self.header(),
            *self.compare.show(run, self.titles, precomputed=True),
            pictures.empty(words.EMPTY_OPTIMIZE) if run is None else optimize.still(run, self.titles),
            *self.optimize.offer(None, self.studio),
            run.id if run else "", kept, history.grid(kept),
        )  # fmt: skip

    def moment(self, event: JobEvent, watcher: live.Watcher, kept: list[dict]) -> tuple[Any, ...]:
        """Every output for one event."""
        if event.run is not None:
            kept = history.remember(kept, event.run)
            return (
                live.status(event), gr.Button(interactive=True), gr.Button(visible=False), self.header(),
                *self.compare.show(event.run, self.titles),
                optimize.still(self.find(event.run.id) or event.run, self.titles),  # from the disk, with its steps
                *self.optimize.offer(event.run, self.studio),
                event.run.id, kept, history.grid(kept),
            )  # fmt: skip
        over, skip = live.over(event), gr.skip()
        watcher.see(event)
        return (
            live.status(event), gr.Button(interactive=over), gr.Button(visible=not over), self.header(),
            *self.compare.watch(watcher, over), skip if over else watcher.optimize(event, watcher.pair()),
            *self.optimize.offer(None, self.studio), skip, skip, skip,
        )  # fmt: skip

    def find(self, run_id: str) -> Run | None:
        """A run by id, from the gallery or the studio; None if it is gone."""
        if run_id in self.shelf:
            return self.shelf[run_id]
        try:
            return self.studio.run(run_id)
        except ValueError:
            return None

    def masks(self, run_id: str) -> MaskSet | None:
        """The masks a run kept, or None."""
        folder = gallery.folder(run_id) if run_id in self.shelf else None
        return self.studio.shelf.masks(run_id) if folder is None else run_folder.masks(folder)

    def show(self, run_id: str) -> tuple[Any, ...]:
        """Put a run on the stage."""
        run = self.find(run_id)
        if run is None:
            raise gr.Error(words.GONE, print_exception=False)
        return *self.compare.show(run, self.titles, run_id in self.shelf), run_id
