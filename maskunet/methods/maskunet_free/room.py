"""How much memory a search for masks takes at most, and at which sites there is room for it.

An estimate from the networks' configurations alone, in closed form; `bench memory` counts the tensors instead, which
takes a minute. The constants below are of that count.
"""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from torch import nn

from maskunet.machine import free_memory
from maskunet.masks.selection import chosen
from maskunet.masks.sites import MaskSite, find_sites
from maskunet.models.base import DiffusionModel
from maskunet.rewards.base import WeightedRewards

# Bytes for each masked weight: logits, AdamW's two moments and the mask noise, in float32.
STATE = 16
MASKS = 2  # copies of the masks in the model's numbers: this update's and the best; kept besides, masked weights
# Numbers kept for the way back.
LAYER = 26  # for each channel and position of a transformer layer
RESIDUAL = 3.5  # for each input and output channel and position of a residual block
TINY = 4 * 64  # for each position of a tiny decoder's block, of which there are three at each size but the last
JUDGED = 0.12  # of the rewards' own bytes
COUNTING = 8  # bytes for each masked weight, to count which are removed: its place, two steps' masks, and a copy
SPARE = 1.1  # more than the tensors, for a device's own state
LARGE = 100e6  # masked weights from which on there may be too little room; 1.5 and 2 have half as many
CHOICES = ("all", "cross", "block{last}")  # in the order in which they are tried
GIGA = 1e9


def needed(
    configs: tuple[Mapping[str, Any], Mapping[str, Any]],
    latent: tuple[int, int],
    sites: Sequence[MaskSite],
    *,
    networks: float,
    judges: float,
    element: int = 2,
    low_memory: bool = False,
    tiny_decoder: bool = False,
) -> float:
    """Bytes of all tensors that are alive at once during an update, at most.

    Args:
        configs: the U-Net's and the VAE's. latent: height and width. sites: that carry masks.
        networks: bytes of all networks that are in memory, and `judges`, those of the rewards among them.
        element: bytes of a number. low_memory, tiny_decoder: as of the method's settings.
    """
    unet, vae = configs
    weights = {block: sum(site.weights for site in sites if site.block == block) for block in {s.block for s in sites}}
    masked, (blocks, between) = sum(weights.values()), _unet(unet, latent, min(weights))
    whole, one = (_tiny(latent),) * 2 if tiny_decoder else _vae(vae, latent)
    held = networks + masked * (STATE + MASKS * element)
    if not low_memory:
        return held + element * (sum(blocks.values()) + whole + masked) + JUDGED * judges
    # Computed anew, one block at a time, whose logits' gradients come together then.
    largest = max(element * kept + 4 * weights.get(block, 0) for block, kept in blocks.items())
    return held + max(largest + element * between, element * one)


def _unet(config: Mapping[str, Any], latent: tuple[int, int], first: int) -> tuple[dict[int, float], float]:
    """The numbers that each up block from the first masked one on keeps, of both guidance halves.

    And those that stay between the blocks and behind them, where the blocks compute anew.
    """
    widths, each = [*reversed(config["block_out_channels"])], config["layers_per_block"] + 1
    depth = config.get("transformer_layers_per_block", 1)
    depths = [depth] * len(widths) if isinstance(depth, int) else [*reversed(depth)]
    kept, between = {}, 2 * latent[0] * latent[1] * RESIDUAL * widths[-1]
    for block in range(first, len(widths)):
        shrunk = 4 ** (len(widths) - 1 - block)
        positions = 2 * latent[0] * latent[1] / shrunk
        below, above = widths[max(block - 1, 0)], widths[min(block + 1, len(widths) - 1)]
        inputs = [below, *[widths[block]] * (each - 1)]  # a residual block's, beside the down path's
        joined = [*[widths[block]] * (each - 1), above]
        pairs = [into + skip + widths[block] for into, skip in zip(inputs, joined, strict=True)]
        if block == first:
            pairs = pairs[1:]  # no gradient goes before the first mask
        layers = each * depths[block] if "CrossAttn" in config["up_block_types"][block] else 0
        kept[block] = positions * (RESIDUAL * sum(pairs) + LAYER * layers * widths[block])
        between += positions * below
    return kept, between


def _vae(config: Mapping[str, Any], latent: tuple[int, int]) -> tuple[float, float]:
    """The numbers that the decoder keeps, and at most at once where its blocks compute anew."""
    widths, each = [*reversed(config["block_out_channels"])], config["layers_per_block"] + 1
    positions = latent[0] * latent[1]
    total = 2 * 2 * widths[0] * positions  # the middle's two blocks
    inputs = one = 0.0
    for level, width in enumerate(widths):
        size, into = positions * 4**level, [widths[max(level - 1, 0)], *[width] * (each - 1)]
        total += size * sum(wide + width for wide in into)
        inputs += size * into[0]
        one = max(one, size * (sum(into) + RESIDUAL * (into[0] + width)))
    return RESIDUAL * total, one + inputs + 2 * size * width


def _tiny(latent: tuple[int, int]) -> float:
    """The numbers that a tiny decoder keeps."""
    positions = latent[0] * latent[1]
    return TINY * positions * (3 + 3 * 4 + 3 * 16 + 64)


def needed_by(model: DiffusionModel, rewards: WeightedRewards, settings: Any, sites: Sequence[MaskSite]) -> float:
    """`needed` for a model and rewards that are loaded; what rests with low memory still counts."""
    return needed(
        (model.unet.config, model.vae.config),
        model.latent_shape[1:],
        sites,
        networks=_bytes([*model.networks.values(), *_judges(rewards)]),
        judges=_bytes(_judges(rewards)),
        element=model.dtype.itemsize,
        low_memory=settings.low_memory,
        tiny_decoder=settings.tiny_decoder,
    )


def wanted(model: DiffusionModel, rewards: WeightedRewards, settings: Any, sites: Sequence[MaskSite]) -> float:
    """Bytes that should be there for a search: the update's, what counts its masks, and some to spare."""
    return SPARE * (needed_by(model, rewards, settings, sites) + COUNTING * sum(site.weights for site in sites))


def _judges(rewards: WeightedRewards) -> list[nn.Module]:
    """Their networks; what a user optimizes may have none."""
    parts = getattr(rewards, "parts", {})
    return [reward.network for reward, _ in parts.values() if isinstance(getattr(reward, "network", None), nn.Module)]


def _bytes(networks: Sequence[nn.Module]) -> float:
    tensors = chain.from_iterable(network.parameters() for network in networks)
    return float(sum({id(each): each.numel() * each.element_size() for each in tensors}.values()))


def sites_for(model: DiffusionModel, rewards: WeightedRewards, settings: Any) -> tuple[list[MaskSite], str]:
    """The sites that the settings choose, or where they leave it open, as many as there is room for.

    Returns:
        They, and a sentence where memory has left some out.

    Raises:
        ValueError: as `chosen`.
    """
    sites = find_sites(model.unet)
    if settings.sites or sum(site.weights for site in sites) < LARGE:
        return chosen(sites, settings.sites or "all"), ""
    # With what the networks hold already.
    free = free_memory(model.device) + _bytes([*model.networks.values(), *_judges(rewards)])
    last = max(site.block for site in sites)
    for selection in (each.format(last=last) for each in CHOICES):
        found = chosen(sites, selection)
        if (takes := wanted(model, rewards, settings, found)) <= free:
            break
    if selection == "all":
        return found, ""
    every = wanted(model, rewards, settings, sites)
    said = (
        f"Masks are at the sites “{selection}” alone: all {len(sites)} would take about {every / GIGA:.0f} GB, and "
        f"{free / GIGA:.0f} are there. The setting sites chooses others."
    )
    return found, said if takes <= free else f"{said} Even these take about {takes / GIGA:.0f} GB; try low_memory."
