"""The last tab: what the method does, what to believe, this machine, and how to call it from a program."""

from html import escape
from typing import TYPE_CHECKING

import gradio as gr

from maskunet.ui import words
from maskunet.ui.handlers import ALONE, QUICK, told
from maskunet.ui.tabs.base import Part, TabSpec

if TYPE_CHECKING:
    from maskunet.ui.page import Page


def build(page: "Page", tab: gr.Tab) -> Part:
    """Draw the tab; what the machine has is looked up whenever it is opened."""
    studio, models = page.studio, page.models
    text = words.ABOUT.replace("{url}", page.address).replace("{model}", models[0].name)
    gr.Markdown(text, elem_id="about")
    with gr.Accordion("Base models", open=True):
        for card in models:
            state = "ready" if card.available else card.reason
            gr.Markdown(f"**{card.title}**. {card.summary} *{state}*")
    with gr.Accordion(words.MACHINE, open=True, elem_id="machine"):
        found = gr.HTML()
        with gr.Row():
            measure = gr.Button(words.MEASURE, size="sm", scale=0, min_width=180)
        speed = gr.HTML()
    tab.select(lambda: listed(studio.machine()), None, found, **QUICK)
    measure.click(told(lambda: timed(studio.speed())), None, speed, **ALONE)
    return Part()


def listed(findings: list[tuple[str, str]]) -> str:
    """Names and sentences as a list."""
    items = (f"<dt>{escape(name)}</dt><dd>{escape(said)}</dd>" for name, said in findings)
    return f'<dl class="findings">{"".join(items)}</dl>'


def timed(said: str) -> str:
    """How fast it is here, as a paragraph."""
    return f'<p class="said">{escape(said)}</p>'


SPEC = TabSpec(name="about", title="About", order=80, build=build)
