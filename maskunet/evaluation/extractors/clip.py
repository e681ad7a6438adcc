"""CLIP's image tower, from the HPSv2 in use."""

from pathlib import Path

import torch
from torch import Tensor

from maskunet.encoders.pixels import normalized
from maskunet.evaluation.extractors.base import Extractor, ExtractorSpec, fingerprint, leveled


def load(weights: Path | None, device: torch.device) -> Extractor:
    """The picture embedding of an HPSv2 checkpoint; its direction, which is what its cosine sees.

    Args:
        weights: a folder of rewards.

    Raises:
        ValueError: no folder is given, or its HPSv2 is missing or damaged.
    """
    from maskunet.rewards import hpsv2

    if weights is None:
        raise ValueError("The extractor clip needs the folder of rewards whose HPSv2 it takes.")
    reward = hpsv2.load(weights, device, torch.float32)

    def compute(images: Tensor) -> Tensor:
        return leveled(reward.network.encode_image(normalized(images, reward.size)))

    return Extractor(
        name=SPEC.name, weights=fingerprint(reward.network), size=reward.size, device=device, compute=compute
    )


SPEC = ExtractorSpec(
    name="clip",
    title="CLIP image tower",
    summary="The picture embedding of the HPSv2 in use, a reward that methods optimize.",
    load=load,
    of_reward="hpsv2",
)
