"""What a part costs beside the rest: ratios of times taken in turn in one process."""

import logging
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

log = logging.getLogger(__name__)

STEPS = 15  # of a run, over which what happens once per run is spread
REMOVED = 0.066
SD15 = {
    "sample_size": 64, "block_out_channels": (320, 640, 1280, 1280), "layers_per_block": 2,
    "down_block_types": ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
    "up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
    "cross_attention_dim": 768, "attention_head_dim": 8,
}  # fmt: skip
TOKENS = 77


@torch.no_grad()
def statistics_overhead(unet: nn.Module, rounds: int) -> dict[str, float]:
    """What counting the masks costs beside the cheapest masked step there is.

    That step is one guided U-Net evaluation under random masks: no rewards, no preview, no gradient. Any
    other method's steps take longer, so its overhead is smaller.

    Args:
        unet: frozen, on its device. rounds: how often step and count are timed, in turn; medians count.

    Returns:
        Seconds of a step, of its count and of the preparation once per run, and `overhead`: the
        statistics' share of a run of 15 steps in the time of the rest.
    """
    from maskunet.collect import Collector
    from maskunet.mask import bernoulli
    from maskunet.masked_unet import MaskedUNet

    config = unet.config
    device, dtype = unet.device, unet.dtype
    generator = torch.Generator().manual_seed(0)
    shape = (2, config.in_channels, config.sample_size, config.sample_size)
    x_t = torch.randn(shape, generator=generator).to(device, dtype)
    text = torch.randn((2, TOKENS, config.cross_attention_dim), generator=generator).to(device, dtype)
    took: dict[str, list[float]] = {"step": [], "count": []}
    with MaskedUNet(unet) as masked:

        def step(masks: dict[str, Tensor]) -> None:
            masked.decode(masked.encode(x_t, 500, text), masks)

        collector = Collector(unet, masked.sites)
        start = _seconds(device, Collector, unet, masked.sites)  # the second one: the first warms up
        for number in range(rounds + 1):
            masks = {s.name: bernoulli(s.shape, REMOVED, generator).to(device, dtype) for s in masked.sites}
            pair = _seconds(device, step, masks), _seconds(device, collector, 500 - number, masks)
            log.info("round %d: step %.4f s, count %.4f s", number, *pair)
            for values, seconds in zip(took.values(), pair, strict=True):
                values += [seconds] if number else []  # the first round warms up
    step_seconds, count_seconds = map(median, took.values())
    return {
        "sites": len(masked.sites), "weights": sum(site.weights for site in masked.sites), "n": rounds,
        "step_seconds": step_seconds, "count_seconds": count_seconds, "start_seconds": start,
        "overhead": (start + STEPS * count_seconds) / (STEPS * step_seconds),
    }  # fmt: skip


def _seconds(device: torch.device, work: Callable[..., Any], *args: Any) -> float:
    """How long this took until the device was done with it."""
    began = time.perf_counter()
    work(*args)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began


def sd15_unet() -> nn.Module:
    """Stable Diffusion 1.5's U-Net with random weights: its time, not its pictures."""
    from diffusers import UNet2DConditionModel
    from diffusers.models.attention_processor import AttnProcessor

    unet = UNet2DConditionModel(**SD15)
    unet.set_attn_processor(AttnProcessor())
    return unet.eval().requires_grad_(False)
