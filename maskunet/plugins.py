"""Plug-ins: SPECs that are found by being there, and settings with their ranges and presets."""

import importlib
import pkgutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from importlib.util import find_spec
from math import inf
from types import MappingProxyType, NoneType, UnionType
from typing import Any, get_args

SHARED = ("base", "registry")  # what the plug-ins of a package share, and what runs them: no plug-ins


def names(package: str) -> tuple[str, ...]:
    """The plug-ins of a package by their files' names, in order and without importing any."""
    if package in sys.modules:
        places = sys.modules[package].__path__
    else:
        found = find_spec(package)
        places = found.submodule_search_locations if found else None
    return tuple(info.name for info in pkgutil.iter_modules(places or ()) if info.name not in SHARED)


def discover(package: str) -> Mapping[str, Any]:
    """Import the modules of a package in name order and return their SPECs by name, read-only.

    Raises:
        ImportError: a module has no SPEC, or two have the same name; says which.
    """
    found: dict[str, Any] = {}
    owners: dict[str, str] = {}
    for name in names(package):
        spec = getattr(importlib.import_module(f"{package}.{name}"), "SPEC", None)
        if spec is None:
            raise ImportError(f"{package}/{name}.py has no SPEC. End it in one, or move it elsewhere.")
        if spec.name in found:
            raise ImportError(f"{package}/{name}.py and {owners[spec.name]}.py both call themselves “{spec.name}”.")
        found[spec.name], owners[spec.name] = spec, name
    return MappingProxyType(found)


def named(specs: Mapping[str, Any], name: str, what: str) -> Any:
    """The SPEC of that name.

    Args:
        what: they are, in the sentence, such as "plot".

    Raises:
        ValueError: there is none; says which there are.
    """
    if name not in specs:
        raise ValueError(f"There is no {what} “{name}”. There are: {', '.join(specs)}.")
    return specs[name]


LONGEST = 2_000  # characters of a text, such as a prompt or a selection of weights
KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


def setting(
    default: Any,
    help: str,  # noqa: A002, as argparse calls it
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    cost: bool = False,
) -> Any:
    """A field of a settings dataclass, with what is allowed and what it does.

    Args:
        low, high: of a number, both ends included. choices: of a text.
        cost: it changes what a run costs rather than what it does.
    """
    return field(default=default, metadata={"help": help, "low": low, "high": high, "choices": choices, "cost": cost})


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldCard:
    """One setting as the page, the command line and the docs show it, see `setting`.

    `kind` is one of "int", "float", "bool" and "str"; `empty`: it may be None, for no value.
    """

    name: str
    kind: str
    default: Any
    help: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    cost: bool = False
    empty: bool = False


CARD = ("help", "low", "high", "choices", "cost")  # what a field may say of itself


def cards(settings: Any) -> list[FieldCard]:
    """The fields of a settings dataclass, or of an instance, whose values are then the defaults."""
    found = []
    for each in fields(settings):
        kind, *more = get_args(each.type) if isinstance(each.type, UnionType) else (each.type,)
        value = each.default if isinstance(settings, type) else getattr(settings, each.name)
        about = {"help": "", **{key: each.metadata[key] for key in CARD if key in each.metadata}}
        found.append(FieldCard(name=each.name, kind=kind.__name__, default=value, empty=NoneType in more, **about))
    return found


def chosen(presets: Mapping[str, Any], owner: str, preset: str = "", overrides: Mapping[str, Any] | None = None) -> Any:
    """The preset's settings, a frozen dataclass, with single values replaced.

    Args:
        presets: settings by name; the first is the default. owner: whose they are, for messages.

    Raises:
        ValueError: no such preset or setting, or a value that its field does not allow.
    """
    name = preset or next(iter(presets))
    if name not in presets:
        raise ValueError(f"{owner} has no preset “{name}”. It has: {', '.join(presets)}.")
    known = {card.name: card for card in cards(presets[name])}
    given = {}
    for key, value in (overrides or {}).items():
        if key not in known:
            raise ValueError(f"{owner} has no setting “{key}”. It has: {', '.join(known)}.")
        given[key] = plain(known[key], value)
        check(known[key], given[key])
    return replace(presets[name], **given)


def plain(card: FieldCard, value: Any) -> Any:
    """The value as files hold it: for a text the text, a number of another make, such as NumPy's, as Python's own."""
    if card.kind == "str":
        return _as_text(value)
    return float(value) if isinstance(value, float) else value


def _as_text(value: Any) -> Any:
    """A number, true or false as the text that looks like one, such as the name of a training that is called 3."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else value


def check(card: FieldCard, value: Any, called: str = "") -> None:
    """Refuse a value that the field does not allow.

    Args:
        called: the field in the sentence, such as "--seed"; its name as a setting's if left out.

    Raises:
        ValueError: of another kind, out of range, or none of the choices; says what is allowed.
    """
    called = called or f"The setting {card.name}"
    if value is None and card.empty:
        return
    kind = {each.__name__: each for each in KINDS}[card.kind]
    numbers = (int, float)
    fits = isinstance(value, numbers if kind is float else kind) and (kind is bool or not isinstance(value, bool))
    if not fits or (kind in numbers and not abs(value) < inf):
        raise ValueError(f"{called} must be {KINDS[kind]}, not {value!r:.60}.")
    if card.high is None and card.low is not None and value < card.low:
        raise ValueError(f"{called} must be at least {card.low}.")
    if (card.low is not None and value < card.low) or (card.high is not None and value > card.high):
        raise ValueError(f"{called} is {value!s:.24}; allowed is {card.low} to {card.high}.")
    if kind is str and len(value) > LONGEST:
        raise ValueError(f"{called} has {len(value):,} characters; allowed are {LONGEST:,}.")
    if card.choices and value not in card.choices:
        raise ValueError(f"{called} is {value!r:.60}; allowed is {', '.join(card.choices)}.")
