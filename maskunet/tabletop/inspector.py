"""The inspector: a small network that says whether a picture is spoiled, and how.

Like the checker it is no reward and no method may optimize it. It learned from renders and their reconstructions.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from maskunet.tabletop import on_disk
from maskunet.tabletop.spoiling import CLEAN, PICTURES

KINDS = (CLEAN, *PICTURES)


class Inspector(nn.Module):
    """Pictures (B, 3, 128, 128) in [0, 1] to logits (B, 6), in the order of KINDS."""

    def __init__(self, width: int = 16):
        super().__init__()
        w = width
        self.width = width
        # No normalization before the last layers: it would hide that a picture is faded.
        self.look = nn.Sequential(
            _conv(3, w), _conv(w, 2 * w), _conv(2 * w, 3 * w), _conv(3 * w, 4 * w), _conv(4 * w, 4 * w)
        )
        self.head = nn.Linear(2 * 4 * w, len(KINDS))

    def forward(self, image: Tensor) -> Tensor:
        """What speaks for each kind, anywhere in the picture and on the whole."""
        maps = self.look(image * 2 - 1)
        return self.head(torch.cat((maps.mean((2, 3)), maps.amax((2, 3))), 1)).float()

    @torch.no_grad()
    def kinds(self, image: Tensor) -> list[str]:
        """The kind of each picture of (B, 3, H, W) in [0, 1], see KINDS."""
        image = image.float()
        image = F.interpolate(image, size=128, mode="area") if image.shape[-1] != 128 else image
        return [KINDS[i] for i in self(image).argmax(1).tolist()]


def _conv(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, 2, 1), nn.SiLU())


def load(folder: Path) -> Inspector:
    """The trained inspector from its folder."""
    return on_disk.load(Inspector, folder)


def accuracy(inspector: Inspector, pictures: Mapping[str, Tensor]) -> dict[str, float]:
    """The share of each kind's pictures, (B, 3, H, W) in [0, 1], that the inspector takes for that kind."""
    return {kind: inspector.kinds(images).count(kind) / len(images) for kind, images in pictures.items()}
