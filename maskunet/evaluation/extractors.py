"""The networks whose features sets of pictures are compared by: each frozen, read from disk when asked for."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from maskunet import machine
from maskunet.encoders import inception
from maskunet.encoders.pixels import from_uint8, normalized
from maskunet.encoders.reading import GET_AGAIN, load_frozen, read_checkpoint
from maskunet.records.disk import hub

GET_INCEPTION = (
    "To get them: python -c \"from torchvision.models import inception_v3 as net; net(weights='DEFAULT')\", "
    "or give a file that was got elsewhere with --weights."
)


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
    """What a person sees of an extractor, and how it is loaded: (weights or None, device) -> Extractor.

    `of_rewards`: it takes a network of the rewards in use, so it must be given their folder.
    """

    name: str
    title: str
    summary: str
    load: Callable[[Path | None, torch.device], Extractor]
    of_rewards: bool = False


def load(name: str, weights: Path | None = None, device: str | None = None) -> Extractor:
    """Load an extractor from this machine; never downloads.

    Args:
        name: one of `SPECS`.
        weights: tabletop, a checker's folder; clip, a folder of rewards; inception, a checkpoint or its
            folder. None for those in use.
        device: "cuda", "mps" or "cpu", or None for the best one here.

    Raises:
        ValueError: no such extractor or device, or its weights are missing or damaged; says what to do.
    """
    if name not in SPECS:
        raise ValueError(f"There is no extractor “{name}”. There are: {', '.join(SPECS)}.")
    return SPECS[name].load(weights, machine.choose_device(device))


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


def _leveled(features: Tensor) -> Tensor:
    """Rows of root mean square 1, as the kernel distance's cube would let a few long ones decide."""
    return F.normalize(features, dim=1) * features.shape[1] ** 0.5


def _tabletop(weights: Path | None, device: torch.device) -> Extractor:
    """The strongest response over all places of the checker's last states, 96 numbers.

    The checker and not the tabletop HPSv2 tower: no method optimizes it, so its features cannot be
    moved by pleasing a reward. The maximum and not the mean: a thing is small against the table.
    """
    from maskunet.tabletop import checker
    from maskunet.tabletop.place import CHECKER

    folder = weights or CHECKER
    try:
        network = checker.load(folder).to(device)
    except Exception as error:
        raise ValueError(
            f"“{folder.name}” holds no tabletop checker that can be read. Give the folder with its "
            "config.json and model.safetensors."
        ) from error

    def compute(images: Tensor) -> Tensor:
        states: list[Tensor] = []
        with network.merge.register_forward_hook(lambda module, given, state: states.append(state)):
            network(images)
        return _leveled(states[0].amax((2, 3)))

    return Extractor(name="tabletop", weights=fingerprint(network), size=128, device=device, compute=compute)


def _clip(weights: Path | None, device: torch.device) -> Extractor:
    """The picture embedding of the HPSv2 checkpoint in use; its direction, which is what its cosine sees."""
    from maskunet.rewards import hpsv2

    if weights is None:
        raise ValueError("The extractor clip needs the folder of rewards whose HPSv2 it takes.")
    reward = hpsv2.load(weights, device, torch.float32)

    def compute(images: Tensor) -> Tensor:
        return _leveled(reward.network.encode_image(normalized(images, reward.size)))

    return Extractor(
        name="clip", weights=fingerprint(reward.network), size=reward.size, device=device, compute=compute
    )


def _inception(weights: Path | None, device: torch.device) -> Extractor:
    """Inception-v3's pool features, 2,048 numbers; see `encoders.inception` on what they compare with."""
    path = _inception_file(weights)
    try:
        state = inception.completed(read_checkpoint(path))
    except ValueError as error:
        raise ValueError(str(error).replace(GET_AGAIN, GET_INCEPTION)) from error
    network = load_frozen(inception.without_weights(), state, path.name, device=device, dtype=torch.float32)
    network = inception.headless(network)

    def compute(images: Tensor) -> Tensor:
        return inception.pool_features(network, images)

    weights_hash = fingerprint(network)
    return Extractor(
        name="inception", weights=weights_hash, size=inception.SIZE, device=device, compute=compute
    )


def _inception_file(weights: Path | None) -> Path:
    """The checkpoint: the given file, one in the given folder, or torchvision's in torch's cache."""
    place = weights or Path(torch.hub.get_dir()) / "checkpoints"
    if place.is_file():
        return place
    found = [p for p in sorted(place.glob("inception*")) if p.suffix in (".pth", ".pt", ".safetensors")]
    if not found:
        where = f"in “{weights.name}”" if weights else "on this machine"
        raise ValueError(f"The weights of Inception-v3 (0.11 GB) are not {where}. {GET_INCEPTION}")
    return next((p for p in found if p.name == inception.CHECKPOINT), found[0])


SPECS: Mapping[str, ExtractorSpec] = MappingProxyType({
    "tabletop": ExtractorSpec(
        name="tabletop",
        title="Tabletop encoder",
        summary="Pooled states of the tabletop checker, 96 numbers; for pictures of the embedded world.",
        load=_tabletop,
    ),
    "clip": ExtractorSpec(
        name="clip",
        title="CLIP image tower",
        summary="The picture embedding of the HPSv2 in use, a reward that methods optimize.",
        load=_clip,
        of_rewards=True,
    ),
    "inception": ExtractorSpec(
        name="inception",
        title="Inception-v3",
        summary="torchvision's ImageNet weights, 2,048 numbers; not those of published FID.",
        load=_inception,
    ),
})  # fmt: skip
