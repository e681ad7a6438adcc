"""The left column: what to draw and how, and the buttons; the same for every tab."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from types import MappingProxyType
from typing import Any, NamedTuple

import gradio as gr

from maskunet.records import MAX_STEPS, Card, Request, Run, Setup
from maskunet.ui import additions, fold, groups, settings, words
from maskunet.ui.handlers import QUICK, picked
from maskunet.ui.html import chips, copy_button
from maskunet.ui.html import setup as setups
from maskunet.ui.html.settings import form
from maskunet.ui.studio import Studio


class Values(NamedTuple):
    """What the controls hold, as the page sends it.

    Attributes:
        trained: counts for a method that takes what was trained; `takes` has the setting's name by method.
        edited: word groups, for a method that takes them; see `groups.setting`.
        changed: settings that differ from the preset's; see `settings.changed`.
        loras: names of files, with a weight each, and the others as `additions.fields` takes them.
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
    loras: Any = ()
    weight_1: Any = None
    weight_2: Any = None
    weight_3: Any = None
    weight_4: Any = None
    lora_masks: str = ""
    embeddings: Any = ()


@dataclass(frozen=True, slots=True)
class Controls:
    """The components; those that make a request have the names of their `Values`.

    Attributes:
        models, methods: the cards that may be chosen. titles: of settings that are weights of rewards, among others.
        examples: the precomputed runs as chips. vocabulary: a small model's words.
        setup: what the model takes that is not here, or the first such one, of `missing`.
    """

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
    examples: gr.HTML
    vocabulary: gr.HTML
    shuffle: gr.Button
    groups: gr.Dropdown
    setup: gr.HTML
    added: additions.Additions
    models: Mapping[str, Card]
    methods: Mapping[str, Card]
    titles: Mapping[str, str]
    missing: Sequence[Setup]

    def inputs(self) -> list[Any]:
        """The components of `Values`, in their order."""
        added = self.added.inputs()
        return [*(getattr(self, name) for name in Values._fields[: -len(added)]), *added]

    def filled(self) -> list[Any]:
        """The components that `fill` has values for."""
        names = ("prompt", "negative", "seed", "model", "method", "preset", "steps", "guidance")
        mine = [*(getattr(self, name) for name in names), self.trained, self.edited, self.changed, self.vocabulary]
        return [*mine, *self.added.filled()]

    def fill(self, asked: Mapping[str, Any]) -> list[Any]:
        """The form as it was when this was asked for, see `links.fields`; what is not said of stays as it is."""
        model, method = self.models.get(asked.get("model")), self.methods.get(asked.get("method"))
        known = [asked.get(name, gr.skip()) for name in ("prompt", "negative_prompt")]
        known.append(_steps(asked["steps"], model, method) if "steps" in asked else gr.skip())
        known[2:2] = [
            str(asked["seed"]) if "seed" in asked else gr.skip(),
            model.name if model else gr.skip(),
            gr.Dropdown(value=method.name, info=method.summary) if method else gr.skip(),
            _preset(method, asked.get("preset")) if method else gr.skip(),
        ]
        scale = asked.get("guidance", gr.skip())
        known.append(0 if model and scale == model.guidance else scale)
        settings = dict(asked.get("settings", {}))
        if method:
            known += self._settings(method, asked, settings)
        else:
            known += [gr.skip()] * 3
        return [*known, chips.vocabulary(model) if model else gr.skip(), *self.added.fill(asked)]

    def _settings(self, method: Card, asked: Mapping[str, Any], rest: dict[str, Any]) -> list[Any]:
        """What was trained, the word groups, and the other settings."""
        part = str(rest.pop(method.takes, "")) if method.takes else ""
        edited = groups.as_edited(asked.get("prompt", ""), rest, method)
        preset = asked.get("preset") if asked.get("preset") in method.presets else next(iter(method.presets))
        choices = [(words.FIRST_TRAINED, ""), *([(part, part)] if part else [])]
        form = settings.anew(_form(method, preset, self.titles), {"of": f"{method.name}/{preset}", "set": rest})
        return [gr.Dropdown(value=part, choices=choices, visible=bool(part)), edited, form]

    def wire(self) -> Any:
        """What stays inside the column.

        Returns:
            The event after which a word of the vocabulary is in the prompt.
        """

        def new_seed() -> str:
            return str(random.randrange(1_000_000))  # noqa: NPY002 short enough to be read aloud

        def new_method(method: str) -> tuple[Any, Any, str]:
            card = self.methods[method]
            return (
                gr.Dropdown(info=card.summary),
                gr.Dropdown(choices=list(card.presets), value=next(iter(card.presets))),
                "",
            )

        def new_settings(method: str, preset: str) -> gr.HTML:
            return settings.anew(_form(self.methods[method], preset, self.titles))

        def new_model(model: str) -> tuple[str, str, str]:
            card = self.models[model]
            look = "status" if card.available else "status failed"
            said = card.reason or (card.unscored and words.unscored(card.unscored))
            told = said and f'<div class="{look}">{escape(said)}</div>'
            return chips.vocabulary(card), told, setups.panel(self.missing, card.title)

        def add_word(prompt: str | None, event: gr.EventData) -> str:
            word = str(picked(event).get("word", ""))[:64]
            return f"{(prompt or '').rstrip()} {word}".strip()

        self.shuffle.click(new_seed, None, self.seed, **QUICK)
        self.method.input(new_method, self.method, [self.method, self.preset, self.status], **QUICK)
        # A link changes them too.
        which = [self.method, self.preset]
        gr.on([self.method.change, self.preset.change], new_settings, which, self.changed, **QUICK)
        self.model.input(new_model, self.model, [self.vocabulary, self.status, self.setup], **QUICK)
        self.added.wire()
        return gr.on([self.vocabulary.select, self.added.tokens.select], add_word, self.prompt, self.prompt, **QUICK)


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
    wish = _wish(studio, first, method, opening, shelf)
    tokens = wish.pop("tokens")
    go = _go(opening)
    with gr.Column(elem_id="choices", min_width=0):
        choices = _choices(studio, models, first, tokens) | _ways(methods, method, opening)
        more = _more(first, method, opening)
        # Beside what folds it away, not inside: gradio forgets what it is told of a form that is not drawn yet.
        changed = settings.build(_form(method, choices["preset"].value, titles), elem_id="settings")
    return Controls(
        **wish, **go, **choices, **more, changed=changed, takes=gr.State(taking(methods)),
        models={card.name: card for card in models}, methods={card.name: card for card in methods}, titles=titles,
        missing=studio.setups(),
    )  # fmt: skip


def _wish(
    studio: Studio, first: Card, method: Card, opening: Request | None, shelf: Mapping[str, Run]
) -> dict[str, Any]:
    """What to draw: the prompt, what helps to write it, and its word groups."""
    asked = opening.prompt if opening else words.PROMPT_PLACEHOLDER
    prompt = gr.Textbox(
        label=words.PROMPT,
        value=asked,
        lines=2,
        max_lines=4,
        elem_id="prompt",
        placeholder=words.PROMPT_PLACEHOLDER,
    )
    examples = gr.HTML(chips.precomputed(shelf), js_on_load=chips.SCRIPT, elem_id="examples")
    vocabulary = gr.HTML(chips.vocabulary(first), js_on_load=chips.SCRIPT, elem_id="vocabulary")
    tokens = gr.HTML("", js_on_load=chips.SCRIPT, elem_id="tokens")
    binding, edited = groups.build(studio, method, asked)
    return {
        "prompt": prompt, "examples": examples, "vocabulary": vocabulary, "tokens": tokens, "groups": binding, "edited": edited,
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
            label=words.STEPS, value=_steps(opening.steps, first, method) if opening else 0, precision=0, minimum=0,
            maximum=MAX_STEPS, info=words.STEPS_INFO, elem_id="steps",
        )  # fmt: skip
        guidance = gr.Number(label=words.GUIDANCE, value=0, minimum=0, maximum=30, info=words.GUIDANCE_INFO)
    return {"negative": negative, "steps": steps, "guidance": guidance}


def first_model(models: list[Card]) -> Card:
    """The model that is chosen at first: the first one that is here."""
    return next((card for card in models if card.available), models[0])


def opening_of(shelf: Mapping[str, Run], model: Card) -> Request | None:
    """What the first precomputed run was asked with, if it is of that model."""
    run = next(iter(shelf.values()), None)
    return run.request if run is not None and run.request.model == model.name else None


def first_method(methods: list[Card], model: Card, opening: Request | None = None) -> Card:
    """The method that is chosen at first: the opening run's, else the training-free one, or without rewards its control."""
    mine = next((card for card in methods if opening is not None and card.name == opening.method), None)
    if mine is not None and opening.preset in mine.presets:
        return mine
    usable = [card for card in methods if not (model.unscored and card.needs_rewards)] or methods
    found = {card.name: card for card in usable}
    return found.get("maskunet_free") or found.get("random_mask") or usable[0]


def _steps(asked: int | None, model: Card | None, method: Card | None) -> int:
    """What the form says of the steps that were asked for: 0, the model's own, if these are what that means here."""
    if asked and model and method and asked == min(model.steps, method.most_steps or model.steps):
        return 0
    return asked or 0


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


def _preset(method: Card, preset: Any) -> gr.Dropdown:
    """The method's presets, and this one chosen, or the first where it has no such one."""
    return gr.Dropdown(
        choices=list(method.presets), value=preset if preset in method.presets else next(iter(method.presets))
    )


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
        **additions.fields(
            given.loras,
            (given.weight_1, given.weight_2, given.weight_3, given.weight_4),
            given.lora_masks,
            given.embeddings,
        ),
    )


def _trained(given: Values) -> dict[str, str]:
    return {given.takes[given.method]: given.trained} if given.trained and given.method in given.takes else {}


def taking(methods: list[Card]) -> dict[str, str]:
    """The setting that names what was trained, by method; the others take nothing."""
    return {card.name: card.takes for card in methods if card.takes}


def _whole(value: Any) -> Any:
    """Numbers come as floats from the page; what is not whole is left for Request to refuse."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
