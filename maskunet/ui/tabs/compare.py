"""The Compare tab: the unmasked and the masked picture from the same noise, in three views."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from maskunet.records import JobEvent
from maskunet.ui import controls, links, remembered, snippets, to_share, words
from maskunet.ui.handlers import QUEUED, QUICK, shows_a_run
from maskunet.ui.html import live, pictures
from maskunet.ui.html.copy_button import COPIES
from maskunet.ui.server.cached import cached
from maskunet.ui.studio import answered
from maskunet.ui.tabs.base import Part, Stage, TabSpec

if TYPE_CHECKING:
    from maskunet.ui.page import Page

LINK = Path(__file__).with_name("link.js").read_text(encoding="utf-8")  # to what is shown


@dataclass(frozen=True, slots=True)
class Compare(Part):
    """The tab's components."""

    page: "Page"
    running: gr.HTML
    slider: gr.ImageSlider
    under: gr.HTML
    beside: gr.HTML
    gap: gr.HTML
    view: gr.Radio
    facts: gr.HTML
    actions: gr.Row
    archive: gr.DownloadButton
    query: gr.Textbox
    way: gr.Radio
    codes: list[gr.Code]
    share: gr.Button
    shared: list[gr.DownloadButton]
    null: gr.Button
    null_stop: gr.Button
    null_said: gr.HTML

    def staged(self) -> list[Any]:
        """What stands under the tabs' names but for the precomputed runs."""
        return [
            self.running, self.slider, self.under, self.beside, self.gap, self.view, self.facts, self.actions, self.archive,
            self.query, *self.codes, *self.shared, self.null_said,
        ]  # fmt: skip

    def show(self, stage: Stage) -> Sequence[Any]:
        """A finished run, or previews in place of the pair of one that goes on."""
        run, titles = stage.run, self.page.titles
        if run is None:
            goes_on = stage.event is not None and not live.over(stage.event)
            shown = stage.watcher.pair() if goes_on else pictures.empty(words.EMPTY_PAIR)
            hidden = gr.update(visible=False)
            return (
                gr.HTML(shown, visible=True),
                *[hidden] * 7,
                *[gr.skip()] * (2 + len(self.codes)),
                *[hidden] * len(self.shared),
                "",
            )
        base = run.base_image if run.base_image is not None else run.result_image
        asked = self.page.studio.as_made(run.request, run.settings)
        return (
            gr.HTML("", visible=False),
            gr.ImageSlider((cached(base), cached(run.result_image)), visible=False),
            gr.HTML(under(pictures.said(run, titles)), visible=False),
            gr.HTML(pictures.judged(run, titles), visible=True),
            gr.HTML(pictures.difference(run), visible=False),
            gr.Radio(value=words.VIEWS[0], visible=True),
            gr.HTML(pictures.facts(run, titles, stage.precomputed), visible=True),
            gr.Row(visible=True),
            gr.DownloadButton(visible=False)
            if stage.precomputed
            else gr.DownloadButton(value=str(self.page.studio.shelf.zip(run.id)), visible=True),
            links.query(asked, run.id),
            self.page.studio.command(asked),
            snippets.replay(run),
            snippets.python(asked, self.page.address),
            snippets.curl(asked, self.page.address),
            *[gr.DownloadButton(visible=False)] * len(self.shared),
            "",
        )

    def moving(self) -> list[Any]:
        """The pair of previews."""
        return [self.running]

    def move(self, event: JobEvent, watcher: live.Watcher) -> Sequence[Any]:
        """The newest pair of previews."""
        return (watcher.pair(),)

    def wire(self, page: "Page") -> None:
        """Views, the link, the control of ones."""

        def change(view: str) -> list[Any]:
            beside, slider, gap = (gr.update(visible=view == name) for name in words.VIEWS)
            return [slider, slider, beside, gap]

        def check(visitor: gr.Request, *values: Any) -> Iterator[tuple[Any, ...]]:
            *fields, owner = values
            asked = page.request(controls.Values(*fields))
            job = page.studio.null_mask(asked, owner=remembered.owner(owner), address=visitor.client.host)
            for event in answered(page.studio, job):
                over = event.phase in ("done", "stopped", "failed")
                said = found(event.message) if event.phase == "done" else live.status(event)
                yield gr.Button(interactive=over), gr.Button(visible=not over), said, job

        def stop_check(job: str) -> None:
            with suppress(ValueError):  # it ended a moment ago
                page.studio.stop(job)

        def tell(way: str) -> list[Any]:
            return [gr.Code(visible=way == name) for name in words.WAYS]

        def copied(done: str, _: str) -> None:
            gr.Info(words.LINK_COPIED) if done else gr.Warning(words.LINK_NOT_COPIED)

        @shows_a_run
        def share(run_id: str) -> Iterator[tuple[Any, ...]]:
            for goes_on, files in to_share.drawn(page.studio.shelf, page.found(run_id)):
                yield gr.Button(words.MAKING_FILES if goes_on else words.TO_SHARE, interactive=not goes_on), *files

        self.share.click(share, page.shown, [self.share, *self.shared], **QUEUED)
        self.way.input(tell, self.way, self.codes, **QUICK)
        self.view.input(change, self.view, [self.slider, self.under, self.beside, self.gap], **QUICK)
        copies = f"async (...said) => [await ({COPIES})(({LINK})(...said)) ? 'yes' : '', '']"
        page.copy.click(copied, [self.query, page.video_query], None, js=copies, **QUEUED)
        checking = gr.State("")
        shown = [self.null, self.null_stop, self.null_said, checking]
        self.null.click(check, [*page.c.inputs(), page.owner], shown, **QUEUED)
        self.null_stop.click(stop_check, checking, None, **QUICK)


def build(page: "Page", tab: gr.Tab) -> Compare:
    """Draw the tab."""
    running = gr.HTML("", elem_id="running")
    view = gr.Radio(
        words.VIEWS, value=words.VIEWS[0], label=words.VIEW, show_label=False, elem_id="view", visible=False
    )
    slider = gr.ImageSlider(
        label="Unmasked left, masked right", show_label=False, format="png", interactive=False, visible=False,
        elem_id="slider", max_height=560, buttons=["fullscreen"], container=False,
    )  # fmt: skip
    under = gr.HTML("", visible=False)
    beside = gr.HTML("", visible=False, elem_id="beside")
    gap = gr.HTML("", visible=False, elem_id="difference")
    facts = gr.HTML("", visible=False, elem_id="facts")
    with gr.Row(visible=False, elem_id="actions") as actions:
        archive = gr.DownloadButton(words.DOWNLOAD_RUN, size="sm")
        share = gr.Button(words.TO_SHARE, size="sm")
        null = gr.Button(words.NULL_MASK, size="sm")
        null_stop = gr.Button(words.STOP_CHECK, size="sm", visible=False)
    with gr.Row(elem_id="shared"):  # of their own, so that no button moves when they come
        shared = to_share.buttons()
    null_said = gr.HTML("", elem_id="null")
    with gr.Accordion(words.REPEAT, open=False):
        way = gr.Radio(words.WAYS, value=words.WAYS[0], label=words.WAY, show_label=False, elem_id="way")
        codes = [
            gr.Code(
                language="python" if name == "Python" else "shell", show_label=False, interactive=False, wrap_lines=True,
                lines=2, max_lines=14, visible=name == words.WAYS[0],
            )
            for name in words.WAYS
        ]  # fmt: skip
    query = gr.Textbox(visible=False)
    return Compare(
        page, running, slider, under, beside, gap, view, facts, actions, archive, query, way, codes, share, shared, null, null_stop, null_said,
    )  # fmt: skip


def found(message: str) -> str:
    """What the control of ones found."""
    return f'<p class="said">{escape(message)}</p><p class="hint">{words.NULL_MASK_INFO}</p>'


def under(said: tuple[str, str]) -> str:
    """What is left and what is right of the slider's handle."""
    return f'<div class="under"><div>{said[0]}</div><div>{said[1]}</div></div>'


SPEC = TabSpec(name="compare", title="Compare", order=10, build=build)
