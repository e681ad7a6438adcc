"""What the U-Net's up blocks compute, as pictures: three principal components of each block's output.

MaskUNet (CVPR 2025), Fig. 1 (b). The plain run's features fix the components and their range at every
step, and the masked run's features are seen through the same ones, so that colors mean the same in both.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

COMPONENTS, SKETCH, ROUNDS = 3, 8, 4
CLIPPED = 0.01  # share of the base's values beyond each end of the color range


class UpBlocks:
    """Context manager that remembers the newest output of every up block.

    `outputs` holds (C, H, W) by the block's index: the last sample's, which is the conditional half's; nothing where
    they are not to be `watched`.
    """

    def __init__(self, unet: nn.Module, *, watched: bool = True):
        self.blocks = unet.up_blocks if watched else ()
        self.outputs: dict[int, Tensor] = {}

    def __enter__(self) -> "UpBlocks":
        self._hooks = [
            block.register_forward_hook(lambda module, inputs, output, i=i: self._see(i, output))
            for i, block in enumerate(self.blocks)
        ]
        return self

    def __exit__(self, *exception: object) -> None:
        for hook in self._hooks:
            hook.remove()
        self.outputs = {}

    def _see(self, index: int, output: Tensor) -> None:
        self.outputs[index] = output[-1].detach()


@dataclass(frozen=True, slots=True)
class Components:
    """A projection of features to three numbers in [0, 1]: center and axes (C, 3), range low and high."""

    center: Tensor
    axes: Tensor
    low: Tensor
    high: Tensor

    @classmethod
    @torch.no_grad()
    def of(cls, features: Tensor) -> "Components":
        """The three principal components of (C, H, W), by subspace iteration from a fixed start."""
        flat = _flat(features)
        center = flat.mean(0)
        flat = flat - center
        start = torch.linspace(0, len(flat) - 1, min(SKETCH, *flat.shape), device=flat.device).long()
        axes = flat[start].T
        for _ in range(ROUNDS):
            axes = torch.linalg.qr(flat.T @ (flat @ axes))[0]
        _, _, turned = torch.linalg.svd(flat @ axes, full_matrices=False)
        axes = (axes @ turned.T)[:, :COMPONENTS]
        axes = axes * torch.sign(axes.sum(0)).where(axes.sum(0) != 0, torch.ones(()))  # a sign of its own
        low, high = torch.quantile(flat @ axes, torch.tensor([CLIPPED, 1 - CLIPPED], device=flat.device), 0)
        return cls(center, axes, low, high)

    @torch.no_grad()
    def picture(self, features: Tensor) -> np.ndarray:
        """(C, H, W) seen through these components: (H, W, 3) uint8."""
        values = (_flat(features) - self.center) @ self.axes
        scaled = ((values - self.low) / (self.high - self.low).clamp(min=1e-12)).clamp(0, 1)
        return (scaled * 255).round().byte().view(*features.shape[1:], -1).cpu().numpy()


def stacked(base: Mapping[int, Mapping[int, np.ndarray]], result: Mapping[int, Mapping[int, np.ndarray]]) -> dict:
    """Maps by step and block as one array a block, (2, T, H, W, 3): base and result at their shared steps."""
    steps = sorted(base.keys() & result.keys())
    if not steps:
        return {}
    return {
        block: np.stack([np.stack([side[step][block] for step in steps]) for side in (base, result)])
        for block in base[steps[0]]
    }


def _flat(features: Tensor) -> Tensor:
    """(C, H, W) as (HW, C). What is no number counts as 0: the run ends with a sentence on it, not here."""
    return features.float().flatten(1).T.nan_to_num(0.0, 0.0, 0.0)
