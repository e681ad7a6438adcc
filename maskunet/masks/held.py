"""A kept mask (`records.held_mask`) on a U-Net: from what removed weights to their places, and back to masks."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from maskunet.masks.sites import find_sites
from maskunet.records import held_mask
from maskunet.records.disk import trained_file
from maskunet.records.held_mask import HeldMask, mixed

EMPTY = "It removes nothing: with it every picture is the plain one."
FULL = (
    "It removes every weight that may be masked: all attention of the up blocks is off, so that little of the prompt is "
    "left in the picture."
)


def of_model(model: Any, steps: Mapping[int, np.ndarray], recipe: Mapping[str, Any]) -> HeldMask:
    """A mask of a base model (`models.base.DiffusionModel`).

    Args:
        steps: by timestep the removed weights, see `HeldMask`. recipe: how it was made.
    """
    return HeldMask(
        model=model.name,
        weights=trained_file.of_unet(model.weights),
        sites=shapes(model.unet),
        steps=dict(sorted(steps.items())),
        recipe=dict(recipe),
    )


def shapes(unet: nn.Module) -> dict[str, tuple[int, int]]:
    """The shape of each site's weight, by name in the U-Net's order."""
    return {site.name: site.shape for site in find_sites(unet)}


def removed(masks: Mapping[str, Tensor], sites: Mapping[str, tuple[int, int]]) -> np.ndarray:
    """The places that masks (O, I) of 0 and 1 remove, in `mixed` order; a site without a mask is kept whole."""
    return mixed(np.flatnonzero(flat(masks, sites) < 0.5))


def ordered(scores: Mapping[str, Tensor], sites: Mapping[str, tuple[int, int]], count: int | None = None) -> np.ndarray:
    """The places of the `count` weights with the smallest scores (O, I), or of all, the smallest first."""
    return np.argsort(flat(scores, sites, float("inf")), kind="stable")[:count].astype(np.uint32)


def bits(mask: HeldMask) -> dict[int, np.ndarray]:
    """By timestep whether each weight goes, bool (total,)."""
    found = {t: np.zeros(mask.total, dtype=bool) for t in mask.steps}
    for t, places in mask.steps.items():
        found[t][places] = True
    return found


def tensors(places: np.ndarray, sites: Mapping[str, tuple[int, int]], like: Tensor) -> dict[str, Tensor]:
    """The masks (O, I), 0 or 1, that remove these weights; in the type and place of `like`."""
    sizes = [outputs * inputs for outputs, inputs in sites.values()]
    flat = torch.ones(sum(sizes), dtype=like.dtype, device=like.device)
    flat[torch.from_numpy(places.astype(np.int64)).to(like.device)] = 0
    parts = flat.split(sizes)
    return {name: part.view(shape) for part, (name, shape) in zip(parts, sites.items(), strict=True)}


class Held(nn.Module):
    """A kept mask in memory, as `methods.base.read_part` keeps what was trained."""

    def __init__(self, mask: HeldMask):
        super().__init__()
        self.mask = mask


def load(path: Path, *_: Any) -> Held:
    """Read a mask as `methods.base.read_part` asks for; whether it fits the model `held_mask.check` tells.

    Raises:
        ValueError: it is damaged.
    """
    return Held(held_mask.load(path))


def note(mask: HeldMask) -> str:
    """A sentence on a mask that removes nothing or everything, else empty."""
    counts = {len(places) for places in mask.steps.values()}
    return EMPTY if counts == {0} else FULL if counts == {mask.total} else ""


def flat(values: Mapping[str, Tensor], sites: Mapping[str, tuple[int, int]], missing: float = 1.0) -> np.ndarray:
    """All sites' numbers one after the other, float32."""
    parts = [
        values[name].detach().float().cpu().numpy().ravel() if name in values else np.full(np.prod(shape), missing)
        for name, shape in sites.items()
    ]
    return np.concatenate(parts).astype(np.float32)
