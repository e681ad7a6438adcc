"""A selection of weights (`records.selection`) on a U-Net: the masks that keep a share of what it names."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from maskunet.masks.sites import MaskSite
from maskunet.records.selection import Place, kept, parse


def chosen(sites: Sequence[MaskSite], selection: str) -> list[MaskSite]:
    """The sites that a selection names, such as “all”, “block1” or “cross”; of steps, heads and shares it says nothing.

    Raises:
        ValueError: it is no selection, says more, or names no site; says what is allowed.
    """
    places = parse(selection)
    if any(place.heads or place.steps or place.kept for place in places):
        raise ValueError(f"“{selection[:60]}” chooses sites as a whole: leave out heads, “@” and “=”.")
    found = [site for site in sites if any(place.fits(site.name) for place in places)]
    if not found:
        blocks = ", ".join(sorted({f"block{site.block}" for site in sites}))
        raise ValueError(
            f"“{selection[:60]}” names no sites here. There are all, cross, self, {blocks} and their parts."
        )
    return found


def heads_of(unet: nn.Module, sites: Sequence[MaskSite]) -> list[int]:
    """How many attention heads each site's layer has."""
    return [unet.get_submodule(site.name.partition(".to_")[0]).heads for site in sites]


def by_head(site: MaskSite, shares: np.ndarray | Tensor, like: Tensor) -> Tensor:
    """A mask (O, I) of a share for each head: its rows in q, k and v, its columns in out.

    Args:
        shares: (heads,). like: gives type and place.
    """
    values = torch.as_tensor(shares, dtype=like.dtype, device=like.device)
    along = 1 if site.role == "out" else 0
    values = values.repeat_interleave(site.shape[along] // len(values))
    return (values[None] if along else values[:, None]).expand(site.shape)


def masks_by_step(
    places: Sequence[Place], unet: nn.Module, sites: Sequence[MaskSite], steps: int
) -> list[dict[str, Tensor]]:
    """What each step keeps: masks (O, I) with values from 0 to 1 by site name; a site that is kept whole is left out.

    Steps that follow each other and keep the same share one dictionary.

    Raises:
        ValueError: a place means nothing in this U-Net; says what there is.
    """
    heads = heads_of(unet, sites)
    shares = kept(places, [site.name for site in sites], heads, steps)
    found: list[dict[str, Tensor]] = []
    for step, now in enumerate(shares):
        if step and np.array_equal(now, shares[step - 1]):
            found.append(found[-1])
            continue
        found.append(
            {
                site.name: by_head(site, values[:count], unet.get_submodule(site.name).weight)
                for site, values, count in zip(sites, now, heads, strict=True)
                if (values[:count] < 1).any()
            }
        )
    return found
