"""Which LoRA files and embeddings are put on the base model: choices, a weight each, and the words for the prompt."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from maskunet.records import Card
from maskunet.records.added import MAX_WEIGHT, MOST, READINGS, split, weight_of, written
from maskunet.ui import additions_words as words
from maskunet.ui.handlers import QUICK
from maskunet.ui.html import chips

MAX_NAME = 255  # characters of a file's name


@dataclass(frozen=True, slots=True)
class Additions:
    """The components; `tokens` shows the words of the chosen embeddings below the prompt.

    Attributes:
        about: what the files say. before: the LoRA files that the weights are of, in their order. cards: of the files, by kind.
    """

    tokens: gr.HTML
    loras: gr.Dropdown
    weights: tuple[gr.Number, ...]
    about: gr.HTML
    lora_masks: gr.Radio
    embeddings: gr.Dropdown
    before: gr.State
    cards: Mapping[str, Sequence[Card]]

    def inputs(self) -> list[Any]:
        """What a request is made from, as `request` takes it."""
        return [self.loras, *self.weights, self.lora_masks, self.embeddings]

    def filled(self) -> list[Any]:
        """The components that `fill` has values for."""
        return [*self.inputs(), self.tokens, self.about, self.before]

    def fill(self, asked: Mapping[str, Any]) -> list[Any]:
        """As it was when this was asked for; what is not said of stays as it is.

        A file that is not here any more stays named, so that whoever asks again is told.
        """
        if "loras" not in asked and "embeddings" not in asked:
            return [gr.skip()] * len(self.filled())
        found = [(name, weight_of(value, name)) for name, value in map(split, asked.get("loras", ()))]
        weights = [weight for _, weight in found]
        chosen = [*asked.get("embeddings", ())]
        names = [name for name, _ in found]
        return [
            gr.Dropdown(value=names, allow_custom_value=True, visible=bool(names or self.cards["loras"])),
            *self._weights(names, weights),
            gr.Radio(value=asked.get("lora_masks", READINGS[0]), visible=bool(names)),
            gr.Dropdown(value=chosen, allow_custom_value=True, visible=bool(chosen or self.cards["embeddings"])),
            self._tokens(chosen),
            self._about(names),
            names,
        ]

    def wire(self) -> None:
        """A weight for each chosen LoRA, and the words of the chosen embeddings."""

        def new_loras(names: list[str] | None, before: list[str], *weights: Any) -> list[Any]:
            names = [name for name in names or () if len(name) <= MAX_NAME][:MOST]  # the page keeps them
            known = dict(zip(before, weights, strict=False))
            return [
                *self._weights(names, [known.get(name, 1.0) for name in names]),
                gr.Radio(visible=bool(names)),
                self._about(names),
                names,
            ]

        inputs = [self.loras, self.before, *self.weights]
        self.loras.input(new_loras, inputs, [*self.weights, self.lora_masks, self.about, self.before], **QUICK)
        self.embeddings.input(self._tokens, self.embeddings, self.tokens, **QUICK)

    def _weights(self, names: Sequence[str], values: Sequence[float]) -> list[Any]:
        shown = [
            gr.Number(label=words.WEIGHT.format(name=name), value=value, visible=True)
            for name, value in zip(names, values, strict=True)
        ]
        return [*shown, *[gr.Number(value=1, visible=False)] * (MOST - len(shown))]

    def _about(self, names: Sequence[str]) -> str:
        """What the headers of the files say; gradio would take it for Markdown below a field."""
        said = {card.name: card.summary or card.reason for card in self.cards["loras"]}
        return "".join(
            f'<p class="hint"><b>{escape(name)}</b>: {escape(said.get(name, words.GONE))}</p>' for name in names
        )

    def _tokens(self, chosen: Sequence[str] | None) -> str:
        own = {card.name: card.kind for card in self.cards["embeddings"]}
        given = [(token or own.get(name, "")) for name, token in map(split, chosen or ())]
        return chips.tokens([token for token in given if token])


def build(cards: Mapping[str, Sequence[Card]], tokens: gr.HTML) -> Additions:
    """Draw the choices; nothing is seen of them where there are no files.

    Args:
        cards: by kind, see `Studio.additions`. tokens: where the words are shown.
    """
    loras = _files(cards, "loras", words.LORAS, words.LORAS_INFO)
    weights = tuple(
        gr.Number(label=words.WEIGHT, value=1, minimum=-MAX_WEIGHT, maximum=MAX_WEIGHT, step=0.1, visible=False)
        for _ in range(MOST)
    )
    about = gr.HTML("", elem_id="lora-notes")
    masks = gr.Radio(label=words.MASKS, choices=[*words.READINGS], value=READINGS[0], visible=False)
    embeddings = _files(cards, "embeddings", words.EMBEDDINGS, words.EMBEDDINGS_INFO)
    return Additions(tokens, loras, weights, about, masks, embeddings, gr.State([]), cards)


def _files(cards: Mapping[str, Sequence[Card]], kind: str, label: str, info: str) -> gr.Dropdown:
    return gr.Dropdown(
        label=label, info=info, value=[], choices=[_choice(card) for card in cards[kind]], multiselect=True,
        max_choices=MOST, allow_custom_value=True, visible=bool(cards[kind]), elem_id=kind,
    )  # fmt: skip


def _choice(card: Card) -> tuple[str, str]:
    return card.title if card.available else words.UNREAD.format(name=card.title), card.name


def fields(loras: Any, weights: Sequence[Any], lora_masks: Any, embeddings: Any) -> dict[str, Any]:
    """What a request has of them, from the page's plain values; whatever is wrong is left for it to refuse."""
    names = [*loras] if isinstance(loras, list | tuple) else []
    weighed = [written(str(name), _number(weight)) for name, weight in zip(names, weights, strict=False)]
    more = [str(name) for name in names[len(weights) :]]
    chosen = [*map(str, embeddings)] if isinstance(embeddings, list | tuple) else []
    return {"loras": (*weighed, *more), "embeddings": tuple(chosen), "lora_masks": str(lora_masks or READINGS[0])}


def _number(weight: Any) -> str:
    if weight is None:
        return "1"
    return f"{weight:g}" if isinstance(weight, int | float) and not isinstance(weight, bool) else str(weight)[:20]
