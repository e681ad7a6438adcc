"""What a part costs beside the rest: ratios of times taken in turn in one process."""

import logging
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from maskunet.methods import SPECS
from maskunet.models.base import DiffusionModel
from maskunet.records import Request
from maskunet.rewards.base import WeightedRewards
from maskunet.statistics import bootstrap

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


def mask_overhead(model: DiffusionModel, rewards: WeightedRewards, rounds: int) -> dict[str, float]:
    """What a picture under trained and under random masks costs beside a plain one, all without previews.

    Args:
        rounds: how often each picture is made, in turn; the plain one twice, around the others, so that a
            machine that grows slower or faster favors none.

    Returns:
        Seconds of the plain picture, and each method's extra time as a share of it: the median over the
        rounds with the 95 % bootstrap interval of their mean.
    """
    request = Request(prompt="a red cube and a blue sphere", previews=False)
    extra: dict[str, list[float]] = {"maskunet_trained": [], "random_mask": []}
    plain: list[float] = []
    for number in range(rounds + 1):
        names = ("plain", *extra, "plain")
        first, *others, last = (_seconds(model.device, _picture, model, rewards, request, n) for n in names)
        log.info("round %d: plain %.3f s and %.3f s", number, first, last)
        if number:  # the first round warms up
            plain.append((first + last) / 2)
            for values, seconds in zip(extra.values(), others, strict=True):
                values.append(seconds / plain[-1] - 1)
    found = {"n": rounds, "plain_seconds": median(plain)}
    for name, values in extra.items():
        low, high = bootstrap(values)
        found |= {f"{name}_extra": median(values), f"{name}_low": low, f"{name}_high": high}
    return found


def _picture(model: DiffusionModel, rewards: WeightedRewards, request: Request, name: str) -> None:
    spec = SPECS[name]
    for _ in spec.run(model, rewards, request, spec.settings()):
        pass


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
