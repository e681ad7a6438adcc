"""The spotter: a small head on the checker's states that finds the subjects which the checker cannot name.

Like the checker it is no reward and no method may optimize it. Color alone must not fool it: it learned from
lookalikes, from subjects in other colors and from what the base model makes of the subjects' parts.
"""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from maskunet.tabletop import on_disk
from maskunet.tabletop.checker import Checker
from maskunet.tabletop.subjects import STACKS

STATES = 96  # channels of the checker's


class Spotter(nn.Module):
    """The checker's states (B, 96, 32, 32) to logits (B, 2, 32, 32): whether a subject's middle is there."""

    def __init__(self, width: int = 24):
        super().__init__()
        self.width = width
        self.head = nn.Sequential(
            nn.Conv2d(STATES, width, 3, padding=1), nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1), nn.SiLU(),
            nn.Conv2d(width, len(STACKS), 1),
        )  # fmt: skip
        nn.init.constant_(self.head[-1].bias, -4.0)  # middles are rare
        self.register_buffer("threshold", torch.zeros(len(STACKS)))  # of the logits

    def forward(self, states: Tensor) -> Tensor:
        """See the class."""
        return self.head(states).float()

    def scores(self, states: Tensor) -> Tensor:
        """(B, 2) what speaks for each subject, anywhere in the picture."""
        return self(states).amax((2, 3))

    @torch.no_grad()
    def find(self, checker: Checker, image: Tensor) -> list[set[str]]:
        """The new subjects that are in each picture of (B, 3, H, W) in [0, 1]."""
        image = image.float()
        image = F.interpolate(image, size=128, mode="area") if image.shape[-1] != 128 else image
        there = self.scores(checker.states(image)) > self.threshold
        return [{name for name, yes in zip(STACKS, row, strict=True) if yes} for row in there.tolist()]


def load(folder: Path) -> Spotter:
    """The trained spotter from its folder."""
    return on_disk.load(Spotter, folder)
