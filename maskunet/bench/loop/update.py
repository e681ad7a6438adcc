"""One update of the training-free loop, written out for tensors that have only shapes.

The loop itself reads a number at every update, and such tensors have none. Tests hold the two together.
"""

from functools import partial

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from maskunet.bench.loop.clock import ClockedModel
from maskunet.bench.loop.size import PROMPT
from maskunet.diffusion import classifier_free, doubled
from maskunet.masks.mask import straight_through
from maskunet.masks.masked_unet import MaskedUNet
from maskunet.masks.selection import chosen
from maskunet.masks.sites import find_sites
from maskunet.methods.base import recomputed
from maskunet.models.base import DiffusionModel
from maskunet.rewards.base import WeightedRewards


def update(
    model: ClockedModel,
    rewards: WeightedRewards,
    *,
    anew: bool = False,
    tiny: bool = False,
    low_memory: bool = False,
    sites: str = "all",
) -> None:
    """One update after a timestep's first, without the optimizer's step.

    Args:
        anew: as if it were the timestep's first. tiny: the rewards look through the tiny decoder.
        low_memory: blocks are computed again in the backward pass instead of kept. sites: a selection, see `chosen`.
    """
    places = chosen(find_sites(model.unet), sites)
    text, x_t, logits, noise = model.encode(PROMPT), model.noise(0), logits_of(model, sites), logits_of(model, sites)
    judge = partial(checkpoint, rewards, use_reentrant=False) if low_memory else rewards
    with MaskedUNet(model.unet, places, checkpointing=low_memory) as masked, recomputed(model.vae, low_memory):
        with torch.no_grad():
            rewards(model.decode(x_t), [PROMPT])  # the prompt is known from now on
            model.clock.turn()
            features = masked.encode(doubled(x_t, model.guidance), 999, text.guided(model.guidance))
        if not anew:
            model.clock.lap("forward")
            model.clock.turn()
        masks = {
            name: straight_through(value, noise[name].detach(), dtype=model.dtype) for name, value in logits.items()
        }
        output = classifier_free(masked.decode(features, masks), model.guidance)
        x0, _ = model.schedule.x0_eps(output, x_t, 999)
        judge(model.decode(x0, tiny=tiny), [PROMPT])["total"].sum().backward()


def logits_of(model: DiffusionModel, sites: str = "all") -> dict[str, Tensor]:
    """Float32 logits of every chosen site, or as many numbers for another purpose."""
    shapes = {site.name: site.shape for site in chosen(find_sites(model.unet), sites)}
    return {n: torch.ones(shape, device=model.device, requires_grad=True) for n, shape in shapes.items()}
