"""The controls: masks that nothing optimizes, drawn by chance or read off the weights' values."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from maskunet.diffusion import classifier_free, doubled
from maskunet.masks import mask
from maskunet.masks.masked_unet import MaskedUNet
from maskunet.masks.selection import chosen
from maskunet.masks.sites import find_sites
from maskunet.methods.base import (
    MethodSpec,
    Predict,
    Prediction,
    Sampled,
    Sampling,
    Solver,
    check_sites,
    mask_generator,
)
from maskunet.models.base import DiffusionModel
from maskunet.plugins import setting

KINDS = ("iid", "window", "magnitude")
BySite = Mapping[str, Tensor]


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings(Solver):
    """What to remove, from the first denoising step to the last, with a straight line between them.

    Attributes:
        kind: "iid" draws every weight by itself, anew at every step; "window" removes the weights whose
            value lies in a window; "magnitude" the smallest ones of every site.
        removed: of "iid" the probability of each weight to go, of "magnitude" the share of each site,
            0 to 1. 0.066 is what the training-free method starts with: exp(-e) for one-sided noise and
            logits of 1.
        removed_last: the same at the last step; None for no change.
        center: middle of the window, in standard deviations of each site's weights, and `width`, its
            whole width. center_last: the middle at the last step; None for no change.
        sites: a selection of the weights that may go, such as block1 or cross.
    """

    kind: str = setting("iid", "how weights are chosen", choices=KINDS)
    removed: float = setting(0.066, "share of weights removed", low=0.0, high=1.0)
    removed_last: float | None = setting(None, "share at the last step", low=0.0, high=1.0)
    center: float = setting(1.0, "middle of the window, std", low=-10.0, high=10.0)
    center_last: float | None = setting(None, "middle at the last step", low=-10.0, high=10.0)
    width: float = setting(0.25, "width of the window, std", low=0.0, high=100.0)
    sites: str = setting("all", "where masks may be, such as block1 or cross")

    def __post_init__(self) -> None:
        check_sites(self.sites)


@contextmanager
def looking(model: DiffusionModel, sampling: Sampling, settings: Settings) -> Iterator[Predict]:
    """The U-Net under masks of the chosen kind: each picture's own, where they are drawn by chance."""
    streams = [mask_generator(request) for request in sampling.requests]
    with MaskedUNet(model.unet, chosen(find_sites(model.unet), settings.sites)) as masked:
        weights = {site.name: model.unet.get_submodule(site.name).weight.detach() for site in masked.sites}
        course = COURSES[settings.kind]
        courses = [
            course(weights, settings, len(sampling.pairs), stream)
            for stream in (streams if settings.kind == "iid" else streams[:1])
        ]

        def predict(step: int, t: int, x_t: Tensor) -> Prediction:
            masks, scale = [next(each) for each in courses], sampling.guidance.at(t)
            text = sampling.text.guided(scale)
            features = masked.encode(doubled(x_t, scale), t, text)
            output = classifier_free(masked.decode(features, _batched(masks, text.batch)), scale)
            x0, _ = model.schedule.x0_eps(output, x_t, t)
            return Prediction(x_t, x0, [{"masks": each, "used": each} for each in masks])

        yield predict


def _batched(masks: Sequence[BySite], batch: int) -> BySite:
    """One mask (O, I) for all, or each picture's own in a batch (B, O, I) that may have two guidance halves."""
    if len(masks) == 1:
        return masks[0]
    halves = batch // len(masks)
    return {name: torch.stack([each[name] for each in masks]).repeat(halves, 1, 1) for name in masks[0]}


def _iid(weights: BySite, settings: Settings, steps: int, generator: torch.Generator) -> Iterator[BySite]:
    """New masks at every step."""
    for removed in _line(settings.removed, settings.removed_last, steps):
        yield mask.bernoulli_masks(weights, removed, generator)


def _window(weights: BySite, settings: Settings, steps: int, generator: torch.Generator) -> Iterator[BySite]:
    centers = _line(settings.center, settings.center_last, steps)
    return _held(centers, lambda step: {n: mask.window(w, centers[step], settings.width) for n, w in weights.items()})


def _magnitude(weights: BySite, settings: Settings, steps: int, generator: torch.Generator) -> Iterator[BySite]:
    ratios = _line(settings.removed, settings.removed_last, steps)
    limits = {n: mask.magnitude_limits(w, ratios) for n, w in weights.items()}
    return _held(ratios, lambda step: {n: mask.magnitude(w, limits[n][step]) for n, w in weights.items()})


def _held(values: Sequence[float], masks_at: Callable[[int], BySite]) -> Iterator[BySite]:
    """Each step's masks, made anew only where the value they depend on changes."""
    for step, (before, value) in enumerate(pairwise((None, *values))):
        if value != before:
            masks = masks_at(step)
        yield masks


COURSES = dict(zip(KINDS, (_iid, _window, _magnitude), strict=True))


def _line(first: float, last: float | None, steps: int) -> list[float]:
    """One value per step, evenly from the first to the last."""
    return np.linspace(first, first if last is None else last, steps).tolist()


SPEC = MethodSpec(
    name="random_mask",
    title="Random mask",
    kind="control",
    summary="Removes weights by chance or by their value, without looking at the picture: the control.",
    source="the motivation study of MaskUNet (CVPR 2025), section 1; in its Fig. 1 the removed weights lie in "
    "narrow windows of values that move over the steps",
    raced=("", "/light"),
    presets={
        "start": Settings(),
        "start_first_order": Settings(second_order=False),
        "light": Settings(removed=0.01),
        "window": Settings(kind="window"),
        "moving_window": Settings(kind="window", center=-1.0, center_last=1.0),
        "magnitude": Settings(kind="magnitude"),
    },
    run=Sampled(looking),
)
