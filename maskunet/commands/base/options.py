"""What every command is: a SPEC with options from a dataclass; the parser and the command line made from it."""

import argparse
import math
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from inspect import get_annotations
from pathlib import Path
from typing import Any

from maskunet import plugins

READ = {"int": int, "float": float, "str": str, "Path": Path}  # a value from its text, by the field's type


class UsageError(ValueError):
    """An option that is not allowed, or options that do not go together."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CommandSpec:
    """A command.

    Attributes:
        title: its line in the list of commands. about: what its --help says above the options.
        options: what it can be told. run: does it, and returns the exit code, None for 0.
    """

    name: str
    title: str
    options: "type[Options]"
    run: Callable[[Any], int | None]
    about: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Flag:
    """How an option is given, see `option`."""

    required: bool
    positional: bool
    also: str
    metavar: str | None
    read: Callable[[str], Any] | None
    repeat: type | None
    one_of: str
    writes: str
    trained: bool
    only_for: Mapping[str, tuple[str, ...]]

    def names(self, name: str) -> list[str]:
        """As argparse takes them, the one that is written first."""
        given = [name, self.also] if self.also else [name]
        return [name] if self.positional else [f"--{each.replace('_', '-')}" for each in given]


def option(
    default: Any = MISSING,
    help: str = "",  # noqa: A002, as argparse calls it
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    positional: bool = False,
    also: str = "",
    metavar: str | None = None,
    read: Callable[[str], Any] | None = None,
    repeat: type | None = None,
    one_of: str = "",
    writes: str = "",
    trained: bool = False,
    only_for: Mapping[str, tuple[str, ...]] | None = None,
) -> Any:
    """A field of a command's options.

    Args:
        default: without one the option must be given. low, high, choices: as of `plugins.setting`.
        positional: given by its place and not as --name; any number of them with `repeat`. also: a second name.
        read: makes the value from its text, in place of the field's type.
        repeat: tuple or dict, which all uses of the flag together make.
        one_of: of the options that have this in common exactly one must be given.
        writes: "folder", "file" or "folder or file", if that is what the command makes there.
        trained: it names trained parts; one that is written hf://OWNER/NAME is fetched before the command runs. The
            command's options then have `bases`.
        only_for: other options by name, with those of their choices that this one goes with; one of them must be given.
    """
    flag = Flag(
        required=default is MISSING, positional=positional, also=also, metavar=metavar, read=read,
        repeat=repeat, one_of=one_of, writes=writes, trained=trained, only_for=only_for or {},
    )  # fmt: skip
    kept = {"default_factory": repeat} if default == {} else {"default": default}
    about = {"help": help, "low": low, "high": high, "choices": choices}
    return field(**kept, metadata={**about, "flag": flag})


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a command can be told; each command's own extend these. Every mistake that can be seen is told here.

    Raises:
        UsageError: a value that its option does not allow, such as no number or a place where nothing can be
            written, none or several of those that exclude each other, or one that would be ignored.
    """

    def __post_init__(self) -> None:
        groups: dict[str, dict[str, Any]] = {}
        usual, known = _usual(self), declared(self)
        flags = {card.name: flag for card, flag in known}
        for card, flag in known:
            called = flag.names(card.name)[0]
            if flag.one_of:
                groups.setdefault(flag.one_of, {})[called] = card.default
            _check(card, called)
            if flag.writes and card.default is not None:
                _check_place(card.default, flag.writes, called)
            if card.default != usual[card.name]:
                _check_use(self, card.name, flags)
        for given in groups.values():
            if sum(value is not None for value in given.values()) != 1:
                raise UsageError(f"exactly one of {' and '.join(given)} must be given")


def _usual(options: Options) -> dict[str, Any]:
    """The default of every option; of one that must be given MISSING."""
    return {each.name: {} if each.default_factory is not MISSING else each.default for each in fields(options)}


def _check_use(options: Options, name: str, flags: Mapping[str, Flag]) -> None:
    """Refuse what is given where nothing would come of it."""
    only_for = flags[name].only_for
    if only_for and not any(getattr(options, other) in choices for other, choices in only_for.items()):
        called = {other: "" if flags[other].positional else f"{flags[other].names(other)[0]} " for other in only_for}
        uses = " or ".join(f"{called[other]}{choice}" for other, choices in only_for.items() for choice in choices)
        raise UsageError(f"{flags[name].names(name)[0]} goes with {uses}")


def _check(card: plugins.FieldCard, called: str) -> None:
    """Refuse a number that is none or out of range, also among several, none of the choices, and no name of a file."""
    if isinstance(card.default, Path) and "\0" in str(card.default):
        raise UsageError(f"{called} is no name that a file can have")
    several = card.kind == "tuple"
    for value in card.default if several else (card.default,):
        kind = type(value).__name__ if several else card.kind
        bounded = several or (card.low, card.high) != (None, None)
        if (kind in ("int", "float") and bounded) or card.choices:
            try:
                plugins.check(replace(card, kind=kind), value, called)
            except ValueError as error:
                raise UsageError(str(error).removesuffix(".")) from error


def _check_place(path: Path, what: str, called: str) -> None:
    """Refuse a place where the file system would, before hours of work are spent."""
    path = path.absolute()
    try:
        there = next(place for place in (path, *path.parents) if _stands(place))
    except (OSError, ValueError) as error:  # such as too long a name
        raise UsageError(f"“{path.name:.80}” cannot be made a {what}; give another {called}") from error
    if what == "file" and path.is_dir():
        raise UsageError(f"“{path.name}” is a folder; give {called} the name of a file")
    if what != "folder" and there == path and not path.is_dir():
        there = path.parent
    if not there.is_dir():
        raise UsageError(f"“{path.name}” cannot be made a {what}; give another {called}")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UsageError(f"nothing may be written to “{there.name or there}”; give another {called}")


def _stands(path: Path) -> bool:
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def declared(options: Any) -> list[tuple[plugins.FieldCard, Flag]]:
    """The options of a class, or those of an instance with their values; a command's own before the shared ones."""
    flags = {each.name: each.metadata["flag"] for each in fields(options)}
    kind = options if isinstance(options, type) else type(options)
    place = {name: i for i, one in reversed([*enumerate(kind.__mro__)]) for name in get_annotations(one)}
    cards = sorted(plugins.cards(options), key=lambda card: place[card.name])
    return [(card, flags[card.name]) for card in cards]


def add_options(parser: argparse.ArgumentParser, options: type[Options]) -> None:
    """Give a parser the options of a command; `from_words` makes an instance of what it has parsed."""
    groups: dict[str, Any] = {"": parser}
    for card, flag in declared(options):
        if flag.one_of not in groups:
            groups[flag.one_of] = parser.add_mutually_exclusive_group(required=True)
        how: dict[str, Any] = {"help": _told(card, flag) or None, "default": argparse.SUPPRESS}
        if card.kind == "bool":
            how["action"] = "store_true"
        else:
            how |= {"type": flag.read or READ[card.kind], "metavar": flag.metavar}
        if card.choices:
            how["choices"] = card.choices
        if flag.repeat:
            how["action"] = "append"
        if flag.required and not flag.positional:
            how["required"] = True
        if flag.positional and flag.repeat:
            how |= {"action": "store", "nargs": "*"}
        elif flag.positional and not flag.required:
            how |= {"nargs": "?", "default": card.default}
        groups[flag.one_of].add_argument(*flag.names(card.name), **how)


def _told(card: plugins.FieldCard, flag: Flag) -> str:
    """What an option's help says, with its default if it has one that the text does not tell."""
    known = card.default if not isinstance(card.default, tuple) else ",".join(map(str, card.default))
    uses = ", ".join(choice for choices in flag.only_for.values() for choice in choices)
    said = f"{uses}: {card.help}" if uses else card.help
    if flag.required or card.kind == "bool" or known in (None, "", MISSING, math.inf) or "left out" in card.help:
        return said
    return f"{said} (default: {known})".strip()


def from_words(options: type[Options], parsed: Mapping[str, Any]) -> Options:
    """The instance of what a parser with these options has parsed, the rest at its default.

    Raises:
        UsageError: as `Options`.
    """
    repeated = {card.name: flag.repeat for card, flag in declared(options) if flag.repeat}
    return options(**{name: repeated[name](v) if name in repeated else v for name, v in parsed.items()})


def with_parts(options: Options) -> Options:
    """The options with every trained part that is named by its address on the Hub fetched, and called as it is here.

    It is fetched for each of the options' `bases`, see `BareModelOptions`, and called the same for all.

    Raises:
        ValueError: one cannot be fetched; says why.
    """
    named = {card.name: card.default for card, flag in declared(options) if flag.trained}
    if "hf://" not in repr(named):  # told before anything heavy is imported
        return options
    from maskunet.library.library import Library
    from maskunet.records.disk import hub_parts

    here = {}
    for model, weights in options.bases:
        library = Library(model, weights, "cpu")
        here = {name: hub_parts.here(value, library.trained, library.default) for name, value in named.items()}
    return replace(options, **here)


def check_repeats(options: Options, free: Collection[str], made: Mapping[str, Any]) -> None:
    """Refuse what a repeated run would not follow.

    Args:
        free: the fields that say where and how it is made, and not what. made: by field what the record says, which may
            be given again.

    Raises:
        UsageError: another option has neither its default nor that value; names all that have.
    """
    usual = _usual(options)
    names = [
        flag.names(card.name)[0]
        for card, flag in declared(options)
        if card.name not in free and card.default != usual[card.name] and card.default != made.get(card.name)
    ]
    if names:
        raise UsageError(f"--replay makes it as it was; leave out {', '.join(names)}")


def command_line(command: str, options: Options, without: Collection[str] = (), model: str = "auto") -> str:
    """The command that was given, for a POSIX shell: every option that has a value, folders by their names.

    Args:
        without: options that do not count for what was made. model: which one it was, if that was left to `auto`, which
            may choose another one elsewhere.
    """
    from maskunet.runs.command_line import written

    given, positional = {}, []
    for card, flag in declared(options):
        if flag.positional:
            positional += card.default if flag.repeat else filter(None, [card.default])
        elif card.name not in without:
            (name, *_) = flag.names(card.name)
            given[name.removeprefix("--")] = list(card.default) if flag.repeat is tuple else card.default
    if given.get("model") == "auto" and not given.get("weights"):
        given["model"] = model
    return written(command, given, *positional)
