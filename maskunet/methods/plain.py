"""The base model as it is: every weight kept. The first control of everything else."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from maskunet.diffusion import classifier_free, dpmpp_2m_step
from maskunet.methods.base import MethodSpec, Reporter, finish, guidance_of, steps_of
from maskunet.models.base import DiffusionModel
from maskunet.plugins import setting
from maskunet.records import Request, StepEvent
from maskunet.rewards.base import WeightedRewards


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """How to sample without masks.

    Attributes:
        second_order: DPM-Solver++ 2M; otherwise its first order, which is DDIM on the same grid.
    """

    second_order: bool = setting(True, "use the solver's second order")


def run(
    model: DiffusionModel, rewards: WeightedRewards, request: Request, settings: Settings
) -> Iterator[StepEvent]:
    """Sample with the plain U-Net and classifier-free guidance; one event per step and a final one."""
    pairs, scale = steps_of(model, request), guidance_of(model, request)
    report = Reporter(model, len(pairs), request)
    text = model.encode(request.prompt, request.negative_prompt)
    x_t, history = model.noise(request.seed), None
    for step, (t, t_prev) in enumerate(pairs):
        with torch.no_grad():
            output = classifier_free(model.unet(torch.cat((x_t, x_t)), t, text).sample, scale)
            x0, _ = model.schedule.x0_eps(output, x_t, t)
            x_t, history = dpmpp_2m_step(model.schedule, x_t, x0, history, t, t_prev)
            preview = model.decode(x0) if request.previews and t_prev >= 0 else None
        history = history if settings.second_order else None
        report.unet_calls += 1
        yield report(step, t, image=preview, best=True)
    yield finish(model, rewards, request, report, x_t)


SPEC = MethodSpec(
    name="plain",
    title="Unmasked",
    kind="control",
    summary="The base model with every weight kept.",
    source="DPM-Solver++ 2M (Lu et al. 2022) with classifier-free guidance (Ho and Salimans 2022)",
    raced=("", "@7.5"),
    presets={"second_order": Settings(), "first_order": Settings(second_order=False)},
    run=run,
)
