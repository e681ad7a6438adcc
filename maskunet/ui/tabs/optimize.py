"""The Optimize tab: every update of the mask as it happens, or the whole course of a finished run."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from maskunet.records import Run
from maskunet.ui import words
from maskunet.ui.html import charts, pictures


@dataclass(frozen=True, slots=True)
class Optimize:
    """The tab's components."""

    view: gr.HTML
    numbers: gr.DownloadButton

    def files(self) -> list[Any]:
        """The outputs of `offer`."""
        return [self.numbers]

    def offer(self, run: Run | None, studio: Any) -> tuple[Any, ...]:
        """The numbers behind the curves, once there is a run."""
        if run is None or not run.rows:
            return (gr.DownloadButton(visible=False),)
        return (gr.DownloadButton(value=str(studio.shelf.numbers(run.id)), visible=True),)


def build() -> Optimize:
    """Draw the tab."""
    view = gr.HTML(pictures.empty(words.EMPTY_OPTIMIZE), elem_id="optimize")
    return Optimize(
        view, gr.DownloadButton(words.DOWNLOAD_NUMBERS, size="sm", visible=False, elem_id="numbers")
    )


def still(run: Run, titles: dict[str, str]) -> str:
    """A finished run: its pictures, its curves, and what its method predicted at each step."""
    shown = pictures.pair(run.base_image, run.result_image, pictures.names(run, titles), run.request.prompt)
    curves = charts.charts(run.rows)
    seen = () if run.course is None else run.course.result
    strip = pictures.strip({step: pictures.small(image) for step, image in enumerate(seen)})
    return f"{shown}{curves}{strip}" if curves else f"{shown}{pictures.empty(words.EMPTY_OPTIMIZE)}"
