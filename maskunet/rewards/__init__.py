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
    """Load every reward from `folder`, weighted as in the paper unless `weights` says otherwise.

    Raises:
        ValueError: a checkpoint is missing or damaged; says which and what to do.
    """
    chosen = {name: spec.weight for name, spec in SPECS.items()} if weights is None else weights
    return WeightedRewards({name: (SPECS[name].load(folder, device, dtype), w) for name, w in chosen.items()})
