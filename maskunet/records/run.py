"""What happened: a method's events, and the run that is kept of them."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from maskunet.records.course import Course
from maskunet.records.mask_set import MaskSet
from maskunet.records.request import Request
from maskunet.records.site_stats import SiteStats

STEERED_BY = "rewards/"  # before the name of a reward among a run's weights


@dataclass(frozen=True, kw_only=True, slots=True)
class StepEvent:
    """What a method reports after each update; the page, the command line and the tests read these.

    Attributes:
        step: denoising step, 0 to steps - 1, and `timestep`, the training timestep, 999 to 0.
        update: gradient update within the step, 0 to updates; `updates` is 0 without optimization.
        image: (H, W, 3) uint8 decoded x0 prediction, or None where no preview was made.
        rewards: each reward by name, and "total", their weighted sum; empty if none was computed.
        base_rewards: the same of what the unmasked picture looked like at this step.
        loss: what was minimized, or None.
        keep_ratio: share of weights kept per site name, in [0, 1]; empty without masks. kept: share of all these sites'
            weights together, so that a large site counts for more; None without masks.
        seconds: since the method began.
        unet_calls: U-Net evaluations so far, both halves of a guided one as one.
        peak_bytes: peak accelerator memory so far, or None on a CPU.
        best: whether the solver would go on with this mask if the step ended here.
        final: whether `image` is the result.
        stats: what the step's masks do, site by site; with a step's last event only.
        masks: packed bits by site (`mask.pack`) of the same masks, if they were asked for.
        candidates: (N, H, W, 3) uint8, with the final event the finished pictures that `image` was chosen from, or
            None where it is the only one.
        note: something a person should know, such as a reward that was not a number.
    """

    step: int
    steps: int
    timestep: int
    update: int = 0
    updates: int = 0
    image: np.ndarray | None = None
    rewards: Mapping[str, float] = field(default_factory=dict)
    base_rewards: Mapping[str, float] = field(default_factory=dict)
    loss: float | None = None
    keep_ratio: Mapping[str, float] = field(default_factory=dict)
    kept: float | None = None
    seconds: float = 0.0
    unet_calls: int = 0
    peak_bytes: int | None = None
    best: bool = False
    final: bool = False
    stats: SiteStats | None = None
    masks: Mapping[str, np.ndarray] | None = None
    candidates: np.ndarray | None = None
    note: str = ""

    def row(self) -> dict[str, Any]:
        """The event's numbers as one flat row of steps.csv."""
        return {
            "step": self.step, "timestep": self.timestep, "update": self.update,
            **{f"reward_{name}": _finite(value) for name, value in self.rewards.items()},
            **{f"base_reward_{name}": _finite(value) for name, value in self.base_rewards.items()},
            "loss": _finite(self.loss), "keep_ratio": self.kept,
            "best": self.best, "final": self.final,
            "seconds": round(self.seconds, 4), "unet_calls": self.unet_calls,
        }  # fmt: skip


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One finished (or stopped) comparison: what was asked, on what, and what came out.

    Attributes:
        id: 12 hexadecimal digits.
        request: what was asked, with every `None` filled in by the value that was used.
        settings: the method's settings in full.
        state: "done"; "stopped", or "interrupted" by the end of the program: then it holds the best so far.
        versions: of Python, of this package and of the libraries that decide the result, and of the rewards that scored
            it: a published version, or how their weights' hash begins.
        weights: SHA-256 of each weight file that decides the result, by role; of rewards where they steer the method.
        base_settings: the plain method's settings; those it shares with the method are equal.
        base_rewards, rewards: of base.png and result.png, by name, with "total".
        base_verdict, verdict: whether base.png and result.png show the prompt, where that can be told: "right", True,
            False or None; "saw", the things in words; "spoiled", how, or "". Empty of other models.
        keep_ratio: share of the masked sites' weights kept, mean over steps; a large site counts for more. 1.0 without
            masks.
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
    base_verdict: Mapping[str, Any] = field(default_factory=dict)
    verdict: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""
    course: Course | None = None
    stats: SiteStats | None = None
    masks: MaskSet | None = None

    def record(self) -> dict[str, Any]:
        """Everything but pictures, masks, their statistics and rows, ready for run.json."""
        apart = ("rows", "result_image", "base_image", "course", "stats", "masks", "request")
        names = [name for name in self.__slots__ if name not in apart]
        return {"request": asdict(self.request), **{name: getattr(self, name) for name in names}}
