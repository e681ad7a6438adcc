"""The last tab: what the method does, what to believe, this machine, and how to call it from a program."""

from html import escape
from typing import Any

import gradio as gr

from maskunet.records import Card
from maskunet.ui import words
from maskunet.ui.handlers import QUICK


def build(studio: Any, models: list[Card], tab: gr.Tab) -> None:
    """Draw the tab; what the machine has is looked up whenever it is opened."""
    text = words.ABOUT.replace("{url}", "http://127.0.0.1:7860").replace("{model}", models[0].name)
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
    measure.click(
        lambda: timed(studio),
        None,
        speed,
        api_visibility="private",
        concurrency_limit=1,
        show_progress="hidden",
    )


def listed(findings: list[tuple[str, str]]) -> str:
    """Names and sentences as a list."""
    items = (f"<dt>{escape(name)}</dt><dd>{escape(said)}</dd>" for name, said in findings)
    return f'<dl class="findings">{"".join(items)}</dl>'


def timed(studio: Any) -> str:
    """How fast it is here."""
    try:
        return f'<p class="said">{escape(studio.speed())}</p>'
    except ValueError as error:
        raise gr.Error(escape(str(error)), print_exception=False) from error
