"""The left column as it is drawn: what to draw and how, and the buttons; the same for every tab."""

from collections.abc import Mapping
from typing import Any

import gradio as gr

from maskunet.records import MAX_STEPS, Card, Request, Run
from maskunet.ui import additions, fold, groups, settings, words
from maskunet.ui.controls import Controls, first_method, first_model, opening_of, steps_shown, taking
from maskunet.ui.html import chips, copy_button
from maskunet.ui.html import setup as setups
from maskunet.ui.studio import Studio


def build(
    studio: Studio, models: list[Card], methods: list[Card], titles: Mapping[str, str], shelf: Mapping[str, Run]
) -> Controls:
    """Draw the column.

    Args:
        titles: as in `Controls`. shelf: the precomputed runs; the form begins with the first one, if it is of the model
            that comes first.
    """
    first = first_model(models)
    opening = opening_of(shelf, first)
    method = first_method(methods, first, opening)
    wish = _wish(studio, first, method, opening, shelf, titles)
    tokens = wish.pop("tokens")
    go = _go(opening)
    with gr.Column(elem_id="choices", min_width=0):
        choices = _choices(studio, models, first, tokens) | _ways(methods, method, opening)
        more = _more(first, method, opening)
        # Beside what folds it away, not inside: gradio forgets what it is told of a form that is not drawn yet.
        changed = settings.build(settings.of_method(method, choices["preset"].value, titles), elem_id="settings")
    return Controls(
        **wish, **go, **choices, **more, changed=changed, takes=gr.State(taking(methods)),
        models={card.name: card for card in models}, methods={card.name: card for card in methods}, titles=titles,
        missing=studio.setups(), unknown_words=studio.unknown, known_parts=studio.training.trained if studio.training else lambda method, model: (),
    )  # fmt: skip


def _wish(
    studio: Studio,
    first: Card,
    method: Card,
    opening: Request | None,
    shelf: Mapping[str, Run],
    titles: Mapping[str, str],
) -> dict[str, Any]:
    """What to draw: the prompt, what helps to write it, and its word groups."""
    asked = opening.prompt if opening else words.PROMPT_PLACEHOLDER
    prompt = gr.Textbox(
        label=words.PROMPT,
        value=asked,
        lines=1,  # with more of them Enter would not begin; the style sheet gives it the room of two
        max_lines=4,
        elem_id="prompt",
        placeholder=words.PROMPT_PLACEHOLDER,
    )
    unknown = gr.HTML("", elem_id="unknown")
    examples = gr.HTML(chips.precomputed(shelf, titles), js_on_load=chips.SCRIPT, elem_id="examples")
    vocabulary = gr.HTML(chips.vocabulary(first), js_on_load=chips.SCRIPT, elem_id="vocabulary")
    tokens = gr.HTML("", js_on_load=chips.SCRIPT, elem_id="tokens")
    binding, edited = groups.build(studio, method, asked)
    return {
        "prompt": prompt, "unknown": unknown, "examples": examples, "vocabulary": vocabulary, "tokens": tokens, "groups": binding, "edited": edited,
    }  # fmt: skip


def _go(opening: Request | None) -> dict[str, Any]:
    """The seed, the buttons, and how far it is."""
    with gr.Row(elem_id="seed-row"):
        # A text: a browser's numbers are exact up to 2^53 only. Empty or -1 draws one.
        seed = gr.Textbox(label=words.SEED, value=str(opening.seed) if opening else "7", max_lines=1, min_width=120)
        shuffle = gr.Button(words.NEW_SEED, size="sm", min_width=90, scale=0)
    with gr.Row(elem_id="go-row"):
        generate = gr.Button(words.GENERATE, variant="primary", elem_id="generate")
        stop = gr.Button(words.STOP, variant="stop", visible=False, elem_id="stop")
        fold.settings()
    status = gr.HTML("", elem_id="status")
    return {"seed": seed, "shuffle": shuffle, "generate": generate, "stop": stop, "status": status}


def _choices(studio: Studio, models: list[Card], first: Card, tokens: gr.HTML) -> dict[str, Any]:
    """The base model, what is missing for it, and what is put on it."""
    model = gr.Dropdown(
        label=words.MODEL, value=first.name, choices=[(_title(c), c.name) for c in models], filterable=False
    )
    panel = setups.panel(studio.setups(), first.title)
    setup = gr.HTML(panel, js_on_load=copy_button.SCRIPT, elem_id="setup")
    return {"model": model, "setup": setup, "added": additions.build(studio.additions(), tokens)}


def _ways(methods: list[Card], first: Card, opening: Request | None) -> dict[str, Any]:
    """The method, its preset, and what was trained for it."""
    method = gr.Dropdown(
        label=words.METHOD,
        value=first.name,
        choices=[(_kind_title(c), c.name) for c in methods],
        info=first.summary,
        filterable=False,
        elem_id="method",
    )
    preset = gr.Dropdown(
        label=words.PRESET,
        value=opening.preset if opening else next(iter(first.presets)),
        choices=list(first.presets),
        allow_custom_value=True,  # the method may have changed a moment ago; `start` looks again
    )
    trained = gr.Dropdown(
        label=words.TRAINED,
        value="",
        choices=[(words.FIRST_TRAINED, "")],
        visible=False,
        allow_custom_value=True,
        elem_id="trained",  # one may have been trained since the page was loaded
    )
    return {"method": method, "preset": preset, "trained": trained}


def _more(first: Card, method: Card, opening: Request | None) -> dict[str, Any]:
    """What few people change, folded away."""
    with gr.Accordion(words.MORE, open=False, elem_classes="more"):
        negative = gr.Textbox(label=words.NEGATIVE, lines=1)
        steps = gr.Number(
            label=words.STEPS, value=steps_shown(opening.steps, first, method) if opening else 0, precision=0, minimum=0,
            maximum=MAX_STEPS, info=words.STEPS_INFO, elem_id="steps",
        )  # fmt: skip
        guidance = gr.Number(label=words.GUIDANCE, value=0, minimum=0, maximum=30, info=words.GUIDANCE_INFO)
    return {"negative": negative, "steps": steps, "guidance": guidance}


def _title(card: Card) -> str:
    if card.available:
        return card.title
    return f"{card.title} ({'cannot be read' if card.refused else 'not on this machine'})"


def _kind_title(card: Card) -> str:
    """What is no learned mask says what it is there for."""
    return card.title if card.kind == "masks" else f"{card.title} · {card.kind}"
