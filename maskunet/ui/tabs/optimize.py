"""The Optimize tab: every update of the mask as it happens, or the whole course of a finished run."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from maskunet.records import JobEvent
from maskunet.ui import words
from maskunet.ui.html import live, pictures
from maskunet.ui.html.optimize import still
from maskunet.ui.tabs.base import Part, Stage, TabSpec

if TYPE_CHECKING:
    from maskunet.ui.page import Page


@dataclass(frozen=True, slots=True)
class Optimize(Part):
    """The tab's components."""

    page: "Page"
    view: gr.HTML
    numbers: gr.DownloadButton

    def staged(self) -> list[Any]:
        """The course, and the numbers behind its curves."""
        return [self.view, self.numbers]

    def show(self, stage: Stage) -> Sequence[Any]:
        """A run's course, or the newest of a job that goes on."""
        run, hidden = stage.run, gr.DownloadButton(visible=False)
        if stage.event is not None:
            failed = live.over(stage.event)
            return gr.skip() if failed else stage.watcher.optimize(stage.event), hidden
        if run is None:
            return pictures.empty(words.EMPTY_OPTIMIZE), hidden
        if stage.precomputed or not run.rows:
            return still(run, self.page.titles, self.page.weights), hidden
        file = str(self.page.studio.shelf.numbers(run.id))
        return still(run, self.page.titles, self.page.weights), gr.DownloadButton(value=file, visible=True)

    def moving(self) -> list[Any]:
        """The course, without its files."""
        return [self.view]

    def move(self, event: JobEvent, watcher: live.Watcher) -> Sequence[Any]:
        """The newest of a job that goes on."""
        return (watcher.optimize(event),)


def build(page: "Page", tab: gr.Tab) -> Optimize:
    """Draw the tab."""
    view = gr.HTML(pictures.empty(words.EMPTY_OPTIMIZE), elem_id="optimize")
    numbers = gr.DownloadButton(words.DOWNLOAD_NUMBERS, size="sm", visible=False, elem_id="numbers")
    return Optimize(page, view, numbers)


SPEC = TabSpec(name="optimize", title="Optimize", order=20, build=build)
