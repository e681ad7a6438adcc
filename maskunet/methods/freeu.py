"""FreeU: strengthen the backbone's features and weaken the skips' lowest frequencies. Costs nothing.

Si et al. 2024, "FreeU: Free lunch in diffusion U-Net".
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from maskunet.methods.base import MethodSpec, Predict, Prediction, Sampled, Sampling, Solver
from maskunet.models.base import DiffusionModel
from maskunet.plugins import setting


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings(Solver):
    """Factors of the first and of the second up block.

    Attributes:
        backbone_1, backbone_2: of half of the backbone's channels (b1, b2); 1 changes nothing.
        skip_1, skip_2: of the skips' lowest frequencies (s1, s2); 1 changes nothing.
    """

    backbone_1: float = setting(1.5, "b1, backbone in the first up block", low=0.0, high=4.0)
    backbone_2: float = setting(1.6, "b2, backbone in the second up block", low=0.0, high=4.0)
    skip_1: float = setting(0.9, "s1, skips in the first up block", low=0.0, high=4.0)
    skip_2: float = setting(0.2, "s2, skips in the second up block", low=0.0, high=4.0)


@contextmanager
def looking(model: DiffusionModel, sampling: Sampling, settings: Settings) -> Iterator[Predict]:
    """The plain U-Net with rescaled features."""
    with rescaled(model.unet, settings):
        yield lambda step, t, x_t: Prediction(x_t, sampling.plain(x_t, t))


@contextmanager
def rescaled(unet: nn.Module, settings: Settings) -> Iterator[None]:
    """Rescale what enters the residual layers of the first two up blocks while it is entered."""
    factors = ((settings.backbone_1, settings.skip_1), (settings.backbone_2, settings.skip_2))
    layers = [(layer, *pair) for block, pair in zip(unet.up_blocks, factors, strict=False) for layer in block.resnets]
    # Each layer is given the backbone, as wide as the layer before left it, and then one skip.
    widths = [unet.config.block_out_channels[-1], *(layer.out_channels for layer, *_ in layers)]
    handles = [
        layer.register_forward_pre_hook(partial(_rescale, width=width, backbone=backbone, skip=skip))
        for (layer, backbone, skip), (width, _) in zip(layers, pairwise(widths), strict=True)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _rescale(layer: nn.Module, inputs: tuple[Any, ...], *, width: int, backbone: float, skip: float) -> tuple[Any, ...]:
    states, *rest = inputs
    half = width // 2
    strong, kept, skips = states[:, :half] * backbone, states[:, half:width], states[:, width:]
    return torch.cat((strong, kept, weakened(skips, skip)), 1), *rest


def weakened(states: Tensor, factor: float) -> Tensor:
    """States (B, C, H, W) with the frequencies 0 and -1 of both axes times `factor`.

    Published code takes two of each axis around the middle of the shifted spectrum, so 1 is not among
    them and the result is not real; the imaginary part is dropped.
    """
    spectrum = torch.fft.fft2(states.float())  # half precision has no transform for every size
    low = torch.ones(states.shape[-2:], device=states.device)
    low[[[0], [-1]], [0, -1]] = factor
    return torch.fft.ifft2(spectrum * low).real.to(states.dtype)


SPEC = MethodSpec(
    name="freeu",
    title="FreeU",
    kind="rival",
    summary="Strengthens the U-Net's backbone and weakens its skips: no training, no reward, no time.",
    source="FreeU (Si et al. 2024) with its factors for Stable Diffusion 1.5, 2.1 and XL",
    presets={
        "sd15": Settings(),
        "sd2": Settings(backbone_1=1.4),
        "sdxl": Settings(backbone_1=1.3, backbone_2=1.4),
    },
    run=Sampled(looking),
)
