"""The noise schedule, one step of each solver, guidance, and the sampling loop: pure functions without state.

x_t = sqrt(alpha_bar_t) x0 + sqrt(1 - alpha_bar_t) eps. A timestep of -1 stands for the clean end,
where alpha_bar is 1 for DPM-Solver++ and `alpha_bar_0` for DDIM, as in diffusers.
"""

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

PREDICTIONS = ("epsilon", "v_prediction", "sample")
History = tuple[Tensor, int] | None  # the previous step's x0 and its timestep


@dataclass(frozen=True)
class Schedule:
    """A frozen table of alpha_bar and what the U-Net predicts.

    Attributes:
        alphas_cumprod: (T,) alpha_bar of every training timestep.
        prediction_type: "epsilon", "v_prediction" or "sample".
        few_steps: of a model that was distilled for a few steps or one: "trailing" timesteps, first-order steps.
        scales_noise: begin at sigma_T z, where Euler in terms of x_t begins, instead of at z.
    """

    alphas_cumprod: Tensor
    prediction_type: str = "epsilon"
    few_steps: bool = False
    scales_noise: bool = False

    def __post_init__(self) -> None:
        if self.prediction_type not in PREDICTIONS:
            raise ValueError(f"The model predicts “{self.prediction_type}”; known are {', '.join(PREDICTIONS)}.")

    @cached_property
    def _table(self) -> list[float]:
        return self.alphas_cumprod.double().tolist()  # Python floats: no host sync in the loop

    def alpha_bar(self, t: int) -> float:
        """alpha_bar of timestep t; 1 at the clean end t = -1."""
        return 1.0 if t < 0 else self._table[t]

    def pairs(self, steps: int) -> list[tuple[int, int]]:
        """(t, t_prev) in sampling order, as the model is sampled."""
        return self.trailing_pairs(steps) if self.few_steps else self.linspace_pairs(steps)

    def linspace_pairs(self, steps: int) -> list[tuple[int, int]]:
        """(t, t_prev) of DPM-Solver++ as diffusers spaces them; 15 steps are 999, 932, ..., 67, -1."""
        last = len(self._table) - 1
        times = np.linspace(0, last, steps + 1).round()[::-1][:-1].astype(int).tolist()
        return list(zip(times, [*times[1:], -1], strict=True))

    def trailing_pairs(self, steps: int) -> list[tuple[int, int]]:
        """(t, t_prev) with "trailing" spacing as in diffusers, for few steps; 4 are 999, 749, 499, 249, -1."""
        total = len(self._table)
        times = [round(total - i * total / steps) - 1 for i in range(steps)]
        return list(zip(times, [*times[1:], -1], strict=True))

    def leading_pairs(self, steps: int, offset: int = 1) -> list[tuple[int, int]]:
        """(t, t_prev) of DDIM with "leading" spacing, as Stable Diffusion ships it; for comparisons with diffusers."""
        ratio = len(self._table) // steps
        times = [i * ratio + offset for i in reversed(range(steps))]
        return [(t, t - ratio if t - ratio >= 0 else -1) for t in times]

    def first(self, noise: Tensor) -> Tensor:
        """x_T of standard normal noise."""
        return noise * self.alpha_sigma(len(self._table) - 1)[1] if self.scales_noise else noise

    def x0_eps(self, output: Tensor, x_t: Tensor, t: int) -> tuple[Tensor, Tensor]:
        """The predicted clean latents and noise from the U-Net's output at timestep t."""
        return self.x0_eps_at(output, x_t, *self.alpha_sigma(t))

    def alpha_sigma(self, t: int) -> tuple[float, float]:
        """How much of x0 and of the noise x_t is made of: x_t = alpha x0 + sigma eps."""
        return math.sqrt(self.alpha_bar(t)), math.sqrt(1 - self.alpha_bar(t))

    def x0_eps_at(self, output: Tensor, x_t: Tensor, a: float | Tensor, s: float | Tensor) -> tuple[Tensor, Tensor]:
        """`x0_eps` at alpha and sigma, which may be float32 tensors () on the device."""
        dtype = x_t.dtype
        wide = torch.promote_types(dtype, torch.float32)  # half precision would round a and s
        output, x_t = output.to(wide), x_t.to(wide)
        if self.prediction_type == "epsilon":
            x0, eps = (x_t - s * output) / a, output
        elif self.prediction_type == "v_prediction":
            x0, eps = a * x_t - s * output, a * output + s * x_t
        else:
            x0, eps = output, (x_t - a * output) / s
        return x0.to(dtype), eps.to(dtype)


def ddim_step(schedule: Schedule, x_t: Tensor, output: Tensor, t: int, t_prev: int) -> tuple[Tensor, Tensor]:
    """One deterministic DDIM step (Song et al. 2021, Eq. 12 at eta 0); returns x_prev and x0. For comparisons.

    x_prev = sqrt(alpha_bar_prev) x0 + sqrt(1 - alpha_bar_prev) eps
    """
    x0, eps = schedule.x0_eps(output, x_t, t)
    alpha_bar = schedule.alpha_bar(max(t_prev, 0))  # SD's config: set_alpha_to_one is false
    return math.sqrt(alpha_bar) * x0 + math.sqrt(1 - alpha_bar) * eps, x0


def dpmpp_2m_step(
    schedule: Schedule,
    x_t: Tensor,
    x0: Tensor,
    history: History,
    t: int,
    t_prev: int,
    *,
    eta: float = 0.0,
    noise: Tensor | None = None,
) -> tuple[Tensor, History]:
    """One step of DPM-Solver++ 2M (Lu et al. 2022, Algorithm 2, midpoint, and its SDE form); returns x_prev and history.

    x_prev = (sigma_prev / sigma) exp(-eta h) x_t - alpha_prev (exp(-(1 + eta) h) - 1) (x0 + (x0 - x0_old) / (2 r))
    + sigma_prev sqrt(1 - exp(-2 eta h)) noise
    with h = lambda_prev - lambda, r = (lambda - lambda_old) / h, lambda = log(alpha / sigma).

    Args:
        x0: (B, C, H, W) predicted clean latents at t.
        history: the previous step's (x0, t), or None for a first-order step. The last step, to
            the clean end, is first order (it is x0 itself).
        eta: how much of the noise, standard normal and of x_t's shape, the step adds; 0 is the deterministic step.
    """
    if t_prev < 0:
        return x0, (x0, t)
    _, sigma, log_snr = _alpha_sigma(schedule, t)
    alpha_prev, sigma_prev, log_snr_prev = _alpha_sigma(schedule, t_prev)
    h = log_snr_prev - log_snr
    target = x0
    if history is not None:
        x0_old, t_old = history
        r = (log_snr - _alpha_sigma(schedule, t_old)[2]) / h
        target = x0 + (x0 - x0_old) / (2 * r)
    x_prev = math.exp(-eta * h) * sigma_prev / sigma * x_t - alpha_prev * math.expm1(-(1 + eta) * h) * target
    if noise is not None:
        x_prev = x_prev + sigma_prev * math.sqrt(-math.expm1(-2 * eta * h)) * noise
    return x_prev, (x0, t)


def _alpha_sigma(schedule: Schedule, t: int) -> tuple[float, float, float]:
    """alpha, sigma and log(alpha / sigma) at a timestep."""
    alpha, sigma = schedule.alpha_sigma(t)
    return alpha, sigma, math.log(alpha) - math.log(sigma)


# (step, t, x_t) -> a generator that may yield what is seen on the way, and returns the latents to go on from and x0.
Look = Callable[[int, int, Tensor], Generator[Any, None, tuple[Tensor, Tensor]]]
Advance = Callable[[Schedule, Tensor, Tensor, History, int, int], tuple[Tensor, History]]


def denoise(
    schedule: Schedule,
    pairs: Sequence[tuple[int, int]],
    x_t: Tensor,
    look: Look,
    *,
    second_order: bool = True,
    advance: Advance = dpmpp_2m_step,
) -> Generator[Any, None, Tensor]:
    """The sampling loop of every method and every training: look at a step, go to the next.

    Args:
        pairs: (t, t_prev) in sampling order. x_t: (B, C, H, W) standard normal noise.
        look: predicts x0; it may move the latents first, and tell what it sees.
        second_order: let the solver see the step before, if the model is one for many steps. advance: the solver's step.

    Yields:
        What `look` yields.

    Returns:
        (B, C, H, W) clean latents.
    """
    history: History = None
    second_order = second_order and not schedule.few_steps
    x_t = schedule.first(x_t)
    for step, (t, t_prev) in enumerate(pairs):
        x_t, x0 = yield from look(step, t, x_t)
        x_t, history = advance(schedule, x_t, x0, history, t, t_prev)
        history = history if second_order else None
    return x_t


def trajectory(
    schedule: Schedule,
    pairs: Sequence[tuple[int, int]],
    x_t: Tensor,
    predict_x0: Callable[[Tensor, int], Tensor],
    *,
    second_order: bool = True,
) -> Iterator[Tensor]:
    """The latents before every step of `denoise`, and the clean ones.

    Args:
        predict_x0: (x_t, t) -> x0. second_order: as of `denoise`.
    """

    def look(step: int, t: int, x_t: Tensor) -> Generator[Tensor, None, tuple[Tensor, Tensor]]:
        yield x_t
        return x_t, predict_x0(x_t, t)

    yield (yield from denoise(schedule, pairs, x_t, look, second_order=second_order))


def doubled(x_t: Tensor, scale: float) -> Tensor:
    """What a U-Net under guidance is given: the latents for both halves, or without guidance as they are."""
    return torch.cat((x_t, x_t)) if scale > 1 else x_t


def classifier_free(output: Tensor, scale: float) -> Tensor:
    """Guide the output for `doubled` latents: u + scale * (c - u) (Ho and Salimans, 2022).

    Args:
        output: (2B, C, H, W), the unconditional half first; at a scale of 1, no guidance, (B, C, H, W).

    Returns:
        (B, C, H, W).
    """
    if scale <= 1:
        return output
    unconditional, conditional = output.chunk(2)
    return unconditional + scale * (conditional - unconditional)
