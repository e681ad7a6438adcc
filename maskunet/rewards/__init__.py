"""One reward per file: from a picture and a prompt to one differentiable number; higher is better."""

from collections.abc import Mapping
from pathlib import Path

import torch

from maskunet.plugins import discover
from maskunet.rewards.base import WeightedRewards

SPECS = discover(__name__)


def load_rewards(
    folder: Path, device: torch.device, dtype: torch.dtype, weights: Mapping[str, float] | None = None
) -> WeightedRewards:
    """Load the rewards from `folder`.

    Args:
        weights: of those that are wanted, by name; None for all whose weights are there, as their SPECs weigh them.

    Raises:
        ValueError: a checkpoint is missing or damaged; says which and what to do.
    """
    there = {name: spec for name, spec in SPECS.items() if spec.is_in(folder)} or SPECS
    chosen = {name: spec.weight for name, spec in there.items()} if weights is None else weights
    return WeightedRewards({name: (SPECS[name].load(folder, device, dtype), w) for name, w in chosen.items()})
