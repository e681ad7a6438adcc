"""SynGen: before a step, move the latents so that a noun and its modifiers are looked at in one place."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from maskunet.diffusion import classifier_free, dpmpp_2m_step
from maskunet.methods.base import MethodSpec, Reporter, finish, guidance_of, steps_of
from maskunet.methods.base.attention import CrossAttentionMaps, binding_loss, gradient_step, map_size
from maskunet.models.base import DiffusionModel
from maskunet.plugins import setting
from maskunet.prompts.groups import groups_of
from maskunet.prompts.tokens import locate
from maskunet.records import Request, StepEvent
from maskunet.rewards.base import WeightedRewards


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """How far and how long the latents are moved.

    Attributes:
        groups: such as "red cube; blue sphere", nouns last; empty to read them off the prompt.
        scale: length of a move.
        moved: share of the steps before which the latents are moved; published: 25 of 50.
        second_order: DPM-Solver++ 2M; otherwise its first order.
    """

    groups: str = setting("", "groups, with “;” between them; empty: the prompt's")
    scale: float = setting(20.0, "length of a move of the latents", low=0.0, high=1000.0)
    moved: float = setting(0.5, "share of the steps with a move", low=0.0, high=1.0)
    second_order: bool = setting(True, "use the solver's second order")


def run(
    model: DiffusionModel, rewards: WeightedRewards, request: Request, settings: Settings
) -> Iterator[StepEvent]:
    """Sample with moved latents; one event per step and a final one."""
    pairs, scale = steps_of(model, request), guidance_of(model, request)
    report = Reporter(model, len(pairs), request)
    found = locate(groups_of(request.prompt, settings.groups), request.prompt, model.tokenizer)
    size = map_size(model.unet, model.latent_shape[1:])
    text = model.encode(request.prompt, request.negative_prompt)
    x_t, history = model.noise(request.seed), None
    for step, (t, t_prev) in enumerate(pairs):
        loss = None
        if step < round(settings.moved * len(pairs)):

            def unbound(x_t: Tensor, t: int = t) -> Tensor:
                with CrossAttentionMaps(model.unet, size) as maps:
                    model.unet(x_t, t, text[1:])
                return binding_loss(maps.mean()[0], found.groups, found.words)

            x_t, loss = gradient_step(x_t, unbound, settings.scale)
            report.unet_calls += 1
        with torch.no_grad():
            output = classifier_free(model.unet(torch.cat((x_t, x_t)), t, text).sample, scale)
            x0, _ = model.schedule.x0_eps(output, x_t, t)
            x_t, history = dpmpp_2m_step(model.schedule, x_t, x0, history, t, t_prev)
            preview = model.decode(x0) if request.previews and t_prev >= 0 else None
        history = history if settings.second_order else None
        report.unet_calls += 1
        yield report(step, t, image=preview, loss=loss, best=True, note="" if step else found.cut)
    yield finish(model, rewards, request, report, x_t)


SPEC = MethodSpec(
    name="syngen",
    title="SynGen",
    kind="rival",
    summary="Moves the latents so that each noun and its modifiers are attended to in one place.",
    source="SynGen (Rassin et al. 2023), Linguistic binding in diffusion models",
    raced=("/gentle", ""),
    presets={"published": Settings(), "gentle": Settings(scale=5.0)},
    run=run,
)
