"""What counting the masks costs beside the cheapest masked step there is."""

import logging
from statistics import median

import torch
from torch import Tensor, nn

from maskunet.bench.base import BenchSpec, guided_inputs, sd15_unet, seconds
from maskunet.library.library import Library
from maskunet.masks.counting import Collector
from maskunet.masks.mask import bernoulli_masks
from maskunet.masks.masked_unet import MaskedUNet

log = logging.getLogger(__name__)

STEPS = 15  # of a run, over which what happens once per run is spread
REMOVED = 0.066


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
    device, generator = unet.device, torch.Generator().manual_seed(0)
    x_t, text = guided_inputs(unet)
    took: dict[str, list[float]] = {"step": [], "count": []}
    with MaskedUNet(unet) as masked:
        weights = {site.name: unet.get_submodule(site.name).weight for site in masked.sites}

        def step(masks: dict[str, Tensor]) -> None:
            masked.decode(masked.encode(x_t, 500, text), masks)

        collector = Collector(unet, masked.sites)
        start = seconds(device, Collector, unet, masked.sites)  # the second one: the first warms up
        for number in range(rounds + 1):
            masks = bernoulli_masks(weights, REMOVED, generator)
            pair = seconds(device, step, masks), seconds(device, collector, 500 - number, masks)
            log.info("round %d: step %.4f s, count %.4f s", number, *pair)
            for values, taken in zip(took.values(), pair, strict=True):
                values += [taken] if number else []  # the first round warms up
    step_seconds, count_seconds = map(median, took.values())
    return {
        "sites": len(masked.sites),
        "weights": sum(site.weights for site in masked.sites),
        "n": rounds,
        "step_seconds": step_seconds,
        "count_seconds": count_seconds,
        "start_seconds": start,
        "overhead": (start + STEPS * count_seconds) / (STEPS * step_seconds),
    }


def run(library: Library, size: str, rounds: int) -> dict[str, float]:
    """See `statistics_overhead`."""
    if size == "sd15":
        return statistics_overhead(sd15_unet(library.device, library.dtype), rounds)
    return statistics_overhead(library.load(size).model.unet, rounds)


SPEC = BenchSpec(
    name="statistics",
    summary="counting the masks during a run, beside a masked step",
    sizes=("tabletop", "sd15"),
    run=run,
)
