"""The control: an i.i.d. random mask of a given ratio, a new one at every timestep, no optimization."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch

from maskunet import mask
from maskunet.guidance import classifier_free
from maskunet.masked_unet import MaskedUNet
from maskunet.methods.base import MethodSpec, Reporter, finish, guidance_of, mask_generator, steps_of
from maskunet.models.base import DiffusionModel
from maskunet.records import Request, StepEvent
from maskunet.rewards.base import WeightedRewards
from maskunet.schedule import dpmpp_2m_step


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What to remove at random.

    Attributes:
        removed: probability of each weight to be removed, 0 to 1. 0.066 is what the training-free
            method starts with: exp(-e) for one-sided noise and logits of 1.
        second_order: DPM-Solver++ 2M; otherwise its first order.
    """

    removed: float = field(
        default=0.066, metadata={"min": 0.0, "max": 1.0, "help": "share of weights removed"}
    )
    second_order: bool = field(default=True, metadata={"help": "use the solver's second order"})


def run(
    model: DiffusionModel, rewards: WeightedRewards, request: Request, settings: Settings
) -> Iterator[StepEvent]:
    """Sample under random masks; one event per step and a final one."""
    pairs, scale = steps_of(model, request), guidance_of(model, request)
    report = Reporter(model, len(pairs), request.keep_masks)
    text = model.encode(request.prompt, request.negative_prompt)
    x_t, history = model.noise(request.seed), None
    generator = mask_generator(request)
    with MaskedUNet(model.unet) as masked:
        for step, (t, t_prev) in enumerate(pairs):
            masks = {
                site.name: mask.bernoulli(site.shape, settings.removed, generator).to(
                    model.device, model.dtype
                )
                for site in masked.sites
            }
            with torch.no_grad():
                features = masked.encode(torch.cat((x_t, x_t)), t, text)
                output = classifier_free(masked.decode(features, masks), scale)
                x0, _ = model.schedule.x0_eps(output, x_t, t)
                x_t, history = dpmpp_2m_step(model.schedule, x_t, x0, history, t, t_prev)
                preview = model.decode(x0) if request.previews and t_prev >= 0 else None
            history = history if settings.second_order else None
            report.unet_calls += 1
            yield report(step, t, image=preview, masks=masks, used=masks, best=True)
    yield finish(model, rewards, request, report, x_t)


SPEC = MethodSpec(
    name="random_mask",
    title="Random mask",
    summary="Removes weights at random, a new draw at every timestep: the control of equal ratio.",
    source="the motivation study of MaskUNet (CVPR 2025), Fig. 1, here independent per weight",
    presets={
        "start": Settings(),
        "start_first_order": Settings(second_order=False),
        "light": Settings(removed=0.01),
    },
    run=run,
)
