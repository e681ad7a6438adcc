"""A reward in one file, which needs no weights: how blue a picture is."""

from pathlib import Path

import torch
from torch import Tensor

from maskunet.rewards.base import RewardSpec


class Blueness:
    """Mean blue minus mean red, (B,)."""

    def __call__(self, image: Tensor, prompts: list[str]) -> Tensor:
        return (image[:, 2] - image[:, 0]).float().mean((1, 2))


def load(folder: Path, device: torch.device, dtype: torch.dtype) -> Blueness:
    return Blueness()


SPEC = RewardSpec(
    name="dropped_reward",
    title="Dropped reward",
    summary="How blue a picture is.",
    license="none",
    source="a test",
    weight=0.5,
    load=load,
)
