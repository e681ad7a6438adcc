"""A kept mask as weights: multiplied in for good, and what is lost by one mask for all steps."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from maskunet.masks import held
from maskunet.records.held_mask import HeldMask, mixed


def over_time(mask: HeldMask) -> tuple[HeldMask, float]:
    """One mask for all steps in place of each step's own: a weight goes if it goes at half of the steps or more.

    Returns:
        The mask, and the share of all (weight, step) where it differs from the one given: 0 for a static one.
    """
    if mask.static:
        return mask, 0.0
    count = np.zeros(mask.total, dtype=np.uint16)
    for places in mask.steps.values():
        count[places] += 1
    gone = 2 * count >= len(mask.steps)
    differs = np.where(gone, len(mask.steps) - count, count).sum() / (mask.total * len(mask.steps))
    recipe = {**mask.recipe, "over_time": len(mask.steps)}
    return replace(mask, steps={0: mixed(np.flatnonzero(gone))}, recipe=recipe), float(differs)


@torch.no_grad()
def weights(unet: nn.Module, mask: HeldMask) -> Mapping[str, Tensor]:
    """The masked sites' weights (O, I) by parameter name, those that a mask removes 0; the U-Net is left as it is.

    What lies beside a weight, of a LoRA that no mask touches, is added then.

    Args:
        mask: static, made for this U-Net (`held_mask.check`).
    """
    ((_, places),) = mask.steps.items()
    like = next(unet.parameters())
    masks = held.tensors(places, mask.sites, like)
    found = {}
    for name, kept in masks.items():
        layer = unet.get_submodule(name)
        if beside := getattr(layer, "beside", None):
            found[f"{name}.weight"] = layer.weight * kept + beside.whole()
        elif not kept.all():
            found[f"{name}.weight"] = layer.weight * kept
    return found
