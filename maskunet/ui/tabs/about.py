"""The last tab: what the method does, what to believe, and this machine."""

from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING, Any

import gradio as gr

from maskunet.ui import opening_words, remembered, words
from maskunet.ui.handlers import QUEUED, QUICK
from maskunet.ui.html import live
from maskunet.ui.studio import answered
from maskunet.ui.tabs.base import Part, TabSpec

if TYPE_CHECKING:
    from maskunet.ui.page import Page


def build(page: "Page", tab: gr.Tab) -> Part:
    """Draw the tab; what the machine has is looked up whenever it is opened."""
    studio, models = page.studio, page.models
    gr.Markdown(opening_words.ABOUT, elem_id="about")
    gr.HTML(listed([(card.title, words.unscored(card.unscored)) for card in models if card.unscored]))
    with gr.Accordion(words.MACHINE, open=True, elem_id="machine"):
        found = gr.HTML()
        with gr.Row():
            measure = gr.Button(words.MEASURE, size="sm", scale=0, min_width=180)
        speed = gr.HTML()

    def timing(owner: str | None, visitor: gr.Request) -> Iterator[tuple[Any, str]]:
        job = studio.speed(owner=remembered.owner(owner), address=visitor.client.host)
        for event in answered(studio, job):
            over = event.phase in ("done", "stopped", "failed")
            said = timed(event.message) if event.phase == "done" else live.status(event)
            yield gr.Button(interactive=over), said

    tab.select(lambda: listed(studio.machine()), None, found, **QUICK)
    measure.click(timing, page.owner, [measure, speed], **QUEUED)
    return Part()


def listed(findings: list[tuple[str, str]]) -> str:
    """Names and sentences as a list."""
    items = (f"<dt>{escape(name)}</dt><dd>{escape(said)}</dd>" for name, said in findings)
    return f'<dl class="findings">{"".join(items)}</dl>'


def timed(said: str) -> str:
    """How fast it is here, as a paragraph."""
    return f'<p class="said">{escape(said)}</p>'


SPEC = TabSpec(name="about", title="About", order=80, build=build)
