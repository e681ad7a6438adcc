"""The left column: what its fields hold, how they are filled, and the request that they make; `column` draws it."""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from types import MappingProxyType
from typing import Any, NamedTuple

import gradio as gr

from maskunet.records import Card, Request, Run, Setup
from maskunet.ui import additions, groups, settings, words
from maskunet.ui.handlers import QUICK, picked
from maskunet.ui.html import chips
from maskunet.ui.html import setup as setups
from maskunet.ui.html import status as status_line


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
        unknown: what the prompt's model does not know of it, as `unknown_words` says of a prompt and a model.
        examples: the precomputed runs as chips. vocabulary: a small model's words.
        setup: what the model takes that is not here, or the first such one, of `missing`.
        known_parts: the names of what was trained and can be chosen, by method and model.
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
    unknown: gr.HTML
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
    known_parts: Callable[[str, str], Sequence[str]]
    unknown_words: Callable[[str, str], str]

    def inputs(self) -> list[Any]:
        """The components of `Values`, in their order."""
        added = self.added.inputs()
        return [*(getattr(self, name) for name in Values._fields[: -len(added)]), *added]

    def filled(self) -> list[Any]:
        """The components that `fill` has values for."""
        names = ("prompt", "negative", "seed", "model", "method", "preset", "steps", "guidance")
        mine = [
            *(getattr(self, name) for name in names),
            self.trained,
            self.edited,
            self.changed,
            self.unknown,
            self.vocabulary,
            self.setup,
        ]
        return [*mine, *self.added.filled()]

    def fill(self, asked: Mapping[str, Any]) -> list[Any]:
        """The form as it was when this was asked for, see `links.fields`; what is not said of stays as it is."""
        model, method = self.models.get(asked.get("model")), self.methods.get(asked.get("method"))
        known = [asked.get(name, gr.skip()) for name in ("prompt", "negative_prompt")]
        known.append(steps_shown(asked["steps"], model, method) if "steps" in asked else gr.skip())
        known[2:2] = [
            str(asked["seed"]) if "seed" in asked else gr.skip(),
            model.name if model else gr.skip(),
            gr.Dropdown(value=method.name, info=method.summary) if method else gr.skip(),
            _preset(method, asked.get("preset")) if method else gr.skip(),
        ]
        scale = asked.get("guidance", gr.skip())
        known.append(0 if scale is None or (model and scale == model.guidance) else scale)
        settings = dict(asked.get("settings", {}))
        if method:
            known += self._settings(method, asked, settings)
        else:
            known += [gr.skip()] * 3
        known.append("" if "prompt" in asked else gr.skip())  # told when it is edited or drawn
        of_model = (chips.vocabulary(model), setups.panel(self.missing, model.title)) if model else (gr.skip(),) * 2
        return [*known, *of_model, *self.added.fill(asked)]

    def _settings(self, method: Card, asked: Mapping[str, Any], rest: dict[str, Any]) -> list[Any]:
        """What was trained, the word groups, and the other settings."""
        part = str(rest.pop(method.takes, "")) if method.takes else ""
        edited = groups.as_edited(asked.get("prompt", ""), rest, method)
        preset = asked.get("preset") if asked.get("preset") in method.presets else next(iter(method.presets))
        parts = self.known_parts(method.name, asked.get("model", ""))
        form = settings.anew(
            settings.of_method(method, preset, self.titles), {"of": f"{method.name}/{preset}", "set": rest}
        )
        return [parts_to_choose(parts, part), edited, form]

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
            return settings.anew(settings.of_method(self.methods[method], preset, self.titles))

        def new_model(model: str) -> tuple[str, str, str]:
            card = self.models[model]
            look = "status" if card.available else "status failed"
            said = card.reason or (card.unscored and words.unscored(card.unscored))
            told = said and f'<div class="{look}">{escape(said)}</div>'
            return chips.vocabulary(card), told, setups.panel(self.missing, card.title)

        def add_word(prompt: str | None, event: gr.EventData) -> str:
            word = str(picked(event).get("word", ""))[:64]
            return f"{(prompt or '').rstrip()} {word}".strip()

        def read(prompt: str | None, model: str, embeddings: list[str] | None) -> str:
            said = "" if embeddings else self.unknown_words(prompt or "", model)  # whose words it would not know
            return status_line.said(said and f"{said} {words.TRY}")

        self.shuffle.click(new_seed, None, self.seed, **QUICK)
        self.method.input(new_method, self.method, [self.method, self.preset, self.status], **QUICK)
        # A link changes them too.
        which = [self.method, self.preset]
        gr.on([self.method.change, self.preset.change], new_settings, which, self.changed, **QUICK)
        self.model.input(new_model, self.model, [self.vocabulary, self.status, self.setup], **QUICK)
        self.added.wire()
        added = gr.on([self.vocabulary.select, self.added.tokens.select], add_word, self.prompt, self.prompt, **QUICK)
        where = {
            "fn": read,
            "inputs": [self.prompt, self.model, self.added.embeddings],
            "outputs": self.unknown,
            **QUICK,
        }
        gr.on([self.prompt.blur, self.prompt.submit, self.generate.click, self.model.input], **where)
        added.then(**where)
        return added


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


def steps_shown(asked: int | None, model: Card | None, method: Card | None) -> int:
    """What the form says of the steps that were asked for: 0, the model's own, if these are what that means here."""
    if asked and model and method and asked == min(model.steps, method.most_steps or model.steps):
        return 0
    return asked or 0


def _preset(method: Card, preset: Any) -> gr.Dropdown:
    """The method's presets, and this one chosen, or the first where it has no such one."""
    return gr.Dropdown(
        choices=list(method.presets), value=preset if preset in method.presets else next(iter(method.presets))
    )


def parts_to_choose(names: Iterable[str], chosen: str) -> gr.Dropdown:
    """What was trained, for `Controls.trained`: also what is `chosen`, which may be gone; empty for the model's first."""
    choices = [(words.FIRST_TRAINED, ""), *((name, name) for name in dict.fromkeys([*names, chosen]) if name)]
    return gr.Dropdown(choices=choices, value=chosen, visible=len(choices) > 1)


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
