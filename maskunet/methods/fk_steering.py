"""Feynman-Kac steering: K pictures at once; at chosen steps the promising ones replace the others.

Singhal et al. 2025, "A general framework for inference-time scaling and steering of diffusion models".
"""

import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from maskunet import seeds
from maskunet.diffusion import History, Schedule, denoise, stochastic_step
from maskunet.methods.base import (
    MethodSpec,
    Reporter,
    RewardWeights,
    candidates,
    guidance_of,
    mask_generator,
    objective,
    steps_of,
    weights_of,
)
from maskunet.models.base import DiffusionModel
from maskunet.plugins import setting
from maskunet.records import Request, StepEvent
from maskunet.rewards.base import WeightedRewards

POTENTIALS = ("difference", "max", "sum")


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings(RewardWeights):
    """How many particles, and when and how strictly they are chosen.

    Attributes:
        particles: K pictures side by side; the first starts from the request's own seed.
        strength: lambda; a particle's chance grows with exp(lambda times its potential).
        potential: of the rewards r of the predicted images so far: "difference" to the last choice,
            their "max" or their "sum".
        first, last, every: when to choose, in shares of the denoising steps.
        eta: how much noise each step adds, 0 none (then copies stay alike) to 1.
        at_once: pictures per U-Net call: faster on an accelerator, for more memory.
        second_order: of the stochastic DPM-Solver++; otherwise its first order, which is DDIM with
            its own eta of 1.
    """

    particles: int = setting(4, "pictures side by side", low=1, high=64)
    strength: float = setting(10.0, "lambda", low=0.0, high=1000.0)
    potential: str = setting("difference", "what is compared", choices=POTENTIALS)
    first: float = setting(0.2, "share of the steps before the first choice", low=0.0, high=1.0)
    last: float = setting(0.8, "share of the steps before the last choice", low=0.0, high=1.0)
    every: float = setting(0.2, "share of the steps between choices", low=0.01, high=1.0)
    eta: float = setting(1.0, "noise added at each step", low=0.0, high=1.0)
    at_once: int = setting(1, "pictures per U-Net call", low=1, high=64)


def run(model: DiffusionModel, rewards: WeightedRewards, request: Request, settings: Settings) -> Iterator[StepEvent]:
    """Sample the particles together; one event per step, which shows the last, and a final one.

    After a choice the one with the largest reward stands last.
    """
    pairs, scale = steps_of(model, request), guidance_of(model, request)
    weights = weights_of(settings, rewards)
    report, stream = Reporter(model, len(pairs), request), mask_generator(request)
    text = model.encode(request.prompt, request.negative_prompt)
    choices, past, chosen = choice_steps(len(pairs), settings), None, None

    def look(step: int, t: int, x_t: Tensor) -> Generator[StepEvent, None, tuple[Tensor, Tensor]]:
        nonlocal past, chosen
        scores, chosen = {}, None
        with torch.no_grad():
            x0 = candidates.predict_x0(model, x_t, t, text, scale, settings.at_once)
            shown = request.previews and step + 1 < len(pairs)
            preview = model.decode(x0[-1:]) if shown else None
            if step in choices:
                _, scores = candidates.scored(model, rewards, request.prompt, x0, settings.at_once)
                aim = objective(scores, weights)
                potential, past = potentials(aim, past, settings.potential)
                chosen = resample(settings.strength * potential, stream)
                chosen = chosen[aim[chosen].argsort()]
                x_t, x0, past = x_t[chosen], x0[chosen], past[chosen]
                scores = candidates.only(scores, len(x0) - 1)  # of the one that is shown
        report.unet_calls += settings.particles
        yield report(step, t, image=preview, rewards=scores, best=True)
        return x_t, x0

    def advance(
        schedule: Schedule, x_t: Tensor, x0: Tensor, history: History, t: int, t_prev: int
    ) -> tuple[Tensor, History]:
        noise = torch.randn(x_t.shape, generator=stream).to(x_t)
        if history is not None and chosen is not None:
            history = history[0][chosen], history[1]
        return stochastic_step(schedule, x_t, x0, history, t, t_prev, eta=settings.eta, noise=noise)

    noise = torch.cat([model.noise(seed) for seed in seeds.of_candidates(request.seed, settings.particles)])
    order = settings.second_order
    x0 = yield from denoise(model.schedule, pairs, noise, look, second_order=order, advance=advance)
    yield candidates.finish(model, rewards, request, report, x0, weights=weights, at_once=settings.at_once)


def choice_steps(steps: int, settings: Settings) -> set[int]:
    """The denoising steps, 0 to steps - 1, at which the particles are chosen anew.

    Raises:
        ValueError: the first choice is behind the last.
    """
    if settings.first > settings.last:
        raise ValueError(
            f"The first choice is after {settings.first} of the steps, behind the last after {settings.last}. "
            "Set `first` to at most `last`."
        )
    count = math.floor((settings.last - settings.first) / settings.every + 1e-9) + 1
    shares = (settings.first + i * settings.every for i in range(count))
    return {step for share in shares if (step := round(share * steps)) < steps}


def potentials(reward: Tensor, past: Tensor | None, kind: str) -> tuple[Tensor, Tensor]:
    """log G / lambda of each particle, and what the next choice needs of its path.

    Args:
        reward: (K,) of the predicted images now. past: (K,) what the last choice returned, or None.
        kind: "difference" r_now - r_last, with r = 0 before the first choice, so that the potentials
            of a path multiply to exp(lambda r); "max" or "sum" of all r of the path.
    """
    reward = reward.float()
    if kind == "difference":
        return reward if past is None else reward - past, reward
    if kind == "max":
        past = reward if past is None else torch.maximum(past, reward)
    else:
        past = reward if past is None else past + reward
    return past, past


def resample(log_weights: Tensor, stream: torch.Generator) -> Tensor:
    """Draw K particles with replacement, in proportion to their weights (multinomial); returns indices.

    A weight that is not a number counts as 0; without any number all stay.
    """
    logs = log_weights.double().cpu().nan_to_num(nan=-torch.inf)
    if not torch.isfinite(logs).any():
        return torch.arange(len(logs), device=log_weights.device)
    drawn = torch.multinomial(logs.softmax(0), len(logs), replacement=True, generator=stream)
    return drawn.to(log_weights.device)


SPEC = MethodSpec(
    name="fk_steering",
    title="FK steering",
    kind="rival",
    summary="Makes several pictures together and at some steps replaces the ones that the rewards like least.",
    source="Feynman-Kac steering (Singhal et al. 2025); their published settings choose early, at 5 to 30 % of "
    "the steps",
    presets={
        "even": Settings(),
        "published": Settings(first=0.05, last=0.3, every=0.05, second_order=False),
        "eight": Settings(particles=8),
    },
    run=run,
)
