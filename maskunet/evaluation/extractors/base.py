"""What every extractor shares: its SPEC, a network as a function of pictures, and what tells two of them apart."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from maskunet.encoders.pixels import from_uint8
from maskunet.records.disk import hub


@dataclass(frozen=True, kw_only=True, slots=True)
class Extractor:
    """A `features.FeatureExtractor` around a torch network, in float32.

    Attributes:
        compute: pictures (B, 3, size, size) in [0, 1] on the device -> features (B, D).
    """

    name: str
    weights: str
    size: int
    device: torch.device
    compute: Callable[[Tensor], Tensor]

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Features (B, D) float32 of pictures (B, size, size, 3) uint8."""
        with torch.inference_mode():
            return self.compute(from_uint8(images, self.device)).float().cpu().numpy()


@dataclass(frozen=True, kw_only=True, slots=True)
class ExtractorSpec:
    """What a person sees of an extractor, and how it is loaded.

    Attributes:
        load: (weights or None for those in use, device) -> Extractor.
        of_reward: the reward in use whose network it takes, so it must be given its folder; empty for all others.
    """

    name: str
    title: str
    summary: str
    load: Callable[[Path | None, torch.device], Extractor]
    of_reward: str = ""


def cache_place() -> Path:
    """Where features are kept, beside the downloaded rewards."""
    return hub.rewards_place().parent / "features"


def fingerprint(network: nn.Module) -> str:
    """SHA-256 of all parameters and buffers with their names, in hexadecimal digits."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def leveled(features: Tensor) -> Tensor:
    """Rows of root mean square 1, as the kernel distance's cube would let a few long ones decide."""
    return F.normalize(features, dim=1) * features.shape[1] ** 0.5
