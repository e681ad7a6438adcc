"""What a page shows of methods and rewards before they are used."""

from collections.abc import Iterable
from typing import Any

from maskunet.methods.base import KINDS, MethodSpec
from maskunet.plugins import FieldCard, cards
from maskunet.records import Card
from maskunet.rewards import SPECS as REWARDS

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


def _drawn(spec: MethodSpec, preset: Any) -> tuple[FieldCard, ...]:
    """The settings of a preset that have no control of their own on the page."""
    return tuple(card for card in cards(preset) if card.name not in (GROUPS, *spec.takes))
