"""The noise schedule and one step of each solver, as pure functions without state.

x_t = sqrt(alpha_bar_t) x0 + sqrt(1 - alpha_bar_t) eps. A timestep of -1 stands for the clean end,
where alpha_bar is 1 for DPM-Solver++ and `alpha_bar_0` for DDIM, as in diffusers.
"""

import math
from dataclasses import dataclass
from functools import cached_property

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
    """

    alphas_cumprod: Tensor
    prediction_type: str = "epsilon"

    def __post_init__(self) -> None:
        if self.prediction_type not in PREDICTIONS:
            raise ValueError(
                f"The model predicts “{self.prediction_type}”; known are {', '.join(PREDICTIONS)}."
            )

    @cached_property
    def _table(self) -> list[float]:
        return self.alphas_cumprod.double().tolist()  # Python floats: no host sync in the loop

    def alpha_bar(self, t: int) -> float:
        """alpha_bar of timestep t; 1 at the clean end t = -1."""
        return 1.0 if t < 0 else self._table[t]

    def linspace_pairs(self, steps: int) -> list[tuple[int, int]]:
        """(t, t_prev) of DPM-Solver++ as diffusers spaces them; 15 steps are 999, 932, ..., 67, -1."""
        last = len(self._table) - 1
        times = np.linspace(0, last, steps + 1).round()[::-1][:-1].astype(int).tolist()
        return list(zip(times, [*times[1:], -1], strict=True))

    def leading_pairs(self, steps: int, offset: int = 1) -> list[tuple[int, int]]:
        """(t, t_prev) of DDIM with "leading" spacing, as Stable Diffusion ships it."""
        ratio = len(self._table) // steps
        times = [i * ratio + offset for i in reversed(range(steps))]
        return [(t, t - ratio if t - ratio >= 0 else -1) for t in times]

    def x0_eps(self, output: Tensor, x_t: Tensor, t: int) -> tuple[Tensor, Tensor]:
        """The predicted clean latents and noise from the U-Net's output at timestep t."""
        return self.x0_eps_at(output, x_t, *self.alpha_sigma(t))

    def alpha_sigma(self, t: int) -> tuple[float, float]:
        """How much of x0 and of the noise x_t is made of: x_t = alpha x0 + sigma eps."""
        return math.sqrt(self.alpha_bar(t)), math.sqrt(1 - self.alpha_bar(t))

    def x0_eps_at(
        self, output: Tensor, x_t: Tensor, a: float | Tensor, s: float | Tensor
    ) -> tuple[Tensor, Tensor]:
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
    """One deterministic DDIM step (Song et al. 2021, Eq. 12 at eta 0); returns x_prev and x0.

    x_prev = sqrt(alpha_bar_prev) x0 + sqrt(1 - alpha_bar_prev) eps
    """
    x0, eps = schedule.x0_eps(output, x_t, t)
    alpha_bar = schedule.alpha_bar(max(t_prev, 0))  # SD's config: set_alpha_to_one is false
    return math.sqrt(alpha_bar) * x0 + math.sqrt(1 - alpha_bar) * eps, x0


def dpmpp_2m_step(
    schedule: Schedule, x_t: Tensor, x0: Tensor, history: History, t: int, t_prev: int
) -> tuple[Tensor, History]:
    """One step of DPM-Solver++ 2M (Lu et al. 2022, Algorithm 2, midpoint); returns x_prev and history.

    x_prev = (sigma_prev / sigma) x_t - alpha_prev (exp(-h) - 1) (x0 + (x0 - x0_old) / (2 r))
    with h = lambda_prev - lambda, r = (lambda - lambda_old) / h, lambda = log(alpha / sigma).

    Args:
        x0: (B, C, H, W) predicted clean latents at t.
        history: the previous step's (x0, t), or None for a first-order step. The last step, to
            the clean end, is first order (it is x0 itself).
    """
    if t_prev < 0:
        return x0, (x0, t)
    alpha, sigma, log_snr = _alpha_sigma(schedule, t)
    alpha_prev, sigma_prev, log_snr_prev = _alpha_sigma(schedule, t_prev)
    h = log_snr_prev - log_snr
    target = x0
    if history is not None:
        x0_old, t_old = history
        r = (log_snr - _alpha_sigma(schedule, t_old)[2]) / h
        target = x0 + (x0 - x0_old) / (2 * r)
    return sigma_prev / sigma * x_t - alpha_prev * math.expm1(-h) * target, (x0, t)


def _alpha_sigma(schedule: Schedule, t: int) -> tuple[float, float, float]:
    alpha, sigma = schedule.alpha_sigma(t)
    return alpha, sigma, math.log(alpha) - math.log(sigma)


def classifier_free(eps: Tensor, scale: float) -> Tensor:
    """Guide a doubled batch: eps_u + scale * (eps_c - eps_u) (Ho and Salimans, 2022).

    Args:
        eps: (2B, C, H, W), the unconditional half first.
        scale: 1 is no guidance.

    Returns:
        (B, C, H, W).
    """
    unconditional, conditional = eps.chunk(2)
    return unconditional + scale * (conditional - unconditional)
