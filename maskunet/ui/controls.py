"""The left column: what to draw and how, and the buttons; the same for every tab."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from maskunet.records import MAX_SEED, MAX_STEPS, Card, Request
from maskunet.ui import groups, words

# The setting that names what was trained, by method.
TRAINED_SETTING = {
    "maskunet_trained": "generator", "maskunet_amortized": "generator", "fine_tuned": "training"
}  # fmt: skip
CHIP_SCRIPT = """
element.addEventListener('click', (event) => {
  const chip = event.target.closest('button[data-word]');
  if (chip) trigger('select', {word: chip.dataset.word});
});
"""


@dataclass(frozen=True, slots=True)
class Controls:
    """The components, in the order in which `request` takes their values."""

    prompt: gr.Textbox
    negative: gr.Textbox
    seed: gr.Number
    model: gr.Dropdown
    method: gr.Dropdown
    preset: gr.Dropdown
    steps: gr.Number
    guidance: gr.Number
    trained: gr.Dropdown
    edited: gr.State
    switches: gr.CheckboxGroup
    generate: gr.Button
    stop: gr.Button
    status: gr.HTML
    vocabulary: gr.HTML
    shuffle: gr.Button
    groups: gr.Dropdown

    def inputs(self) -> list[Any]:
        """The components that make a request."""
        return [
            self.prompt, self.negative, self.seed, self.model, self.method, self.preset, self.steps, self.guidance,
            self.trained, self.edited, self.switches,
        ]  # fmt: skip

    def wire(self, models: list[Card], methods: list[Card]) -> Any:
        """What stays inside the column.

        Returns:
            The event after which a word of the vocabulary is in the prompt.
        """
        ways = {card.name: card for card in methods}
        cards = {card.name: card for card in models}
        quick = {"queue": False, "api_visibility": "private", "show_progress": "hidden"}

        def new_seed() -> int:
            return random.randrange(1_000_000)  # noqa: NPY002 short enough to be read aloud

        def new_method(method: str) -> tuple[Any, Any]:
            card = ways[method]
            return gr.Dropdown(info=card.summary), gr.Dropdown(
                choices=list(card.presets), value=card.presets[0]
            )

        def new_switches(method: str) -> gr.CheckboxGroup:
            return gr.CheckboxGroup(**_switches(ways[method]))

        def new_model(model: str) -> tuple[str, str]:
            card = cards[model]
            reason = "" if card.available else f'<div class="status failed">{escape(card.reason)}</div>'
            return chips(card), reason

        def add_word(prompt: str, event: gr.EventData) -> str:
            word = str((event._data or {}).get("word", ""))[:30]
            return f"{prompt.rstrip()} {word}".strip()

        self.shuffle.click(new_seed, None, self.seed, **quick)
        self.method.input(new_method, self.method, [self.method, self.preset], **quick)
        self.method.change(new_switches, self.method, self.switches, **quick)  # a link changes it too
        self.model.input(new_model, self.model, [self.vocabulary, self.status], **quick)
        return self.vocabulary.select(add_word, self.prompt, self.prompt, **quick)


def build(studio: Any, models: list[Card], methods: list[Card]) -> Controls:
    """Draw the column."""
    usable = [card for card in models if card.available]
    first = usable[0] if usable else models[0]
    method = next((card for card in methods if card.name == "maskunet_free"), methods[0])
    prompt = gr.Textbox(
        label=words.PROMPT, value=words.PROMPT_PLACEHOLDER, lines=2, max_lines=4, elem_id="prompt",
        placeholder=words.PROMPT_PLACEHOLDER,
    )  # fmt: skip
    vocabulary = gr.HTML(chips(first), js_on_load=CHIP_SCRIPT, elem_id="vocabulary")
    binding, edited = groups.build(studio, method, words.PROMPT_PLACEHOLDER)
    with gr.Row(elem_id="seed-row"):
        seed = gr.Number(label=words.SEED, value=7, precision=0, minimum=0, maximum=MAX_SEED, min_width=120)
        shuffle = gr.Button(words.NEW_SEED, size="sm", min_width=90, scale=0)
    model = gr.Dropdown(
        label=words.MODEL, value=first.name, choices=[(_title(c), c.name) for c in models], filterable=False
    )
    choice = gr.Dropdown(
        label=words.METHOD, value=method.name, choices=[(_kind_title(c), c.name) for c in methods],
        info=method.summary, filterable=False, elem_id="method",
    )  # fmt: skip
    preset = gr.Dropdown(
        label=words.PRESET, value=method.presets[0], choices=list(method.presets),
        allow_custom_value=True,  # the method may have changed a moment ago; `start` looks again
    )  # fmt: skip
    trained = gr.Dropdown(
        label=words.TRAINED, value="", choices=[(words.FIRST_TRAINED, "")], visible=False,
        allow_custom_value=True, elem_id="trained",  # one may have been trained since the page was loaded
    )  # fmt: skip
    with gr.Accordion(words.MORE, open=False):
        negative = gr.Textbox(label=words.NEGATIVE, lines=1)
        steps = gr.Number(
            label=words.STEPS, value=15, precision=0, minimum=1, maximum=MAX_STEPS, info=words.STEPS_INFO
        )
        guidance = gr.Number(label=words.GUIDANCE, value=0, minimum=0, maximum=30, info=words.GUIDANCE_INFO)
        switches = gr.CheckboxGroup(label=words.SWITCHES, elem_id="switches", **_switches(method))
    with gr.Row(elem_id="go-row"):
        generate = gr.Button(words.GENERATE, variant="primary", elem_id="generate")
        stop = gr.Button(words.STOP, variant="stop", visible=False, elem_id="stop")
    status = gr.HTML("", elem_id="status")
    return Controls(
        prompt, negative, seed, model, choice, preset, steps, guidance, trained, edited, switches, generate, stop, status,
        vocabulary, shuffle, binding,
    )  # fmt: skip


def _title(card: Card) -> str:
    return card.title if card.available else f"{card.title} (not on this machine)"


def _kind_title(card: Card) -> str:
    """What is no learned mask says what it is there for."""
    return card.title if card.kind == "masks" else f"{card.title} · {card.kind}"


def _switches(card: Card) -> dict[str, Any]:
    """What a method's checkboxes are; none is set."""
    choices = [(text, name) for name, text in card.switches.items()]
    return {"choices": choices, "value": [], "visible": bool(choices)}


def chips(card: Card) -> str:
    """The words a small model knows, as buttons; nothing for a large one."""
    if not card.vocabulary:
        return ""
    rows = "".join(
        f"<div><span>{escape(kind)}</span>"
        + "".join(
            f'<button type="button" data-word="{escape(w, quote=True)}">{escape(w)}</button>' for w in names
        )
        + "</div>"
        for kind, names in card.vocabulary.items()
    )
    return f'<details class="vocabulary"><summary>{words.VOCABULARY}</summary>{rows}</details>'


def request(
    prompt: str, negative: str, seed: Any, model: str, method: str, preset: str, steps: Any, guidance: Any,
    trained: str = "", binding: dict[str, Any] | None = None, switches: Sequence[str] = (),
) -> Request:  # fmt: skip
    """A Request from the page's plain values.

    Args:
        trained: counts for a method that takes what was trained. binding: edited word groups, for one that
            takes them; see `groups.setting`. switches: names of settings to turn on.

    Raises:
        ValueError: one is out of range; one clear sentence.
    """
    return Request(
        prompt=prompt or "",
        negative_prompt=negative or "",
        seed=_whole(seed),
        model=str(model),
        method=str(method),
        preset=str(preset or ""),
        steps=_whole(steps) if steps else None,
        guidance=float(guidance) if guidance else None,
        settings=_trained(method, trained)
        | groups.setting(binding, prompt, method)
        | dict.fromkeys(switches, True),
    )


def _trained(method: str, name: str) -> dict[str, str]:
    return {TRAINED_SETTING[method]: name} if name and method in TRAINED_SETTING else {}


def _whole(value: Any) -> Any:
    """Numbers come as floats from the page; what is not whole is left for Request to refuse."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
