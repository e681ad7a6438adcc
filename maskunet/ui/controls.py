"""The left column: what to draw and how, and the buttons; the same for every tab."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from types import MappingProxyType
from typing import Any, NamedTuple

import gradio as gr

from maskunet.records import MAX_STEPS, Card, Request
from maskunet.ui import groups, settings, words
from maskunet.ui.handlers import QUICK, picked
from maskunet.ui.html.settings import form
from maskunet.ui.studio import Studio

CHIP_SCRIPT = """
element.addEventListener('click', (event) => {
  const chip = event.target.closest('button[data-word]');
  if (chip) trigger('select', {word: chip.dataset.word});
});
"""


class Values(NamedTuple):
    """What the controls hold, as the page sends it.

    Attributes:
        trained: counts for a method that takes what was trained; `takes` has the setting's name by method.
        edited: word groups, for a method that takes them; see `groups.setting`.
        changed: settings that differ from the preset's; see `settings.changed`.
    """

    prompt: str
    negative: str
    seed: Any
    model: str
    method: str
    preset: str
    steps: Any = None
    guidance: Any = None
    trained: str = ""
    edited: Mapping[str, Any] | None = None
    changed: Any = None
    takes: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Controls:
    """The components; those that make a request have the names of their `Values`."""

    prompt: gr.Textbox
    negative: gr.Textbox
    seed: gr.Textbox
    model: gr.Dropdown
    method: gr.Dropdown
    preset: gr.Dropdown
    steps: gr.Number
    guidance: gr.Number
    trained: gr.Dropdown
    edited: gr.State
    changed: gr.HTML
    takes: gr.State
    generate: gr.Button
    stop: gr.Button
    status: gr.HTML
    vocabulary: gr.HTML
    shuffle: gr.Button
    groups: gr.Dropdown

    def inputs(self) -> list[Any]:
        """The components of `Values`, in their order."""
        return [getattr(self, name) for name in Values._fields]

    def wire(self, models: list[Card], methods: list[Card], titles: Mapping[str, str]) -> Any:
        """What stays inside the column.

        Args:
            titles: of settings that are weights of rewards, among others.

        Returns:
            The event after which a word of the vocabulary is in the prompt.
        """
        ways = {card.name: card for card in methods}
        cards = {card.name: card for card in models}

        def new_seed() -> str:
            return str(random.randrange(1_000_000))  # noqa: NPY002 short enough to be read aloud

        def new_method(method: str) -> tuple[Any, Any]:
            card = ways[method]
            return gr.Dropdown(info=card.summary), gr.Dropdown(
                choices=list(card.presets), value=next(iter(card.presets))
            )

        def new_settings(method: str, preset: str) -> gr.HTML:
            return settings.anew(_form(ways[method], preset, titles))

        def new_model(model: str) -> tuple[str, str]:
            card = cards[model]
            look = "status" if card.available else "status failed"
            said = card.reason or (card.unscored and words.unscored(card.unscored))
            return chips(card), said and f'<div class="{look}">{escape(said)}</div>'

        def add_word(prompt: str | None, event: gr.EventData) -> str:
            word = str(picked(event).get("word", ""))[:30]
            return f"{(prompt or '').rstrip()} {word}".strip()

        self.shuffle.click(new_seed, None, self.seed, **QUICK)
        self.method.input(new_method, self.method, [self.method, self.preset], **QUICK)
        # A link changes them too.
        which = [self.method, self.preset]
        gr.on([self.method.change, self.preset.change], new_settings, which, self.changed, **QUICK)
        self.model.input(new_model, self.model, [self.vocabulary, self.status], **QUICK)
        return self.vocabulary.select(add_word, self.prompt, self.prompt, **QUICK)


def build(studio: Studio, models: list[Card], methods: list[Card], titles: Mapping[str, str]) -> Controls:
    """Draw the column; `titles` as in `Controls.wire`."""
    usable = [card for card in models if card.available]
    first = usable[0] if usable else models[0]
    method = first_method(methods, first)
    prompt = gr.Textbox(
        label=words.PROMPT,
        value=words.PROMPT_PLACEHOLDER,
        lines=2,
        max_lines=4,
        elem_id="prompt",
        placeholder=words.PROMPT_PLACEHOLDER,
    )
    vocabulary = gr.HTML(chips(first), js_on_load=CHIP_SCRIPT, elem_id="vocabulary")
    binding, edited = groups.build(studio, method, words.PROMPT_PLACEHOLDER)
    with gr.Row(elem_id="seed-row"):
        # A text: a browser's numbers are exact up to 2^53 only. Empty or -1 draws one.
        seed = gr.Textbox(label=words.SEED, value="7", max_lines=1, min_width=120)
        shuffle = gr.Button(words.NEW_SEED, size="sm", min_width=90, scale=0)
    model = gr.Dropdown(
        label=words.MODEL, value=first.name, choices=[(_title(c), c.name) for c in models], filterable=False
    )
    choice = gr.Dropdown(
        label=words.METHOD,
        value=method.name,
        choices=[(_kind_title(c), c.name) for c in methods],
        info=method.summary,
        filterable=False,
        elem_id="method",
    )
    preset = gr.Dropdown(
        label=words.PRESET,
        value=next(iter(method.presets)),
        choices=list(method.presets),
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
    with gr.Accordion(words.MORE, open=False, elem_classes="more"):
        negative = gr.Textbox(label=words.NEGATIVE, lines=1)
        steps = gr.Number(
            label=words.STEPS, value=15, precision=0, minimum=1, maximum=MAX_STEPS, info=words.STEPS_INFO,
            elem_id="steps",
        )  # fmt: skip
        guidance = gr.Number(label=words.GUIDANCE, value=0, minimum=0, maximum=30, info=words.GUIDANCE_INFO)
        changed = settings.build(_form(method, next(iter(method.presets)), titles), elem_id="settings")
    with gr.Row(elem_id="go-row"):
        generate = gr.Button(words.GENERATE, variant="primary", elem_id="generate")
        stop = gr.Button(words.STOP, variant="stop", visible=False, elem_id="stop")
    status = gr.HTML("", elem_id="status")
    return Controls(
        prompt, negative, seed, model, choice, preset, steps, guidance, trained, edited, changed, gr.State(taking(methods)), generate, stop, status,
        vocabulary, shuffle, binding,
    )  # fmt: skip


def first_method(methods: list[Card], model: Card) -> Card:
    """The method that is chosen at first: the training-free one, or for a model without rewards its control."""
    usable = [card for card in methods if not (model.unscored and card.needs_rewards)] or methods
    found = {card.name: card for card in usable}
    return found.get("maskunet_free") or found.get("random_mask") or usable[0]


def _title(card: Card) -> str:
    if card.available:
        return card.title
    return f"{card.title} ({'cannot be read' if card.refused else 'not on this machine'})"


def _kind_title(card: Card) -> str:
    """What is no learned mask says what it is there for."""
    return card.title if card.kind == "masks" else f"{card.title} · {card.kind}"


def _form(card: Card, preset: str, titles: Mapping[str, str]) -> str:
    """The fields of a method's settings; another method's preset, of a moment ago, counts as the first."""
    preset = preset if preset in card.presets else next(iter(card.presets))
    return form(card.presets[preset], f"{card.name}/{preset}", titles, key="set")


def chips(card: Card) -> str:
    """The words a small model knows, as buttons; nothing for a large one."""
    if not card.vocabulary:
        return ""
    rows = "".join(
        f"<div><span>{escape(kind)}</span>"
        + "".join(f'<button type="button" data-word="{escape(w, quote=True)}">{escape(w)}</button>' for w in names)
        + "</div>"
        for kind, names in card.vocabulary.items()
    )
    return f'<details class="vocabulary"><summary>{words.VOCABULARY}</summary>{rows}</details>'


def request(given: Values) -> Request:
    """A Request from the page's plain values.

    Raises:
        ValueError: one is out of range; one clear sentence.
    """
    return Request(
        prompt=given.prompt or "",
        negative_prompt=given.negative or "",
        seed=given.seed,
        model=str(given.model),
        method=str(given.method),
        preset=str(given.preset or ""),
        steps=_whole(given.steps) if given.steps else None,
        guidance=float(given.guidance) if given.guidance else None,
        settings=settings.changed(given.changed, f"{given.method}/{given.preset}")
        | _trained(given)
        | groups.setting(given.edited, given.prompt, given.method),
    )


def _trained(given: Values) -> dict[str, str]:
    return {given.takes[given.method]: given.trained} if given.trained and given.method in given.takes else {}


def taking(methods: list[Card]) -> dict[str, str]:
    """The setting that names what was trained, by method; the others take nothing."""
    return {card.name: card.takes for card in methods if card.takes}


def _whole(value: Any) -> Any:
    """Numbers come as floats from the page; what is not whole is left for Request to refuse."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
