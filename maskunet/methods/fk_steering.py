"""Feynman-Kac steering: K pictures at once; at chosen steps the promising ones replace the others.

Singhal et al. 2025, "A general framework for inference-time scaling and steering of diffusion models".
"""

import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from maskunet import seeds
from maskunet.diffusion import History, Schedule, denoise, dpmpp_2m_step
from maskunet.methods.base import (
    MethodSpec,
    RewardWeights,
    candidates,
    mask_generator,
    objective,
    start,
)
from maskunet.models.base import DiffusionModel
from maskunet.plugins import setting
from maskunet.records import Request, StepEvent
from maskunet.rewards.base import WeightedRewards

POTENTIALS = ("difference", "max", "sum")
LARGEST = math.log(1e10)  # log of the largest weight in the published code


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
        as_published: what the published code does otherwise than its paper's Algorithm: "max" starts at a reward of
            0; particles are chosen behind the step's noise, so that copies part a step later; and the last step
            chooses once more where the weight lies on fewer than half, which may lose the best picture.
    """

    particles: int = setting(4, "pictures side by side", low=1, high=64)
    strength: float = setting(10.0, "lambda", low=0.0, high=1000.0)
    potential: str = setting("difference", "what is compared", choices=POTENTIALS)
    first: float = setting(0.2, "share of the steps before the first choice", low=0.0, high=1.0)
    last: float = setting(0.8, "share of the steps before the last choice", low=0.0, high=1.0)
    every: float = setting(0.2, "share of the steps between choices", low=0.01, high=1.0)
    eta: float = setting(1.0, "noise added at each step", low=0.0, high=1.0)
    at_once: int = setting(1, "pictures per U-Net call", low=1, high=64)
    as_published: bool = setting(False, "choose as the published code does, at the last step too")


def run(model: DiffusionModel, rewards: WeightedRewards, request: Request, settings: Settings) -> Iterator[StepEvent]:
    """Sample the particles together; one event per step, which shows the last, and a final one.

    After a choice the one with the largest reward stands last.
    """
    pairs, guidance, weights, report, text = start(model, rewards, request, settings)
    stream = mask_generator(request)
    choices, chosen = choice_steps(len(pairs), settings), None
    paths = Paths(settings, stream)

    def look(step: int, t: int, x_t: Tensor) -> Generator[StepEvent, None, tuple[Tensor, Tensor]]:
        nonlocal chosen
        scores, chosen, last = {}, None, step + 1 == len(pairs)
        with torch.no_grad():
            x0 = candidates.predict_x0(model, x_t, t, text, guidance.at(t), settings.at_once)
            shown = request.previews and not last
            preview = model.decode(x0[-1:]) if shown else None
            if step in choices or (last and settings.as_published):
                _, scores = candidates.scored(model, rewards, request.prompt, x0, settings.at_once)
                chosen = paths.choose(objective(scores, weights), last)
                scores = candidates.only(scores, len(x0) - 1)  # of the one that is shown
                if not settings.as_published:
                    x_t, x0 = x_t[chosen], x0[chosen]
        report.unet_calls += settings.particles * guidance.calls(t)
        yield report(step, t, image=preview, rewards=scores, best=True)
        return x_t, x0

    def advance(
        schedule: Schedule, x_t: Tensor, x0: Tensor, history: History, t: int, t_prev: int
    ) -> tuple[Tensor, History]:
        noise = torch.randn(x_t.shape, generator=stream).to(x_t)
        if history is not None and chosen is not None and not settings.as_published:
            history = history[0][chosen], history[1]
        x_t, history = dpmpp_2m_step(schedule, x_t, x0, history, t, t_prev, eta=settings.eta, noise=noise)
        if chosen is not None and settings.as_published:
            x_t, history = x_t[chosen], (history[0][chosen], history[1])
        return x_t, history

    noise = torch.cat([model.noise(seed) for seed in seeds.of_candidates(request.seed, settings.particles)])
    order = settings.second_order
    x0 = yield from denoise(model.schedule, pairs, noise, look, second_order=order, advance=advance)
    yield candidates.finish(model, rewards, request, report, x0, weights=weights, at_once=settings.at_once)


class Paths:
    """What the choices of particles so far have to know of each one's path.

    Args:
        settings: the potential, its strength, and whether to choose as published. stream: of the draws.
    """

    def __init__(self, settings: Settings, stream: torch.Generator):
        self.settings, self.stream = settings, stream
        self.past: Tensor | None = None  # as `potentials` returns it
        self.spent: Tensor | float = 0.0  # sum of the log weights by which a path was chosen

    def choose(self, aim: Tensor, last: bool = False) -> Tensor:
        """Draw who goes on; returns indices (K,), the particle with the largest aim last.

        Args:
            aim: (K,) what is optimized, of the predicted images. last: whether it is the last step.
        """
        published, kind = self.settings.as_published, self.settings.potential
        if published and self.past is None:
            self.past = torch.zeros_like(aim)
        potential, past = potentials(aim, self.past, kind)
        weights = self.settings.strength * potential
        if published:
            if last and kind != "difference":
                weights = weights - self.spent  # so that the weights of a whole path are those of its end
            weights = weights.clamp(max=LARGEST)
        if published and last and not uneven(weights):
            chosen = torch.arange(len(aim), device=aim.device)
        else:
            chosen = resample(weights, self.stream)
        chosen = chosen[aim[chosen].argsort()]
        self.past, self.spent = past[chosen], (self.spent + weights)[chosen]
        return chosen


def uneven(log_weights: Tensor) -> bool:
    """Whether the effective number of particles, 1 / sum of the squared shares, is below half of theirs."""
    shares = log_weights.double().nan_to_num(nan=-torch.inf).softmax(0)
    return bool(1 / shares.square().sum() < 0.5 * len(shares))


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
    "the steps, by ImageReward alone",
    presets={
        "even": Settings(),
        "published": Settings(first=0.05, last=0.3, every=0.05, second_order=False, hpsv2=0.0, as_published=True),
        "eight": Settings(particles=8),
    },
    run=run,
)
