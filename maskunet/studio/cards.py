"""What a page shows of methods, rewards and prompts before they are used."""

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from maskunet.encoders.pretrained import tokenizer_from
from maskunet.library.library import Library
from maskunet.methods.base import KINDS, MethodSpec
from maskunet.plugins import FieldCard, cards
from maskunet.records import Card
from maskunet.rewards import SPECS as REWARDS
from maskunet.runs import fine_print

GROUPS = "groups"  # the setting that holds groups of a prompt's words


def of_methods(specs: Iterable[MethodSpec]) -> list[Card]:
    """The methods by their kind, with their presets, the default preset first."""
    return [
        Card(
            name=spec.name,
            title=spec.title,
            summary=spec.summary,
            kind=spec.kind,
            groups=hasattr(spec.settings(), GROUPS),
            takes=next(iter(spec.takes), ""),
            needs_rewards=spec.needs_rewards,
            most_steps=spec.most_steps,
            presets={name: _drawn(spec, preset) for name, preset in spec.presets.items()},
        )
        for spec in sorted(specs, key=lambda spec: KINDS.index(spec.kind))
    ]


def of_rewards() -> list[Card]:
    """The rewards, in the order in which runs list them."""
    return [Card(name=s.name, title=s.title, summary=s.summary, weight=s.weight) for s in REWARDS.values()]


def unknown(library: Library, model: str, prompt: str) -> str:
    """A sentence on the words of a prompt that a small model does not know, or empty; the model is not loaded."""
    with suppress(ValueError):  # there is no such model here, which whoever asks for a picture is told
        if vocabulary := library.spec(model).vocabulary:
            return fine_print.unknown([prompt], tokenizer_from(library.find(model, False)[0] / "tokenizer"), vocabulary)
    return ""


def _drawn(spec: MethodSpec, preset: Any) -> tuple[FieldCard, ...]:
    """The settings of a preset that have no control of their own on the page."""
    return tuple(card for card in cards(preset) if card.name not in (GROUPS, *spec.takes))
