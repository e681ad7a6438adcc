"""Kept masks as sets of weights with an order of removal: union, intersection, difference, complement, dose, restriction.

A weight's rank is its place in the order as a share: the first of four has 1/4, the last 1. The mask at dose a is the
weights of rank at most a. Each operation is set arithmetic on weights, step by step, and says what order its result has:

    union           by the smallest of its ranks: a weight goes as soon as it goes in one of them
    intersection    by the largest of its ranks: a weight goes when it has gone in all
    difference, dose, restriction   as in the first mask
    complement      `held_mask.mixed`, as what a mask keeps has no order

Of equal ranks the weight that comes first in the network goes first, so that union and intersection do not depend on
the order of their masks. Dose a of a union without a common weight is the union of both doses a, up to rounding.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from maskunet.records import mask_set
from maskunet.records.disk import trained_file
from maskunet.records.held_mask import HeldMask, mixed

Places = np.ndarray  # uint32 (n,), the first to go first


def union(*masks: HeldMask) -> HeldMask:
    """What any of them removes.

    Raises:
        ValueError: fewer than two, or of different models.
    """
    return _together("union", masks, _united)


def intersection(*masks: HeldMask) -> HeldMask:
    """What all of them remove.

    Raises:
        ValueError: fewer than two, or of different models.
    """
    return _together("intersection", masks, _shared)


def difference(first: HeldMask, *others: HeldMask) -> HeldMask:
    """What the first removes and none of the others.

    Raises:
        ValueError: no others, or of different models.
    """
    return _together("difference", (first, *others), _without)


def complement(mask: HeldMask) -> HeldMask:
    """What it keeps."""
    every = np.arange(mask.total, dtype=np.uint32)
    return _of_one(mask, lambda places: mixed(np.delete(every, places)), "complement")


def dose(mask: HeldMask, share: float) -> HeldMask:
    """The first weights to go, of all sites together.

    Args:
        share: 0 to 1, of each step's weights, rounded to whole ones.

    Raises:
        ValueError: the share is outside 0 to 1.
    """
    return _of_one(mask, lambda places: first(places, share), "dose", dose=share)


def first(places: Places, share: float) -> Places:
    """The first share of removed weights.

    Raises:
        ValueError: it is outside 0 to 1.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"The dose is {share}; allowed is 0 to 1.")
    return places[: round(share * len(places))]


def restriction(mask: HeldMask, inside: np.ndarray | Mapping[int, np.ndarray], **recipe: Any) -> HeldMask:
    """What it removes in some places, and at some steps.

    Args:
        inside: bool (total,), by place; or by timestep, and then the result has these timesteps.
        recipe: what to note of it, such as the selection as text.
    """
    if not isinstance(inside, Mapping):
        return _of_one(mask, lambda places: places[inside[places]], "restriction", **recipe)
    steps = {t: (places := mask.at(t))[where[places]] for t, where in inside.items()}
    return _made(mask, steps, {"made": "restriction", "of": [dict(mask.recipe)], **recipe})


def at_step(mask: HeldMask, timestep: int) -> HeldMask:
    """One step's weights for all steps."""
    used = mask.nearest(timestep)
    return _made(mask, {0: mask.steps[used]}, {"made": "one step", "of": [dict(mask.recipe)], "timestep": used})


def shifted(mask: HeldMask, by: int) -> HeldMask:
    """Each step's weights at another timestep, what leaves 0 to 999 at its end; a control that leaves the masks alone."""
    moved = {min(max(t + by, 0), 999): places for t, places in sorted(mask.steps.items(), reverse=by > 0)}
    return _made(mask, moved, {"made": "shifted", "of": [dict(mask.recipe)], "by": by})


def shuffled(mask: HeldMask, seed: int) -> HeldMask:
    """A control: as many weights at each site and step, and as many shared between steps, but chosen by chance.

    Args:
        seed: of one permutation of each site's weights, the same at all steps.
    """
    rng, sizes = np.random.default_rng(seed), [int(np.prod(shape)) for shape in mask.sites.values()]
    starts = np.cumsum([0, *sizes])[:-1]
    to = np.concatenate([rng.permutation(size) + start for size, start in zip(sizes, starts, strict=True)])
    return _of_one(mask, lambda places: to[places].astype(np.uint32), "shuffled", seed=seed)


def carried(mask: HeldMask, model: str, weights: Mapping[str, str], sites: Mapping[str, tuple[int, ...]]) -> HeldMask:
    """The same places in another base model whose sites have the same names and shapes, on purpose; the recipe says so.

    Args:
        model, weights, sites: that model's name, its files' SHA-256, and its sites' shapes.

    Raises:
        ValueError: its sites are others; says which.
    """
    mask_set.check_sites(mask, model, sites)
    recipe = {"made": "carried over", "of": [dict(mask.recipe)], "from_model": mask.model}
    recipe["from_weights"] = dict(mask.weights)
    # The order of sites is the same, too: it is part of what a place means.
    moved = _renumbered(mask, tuple(sites))
    return replace(moved, model=model, weights=trained_file.of_unet(weights), recipe=recipe)


def _renumbered(mask: HeldMask, names: Sequence[str]) -> HeldMask:
    """The same mask with its sites in this order."""
    if tuple(mask.sites) == tuple(names):
        return mask
    sizes = {name: int(np.prod(shape)) for name, shape in mask.sites.items()}
    starts = dict(zip(names, np.cumsum([0, *(sizes[name] for name in names)])[:-1], strict=True))
    order = np.concatenate([np.arange(sizes[name], dtype=np.uint32) + starts[name] for name in mask.sites])
    steps = {t: order.astype(np.uint32)[places] for t, places in mask.steps.items()}
    return replace(mask, sites={name: mask.sites[name] for name in names}, steps=steps)


def _ranks(places: Places) -> np.ndarray:
    return np.arange(1, len(places) + 1) / max(1, len(places))


def _by_rank(masks: Sequence[Places]) -> Places:
    """All weights of all of them, each as often as it is in one."""
    places = np.concatenate(masks)
    return places[np.lexsort((places, np.concatenate([_ranks(each) for each in masks])))]


def _united(*masks: Places) -> Places:
    places = _by_rank(masks)
    return places[np.sort(np.unique(places, return_index=True)[1])]  # where each comes for the first time


def _shared(*masks: Places) -> Places:
    places = _by_rank(masks)
    _, back, count = np.unique(places[::-1], return_index=True, return_counts=True)
    return places[np.sort(len(places) - 1 - back[count == len(masks)])]  # where each comes for the last time


def _without(one: Places, *others: Places) -> Places:
    return one[~np.isin(one, np.concatenate(others))]


def _together(made: str, masks: Sequence[HeldMask], operation: Callable[..., Places]) -> HeldMask:
    """The operation at every timestep that one of the masks has weights for."""
    if len(masks) < 2:
        raise ValueError(f"A {made} needs two masks or more.")
    base = masks[0]
    for mask in masks[1:]:
        mask_set.check_sites(mask, base.model, base.sites)
        if trained_file.of_unet(mask.weights) != trained_file.of_unet(base.weights):
            raise ValueError(
                f"These masks are of {base.model} and of {mask.model}, whose weights differ. Carry one over to the "
                "other's model first."
            )
    same = [_renumbered(mask, tuple(base.sites)) for mask in masks]
    changing = [mask for mask in same if not mask.static] or same[:1]
    timesteps = sorted({t for mask in changing for t in mask.steps})
    steps = {t: operation(*[mask.at(t) for mask in same]) for t in timesteps}
    return _made(base, steps, {"made": made, "of": [dict(mask.recipe) for mask in masks]})


def _of_one(mask: HeldMask, operation: Callable[[Places], Places], made: str, **recipe: Any) -> HeldMask:
    steps = {t: operation(places) for t, places in mask.steps.items()}
    return _made(mask, steps, {"made": made, "of": [dict(mask.recipe)], **recipe})


def _made(mask: HeldMask, steps: Mapping[int, Places], recipe: Mapping[str, Any]) -> HeldMask:
    return replace(mask, steps=dict(sorted(steps.items())), recipe=recipe)
