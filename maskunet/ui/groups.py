"""Word groups as chips below the prompt, for methods that bind words: read off the prompt, editable."""

from typing import Any

import gradio as gr

from maskunet.records import MAX_PROMPT, Card
from maskunet.ui import words
from maskunet.ui.handlers import QUICK
from maskunet.ui.studio import Studio

MOST = 16


def build(studio: Studio, card: Card, prompt: str) -> tuple[gr.Dropdown, gr.State]:
    """The chips, and what somebody edited: {"prompt": of which prompt, "groups": the chips}, or nothing.

    Args:
        card: of the method that is chosen first.
    """
    found = studio.groups(prompt)
    chips = gr.Dropdown(
        label=words.GROUPS, info=words.GROUPS_INFO, value=found, choices=found, multiselect=True,
        allow_custom_value=True, max_choices=MOST, visible=card.groups, elem_id="groups",
    )  # fmt: skip
    return chips, gr.State({})


def wire(studio: Studio, methods: list[Card], c: Any, after: list[Any], shown: gr.State) -> None:
    """Follow prompt and method; what is edited counts until the prompt is another.

    Args:
        after: events that change the prompt from elsewhere. shown: changes with the run on the stage, whose prompt it is.
    """
    takes = [card.name for card in methods if card.groups]

    def follow(prompt: str, method: str, edited: dict) -> gr.Dropdown:
        if method not in takes:
            return gr.Dropdown(visible=False)
        found = studio.groups(prompt or "")
        mine = edited["groups"] if edited.get("prompt") == prompt else found
        return gr.Dropdown(choices=list(dict.fromkeys([*found, *mine])), value=mine, visible=True)

    def edit(prompt: str, chips: list[str]) -> dict[str, Any]:
        if len(prompt or "") > MAX_PROMPT or any(len(chip) > MAX_PROMPT for chip in chips or ()):
            raise ValueError(f"A prompt or a group of words may have {MAX_PROMPT:,} characters. Shorten it.")
        # Without any there would be nothing to bind, so that the prompt's own come back.
        return {"prompt": prompt, "groups": chips[:MOST], "methods": takes} if chips else {}

    # One listener for all, of which the last call is answered last: an earlier one's answer would bring back what was there.
    again, asked = gr.State(0), [c.prompt, c.method, c.edited]
    causes = [c.prompt.blur, c.prompt.submit, c.method.change, shown.change, again.change]
    gr.on(causes, follow, asked, c.groups, trigger_mode="always_last", **QUICK)
    edited = c.groups.input(edit, [c.prompt, c.groups], c.edited, **QUICK)
    for event in (*after, edited):
        event.then(lambda times: times + 1, again, again, **QUICK)


def as_edited(prompt: str, settings: dict[str, Any], method: Card) -> dict[str, Any]:
    """The groups that settings hold, as if somebody had edited them; taken out of the settings."""
    named = str(settings.pop("groups", "")) if method.groups else ""
    found = [group.strip() for group in named.split(";") if group.strip()][:MOST]
    return {"prompt": prompt, "groups": found, "methods": [method.name]} if found else {}


def setting(edited: dict[str, Any] | None, prompt: str, method: str) -> dict[str, str]:
    """What a request's settings get: the edited groups, if they are this prompt's and the method takes any."""
    if not edited or edited["prompt"] != prompt or method not in edited["methods"] or not edited["groups"]:
        return {}
    return {"groups": "; ".join(edited["groups"])}
