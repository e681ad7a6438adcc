"""Where an iteration's time goes: laps of forward, decode, rewards, backward and optimizer."""

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from maskunet.models.base import DiffusionModel
from maskunet.rewards.base import Reward, WeightedRewards

# What has been done when the clock is read; forward is all from the optimizer to the decoder: masks and U-Net.
PHASES = ("forward", "decode", "rewards", "backward", "optimizer")


class Clock:
    """Adds up, phase by phase and iteration by iteration, what passes between its readings.

    Args:
        read: what it reads: seconds, or operations.

    Attributes:
        iterations: what each took, by phase. collecting: what Python's collecting of garbage took, in all.
    """

    def __init__(self, read: Callable[[], float]):
        self._read, self._before = read, read()
        self._began = self._before  # of a collection of garbage
        self.collecting = 0.0
        self.iterations: list[dict[str, float]] = []
        self._now = dict.fromkeys(PHASES, 0.0)

    def lap(self, phase: str) -> None:
        """What has passed since the last reading was spent on this phase."""
        now = self._read()
        self._now[phase] += now - self._before
        self._before = now

    def turn(self) -> None:
        """An iteration is over."""
        self.iterations.append(self._now)
        self._now = dict.fromkeys(PHASES, 0.0)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Read it before and after each optimizer's step, and stop it while Python collects garbage.

        How long that takes depends on what else the process has in memory, not on the loop.
        """
        handles = [
            register_optimizer_step_pre_hook(lambda *given: self.lap("backward")),
            register_optimizer_step_post_hook(lambda *given: self.lap("optimizer")),
        ]
        gc.callbacks.append(self._collecting)
        try:
            yield
        finally:
            gc.callbacks.remove(self._collecting)
            for handle in handles:
                handle.remove()

    def _collecting(self, moment: str, about: dict[str, int]) -> None:
        if moment == "start":
            self._began = self._read()
        else:
            passed = self._read() - self._began
            self._before += passed
            self.collecting += passed


def seconds_on(device: torch.device) -> Callable[[], float]:
    """The time at which the device has done what it was asked to."""

    def read() -> float:
        # While work is recorded, garbage may be collected, and to wait then is an error.
        if device.type == "cuda" and not torch.cuda.is_current_stream_capturing():
            torch.cuda.synchronize(device)
        return time.perf_counter()

    return read


@dataclass(frozen=True, kw_only=True, slots=True)
class ClockedModel(DiffusionModel):
    """A model that reads a clock around its decoder."""

    clock: Clock

    @property
    def replayable(self) -> bool:
        """Not with a clock, which a replay would not read."""
        return False

    def decode(self, *args: Any, **options: Any) -> Tensor:
        """See `DiffusionModel.decode`."""
        self.clock.lap("forward")
        image = DiffusionModel.decode(self, *args, **options)  # a class with slots has no super() here
        self.clock.lap("decode")
        return image


@dataclass(frozen=True, slots=True)
class ClockedReward:
    """A reward that reads a clock when it has been computed."""

    reward: Reward
    clock: Clock

    def __call__(self, image: Tensor, prompts: list[str]) -> Tensor:
        """See `Reward`."""
        scores = self.reward(image, prompts)
        self.clock.lap("rewards")
        return scores


def clocked(model: DiffusionModel, rewards: WeightedRewards, clock: Clock) -> tuple[ClockedModel, WeightedRewards]:
    """The same networks, with a clock that they read."""
    parts = {name: (ClockedReward(reward, clock), weight) for name, (reward, weight) in rewards.parts.items()}
    own = {field.name: getattr(model, field.name) for field in fields(model)}
    return ClockedModel(**own, clock=clock), WeightedRewards(parts)
