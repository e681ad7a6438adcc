"""The Race tab: what every method gives for the same time, from a race that was run before."""

from typing import TYPE_CHECKING

import gradio as gr

from maskunet.ui import race_words, words
from maskunet.ui.handlers import QUICK
from maskunet.ui.html import copy_button, pictures
from maskunet.ui.html import race as views
from maskunet.ui.tabs.base import Part, TabSpec

if TYPE_CHECKING:
    from maskunet.ui.page import Page


def build(page: "Page", tab: gr.Tab) -> Part:
    """Draw the tab and wire it; nothing here runs a model."""
    titles, found = page.titles, views.read()
    if found is None:
        gr.HTML(pictures.empty(race_words.EMPTY))
        return Part()
    found = views.complete(found, page.methods)
    groups = list(dict.fromkeys(line["group"] for line in found["equal_time"]))[::-1]  # "all" is the last
    prompts = [(race_words.prompt(each["number"], each["prompt"]), each["number"]) for each in found["shown"]]
    gr.HTML(views.said(found, titles), js_on_load=copy_button.SCRIPT, elem_id="race-said")
    gr.HTML(views.curves(found, titles), elem_id="race-curves")
    with gr.Row(elem_id="race-picker"):
        budget = gr.Radio(
            [(label, key) for key, label in race_words.BUDGETS.items()],
            value="equal_time",
            label=race_words.BUDGET,
        )
        group = gr.Dropdown(groups, value=groups[0], label=race_words.GROUP, min_width=160)
    lines = gr.HTML(views.lines(found, "equal_time", groups[0], titles), elem_id="race-lines")
    prompt = gr.Dropdown(prompts, value=prompts[0][1], label=race_words.PROMPT, elem_id="race-prompt")
    sheet = gr.HTML(views.sheet(found, prompts[0][1], titles), elem_id="race-sheet")

    def equal(budget: str, group: str) -> str:
        return views.lines(found, budget, group, titles)

    def pictures_of(number: int) -> str:
        return views.sheet(found, number, titles)

    gr.on([budget.input, group.input], equal, [budget, group], lines, **QUICK)
    prompt.input(pictures_of, prompt, sheet, **QUICK)
    return Part()


SPEC = TabSpec(name="race", title=words.RACE, order=40, build=build, wide=True)
