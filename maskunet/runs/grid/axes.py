"""The axes of a grid, from texts such as seed=1..8 and guidance=2.5:10:2.5, and the request of every cell."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import islice, product
from math import prod
from pathlib import Path
from typing import Any

from maskunet import plugins
from maskunet.methods import SPECS, method_of
from maskunet.methods.base import MethodSpec
from maskunet.plugins import FieldCard
from maskunet.prompts import files, rows
from maskunet.prompts.words import shortened
from maskunet.records import Request
from maskunet.records.grid import AXES, FIELDS, GridRequest
from maskunet.runs.entrant import Entrant, entrant

MOST = 100_000  # cells of a grid; a sheet of more could not be read
NUMBER = r"[+-]?(?:[0-9]{1,20}(?:\.[0-9]{1,20})?|\.[0-9]{1,20})(?:[eE][+-]?[0-9]{1,2})?"
KINDS = {"seed": "int", "steps": "int", "guidance": "float"}  # of the fields that are no texts
SENTENCES = ("prompt", "negative_prompt")  # which have commas of their own
HOW = "Write values with commas (1,2,5), whole numbers as 1..8, and others as 2.5:10:2.5, from, to and step."


@dataclass(frozen=True, slots=True)
class Axis:
    """What varies: a field of `Request` or a setting, and its values; of the field "method" they are entrants."""

    name: str
    values: tuple[Any, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """What stands beside the pictures."""
        return tuple(_label(self.name, value) for value in self.values)


@dataclass(frozen=True, slots=True)
class Grid:
    """A grid's axes, x first, the request of every cell (z by z, in it row by row), and what else a reader should know."""

    axes: tuple[Axis, ...]
    cells: tuple[Request, ...]
    notes: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, int, int]:
        """How many values z, y and x have."""
        sizes = [len(axis.values) for axis in self.axes]
        return tuple([*sizes, *[1] * (3 - len(sizes))][::-1])

    def labels(self, number: int) -> dict[str, str]:
        """What stands at a cell's place, by axis."""
        _, rows, columns = self.shape
        place = number % columns, number // columns % rows, number // (columns * rows)
        return {key: axis.labels[i] for key, axis, i in zip(AXES, self.axes, place, strict=False)}


def grid(
    asked: GridRequest, methods: Mapping[str, MethodSpec] = SPECS, *, may_read: bool = False, most: int = MOST
) -> Grid:
    """The cells of a grid, every one of them checked.

    An axis is the name of a field (`records.grid.FIELDS`) or of a setting, and its values as a text: with commas
    between them, or with | or line breaks, which prompts need; 1..8 are whole numbers, 2.5:10:2.5 others from, to and
    step. Methods are written as in a race, method/preset:part@guidance.

    Args:
        may_read: whether @FILE may stand for a file with a value in each line. most: cells that are allowed.

    Raises:
        ValueError: no such field, setting or method, no value or one that is not allowed, the same thing on two axes,
            or too many cells; says which.
    """
    given = [(name.strip(), _text(name.strip(), text, may_read)) for name, text in asked.axes]
    names = [name for name, _ in given]
    if len(set(names)) < len(names):
        raise ValueError(f"Two axes vary the {max(names, key=names.count)}. Give each something of its own.")
    chosen = (
        [entrant(shortened(word, 200), methods) for word in _words("method", dict(given)["method"])]
        if "method" in names
        else []
    )
    specs = {each.spec.name: each.spec for each in chosen} or {asked.request.method: _spec(asked.request, methods)}
    cards = {card.name: card for spec in reversed(specs.values()) for card in plugins.cards(spec.settings())}
    axes = tuple(_axis(name, text, cards, chosen) for name, text in given)
    count = prod(len(axis.values) for axis in axes)
    if count > most:
        more = " The command line makes more: python -m maskunet grid." if most < MOST else ""
        raise ValueError(f"This grid has {count:,} cells; allowed are {most:,}. Give fewer values.{more}")
    _check_once(axes)
    own = {name: methods[name] for name in [asked.request.method] if name in methods}  # whose settings are asked for
    known = {name: {card.name for card in plugins.cards(spec.settings())} for name, spec in (own | specs).items()}
    places = product(*(axis.values for axis in reversed(axes)))
    cells = tuple(_cell(asked.request, dict(zip(reversed(names), place, strict=True)), known) for place in places)
    for method, preset, settings in {(c.method, c.preset, tuple(sorted(c.settings.items()))) for c in cells}:
        specs[method].settings(preset, dict(settings))
    return Grid(axes, cells, _notes([*names, *asked.request.settings], {name: known[name] for name in specs}))


def _spec(request: Request, methods: Mapping[str, MethodSpec]) -> MethodSpec:
    return method_of(request.method, methods)


def _text(name: str, text: str, may_read: bool) -> str:
    """The values as a text, where they stand in a file too.

    Raises:
        ValueError: there is no such file, or it cannot be read as a text.
    """
    if not may_read or not text.startswith("@"):
        return text
    path = Path(text[1:])
    if not path.is_file():
        raise ValueError(f"There is no file “{path.name}” for the axis {name}.")
    if name in SENTENCES:
        return "\n".join(prompt.text for prompt in files.read(path))
    return rows.text_of(path)


def _words(name: str, text: str) -> list[str]:
    """The values as texts."""
    if "|" in text or "\n" in text:
        parts = re.split(r"[|\n]", text)
    else:
        parts = [text] if name in SENTENCES else text.split(",")
    found = [word for part in parts if (word := part.strip())]
    if not found:
        raise ValueError(f"The axis {name} has no values. {HOW}")
    return found


def _axis(name: str, text: str, cards: Mapping[str, FieldCard], chosen: Sequence[Entrant]) -> Axis:
    if name not in (*FIELDS, *cards):
        raise ValueError(f"A grid cannot vary “{shortened(name, 40)}”. It can: {', '.join((*FIELDS, *cards))}.")
    if name == "method":
        return Axis(name, tuple({each.name: each for each in chosen}.values()))
    kind = KINDS.get(name, "str") if name in FIELDS else cards[name].kind
    found = (value for word in _words(name, text) for value in _READ[kind](name, word))
    values = tuple(dict.fromkeys(islice(found, MOST + 1)))
    if name == "seed" and min(values) < 0:
        raise ValueError("A grid's seeds are given: one that is drawn could not be found again.")
    return Axis(name, values)


def _numbers(name: str, word: str, kind: Callable[[Any], Any]) -> list[Any]:
    """A number, or those from one to another."""
    if found := re.fullmatch(rf"({NUMBER})\.\.({NUMBER})", word):
        first, last = map(Decimal, found.groups())
        step = Decimal(1 if last >= first else -1)
    elif found := re.fullmatch(rf"({NUMBER}):({NUMBER}):({NUMBER})", word):
        first, last, step = map(Decimal, found.groups())
    elif re.fullmatch(NUMBER, word):
        first = last = Decimal(word)
        step = Decimal(1)
    else:
        raise ValueError(f"“{shortened(word, 40)}” is no value of {name}. {HOW}")
    if not step or (last - first) / step < 0:
        raise ValueError(f"“{shortened(word, 40)}” never ends: no step of {step} leads from {first} to {last}.")
    count = int((last - first) / step) + 1
    if count > MOST:
        raise ValueError(f"“{shortened(word, 40)}” are {count:,} values; a grid has {MOST:,} cells at most.")
    values = [first + i * step for i in range(count)]
    if kind is int and any(value != int(value) for value in values):
        raise ValueError(f"The {name} must be whole numbers, not {shortened(word, 40)}.")
    return [kind(value) for value in values]


def _truth(name: str, word: str) -> list[Any]:
    if word not in ("true", "false"):
        raise ValueError(f"“{shortened(word, 40)}” is no value of {name}. Allowed are true and false.")
    return [word == "true"]


_READ: dict[str, Callable[[str, str], list[Any]]] = {
    "int": lambda *given: _numbers(*given, int),
    "float": lambda *given: _numbers(*given, float),
    "bool": _truth,
    "str": lambda name, word: [word],
}


def _check_once(axes: Sequence[Axis]) -> None:
    """Refuse a method that says what another axis varies."""
    names = {axis.name for axis in axes}
    for each in next((axis.values for axis in axes if axis.name == "method"), ()):
        said = {"preset": each.preset, "guidance": each.guidance is not None, **each.named()}
        for name in (name for name, value in said.items() if value and name in names):
            raise ValueError(f"“{each.name}” has a {name} of its own, and an axis varies it. Leave one of them out.")


def _cell(request: Request, place: Mapping[str, Any], known: Mapping[str, set[str]]) -> Request:
    """The request at a place of the grid.

    Args:
        known: the settings of each method. One that only others have is left out.
    """
    fields = {name: value for name, value in place.items() if name in FIELDS}
    settings = {**request.settings, **{name: value for name, value in place.items() if name not in FIELDS}}
    if each := fields.pop("method", None):
        own = {"method": each.spec.name, "preset": each.preset, "guidance": each.guidance}
        fields = {**{name: value for name, value in own.items() if value is not None}, **fields}
        settings |= each.named()
    others = set().union(*known.values()) - known[fields.get("method", request.method)]
    return replace(request, **fields, settings={n: v for n, v in settings.items() if n not in others}, previews=False)


def _notes(names: Sequence[str], known: Mapping[str, set[str]]) -> tuple[str, ...]:
    """Which methods do not have a setting that others have."""
    lacking = {n: [method for method in known if n not in known[method]] for n in names if n not in FIELDS}
    return tuple(
        f"{', '.join(without)} {'has' if len(without) == 1 else 'have'} no setting {name}: its value changes nothing there."
        for name, without in lacking.items()
        if without
    )


def _label(name: str, value: Any) -> str:
    """A value as it stands beside the pictures."""
    if isinstance(value, Entrant):
        return value.name
    if name in SENTENCES:
        return value
    said = str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else f"{value}"
    return said if name in ("model", "preset") else f"{name} {said}"
