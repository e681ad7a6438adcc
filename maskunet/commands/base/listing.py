"""Plug-ins as text: which there are, and the settings of one."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from maskunet import plugins


def columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Rows of cells as lines, each column as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def listed(specs: Iterable[Any]) -> Iterator[str]:
    """The name, the summary and the presets of each, and whether it needs rewards."""
    for spec in specs:
        yield f"{spec.name}: {spec.summary}"
        yield f"    presets: {', '.join(spec.presets)}"
        if spec.needs_rewards:
            yield "    needs rewards"


def described(spec: Any, preset: str = "") -> Iterator[str]:
    """One plug-in with its settings: their values in a preset, what is allowed, and what they do.

    Args:
        preset: the first one if left out.

    Raises:
        ValueError: no such preset; says which there are.
    """
    settings = plugins.chosen(spec.presets, spec.name, preset)
    preset = preset or next(iter(spec.presets))
    yield f"{spec.title}: {spec.summary}"
    yield f"From {spec.source}."
    yield f"presets: {', '.join(spec.presets)}; these are the values of {preset}"
    yield ""
    cards = plugins.cards(settings)
    rows = [(card.name, _text(card.default), _allowed(card), card.help) for card in cards]
    yield from columns([("setting", "value", "allowed", "what it is"), *rows])


def _text(value: Any) -> str:
    """As it is written behind --set NAME=."""
    return value if isinstance(value, str) and value else json.dumps(value)


def _allowed(card: plugins.FieldCard) -> str:
    if card.choices:
        return ", ".join(card.choices)
    if card.low is not None and card.high is not None:
        low, high = (f"{number:,}".removesuffix(".0") for number in (card.low, card.high))
        return f"{low} to {high}" + (" or null" if card.empty else "")
    kind = next(text for kind, text in plugins.KINDS.items() if kind.__name__ == card.kind)
    return f"{kind} or null" if card.empty else kind
