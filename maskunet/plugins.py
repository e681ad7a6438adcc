"""Plug-ins: SPECs that are found by being there, and settings with their ranges and presets."""

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import fields, replace
from math import inf
from types import MappingProxyType, NoneType
from typing import Any, get_args


def discover(package: str) -> Mapping[str, Any]:
    """Import the modules of a package in name order and return their SPECs by name, read-only.

    `base` is what the plug-ins share and has no SPEC.

    Raises:
        ImportError: a module has no SPEC, or two have the same name; says which.
    """
    found: dict[str, Any] = {}
    owners: dict[str, str] = {}
    for info in pkgutil.iter_modules(importlib.import_module(package).__path__):
        if info.name == "base":
            continue
        spec = getattr(importlib.import_module(f"{package}.{info.name}"), "SPEC", None)
        if spec is None:
            raise ImportError(f"{package}/{info.name}.py has no SPEC. End it in one, or move it elsewhere.")
        if spec.name in found:
            raise ImportError(
                f"{package}/{info.name}.py and {owners[spec.name]}.py both call themselves “{spec.name}”."
            )
        found[spec.name], owners[spec.name] = spec, info.name
    return MappingProxyType(found)


KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


def ranged(low: float, high: float, text: str) -> dict[str, Any]:
    """A field's metadata: what is allowed, both ends included, and what the setting does."""
    return {"min": low, "max": high, "help": text}


def switch(text: str) -> dict[str, Any]:
    """The metadata of a yes or no that changes what a run costs rather than what it does; a page offers it."""
    return {"help": text, "switch": True}


def switches(settings: Any) -> dict[str, str]:
    """The switches among the fields of a settings dataclass, by name, with what they do."""
    return {f.name: f.metadata["help"] for f in fields(settings) if f.metadata.get("switch")}


def chosen(
    presets: Mapping[str, Any], owner: str, preset: str = "", overrides: Mapping[str, Any] | None = None
) -> Any:
    """The preset's settings, a frozen dataclass, with single values replaced.

    Args:
        presets: settings by name; the first is the default. owner: whose they are, for messages.

    Raises:
        ValueError: no such preset or setting, or a value out of the range in its metadata.
    """
    name = preset or next(iter(presets))
    if name not in presets:
        raise ValueError(f"{owner} has no preset “{name}”. It has: {', '.join(presets)}.")
    known = {f.name: f for f in fields(presets[name])}
    for key, value in (overrides or {}).items():
        if key not in known:
            raise ValueError(f"{owner} has no setting “{key}”. It has: {', '.join(known)}.")
        kind, *more = get_args(known[key].type) or (known[key].type,)
        if value is not None or NoneType not in more:  # such as float | None, which may be left out
            _check(key, value, kind, known[key].metadata)
    return replace(presets[name], **(overrides or {}))


def _check(key: str, value: Any, kind: type, limits: Mapping[str, Any]) -> None:
    numbers = (int, float)
    fits = isinstance(value, numbers if kind is float else kind) and (
        kind is bool or not isinstance(value, bool)
    )
    if not fits or (kind in numbers and not abs(value) < inf):
        raise ValueError(f"The setting {key} must be {KINDS[kind]}, not {value!r:.60}.")
    low, high = limits.get("min"), limits.get("max")
    if (low is not None and value < low) or (high is not None and value > high):
        raise ValueError(f"The setting {key} is {value}; allowed is {low} to {high}.")
    if "choices" in limits and value not in limits["choices"]:
        raise ValueError(f"The setting {key} is {value!r:.60}; allowed is {', '.join(limits['choices'])}.")
