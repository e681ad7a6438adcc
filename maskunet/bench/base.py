"""What every bench shares: its SPEC, a clock, and a U-Net of Stable Diffusion's size."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from maskunet.library.library import Library
from maskunet.models.base import suit

SD15 = {
    "sample_size": 64,
    "block_out_channels": (320, 640, 1280, 1280),
    "layers_per_block": 2,
    "down_block_types": ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
    "up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
    "cross_attention_dim": 768,
    "attention_head_dim": 8,
}
TOKENS = 77


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchSpec:
    """A bench's name, the sizes of model it can time, and how.

    Attributes:
        sizes: of "tabletop", "sd15" and "sdxl"; the first is the default.
        run: (library, size, rounds) -> figures by name, all from this one run: numbers, texts, or a list of
            rows with the same columns.
    """

    name: str
    summary: str
    sizes: tuple[str, ...]
    run: Callable[[Library, str, int], Mapping[str, Any]]


def seconds(device: torch.device, work: Callable[..., Any], *args: Any) -> float:
    """How long this took until the device was done with it."""
    began = time.perf_counter()
    work(*args)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began


def sd15_unet(device: torch.device, dtype: torch.dtype, sample_size: int = SD15["sample_size"]) -> nn.Module:
    """Stable Diffusion 1.5's U-Net with random weights: its time, not its pictures.

    Args:
        sample_size: edge of its latents, an eighth of the picture's.
    """
    from diffusers import UNet2DConditionModel

    with torch.device(device):
        unet = UNet2DConditionModel(**{**SD15, "sample_size": sample_size})
    nn.Module.to(unet, dtype)  # diffusers' own warns of what is no concern here
    suit(unet)
    return unet.eval().requires_grad_(False)


def guided_inputs(unet: nn.Module) -> tuple[Tensor, Tensor]:
    """Random latents (2, C, H, W) and text states (2, 77, D) of a guided evaluation of this U-Net."""
    config, generator = unet.config, torch.Generator().manual_seed(0)
    latents = (2, config.in_channels, config.sample_size, config.sample_size)
    shapes = (latents, (2, TOKENS, config.cross_attention_dim))
    x_t, text = (torch.randn(shape, generator=generator).to(unet.device, unet.dtype) for shape in shapes)
    return x_t, text
