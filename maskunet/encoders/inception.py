"""Inception-v3's 2,048 pool features, with torchvision's network and its ImageNet weights.

Szegedy et al. 2016. Published FID numbers come from another set of weights (TensorFlow's of 2015, with 1,008
classes) and another resize, so distances of these features compare with each other only.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

SIZE = 299  # pixels
CHECKPOINT = "inception_v3_google-0cc3c7bd.pth"


def without_weights() -> nn.Module:
    """The network with its parameters on the meta device, ready to be given a checkpoint's."""
    from torchvision.models import inception_v3

    with torch.device("meta"):
        return inception_v3(weights=None, aux_logits=True, transform_input=False, init_weights=False)


def completed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A checkpoint's tensors and the counts of batches, which old checkpoints lack and nothing here reads."""
    counts = [f"{key.removesuffix('running_mean')}num_batches_tracked" for key in state if "running_mean" in key]
    return {**dict.fromkeys(counts, torch.zeros((), dtype=torch.long)), **state}


def headless(network: nn.Module) -> nn.Module:
    """The same network without its two classifiers: what it returns is the pool layer, (B, 2048)."""
    network.fc, network.AuxLogits = nn.Identity(), None
    return network.eval()


def pool_features(network: nn.Module, images: Tensor) -> Tensor:
    """Pool features (B, 2048) of a `headless` network for pictures (B, 3, 299, 299) in [0, 1]."""
    # torchvision's ImageNet weights are Google's: they expect [-1, 1], not ImageNet's mean and deviation.
    return network(images * 2 - 1)
