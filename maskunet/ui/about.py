"""The last tab: what the method does, what to believe, and how to call it from a program."""

import gradio as gr

from maskunet.records import Card
from maskunet.ui import words


def build(models: list[Card]) -> None:
    """Draw the tab."""
    text = words.ABOUT.replace("{url}", "http://127.0.0.1:7860").replace("{model}", models[0].name)
    gr.Markdown(text, elem_id="about")
    with gr.Accordion("Base models", open=True):
        for card in models:
            state = "ready" if card.available else card.reason
            gr.Markdown(f"**{card.title}**. {card.summary} *{state}*")
