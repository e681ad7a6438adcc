"""What was asked for: one picture to make, in plain values that are checked."""

import math
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from maskunet.records.added import READINGS, Added, embeddings_of, loras_of, of
from maskunet.records.seed import seed_of

MAX_PROMPT = 1000  # characters; every text encoder here truncates far below
MAX_NEGATIVE = 2000  # such lists are copied whole from one program into the next
BREAKS = "\n\t\x85"  # control characters that only part words or lines
MAX_STEPS = 100
MAX_GUIDANCE = 30.0
MAX_SETTINGS = 64
MAX_SETTING = 1000  # characters of one setting's value; a selection of many places is the longest
MAX_VALUE = 1e15  # of a setting that is a number, and of a number that a message repeats


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One image to make, in plain values; `None` leaves a value to the model or the preset.

    Attributes:
        prompt: what to draw, 1 to 1,000 characters without control characters.
        negative_prompt: what to steer away from, up to 2,000 characters, may be empty.
        seed: see `seed_of`; the same seed means the same noise on every device.
        model: name of a base model.
        method: name of a method.
        preset: name of one of the method's presets; empty for its default.
        steps: denoising steps, 1 to 100.
        guidance: classifier-free guidance scale, 1 to 30.
        settings: overrides of single values of the preset.
        loras: files of LoRA that are put on the model, up to four, each as NAME:WEIGHT, and `embeddings`, each as NAME
            or NAME:TOKEN, see `records.added`. lora_masks: what masks act on then, one of its READINGS.
        previews: decode a picture at every step; off where only the result counts.
        statistics: count what the masks remove at every step; off where only pictures count.
        keep_masks: collect the masks used, one packed set per step.

    Raises:
        ValueError: a value is out of range; the message says which and what is allowed.
    """

    prompt: str
    negative_prompt: str = ""
    seed: int = 0
    model: str = "tabletop"
    method: str = "maskunet_free"
    preset: str = ""
    steps: int | None = None
    guidance: float | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    loras: tuple[str, ...] = ()
    embeddings: tuple[str, ...] = ()
    lora_masks: str = READINGS[0]
    previews: bool = True
    statistics: bool = True
    keep_masks: bool = False

    def __post_init__(self) -> None:
        _check_text("prompt", self.prompt, MAX_PROMPT, required=True)
        _check_text("negative prompt", self.negative_prompt, MAX_NEGATIVE, required=False)
        if self.steps is not None:
            _check_number("number of steps", self.steps, 1, MAX_STEPS, whole=True)
        if self.guidance is not None:
            _check_number("guidance scale", self.guidance, 1, MAX_GUIDANCE)
        for kind in ("model", "method", "preset"):
            _check_name(kind, getattr(self, kind))
        _check_settings(self.settings)
        if self.lora_masks not in READINGS:
            raise ValueError(f"What masks act on under a LoRA must be one of {' and '.join(READINGS)}.")
        object.__setattr__(self, "loras", loras_of(self.loras))
        object.__setattr__(self, "embeddings", embeddings_of(self.embeddings))
        object.__setattr__(self, "seed", seed_of(self.seed))
        if self.steps is not None:
            object.__setattr__(self, "steps", int(self.steps))

    @property
    def added(self) -> Added:
        """What is put on the model."""
        return of(self.loras, self.embeddings, self.lora_masks)


def _check_text(name: str, text: Any, most: int, *, required: bool) -> None:
    if not isinstance(text, str):
        raise ValueError(f"The {name} must be text, not {type(text).__name__}.")
    if required and not text.strip():
        raise ValueError(f"The {name} is empty. Write what the picture should show.")
    if len(text) > most:
        raise ValueError(f"The {name} has {len(text):,} characters; allowed are {most:,}.")
    if _has_control(text.translate(dict.fromkeys(map(ord, BREAKS)))):
        raise ValueError(f"The {name} holds control characters. Remove them and try again.")


def _has_control(text: str) -> bool:
    """Whether there are control characters in it, or halves of characters, which no file can hold."""
    return any(unicodedata.category(c) in ("Cc", "Cs") for c in text)


def _check_number(name: str, value: Any, low: float, high: float, *, whole: bool = False) -> None:
    # A whole number may be too large for a float, and even for being written out.
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < math.inf:
        raise ValueError(f"The {name} must be a number from {low:,} to {high:,}.")
    if not low <= value <= high:
        given = f"{value:,}" if abs(value) < MAX_VALUE else "a number of 16 digits or more"
        raise ValueError(f"The {name} is {given}; allowed is {low:,} to {high:,}.")
    if whole and value != int(value):
        raise ValueError(f"The {name} must be a whole number, not {value}.")


def _check_name(kind: str, name: Any) -> None:
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9_.-]{0,64}", name):
        raise ValueError(f"The {kind} must be a name of letters, digits, “_”, “-” and “.”.")


def _check_settings(settings: Any) -> None:
    if not isinstance(settings, Mapping) or len(settings) > MAX_SETTINGS:
        raise ValueError(f"The settings must be at most {MAX_SETTINGS} names with one value each.")
    for key, value in settings.items():
        _check_name("name of a setting", key)
        if isinstance(value, str) and len(value) > MAX_SETTING:
            raise ValueError(f"The setting {key} has {len(value):,} characters; allowed are {MAX_SETTING:,}.")
        if not _is_plain(value):
            raise ValueError(f"The setting {key} must be a number, a word, true or false.")


def _is_plain(value: Any) -> bool:
    if isinstance(value, str):
        return not _has_control(value)
    return isinstance(value, int | float) and abs(value) < MAX_VALUE
