"""How large a model is, and how much of a picture is made with it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch

from maskunet.bench.loop import reference
from maskunet.bench.loop.full_size import stable_diffusion
from maskunet.bench.loop.variants import Variant
from maskunet.library.library import Library
from maskunet.models import SPECS
from maskunet.models.base import DiffusionModel
from maskunet.records import Request, StepEvent
from maskunet.rewards.base import WeightedRewards

PROMPT = "a red cube and a blue sphere"
PIXELS = 512  # of Stable Diffusion's pictures


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """A model, and how much of a picture is made with it.

    Attributes:
        name: an embedded model's, or "sd15" with random weights. dtype: of its numbers; None for what the library takes.
        steps: denoising steps, None for a whole picture. settings: how many updates they have.
        keep_gradients: whether the reference keeps the weights' gradients, which nobody uses.
    """

    name: str
    dtype: torch.dtype | None = None
    steps: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    keep_gradients: bool = True

    @property
    def whole(self) -> bool:
        """Whether pictures are made to their end."""
        return self.steps is None

    def short(self, updates: int = 3) -> "Size":
        """The same with so many updates of one step, of which the last need not move anything."""
        return replace(self, steps=1, settings={"early_steps": 0, "updates": updates})

    def run(self, variant: Variant, model: DiffusionModel, rewards: WeightedRewards, seed: int) -> Iterator[StepEvent]:
        """The variant's events for one picture, or the beginning of one."""
        request = Request(prompt=PROMPT, seed=seed, steps=self.steps, previews=False)
        work = variant.run
        if work is reference.run:
            work = partial(reference.run, keep_gradients=self.keep_gradients)
        return work(model, rewards, request, variant.chosen(self.settings))


def of(name: str, device: torch.device) -> Size:
    """The size of that name, as much of it as the device manages in minutes."""
    whole = Size(name=name)
    if SPECS[name].embedded or device.type == "cuda":
        return whole
    # On a CPU two updates that count, in 16 GB: the weights' gradients, kept, would be 2 more.
    return replace(whole.short(), dtype=torch.bfloat16, keep_gradients=False)


def load(size: Size, device: torch.device, dtype: torch.dtype) -> tuple[DiffusionModel, WeightedRewards]:
    """The model and its rewards, in the size's own numbers or else in `dtype`."""
    if size.name == "sd15":
        return stable_diffusion(PIXELS, device, size.dtype or dtype)
    loaded = Library(size.name, device=str(device)).load(size.name)
    return loaded.model, loaded.rewards
