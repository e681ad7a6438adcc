"""The options that many commands have: device, model, method, seed."""

import argparse
import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskunet import plugins
from maskunet.commands.base.options import Options, option

if TYPE_CHECKING:
    from maskunet.records import Request

MODELS, METHODS = (", ".join(plugins.names(f"maskunet.{room}")) for room in ("models", "methods"))
MAX_SEED = 2**64 - 1  # a test compares it with the records', which would bring NumPy
LORA = "a LoRA file to put on it, with a weight such as 0.8; up to four"
MASKED = "under a LoRA, masks act on the weights with it, merged, or on the base's alone, with it unmasked beside them"
EMBEDDING = "an embedding (textual inversion) to read in prompts, under another token if one follows; up to four"


def seed_option(default: int | None = 0, help: str = "", **how: Any) -> Any:  # noqa: A002
    """A seed; for -1 one is drawn, and told at once; `how` as of `option`."""
    about = f"{help or 'of the first noise'}; -1 draws one"
    return option(default, about, low=0, high=MAX_SEED, read=_seed, **how)


def split_option() -> Any:
    """Which prompts."""
    return option("test", "test's prompts, or train's, on which settings are chosen", choices=("test", "train"))


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


def comma_separated(text: str) -> tuple[str, ...]:
    """Names, each once, as an option with commas gives them.

    Raises:
        argparse.ArgumentTypeError: nothing stands between two commas.
    """
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    if not all(names):
        raise argparse.ArgumentTypeError(f"“{text}” is not names with commas between them")
    return names


SHORT = re.compile(r"[+-]?\.\d+")  # a number such as .003, which JSON writes 0.003


def key_value(text: str) -> tuple[str, Any]:
    """KEY=VALUE, a value that is a number or JSON as what it says and any other as a text."""
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"“{text}” is not KEY=VALUE")
    if SHORT.fullmatch(value):
        return name, _Written(value)
    try:
        return name, json.loads(value, parse_float=_Written)
    except (ValueError, RecursionError):  # which is how deep brackets end
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
class BareModelOptions(DeviceOptions):
    """With which base model, nothing put on it."""

    model: str = option("auto", f"base model: {MODELS}; auto takes the best one here")
    weights: Path | None = option(None, "a .safetensors file, a Stable Diffusion folder, or OWNER/NAME", metavar="PATH")

    @property
    def bases(self) -> tuple[tuple[str, Path | None], ...]:
        """The base models whose trained parts are named, each with its weights."""
        return ((self.model, self.weights),)


@dataclass(frozen=True, kw_only=True)
class AddedOptions(DeviceOptions):
    """What is put on the base model."""

    lora: tuple[Path, ...] = option((), LORA, metavar="FILE[:WEIGHT]", read=Path, repeat=tuple)
    lora_masks: str = option("", MASKED, metavar="merged|base")
    embedding: tuple[Path, ...] = option((), EMBEDDING, metavar="FILE[:TOKEN]", read=Path, repeat=tuple)

    @property
    def added(self) -> dict[str, Any]:
        """What is put on the model, as `Library` and `judges.load` take it."""
        given = {"loras": self.lora, "embeddings": self.embedding}
        return {**{name: tuple(map(str, each)) for name, each in given.items()}, "lora_masks": self.lora_masks}


@dataclass(frozen=True, kw_only=True)
class ModelOptions(BareModelOptions, AddedOptions):
    """With which base model."""


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
    preset: str = option("", "a preset of the method; its first one if left out")
    set: dict[str, Any] = option(
        {},
        "a setting of the method; python -m maskunet methods METHOD lists them",
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
