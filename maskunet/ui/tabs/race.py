"""The Race tab: what every method gives for the same time, from a race that was run before."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

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
    titles = page.titles
    raced = {base: views.complete(found, page.methods) for base, found in views.shipped_races().items()}
    if not raced:
        gr.HTML(pictures.empty(race_words.EMPTY))
        return Part()
    first = next(iter(raced))
    shown = _shown(raced[first], first, "equal_time", titles)
    groups, prompts = _groups(raced[first]), _prompts(raced[first])
    base = gr.Radio(
        [(titles.get(name, name), name) for name in raced], value=first, label=words.MODEL, visible=len(raced) > 1,
        elem_id="race-base",
    )  # fmt: skip
    said = gr.HTML(shown.said, js_on_load=copy_button.SCRIPT, elem_id="race-said")
    curves = gr.HTML(shown.curves, elem_id="race-curves")
    with gr.Row(elem_id="race-picker"):
        budget = gr.Radio(
            [(label, key) for key, label in race_words.BUDGETS.items()],
            value="equal_time",
            label=race_words.BUDGET,
        )
        group = gr.Dropdown(groups, value=groups[0], label=race_words.GROUP, min_width=160)
    lines = gr.HTML(shown.lines, elem_id="race-lines")
    prompt = gr.Dropdown(prompts, value=prompts[0][1], label=race_words.PROMPT, elem_id="race-prompt")
    sheet = gr.HTML(shown.sheet, elem_id="race-sheet")

    def other(base: str, budget: str) -> tuple[Any, ...]:
        groups, prompts = _groups(raced[base]), _prompts(raced[base])
        choices = gr.Dropdown(groups, value=groups[0]), gr.Dropdown(prompts, value=prompts[0][1])
        return *_shown(raced[base], base, budget, titles), *choices

    # A group or prompt of the other base may come while the choices are changing.
    def equal(base: str, budget: str, group: str) -> str:
        groups = _groups(raced[base])
        return views.lines(raced[base], budget, group if group in groups else groups[0], titles)

    def pictures_of(base: str, number: int) -> str:
        numbers = [each["number"] for each in raced[base]["shown"]]
        return views.sheet(raced[base], number if number in numbers else numbers[0], titles, views.FOLDERS[base])

    base.input(other, [base, budget], [said, curves, lines, sheet, group, prompt], **QUICK)
    gr.on([budget.input, group.input], equal, [base, budget, group], lines, **QUICK)
    prompt.input(pictures_of, [base, prompt], sheet, **QUICK)
    return Part()


class Shown(NamedTuple):
    """What a race looks like at first."""

    said: str
    curves: str
    lines: str
    sheet: str


def _shown(found: Mapping[str, Any], base: str, budget: str, titles: Mapping[str, str]) -> Shown:
    return Shown(
        said=views.said(found, titles),
        curves=views.curves(found, titles),
        lines=views.lines(found, budget, _groups(found)[0], titles),
        sheet=views.sheet(found, _prompts(found)[0][1], titles, views.FOLDERS[base]),
    )


def _groups(found: Mapping[str, Any]) -> list[str]:
    """The groups of tasks, "all" first."""
    return list(dict.fromkeys(line["group"] for line in found["equal_time"]))[::-1]


def _prompts(found: Mapping[str, Any]) -> list[tuple[str, int]]:
    """The prompts whose pictures are kept, and their numbers."""
    return [(race_words.prompt(each["number"], each["prompt"]), each["number"]) for each in found["shown"]]


SPEC = TabSpec(name="race", title=words.RACE, order=40, build=build, wide=True)
