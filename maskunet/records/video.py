"""A video that was asked for and one that was made, in plain values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from maskunet.plugins import cards, check, setting
from maskunet.records.request import Request

MAX_FRAMES = 24
FAR = 0.125  # of the picture, in a frame
MASKS_PER = ("video", "frame")
SOLVERS = ("dpm", "ddim")


@dataclass(frozen=True, kw_only=True, slots=True)
class Motion:
    """How the frames of a video by Text2Video-Zero (Khachatryan et al. 2023) hang together.

    Attributes:
        frames: pictures of the video.
        right, down: how far things move from frame to frame, as shares of the picture's width and height.
        t0, t1: training timesteps, t0 < t1. At t0 the first frame's latents are moved, then noised back to t1, from where
            all frames are made together. Both 0 for the model's own.
        cross_frame: every frame's self-attention looks at the first frame. Without it only the beginning is shared.
        mask_per: "video" puts the masks of the first frame's picture on all frames; "frame" lets the method look at each
            frame, so that each has a network of its own.
        solver: "dpm" as for pictures, or "ddim" at leading timesteps, as published.
        published: noise back as the published code does, with one factor of the schedule too early.

    Raises:
        ValueError: a value is out of range; says which and what is allowed.
    """

    frames: int = setting(8, "pictures of the video", low=1, high=MAX_FRAMES)
    right: float = setting(0.0234, "how far things move to the right in a frame, of the width", low=-FAR, high=FAR)
    down: float = setting(0.0, "how far they move down in a frame, of the height", low=-FAR, high=FAR)
    t0: int = setting(0, "timestep at which the first frame is moved; 0 for the model's own", low=0, high=998)
    t1: int = setting(0, "timestep from which all frames are made; 0 for the model's own", low=0, high=999)
    cross_frame: bool = setting(True, "every frame looks at the first")
    mask_per: str = setting("video", "masks of the first frame for all, or of each frame", choices=MASKS_PER)
    solver: str = setting("dpm", "as for pictures, or as published", choices=SOLVERS)
    published: bool = setting(False, "noise back as the published code does, one timestep off")

    def __post_init__(self) -> None:
        for card in cards(self):
            check(card, card.default)
        if bool(self.t0) != bool(self.t1):
            raise ValueError("Give both t0 and t1, or none of them for the model's own.")
        if self.t0 and self.t0 >= self.t1:
            raise ValueError(f"t0 is {self.t0} and t1 {self.t1}. t0, where frames are moved, must be the smaller one.")
        for name, far in (("right", self.right), ("down", self.down)):
            if abs(far) * (self.frames - 1) > 1:
                gone = int(1 / abs(far)) + 2
                raise ValueError(
                    f"Things that move {abs(far):.1%} of the picture {name} in a frame are out of it by frame {gone}. "
                    f"Give fewer frames than that, or a smaller share."
                )


def motion_of(asked: Mapping[str, Any]) -> tuple[Motion, dict[str, Any]]:
    """The motion in what was asked for, and the rest.

    Raises:
        ValueError: as `Motion`.
    """
    names = {card.name for card in cards(Motion)}
    others = {name: value for name, value in asked.items() if name not in names}
    return Motion(**{name: value for name, value in asked.items() if name in names}), others


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoEvent:
    """How far a video is.

    Attributes:
        phase: "search", of a method that searches for masks, "first", the first frame alone, or "frames", all of them.
        step, steps: of the phase, from 0.
    """

    phase: str
    step: int
    steps: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Video:
    """A video that was made.

    Attributes:
        request: with every default filled in. motion: too, t0 and t1 as the sampler's steps have them.
        frames: (F, H, W, 3) uint8.
        keep_ratio: share of the weights kept at the masked sites, over all steps; 1 without masks.
        weights: SHA-256 of the files that made it. settings: of the method.
        seconds, unet_calls: what it cost, a guided call of one frame counting 1.
        verdict: what the checker says of each frame, see `ModelSpec.judge`; empty where nobody can tell.
    """

    request: Request
    motion: Motion
    frames: np.ndarray
    keep_ratio: float = 1.0
    weights: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    unet_calls: int = 0
    verdict: Sequence[Mapping[str, Any]] = ()

    @property
    def moving(self) -> float:
        """Mean difference between neighboring frames, of 255 levels; 0 of a still."""
        frames = self.frames.astype(np.float32)
        return float(np.abs(frames[1:] - frames[:-1]).mean()) if len(frames) > 1 else 0.0

    @property
    def drift(self) -> float:
        """Mean difference of the frames to the first one, of 255 levels: high where what is shown changes."""
        frames = self.frames.astype(np.float32)
        return float(np.abs(frames[1:] - frames[:1]).mean()) if len(frames) > 1 else 0.0

    @property
    def moved(self) -> tuple[float, float]:
        """How far edges move from frame to frame, to the right and down, as shares of the width and height.

        The mean of the shifts at which neighboring frames correlate best; 0 of a still.
        """
        if len(self.frames) < 2:
            return 0.0, 0.0
        height, width = self.frames.shape[1:3]
        found = np.array([_shift(*pair) for pair in pairwise(map(_edges, self.frames))]).mean(0)
        return float(found[0] / width), float(found[1] / height)

    @property
    def consistency(self) -> float | None:
        """Mean correlation of neighboring frames; 1 of a still, None of a single or blank frame."""
        frames = [frame.astype(np.float64).ravel() for frame in self.frames]
        if len(frames) < 2 or any(frame.std() == 0 for frame in frames):
            return None
        return float(np.mean([np.corrcoef(*pair)[0, 1] for pair in pairwise(frames)]))

    @property
    def same(self) -> float | None:
        """Share of the later frames in which the checker sees what it sees in the first; None where nobody can tell."""
        saw = [each["saw"] for each in self.verdict]
        return sum(each == saw[0] for each in saw[1:]) / (len(saw) - 1) if len(saw) > 1 else None

    def numbers(self) -> dict[str, Any]:
        """What was asked of its motion, what came of it, and what it cost; plain values."""
        right, down = self.moved
        known = [each["right"] for each in self.verdict if each["right"] is not None]
        return {
            "method": self.request.method, "frames": len(self.frames), "right_asked": self.motion.right,
            "right_measured": right, "down_asked": self.motion.down, "down_measured": down,
            "consistency": self.consistency, "same_as_first": self.same,
            "right_frames": sum(known) / len(known) if known else None, "moving": self.moving, "drift": self.drift,
            "removed": 1 - self.keep_ratio, "seconds": self.seconds, "unet_calls": self.unet_calls,
        }  # fmt: skip


def _edges(frame: np.ndarray) -> np.ndarray:
    """(H, W) where brightness changes, around 0."""
    steps = np.hypot(*np.gradient(frame.astype(np.float64).mean(-1)))
    return steps - steps.mean()


def _shift(before: np.ndarray, after: np.ndarray) -> tuple[int, int]:
    """By how many pixels, right and down, `before` fits `after` best; at most twice what a video can be asked for."""
    fits = np.fft.irfft2(np.fft.rfft2(after) * np.fft.rfft2(before).conj(), before.shape)
    reach = [max(1, int(2 * FAR * side)) for side in before.shape]
    near = np.roll(fits, reach, (0, 1))[: 2 * reach[0] + 1, : 2 * reach[1] + 1]
    down, right = np.unravel_index(near.argmax(), near.shape)
    return int(right) - reach[1], int(down) - reach[0]
