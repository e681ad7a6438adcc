"""What trained and random masks cost beside none: whole pictures of tabletop, steps of Stable Diffusion's U-Net."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import nn

from maskunet.bench.base import BenchSpec, guided_inputs, sd15_unet, seconds
from maskunet.evaluation.intervals import bootstrap
from maskunet.library.library import Library
from maskunet.masks.generator import GeneratorSettings, MaskGenerator
from maskunet.masks.mask import bernoulli_masks
from maskunet.masks.masked_unet import MaskedUNet
from maskunet.methods import SPECS
from maskunet.methods.maskunet_trained import masks_of
from maskunet.models.base import DiffusionModel
from maskunet.records import Request
from maskunet.rewards.base import WeightedRewards

log = logging.getLogger(__name__)

PLAIN = "plain"
PICTURES = (PLAIN, "maskunet_trained", "maskunet_amortized", "random_mask")
REMOVED = 0.066

Works = Mapping[str, Callable[[], None]]


def overhead(device: torch.device, works: Works, rounds: int) -> dict[str, float]:
    """How much longer each work takes than the plain one.

    Args:
        works: by name, the plain one and the masked ones.
        rounds: how often each is done, in turn; the plain one twice, around the others, so that a
            machine that grows slower or faster favors none.

    Returns:
        Seconds of the plain work, and each other's extra time as a share of it: the median over the
        rounds, the 95 % bootstrap interval of that median, and the extra time of its fastest one over
        the fastest plain one, which other work on the machine disturbs least.
    """
    masked = [name for name in works if name != PLAIN]
    taken: dict[str, list[float]] = {name: [] for name in (PLAIN, *masked, "plain again")}
    for number in range(rounds + 1):
        took = [seconds(device, works[name]) for name in (PLAIN, *masked, PLAIN)]
        log.info("round %d: %s", number, ", ".join(f"{each:.3f} s" for each in took))
        for values, each in zip(taken.values(), took, strict=True):
            values += [each] if number else []  # the first round warms up
    around = list(zip(taken[PLAIN], taken["plain again"], strict=True))
    found = {"n": rounds, "plain_seconds": median(sum(pair) / 2 for pair in around)}
    for name in masked:
        extra = [2 * each / sum(pair) - 1 for each, pair in zip(taken[name], around, strict=True)]
        low, high = bootstrap(extra, of=np.median)
        fastest = min(taken[name]) / min(map(min, around)) - 1
        found |= {f"{name}_extra": median(extra), f"{name}_low": low, f"{name}_high": high}
        found[f"{name}_extra_of_fastest"] = fastest
    return found


def pictures(model: DiffusionModel, rewards: WeightedRewards) -> Works:
    """Whole pictures, made as for a folder of them: without previews and without counting the masks."""
    request = Request(prompt="a red cube and a blue sphere", previews=False, statistics=False)

    def picture(name: str) -> None:
        spec = SPECS[name]
        for _ in spec.run(model, rewards, request, spec.settings()):
            pass

    return {name: partial(picture, name) for name in PICTURES}


@contextmanager
def steps(unet: nn.Module) -> Iterator[Works]:
    """Guided evaluations of a U-Net, both halves under the same masks, as the methods' defaults are.

    The masks are those of a light generator that has not learned: what it computes does not depend on that.
    """
    generator = MaskGenerator(unet, GeneratorSettings()).to(unet.device).eval()
    noise = torch.Generator().manual_seed(0)
    x_t, text = guided_inputs(unet)

    @torch.no_grad()
    def step(masked: MaskedUNet, make: Callable[[], Any]) -> None:
        features = masked.encode(x_t, 500, text)  # first, since a generator's masks look at it
        masked.decode(features, make())

    with MaskedUNet(unet) as masked:
        weights = {site.name: unet.get_submodule(site.name).weight for site in masked.sites}
        yield {
            PLAIN: partial(step, masked, lambda: None),
            "maskunet_trained": partial(step, masked, lambda: masks_of(generator, {})),
            "random_mask": partial(step, masked, lambda: bernoulli_masks(weights, REMOVED, noise)),
        }


def run(library: Library, size: str, rounds: int) -> dict[str, Any]:
    """See `overhead`."""
    if size == "sd15":
        with steps(sd15_unet(library.device, library.dtype)) as works:
            return {"of": "a guided U-Net step"} | overhead(library.device, works, rounds)
    loaded = library.load(size)
    works = pictures(loaded.model, loaded.rewards)
    return {"of": "a picture"} | overhead(loaded.model.device, works, rounds)


SPEC = BenchSpec(
    name="masks",
    summary="trained and random masks beside none",
    sizes=("tabletop", "sd15"),
    run=run,
)
