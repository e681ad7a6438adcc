"""Inception-v3's pool features, from torchvision's weights."""

from pathlib import Path

import torch
from torch import Tensor

from maskunet.encoders import inception
from maskunet.encoders.reading import GET_AGAIN, load_frozen, read_checkpoint
from maskunet.evaluation.extractors.base import Extractor, ExtractorSpec, fingerprint

GET_INCEPTION = (
    "To get them: python -c \"from torchvision.models import inception_v3 as net; net(weights='DEFAULT')\", "
    "or give a file that was got elsewhere with --weights."
)


def load(weights: Path | None, device: torch.device) -> Extractor:
    """Inception-v3's pool features, 2,048 numbers; see `encoders.inception` on what they compare with.

    Args:
        weights: a checkpoint or its folder; None for torchvision's in torch's cache.

    Raises:
        ValueError: it is missing or damaged; says how to get it.
    """
    path = _file(weights)
    try:
        state = inception.completed(read_checkpoint(path))
    except ValueError as error:
        raise ValueError(str(error).replace(GET_AGAIN, GET_INCEPTION)) from error
    network = load_frozen(inception.without_weights(), state, path.name, device=device, dtype=torch.float32)
    network = inception.headless(network)

    def compute(images: Tensor) -> Tensor:
        return inception.pool_features(network, images)

    return Extractor(name=SPEC.name, weights=fingerprint(network), size=inception.SIZE, device=device, compute=compute)


def _file(weights: Path | None) -> Path:
    """The checkpoint: the given file, one in the given folder, or torchvision's in torch's cache."""
    place = weights or Path(torch.hub.get_dir()) / "checkpoints"
    if place.is_file():
        return place
    found = [p for p in sorted(place.glob("inception*")) if p.suffix in (".pth", ".pt", ".safetensors")]
    if not found:
        where = f"in “{weights.name}”" if weights else "on this machine"
        raise ValueError(f"The weights of Inception-v3 (0.11 GB) are not {where}. {GET_INCEPTION}")
    return next((p for p in found if p.name == inception.CHECKPOINT), found[0])


SPEC = ExtractorSpec(
    name="inception",
    title="Inception-v3",
    summary="torchvision's ImageNet weights, 2,048 numbers; not those of published FID.",
    load=load,
)
