"""What every command is: a SPEC with options from a dataclass; the parser and the command line made from it."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from inspect import get_annotations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskunet import plugins

if TYPE_CHECKING:
    from maskunet.records import Request

MODELS, METHODS = (", ".join(plugins.names(f"maskunet.{room}")) for room in ("models", "methods"))
MAX_SEED = 2**64 - 1  # a test compares it with the records', which would bring NumPy
LORA = "a LoRA file to put on it, with a weight such as 0.8; up to four"
MASKED = "under a LoRA, masks act on the weights with it, merged, or on the base's alone, with it unmasked beside them"
EMBEDDING = "an embedding (textual inversion) to read in prompts, under another token if one follows; up to four"
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
) -> Any:
    """A field of a command's options.

    Args:
        default: without one the option must be given. low, high, choices: as of `plugins.setting`.
        positional: given by its place and not as --name; any number of them with `repeat`. also: a second name.
        read: makes the value from its text, in place of the field's type.
        repeat: tuple or dict, which all uses of the flag together make.
        one_of: of the options that have this in common exactly one must be given.
        writes: "folder", "file" or "folder or file", if that is what the command makes there.
        trained: it names trained parts; one that is written hf://OWNER/NAME is fetched before the command runs.
    """
    flag = Flag(
        required=default is MISSING, positional=positional, also=also, metavar=metavar, read=read,
        repeat=repeat, one_of=one_of, writes=writes, trained=trained,
    )  # fmt: skip
    kept = {"default_factory": repeat} if default == {} else {"default": default}
    about = {"help": help, "low": low, "high": high, "choices": choices}
    return field(**kept, metadata={**about, "flag": flag})


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a command can be told; each command's own extend these. Every mistake that can be seen is told here.

    Raises:
        UsageError: a value that its option does not allow, such as no number or a place where nothing can be
            written, or none or several of those that exclude each other.
    """

    def __post_init__(self) -> None:
        groups: dict[str, dict[str, Any]] = {}
        for card, flag in declared(self):
            called = flag.names(card.name)[0]
            if flag.one_of:
                groups.setdefault(flag.one_of, {})[called] = card.default
            _check(card, called)
            if flag.writes and card.default is not None:
                _check_place(card.default, flag.writes, called)
        for given in groups.values():
            if sum(value is not None for value in given.values()) != 1:
                raise UsageError(f"exactly one of {' and '.join(given)} must be given")


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
        how: dict[str, Any] = {"help": card.help or None, "default": argparse.SUPPRESS}
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


def from_words(options: type[Options], parsed: Mapping[str, Any]) -> Options:
    """The instance of what a parser with these options has parsed, the rest at its default.

    Raises:
        UsageError: as `Options`.
    """
    repeated = {card.name: flag.repeat for card, flag in declared(options) if flag.repeat}
    return options(**{name: repeated[name](v) if name in repeated else v for name, v in parsed.items()})


def with_parts(options: Options) -> Options:
    """The options with every trained part that is named by its address on the Hub fetched, and called as it is here.

    Raises:
        ValueError: one cannot be fetched; says why.
    """
    named = {card.name: card.default for card, flag in declared(options) if flag.trained}
    if "hf://" not in repr(named):  # told before anything heavy is imported
        return options
    from maskunet.library.library import Library
    from maskunet.records.disk import hub_parts

    library = Library(options.model, options.weights, "cpu")
    return replace(options, **{n: hub_parts.here(v, library.trained, library.default) for n, v in named.items()})


def command_line(command: str, options: Options) -> str:
    """The command that was given, for a POSIX shell: every option that has a value, folders by their names."""
    from maskunet.runs.command_line import written

    given, positional = {}, []
    for card, flag in declared(options):
        if flag.positional:
            positional += card.default if flag.repeat else [card.default]
        else:
            (name, *_) = flag.names(card.name)
            given[name.removeprefix("--")] = list(card.default) if flag.repeat is tuple else card.default
    return written(command, given, *positional)


def seed_option(default: int = 0, help: str = "") -> Any:  # noqa: A002
    """A seed; for -1 one is drawn, and told at once."""
    about = f"{help}; -1 draws one" if help else "-1 draws one"
    return option(default, about, low=0, high=MAX_SEED, read=_seed)


def _seed(text: str) -> int:
    from maskunet import machine
    from maskunet.records.seed import RANDOM, seed_of

    try:
        found = seed_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error).removesuffix(".")) from error
    if text.strip() in RANDOM:
        if machine.place()[1] > 1:
            raise argparse.ArgumentTypeError("processes that share the work need the same seed; give one")
        sys.stderr.write(f"The seed drawn is {found}.\n")
    return found


def key_value(text: str) -> tuple[str, Any]:
    """KEY=VALUE, a value that is JSON as what it says and any other as a text."""
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"“{text}” is not KEY=VALUE")
    try:
        return name, json.loads(value, parse_float=_Written)
    except ValueError:
        return name, value


class _Written(float):
    """A number that is shown as it was written: a setting may turn out to be a text, such as 1.10."""

    def __new__(cls, text: str) -> "_Written":
        number = super().__new__(cls, text)
        number._text = str(text)
        return number

    def __str__(self) -> str:
        return self._text


@dataclass(frozen=True, kw_only=True)
class DeviceOptions(Options):
    """Where the work is done."""

    device: str | None = option(None, "cuda, mps or cpu; the best one if left out")


@dataclass(frozen=True, kw_only=True)
class ModelOptions(DeviceOptions):
    """With which base model."""

    model: str = option("auto", f"base model: {MODELS}; auto takes the best one here")
    weights: Path | None = option(None, "a .safetensors file, a Stable Diffusion folder, or OWNER/NAME", metavar="PATH")
    lora: tuple[Path, ...] = option((), LORA, metavar="FILE[:WEIGHT]", read=Path, repeat=tuple)
    lora_masks: str = option("", MASKED, metavar="merged|base")
    embedding: tuple[Path, ...] = option((), EMBEDDING, metavar="FILE[:TOKEN]", read=Path, repeat=tuple)

    @property
    def added(self) -> dict[str, Any]:
        """What is put on the model, as `Library` and `judges.load` take it."""
        given = {"loras": self.lora, "embeddings": self.embedding}
        return {**{name: tuple(map(str, each)) for name, each in given.items()}, "lora_masks": self.lora_masks}


@dataclass(frozen=True, kw_only=True)
class SamplingOptions(ModelOptions):
    """How its pictures are made."""

    steps: int | None = option(None, "denoising steps")
    guidance: float | None = option(None, "guidance scale; the model's if left out")

    def __post_init__(self) -> None:
        from maskunet.records import Request

        Request(prompt="-", steps=self.steps, guidance=self.guidance)  # which knows what is allowed
        super().__post_init__()


@dataclass(frozen=True, kw_only=True)
class MethodOptions(SamplingOptions):
    """By which method; `seed` is the noise's."""

    method: str = option("maskunet_free", f"{METHODS}; python -m maskunet methods describes them")
    preset: str = option("", "of the method; its first one if left out")
    set: dict[str, Any] = option(
        {},
        "of the method; python -m maskunet methods METHOD lists them",
        metavar="KEY=VALUE",
        read=key_value,
        repeat=dict,
        trained=True,
    )
    seed: int = seed_option()

    def request(self, prompt: str, **more: Any) -> "Request":
        """What is asked of the method.

        Raises:
            ValueError: a value that no request allows.
        """
        from maskunet.records import Request

        names = ("model", "method", "preset", "seed", "steps", "guidance")
        given = {name: getattr(self, name) for name in names}
        return Request(prompt=prompt, settings=dict(self.set), **given, **more)


@dataclass(frozen=True, kw_only=True)
class BatchOptions(MethodOptions):
    """How many pictures at once; above 1 they differ by rounding from those made alone."""

    batch: int = option(1, "pictures that share U-Net calls, where the method can; 0 for as many as fit", low=0)
