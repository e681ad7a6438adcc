"""The fields of a method's or a recipe's settings as a form: one control per `FieldCard`, by its kind."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from html import escape

from maskunet.plugins import FieldCard
from maskunet.ui import words

Cards = Sequence[FieldCard]


def form(cards: Cards, of: str, titles: Mapping[str, str], *, key: str, first: Sequence[str] | None = None) -> str:
    """The form; nothing for a preset without settings.

    Args:
        of: whose settings they are, such as method/preset; goes back with what is changed.
        key: begins the ids of the fields, such as key-steps.
        first: names of what is shown at once, in this order, whose titles say enough; the others wait behind
            "More settings"; None shows all.
        titles: of settings whose name does not say enough.
    """
    if not cards:
        return ""
    by_name = {card.name: card for card in cards}
    shown = [by_name.pop(name) for name in (list(by_name) if first is None else first) if name in by_name]
    rest = list(by_name.values())
    more = f"<details><summary>{words.MORE}</summary>{_fields(rest, titles, key)}</details>" if rest else ""
    if first is not None:
        shown = [replace(card, help="") for card in shown]
    said = f'data-one="{words.ONE_CHANGED}" data-many="{words.MANY_CHANGED}" data-mark="{words.CHANGED_MARK}"'
    back = f'<button type="button">{words.BACK_TO_PRESET}</button>'
    return (
        f'<div class="settings" data-of="{escape(of, quote=True)}" {said}>{_fields(shown, titles, key)}{more}'
        f'<p class="tally" hidden><output></output>{back}</p></div>'
    )


def _fields(cards: Cards, titles: Mapping[str, str], key: str) -> str:
    """Numbers, choices and texts, then what is on or off, then what only changes what a run costs."""
    usual = [card for card in cards if not card.cost]
    values, switches = ([c for c in usual if (c.kind == "bool") == switch] for switch in (False, True))
    drawn = "".join(f'<div class="fields">{_each(mine, titles, key)}</div>' for mine in (values, switches) if mine)
    costs = _each([card for card in cards if card.cost], titles, key)
    if costs:
        drawn += f'<fieldset id="{key}-switches"><legend>{words.SWITCHES}</legend>{costs}</fieldset>'
    return drawn


def _each(cards: Cards, titles: Mapping[str, str], key: str) -> str:
    return "".join(_field(card, titles, key) for card in cards)


def _field(card: FieldCard, titles: Mapping[str, str], key: str) -> str:
    name = f"{key}-{card.name}"
    title = titles.get(card.name) or card.name.replace("_", " ").capitalize()
    if card.cost:  # one line says enough
        label, about, known = card.help, "", f'id="{name}"'
    else:
        label, about = title, f'<small id="{name}-help">{_help(card)}</small>'
        known = f'id="{name}" aria-describedby="{name}-help"'
    label, control = f'<label for="{name}">{escape(label)}</label>', _control(card, f"{known} {_usual(card)}")
    if card.kind == "bool":
        return f'<div class="field switch">{control}<div>{label}{about}</div></div>'
    return f'<div class="field">{label}{about}{control}</div>'


def _usual(card: FieldCard) -> str:
    """What the script needs: the setting's name and the preset's value as JSON."""
    value = escape(json.dumps(card.default), quote=True)
    return f'data-name="{card.name}" data-usual="{value}"'


def _control(card: FieldCard, known: str) -> str:
    if card.kind == "bool":
        return f'<input type="checkbox" {known}{" checked" if card.default else ""}>'
    if card.choices:
        options = (
            f"<option{' selected' if choice == card.default else ''}>{escape(choice)}</option>"
            for choice in card.choices
        )
        nothing = '<option value=""></option>' if card.empty else ""
        return f"<select {known}>{nothing}{''.join(options)}</select>"
    value = "" if card.default is None else escape(str(card.default), quote=True)
    if card.kind == "str":
        return f'<input type="text" {known} value="{value}">'
    ends = {"min": card.low, "max": card.high}
    limits = "".join(f' {name}="{end}"' for name, end in ends.items() if end is not None)
    step = "1" if card.kind == "int" else "any"
    return f'<input type="number" {known} value="{value}" step="{step}"{limits}>'


def _help(card: FieldCard) -> str:
    """What it does, and from where to where it goes."""
    if card.low is None or card.high is None:
        return escape(card.help)
    return f"{escape(card.help)} <span>({words.within(card.low, card.high)})</span>".strip()
