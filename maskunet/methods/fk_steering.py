"""Feynman-Kac steering: K pictures at once; at chosen steps the promising ones replace the others.

Singhal et al. 2025, "A general framework for inference-time scaling and steering of diffusion models".
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from maskunet.diffusion import History, Schedule
from maskunet.methods.base import MethodSpec, Reporter, candidates, guidance_of, mask_generator, steps_of
from maskunet.models.base import DiffusionModel
from maskunet.plugins import setting
from maskunet.records import Request, StepEvent
from maskunet.rewards.base import WeightedRewards

POTENTIALS = ("difference", "max", "sum")


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """How many particles, and when and how strictly they are chosen.

    Attributes:
        particles: K pictures side by side; the first starts from the request's own seed.
        strength: lambda; a particle's chance grows with exp(lambda times its potential).
        potential: of the rewards r of the predicted images so far: "difference" to the last choice,
            their "max" or their "sum".
        first, last, every: when to choose, in shares of the denoising steps.
        eta: how much noise each step adds, 0 none (then copies stay alike) to 1.
        at_once: pictures per U-Net call: faster on an accelerator, for more memory.
        image_reward, hpsv2: weights of the rewards.
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
    image_reward: float = setting(1.0, "weight of ImageReward", low=0.0, high=100.0)
    hpsv2: float = setting(5.0, "weight of HPSv2", low=0.0, high=100.0)
    second_order: bool = setting(True, "use the solver's second order")


def run(
    model: DiffusionModel, rewards: WeightedRewards, request: Request, settings: Settings
) -> Iterator[StepEvent]:
    """Sample the particles together; one event per step, which shows the last, and a final one.

    After a choice the one with the largest reward stands last.
    """
    pairs, scale = steps_of(model, request), guidance_of(model, request)
    rewards = rewards.reweighted({"image_reward": settings.image_reward, "hpsv2": settings.hpsv2})
    report = Reporter(model, len(pairs), request)
    stream = mask_generator(request)
    text = model.encode(request.prompt, request.negative_prompt)
    x_t = torch.cat([model.noise(seed) for seed in candidates.seeds(request.seed, settings.particles)])
    history, past, choices = None, None, choice_steps(len(pairs), settings)
    for step, (t, t_prev) in enumerate(pairs):
        scores: dict[str, Tensor] = {}
        with torch.no_grad():
            output = candidates.guided(model, x_t, t, text, scale, settings.at_once)
            x0, _ = model.schedule.x0_eps(output, x_t, t)
            shown = x0[-1:]
            if step in choices:
                _, scores = candidates.scored(model, rewards, request.prompt, x0, settings.at_once)
                potential, past = potentials(scores["total"], past, settings.potential)
                chosen = resample(settings.strength * potential, stream)
                chosen = chosen[scores["total"][chosen].argsort()]
                x_t, x0, past, history = x_t[chosen], x0[chosen], past[chosen], _rows(history, chosen)
                scores = candidates.only(scores, len(x0) - 1)
            noise = torch.randn(x_t.shape, generator=stream).to(x_t)
            x_t, history = stochastic_step(
                model.schedule, x_t, x0, history, times=(t, t_prev), eta=settings.eta, noise=noise
            )
            preview = model.decode(shown) if request.previews and t_prev >= 0 else None
        history = history if settings.second_order else None
        report.unet_calls += settings.particles
        yield report(step, t, image=preview, rewards=scores, best=True)
    with torch.no_grad():
        images, scores = candidates.scored(model, rewards, request.prompt, x_t, settings.at_once)
    best = candidates.best(scores)
    scores = candidates.only(scores, best)
    yield report(step, t, image=images[best : best + 1], rewards=scores, best=True, final=True)


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


def _rows(history: History, chosen: Tensor) -> History:
    return history and (history[0][chosen], history[1])


def stochastic_step(
    schedule: Schedule,
    x_t: Tensor,
    x0: Tensor,
    history: History,
    *,
    times: tuple[int, int],
    eta: float,
    noise: Tensor,
) -> tuple[Tensor, History]:
    """One step of the stochastic DPM-Solver++ 2M (Lu et al. 2022, SDE); at eta 0 the deterministic one.

    x_prev = exp(-eta h) sigma_prev / sigma x_t + alpha_prev (1 - exp(-(1 + eta) h)) target
    + sigma_prev sqrt(1 - exp(-2 eta h)) noise, with h and the target as in `diffusion.dpmpp_2m_step`.

    Args:
        times: (t, t_prev). noise: standard normal, of x_t's shape.
    """
    t, t_prev = times
    if t_prev < 0:
        return x0, (x0, t)
    (_, sigma, log_snr), (alpha_prev, sigma_prev, log_snr_prev) = (_levels(schedule, each) for each in times)
    h = log_snr_prev - log_snr
    target = x0
    if history is not None:
        x0_old, t_old = history
        target = x0 + (x0 - x0_old) / (2 * (log_snr - _levels(schedule, t_old)[2]) / h)
    x_prev = math.exp(-eta * h) * sigma_prev / sigma * x_t - alpha_prev * math.expm1(-(1 + eta) * h) * target
    return x_prev + sigma_prev * math.sqrt(-math.expm1(-2 * eta * h)) * noise, (x0, t)


def _levels(schedule: Schedule, t: int) -> tuple[float, float, float]:
    """alpha, sigma and log(alpha / sigma) at a timestep."""
    alpha, sigma = math.sqrt(schedule.alpha_bar(t)), math.sqrt(1 - schedule.alpha_bar(t))
    return alpha, sigma, math.log(alpha) - math.log(sigma)


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
