"""Plain data that travels between the rooms: what was asked, what happened, what is kept."""

import math
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from maskunet.course import Course
from maskunet.site_stats import SiteStats

MAX_PROMPT = 1000  # characters; every text encoder here truncates far below
MAX_SEED = 2**32 - 1
MAX_STEPS = 100
MAX_GUIDANCE = 30.0
MAX_SETTINGS = 64
MAX_SETTING = 200  # characters of one setting's value
MAX_VALUE = 1e15  # of a setting that is a number, and of a number that a message repeats


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One image to make, in plain values; `None` leaves a value to the model or the preset.

    Attributes:
        prompt: what to draw, 1 to 1,000 characters without control characters.
        negative_prompt: what to steer away from, may be empty.
        seed: 0 to 2^32 - 1; the same seed means the same noise on every device.
        model: name of a base model.
        method: name of a method.
        preset: name of one of the method's presets; empty for its default.
        steps: denoising steps, 1 to 100.
        guidance: classifier-free guidance scale, 1 to 30.
        settings: overrides of single values of the preset.
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
    previews: bool = True
    statistics: bool = True
    keep_masks: bool = False

    def __post_init__(self) -> None:
        _check_text("prompt", self.prompt, required=True)
        _check_text("negative prompt", self.negative_prompt, required=False)
        _check_number("seed", self.seed, 0, MAX_SEED, whole=True)
        if self.steps is not None:
            _check_number("number of steps", self.steps, 1, MAX_STEPS, whole=True)
        if self.guidance is not None:
            _check_number("guidance scale", self.guidance, 1, MAX_GUIDANCE)
        for kind in ("model", "method", "preset"):
            _check_name(kind, getattr(self, kind))
        _check_settings(self.settings)
        object.__setattr__(self, "seed", int(self.seed))
        if self.steps is not None:
            object.__setattr__(self, "steps", int(self.steps))


def _check_text(name: str, text: Any, *, required: bool) -> None:
    if not isinstance(text, str):
        raise ValueError(f"The {name} must be text, not {type(text).__name__}.")
    if required and not text.strip():
        raise ValueError(f"The {name} is empty. Write what the picture should show.")
    if len(text) > MAX_PROMPT:
        raise ValueError(f"The {name} has {len(text):,} characters; allowed are {MAX_PROMPT:,}.")
    if _has_control(text.replace("\n", "").replace("\t", "")):
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
        if not _is_plain(value):
            raise ValueError(f"The setting {key} must be a number, a word, true or false.")


def _is_plain(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= MAX_SETTING and not _has_control(value)
    return isinstance(value, int | float) and abs(value) < MAX_VALUE


@dataclass(frozen=True, kw_only=True, slots=True)
class StepEvent:
    """What a method reports after each update; the page, the command line and the tests read these.

    Attributes:
        step: denoising step, 0 to steps - 1, and `timestep`, the training timestep, 999 to 0.
        update: gradient update within the step, 0 to updates; `updates` is 0 without optimization.
        image: (H, W, 3) uint8 decoded x0 prediction, or None where no preview was made.
        rewards: each reward by name, and "total", their weighted sum; empty if none was computed.
        loss: what was minimized, or None.
        keep_ratio: share of weights kept per site name, in [0, 1]; empty without masks.
        seconds: since the method began.
        unet_calls: U-Net evaluations so far, both halves of a guided one as one.
        peak_bytes: peak accelerator memory so far, or None on a CPU.
        best: whether the solver would go on with this mask if the step ended here.
        final: whether `image` is the result.
        stats: what the step's masks do, site by site; with a step's last event only.
        masks: packed bits by site (`mask.pack`) of the same masks, if they were asked for.
        note: something a person should know, such as a reward that was not a number.
    """

    step: int
    steps: int
    timestep: int
    update: int = 0
    updates: int = 0
    image: np.ndarray | None = None
    rewards: Mapping[str, float] = field(default_factory=dict)
    loss: float | None = None
    keep_ratio: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    unet_calls: int = 0
    peak_bytes: int | None = None
    best: bool = False
    final: bool = False
    stats: SiteStats | None = None
    masks: Mapping[str, np.ndarray] | None = None
    note: str = ""

    def row(self) -> dict[str, Any]:
        """The event's numbers as one flat row of steps.csv."""
        ratios = list(self.keep_ratio.values())
        return {
            "step": self.step, "timestep": self.timestep, "update": self.update,
            **{f"reward_{name}": _finite(value) for name, value in self.rewards.items()},
            "loss": _finite(self.loss), "keep_ratio": sum(ratios) / len(ratios) if ratios else None,
            "best": self.best, "final": self.final,
            "seconds": round(self.seconds, 4), "unet_calls": self.unet_calls,
        }  # fmt: skip


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


@dataclass(frozen=True, kw_only=True, slots=True)
class MaskSet:
    """The masks of one run, packed eight weights to a byte.

    Attributes:
        model: name of the base model, and `weights`, the SHA-256 of its files: masks fit no other.
        sites: shape (O, I) of each site's weight.
        steps: for each timestep, in sampling order, the packed bits (uint8) of each site.
    """

    model: str
    weights: Mapping[str, str]
    sites: Mapping[str, tuple[int, ...]]
    steps: Mapping[int, Mapping[str, np.ndarray]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One finished (or stopped) comparison: what was asked, on what, and what came out.

    Attributes:
        id: 12 hexadecimal digits.
        request: what was asked, with every `None` filled in by the value that was used.
        settings: the method's settings in full.
        state: "done"; "stopped", or "interrupted" by the end of the program: then it holds the best so far.
        versions: of Python, of this package and of the libraries that decide the result.
        weights: SHA-256 of each weight file, by role.
        base_settings: the plain method's settings; those it shares with the method are equal.
        base_rewards, rewards: of base.png and result.png, by name, with "total".
        keep_ratio: mean share of weights kept over all sites and steps; 1.0 without masks.
        base_seconds, seconds: wall time of the base image and of the result.
        rows: `StepEvent.row` of every event of the method.
        base_image, result_image: (H, W, 3) uint8; base_image is None if none was made.
        note: one sentence on why a run ended early, or empty.
        course: what was seen at each step, of both pictures; None without previews or a base.
        stats: what its masks did at every site and step, None without masks.
        masks: those used at each step, if they were asked for.
    """

    id: str
    request: Request
    settings: Mapping[str, Any]
    state: str
    created: str
    device: str
    dtype: str
    versions: Mapping[str, str]
    weights: Mapping[str, str]
    base_rewards: Mapping[str, float]
    rewards: Mapping[str, float]
    keep_ratio: float
    unet_calls: int
    base_unet_calls: int
    seconds: float
    base_seconds: float
    rows: tuple[Mapping[str, Any], ...]
    result_image: np.ndarray
    base_image: np.ndarray | None = None
    base_settings: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""
    course: Course | None = None
    stats: SiteStats | None = None
    masks: MaskSet | None = None

    def record(self) -> dict[str, Any]:
        """Everything but pictures, masks, their statistics and rows, ready for run.json."""
        apart = ("rows", "result_image", "base_image", "course", "stats", "masks", "request")
        names = [name for name in self.__slots__ if name not in apart]
        return {"request": asdict(self.request), **{name: getattr(self, name) for name in names}}


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """What a page shows of a base model or a method before it is used.

    `kind` is a method's, and `groups`, whether it takes groups of a prompt's words; `switches` are those of its
    settings that make it faster or smaller, with what they do.
    """

    name: str
    title: str
    summary: str
    kind: str = ""
    groups: bool = False
    switches: Mapping[str, str] = field(default_factory=dict)
    presets: tuple[str, ...] = ()
    available: bool = True
    reason: str = ""
    download_gb: float = 0.0
    guidance: float = 7.5
    vocabulary: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class JobEvent:
    """What a page hears of a job.

    Attributes:
        job: 12 hexadecimal digits; also the id of the run it becomes.
        phase: "queued", "loading", "base", "result", "done", "stopped" or "failed"; of a run that an
            earlier program did not finish, "interrupted".
        ahead: jobs before this one while queued.
        number: counts the job's events from 1; events with the same number differ in time only.
        elapsed, remaining: seconds; `remaining` is None until it can be estimated.
        step: the newest event of the plain method in phase "base", of the method in "result".
        rows: `StepEvent.row` of all the method's events so far, also of those a reader missed.
        run: the finished run in phase "done"; in "interrupted" the best so far; in "stopped" too, or None
            if there was no picture yet.
        message: one clear sentence, in phase "failed" what went wrong and what to do.
    """

    job: str
    phase: str
    number: int = 0
    ahead: int = 0
    elapsed: float = 0.0
    remaining: float | None = None
    step: StepEvent | None = None
    rows: tuple[Mapping[str, Any], ...] = ()
    run: Run | None = None
    message: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Status:
    """The machine in words, for the page's header."""

    device: str
    dtype: str
    model: str
    running: int
    waiting: int
