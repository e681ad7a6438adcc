"""LiDAR: a few cheap looks ahead, and a guide towards those that the rewards like. No gradient.

"Lookahead sample reward guidance" (2602.03211, ICML 2026). The looks ahead x0_k, made beforehand in few steps, stand for
what the model may draw, p(x0); their rewards turn it into p(x0) exp(lambda r(x0)). Of both mixtures the noisy
densities have closed-form scores, whose difference is the guide:

    guide = sqrt(a) / (1 - a) sum_k (v_k - w_k) x0_k,
    w = softmax_k(-|x_t - sqrt(a) x0_k|^2 / (2 (1 - a))),    v the same + lambda r_k,

with a = alpha_bar_t. Added to the model's score it moves the predicted x0 by (1 - a) / sqrt(a) guide.
"""

import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from maskunet import seeds
from maskunet.diffusion import denoise
from maskunet.encoders.text_states import TextStates
from maskunet.methods.base import (
    MethodSpec,
    Reporter,
    RewardWeights,
    candidates,
    decoder_part,
    finish,
    guidance_of,
    objective,
    start,
    steps_of,
)
from maskunet.models.base import DiffusionModel
from maskunet.plugins import setting
from maskunet.records import Request, StepEvent
from maskunet.rewards.base import WeightedRewards


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings(RewardWeights):
    """How many looks ahead, and how far they are followed.

    Attributes:
        looks: n, each from noise of its own. look_steps: k, the denoising steps of each.
        strength: lambda, of the rewards; 0 leaves the plain picture.
        at_once: looks per U-Net call: faster on an accelerator, for more memory.
        tiny_decoder: score the looks through the model's tiny decoder; the final picture is the full one's.
    """

    looks: int = setting(12, "looks ahead", low=1, high=64)
    look_steps: int = setting(5, "denoising steps of a look", low=1, high=50)
    strength: float = setting(5.0, "lambda, of the rewards", low=0.0, high=1000.0)
    at_once: int = setting(1, "looks per U-Net call", low=1, high=64)
    tiny_decoder: bool = setting(False, "faster: score the looks through the tiny decoder", cost=True)


def run(model: DiffusionModel, rewards: WeightedRewards, request: Request, settings: Settings) -> Iterator[StepEvent]:
    """Look ahead, then sample under the guide; one event per step of either, and a final one."""
    pairs, guidance, weights, report, text = start(model, rewards, request, settings)
    ahead = yield from _ahead(model, request, settings, report, text)
    tiny = settings.tiny_decoder
    with torch.no_grad():
        _, scores = candidates.scored(model, rewards, request.prompt, ahead, settings.at_once, tiny=tiny)
        whole = ahead.flatten(1).isfinite().all(1)  # a look that is no picture cannot be followed, whatever it scores
        ahead, liked = ahead[whole], logits(objective(scores, weights)[whole], settings.strength)

    def look(step: int, t: int, x_t: Tensor) -> Generator[StepEvent, None, tuple[Tensor, Tensor]]:
        with torch.no_grad():
            x0 = model.predict_x0(x_t, t, text, guidance.at(t))
            x0 = x0 + shift(x_t, ahead, liked, model.schedule.alpha_bar(t))
            shown = request.previews and step + 1 < len(pairs)
            preview = model.decode(x0) if shown else None
        report.unet_calls += guidance.calls(t)
        yield report(step, t, image=preview, best=True)
        return x_t, x0

    order = settings.second_order
    x0 = yield from denoise(model.schedule, pairs, model.noise(request.seed), look, second_order=order)
    yield finish(model, rewards, request, report, x0)


def _ahead(
    model: DiffusionModel, request: Request, settings: Settings, report: Reporter, text: TextStates
) -> Generator[StepEvent, None, Tensor]:
    """The looks (n, C, H, W), of seeds other than the picture's own; an event per step, all of the picture's first."""
    first = steps_of(model, request)[0][0]
    few = replace(request, steps=settings.look_steps)
    guidance = guidance_of(model, few, settings)

    def look(step: int, t: int, x_t: Tensor) -> Generator[StepEvent, None, tuple[Tensor, Tensor]]:
        with torch.no_grad():
            x0 = candidates.predict_x0(model, x_t, t, text, guidance.at(t), settings.at_once)
        report.unet_calls += settings.looks * guidance.calls(t)
        yield report(0, first, update=step, updates=settings.look_steps)
        return x_t, x0

    own = seeds.of_candidates(request.seed, settings.looks + 1)[1:]
    noise = torch.cat([model.noise(seed) for seed in own])
    return (yield from denoise(model.schedule, steps_of(model, few), noise, look, second_order=settings.second_order))


def logits(aim: Tensor, strength: float) -> Tensor:
    """lambda r of each look (n,); one whose reward is not a number is never followed, and none where all are."""
    known = aim.isfinite()
    return torch.where(known, strength * aim, -torch.inf) if known.any() else torch.zeros_like(aim)


def shift(x_t: Tensor, ahead: Tensor, liked: Tensor, alpha_bar: float) -> Tensor:
    """How far the guide moves the predicted x0 (1, C, H, W): sum_k (v_k - w_k) x0_k.

    Args:
        ahead: x0_k (n, C, H, W). liked: lambda r_k, (n,).
    """
    x, x0 = x_t.float().flatten(1), ahead.float().flatten(1)
    # The squared distances without |x_t|^2, which is the same for all and would round the rest away.
    near = (math.sqrt(alpha_bar) * x @ x0.T - alpha_bar * x0.square().sum(1) / 2) / (1 - alpha_bar)
    moved = ((near + liked).softmax(1) - near.softmax(1)) @ x0
    return moved.view_as(x_t).to(x_t.dtype)


SPEC = MethodSpec(
    name="lidar",
    title="LiDAR",
    kind="rival",
    summary="Makes a few quick pictures first and guides its own one towards those that the rewards like.",
    source="LiDAR (2602.03211): published with 25 to 400 looks of 3 to 10 steps",
    presets={
        "twelve": Settings(),
        "fast": Settings(tiny_decoder=True),
        "fifty": Settings(looks=50),
    },
    run=run,
    parts=decoder_part,
)
