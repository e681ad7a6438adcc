"""The tour over the whole window, for a newcomer and for a talk: drawn when somebody asks for it."""

from pathlib import Path
from typing import TYPE_CHECKING

import gradio as gr

from maskunet.ui import story_words
from maskunet.ui.handlers import QUICK, shows_a_run
from maskunet.ui.html.story import story

if TYPE_CHECKING:
    from maskunet.ui.page import Page

SCRIPT = Path(__file__).with_name("story.js")
BUTTON = f'<button type="button" data-tour>{story_words.START}</button>'  # wherever it stands on the page


def build(page: "Page") -> gr.HTML:
    """Draw the tour's place, empty."""

    @shows_a_run
    def told() -> str:
        return story(page.shelf, page.titles)

    place = gr.HTML("", js_on_load=SCRIPT.read_text(encoding="utf-8"), elem_id="tour")
    place.select(told, None, place, **QUICK)
    return place
