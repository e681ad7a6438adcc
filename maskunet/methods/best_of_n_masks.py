"""Draw more masks: N pictures from one noise under different random masks, and the one the rewards like best.

Against the training-free method it tells what choosing among masks gives without any gradient.
"""

from collections.abc import Generator, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from maskunet.diffusion import classifier_free, denoise, doubled
from maskunet.masks import mask
from maskunet.masks.masked_unet import MaskedUNet
from maskunet.masks.selection import chosen
from maskunet.masks.sites import find_sites
from maskunet.methods.base import (
    MethodSpec,
    RewardWeights,
    candidates,
    check_sites,
    mask_generator,
    start,
)
from maskunet.models.base import DiffusionModel
from maskunet.plugins import setting
from maskunet.records import Request, StepEvent
from maskunet.rewards.base import WeightedRewards


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings(RewardWeights):
    """How many pictures, what to remove, and what chooses among them.

    Attributes:
        n: pictures; each has its own masks, drawn anew at every step. The first is the method
            random_mask's.
        removed: probability of each weight to go, 0 to 1. 0.066 is what the training-free method
            starts with: exp(-e) for one-sided noise and logits of 1.
        sites: a selection of the weights that may go, such as block1 or cross.
    """

    n: int = setting(4, "pictures to choose from", low=1, high=64)
    removed: float = setting(0.066, "share of weights removed", low=0.0, high=1.0)
    sites: str = setting("all", "where masks may be, such as block1 or cross")

    def __post_init__(self) -> None:
        check_sites(self.sites)


def run(model: DiffusionModel, rewards: WeightedRewards, request: Request, settings: Settings) -> Iterator[StepEvent]:
    """Sample all pictures side by side.

    One event per step, which shows the last picture; then one per step with the masks of the best, and
    the final one.
    """
    pairs, guidance, optimized, report, text = start(model, rewards, request, settings)
    with MaskedUNet(model.unet, chosen(find_sites(model.unet), settings.sites)) as masked:
        weights = {site.name: model.unet.get_submodule(site.name).weight for site in masked.sites}
        streams = [mask_generator(request, i) for i in range(settings.n)]

        def look(step: int, t: int, x_t: Tensor) -> Generator[StepEvent, None, tuple[Tensor, Tensor]]:
            scale = guidance.at(t)
            with torch.no_grad():
                outputs = []
                for own, stream in zip(x_t.split(1), streams, strict=True):
                    features = masked.encode(doubled(own, scale), t, text.guided(scale))
                    masks = mask.bernoulli_masks(weights, settings.removed, stream)
                    outputs.append(classifier_free(masked.decode(features, masks), scale))
                x0, _ = model.schedule.x0_eps(torch.cat(outputs), x_t, t)
                shown = request.previews and step + 1 < len(pairs)
                preview = model.decode(x0[-1:]) if shown else None
            report.unet_calls += settings.n * guidance.calls(t)
            yield report(step, t, image=preview, masks=masks, best=True)
            return x_t, x0

        x_t = model.noise(request.seed).repeat(settings.n, 1, 1, 1)
        x0 = yield from denoise(model.schedule, pairs, x_t, look, second_order=settings.second_order)
        with torch.no_grad():
            images, scores = candidates.scored(model, rewards, request.prompt, x0, at_once=1)
        best = candidates.best(scores, optimized)
        # Which masks are the run's is known only now; drawn again they need no memory until then.
        stream = mask_generator(request, best)
        for step, (t, _) in enumerate(pairs):
            masks = mask.bernoulli_masks(weights, settings.removed, stream)
            yield report(step, t, masks=masks, used=masks)
    last = report.last(images[best : best + 1], candidates.only(scores, best))
    yield candidates.told(last, images)


SPEC = MethodSpec(
    name="best_of_n_masks",
    title="Best of N random masks",
    kind="control",
    summary="Makes several pictures from one noise under random masks and keeps the one the rewards like best.",
    source="a control of MaskUNet (CVPR 2025), section 3.3: the same rewards, without their gradient",
    raced=(),  # random_mask is it
    presets={"start": Settings(), "light": Settings(removed=0.01), "sixteen": Settings(n=16)},
    run=run,
)
