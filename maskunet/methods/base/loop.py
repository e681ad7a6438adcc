"""What a sampling loop begins with: its timesteps, its guidance, its masks' random numbers."""

import torch

from maskunet.methods.base.spec import DEFAULT_STEPS
from maskunet.models.base import DiffusionModel
from maskunet.records import Request


def steps_of(model: DiffusionModel, request: Request) -> list[tuple[int, int]]:
    """The (t, t_prev) pairs of a request, in sampling order."""
    return model.schedule.linspace_pairs(request.steps or DEFAULT_STEPS)


def guidance_of(model: DiffusionModel, request: Request) -> float:
    """The guidance scale of a request: its own, else the model's default."""
    return model.guidance if request.guidance is None else request.guidance


def mask_generator(request: Request) -> torch.Generator:
    """The stream masks are drawn from: fixed by the seed, apart from the one of the first noise."""
    return torch.Generator().manual_seed((request.seed << 8) + 1)
