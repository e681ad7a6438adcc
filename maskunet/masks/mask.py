"""Mask mathematics: 0/1 masks from logits, from chance and from the weights' values, and masks as bits.

MaskUNet (CVPR 2025), Eq. 5: m = 1 if sigmoid((l + g) / tau) > delta, else 0, with the gradient of the
sigmoid.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from maskunet.masks import counter_rng

NOISE_KINDS = ("one_sided", "logistic", "none")


class _StraightThrough(torch.autograd.Function):
    """Keeps nothing for the backward pass but logits and noise, which are there anyway."""

    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, noise: Tensor | float, tau: float, threshold: float, dtype: torch.dtype
    ) -> Tensor:
        ctx.save_for_backward(logits, *([noise] if isinstance(noise, Tensor) else []))
        ctx.noise, ctx.tau = noise if not isinstance(noise, Tensor) else None, tau
        soft = _soft(logits, noise, tau)
        hard = (soft > threshold).to(soft.dtype)
        # A last bit off 1, as the textbook's hard - soft.detach() + soft is: earlier runs can be replayed.
        return (hard - soft + soft).to(dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None, None]:
        logits, *noise = ctx.saved_tensors
        soft = _soft(logits, noise[0] if noise else ctx.noise, ctx.tau)
        gradient = torch.ops.aten.sigmoid_backward(gradient.to(soft.dtype), soft)
        return gradient if ctx.tau == 1 else gradient / ctx.tau, None, None, None, None


def _soft(logits: Tensor, noise: Tensor | float, tau: float) -> Tensor:
    noisy = logits + noise
    return torch.sigmoid(noisy if tau == 1 else noisy / tau)


def straight_through(
    logits: Tensor,
    noise: Tensor | float = 0.0,
    tau: float = 1.0,
    threshold: float = 0.5,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Make a mask that is hard 0/1 forward and soft backward (Eq. 5), for logits of any shape.

    Args:
        logits: real numbers; larger means kept more often.
        noise: added to the logits, see `noise_like`; an argument, so that a recomputation under
            gradient checkpointing sees the same one.
        tau: temperature of the sigmoid, > 0.
        threshold: delta of Eq. 5, in (0, 1).
        dtype: of the mask, by default the logits'.
    """
    dtype = dtype or logits.dtype
    if logits.requires_grad and torch.is_grad_enabled():
        return _StraightThrough.apply(logits, noise, tau, threshold, dtype)
    return (_soft(logits, noise, tau) > threshold).to(dtype)


def noise_like(logits: Tensor, kind: str, generator: torch.Generator) -> Tensor:
    """Draw the noise of the Gumbel-sigmoid, in the logits' shape, type and place; a seed means the same everywhere.

    Args:
        kind: "one_sided", one Gumbel variable as the published code has it, so P(0) = exp(-exp(l));
            "logistic", the difference of two, so P(1) = sigmoid(l); "none", zeros.
        generator: on the CPU, whatever the logits' device.

    Raises:
        ValueError: an unknown kind.
    """
    if kind not in NOISE_KINDS:
        raise ValueError(f"There is no noise “{kind}”. Allowed is {', '.join(NOISE_KINDS)}.")
    if kind == "none":
        return torch.zeros_like(logits)
    drawn = counter_rng.draw(logits.numel(), generator, logits.device)
    uniform = drawn.float().add_(0.5).mul_(2.0**-counter_rng.BITS)
    noise = uniform.log_().neg_().log_().neg_() if kind == "one_sided" else uniform.logit_()
    return noise.view(logits.shape).to(logits.dtype)


def noise_for(logits: Mapping[str, Tensor], kind: str, generator: torch.Generator) -> dict[str, Tensor]:
    """`noise_like` every site's logits, by site name; one draw for all.

    Raises:
        ValueError: an unknown kind.
    """
    return _by_name(noise_like(_flat(logits), kind, generator), logits)


class Removal:
    """A step on logits that removes the weights whose removal promises the most, in place of a gradient step.

    To first order a mask entry that goes from 1 to 0 changes the loss by minus its gradient. AdamW's first steps
    are as long for a weight that hardly matters as for one that does; this step spares all but the given share.

    Args:
        logits: tensors with gradients; those of weights that stay are not changed.
        share: of all their weights, removed by each step, in (0, 1]; fewer where fewer of those left promise anything.
    """

    OUT = -1.0  # the logit of a weight that is removed; it stays out under any threshold from 0.27 on

    def __init__(self, logits: Iterable[Tensor], share: float):
        self._logits, self._share = list(logits), share

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for value in self._logits:
            value.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Set the logits of the chosen weights to `OUT`; nothing waits for the device."""
        gone = torch.cat([(value <= self.OUT).flatten() for value in self._logits])
        gains = torch.cat([value.grad.flatten() for value in self._logits]).masked_fill_(gone, -math.inf)
        # By their places: gradients in half precision are often equal, and a limit would take them all.
        most = gains.topk(max(1, round(self._share * len(gains))))
        chosen = torch.zeros_like(gone).scatter_(0, most.indices, most.values > 0)
        for value, part in zip(self._logits, chosen.split([v.numel() for v in self._logits]), strict=True):
            value.masked_fill_(part.view_as(value), self.OUT)


def keep_probability(logits: Tensor, kind: str) -> Tensor:
    """The probability that a weight is kept at tau 1 and threshold 1/2, in closed form."""
    if kind == "one_sided":
        return 1 - torch.exp(-torch.exp(logits))
    return torch.sigmoid(logits) if kind == "logistic" else (logits > 0).to(logits.dtype)


def bernoulli(
    shape: tuple[int, ...], removed: float, generator: torch.Generator, device: torch.device | str = "cpu"
) -> Tensor:
    """An i.i.d. mask that removes each weight with probability `removed`, float32; the same on every device.

    Args:
        generator: on the CPU, whatever the device.

    Raises:
        ValueError: `removed` is outside [0, 1].
    """
    _check_ratio(removed)
    drawn = counter_rng.draw(math.prod(shape), generator, device).float()
    return drawn.ge_(math.ceil(removed * 2**counter_rng.BITS)).view(shape)


def bernoulli_masks(weights: Mapping[str, Tensor], removed: float, generator: torch.Generator) -> dict[str, Tensor]:
    """An i.i.d. mask for every weight, in its shape, type and place; one draw for all.

    Args:
        weights: by site name; their values do not matter. removed, generator: see `bernoulli`.

    Raises:
        ValueError: `removed` is outside [0, 1].
    """
    like = _flat(weights)
    return _by_name(bernoulli(like.shape, removed, generator, like.device).to(like.dtype), weights)


def _flat(values: Mapping[str, Tensor]) -> Tensor:
    """One tensor, of no memory, in the type and place of the first and with as many numbers as all have."""
    return next(iter(values.values())).new_empty(()).expand(sum(value.numel() for value in values.values()))


def _by_name(flat: Tensor, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    parts = flat.split([value.numel() for value in values.values()])
    return {name: part.view(value.shape) for part, (name, value) in zip(parts, values.items(), strict=True)}


def window(weight: Tensor, center: float, width: float) -> Tensor:
    """A mask that removes the weights whose value lies in a window, in the weight's shape and type.

    Removed is center - width / 2 <= w / std < center + width / 2, with std the standard deviation of
    this weight, so that one window fits all sites. A width of 0 removes nothing.

    Args:
        weight: of one site, on any device. center, width: in standard deviations.

    Raises:
        ValueError: the width is negative.
    """
    if not width >= 0:
        raise ValueError(f"The window's width is {width}; allowed is 0 or more.")
    scaled = _scaled(weight)
    inside = (scaled >= center - width / 2) & (scaled < center + width / 2)
    return (~inside).to(weight.dtype)


def window_width(weights: Iterable[Tensor], center: float, removed: float) -> float:
    """How wide the `window` around `center` must be to remove this share of all the weights together.

    Args:
        weights: of all sites. center: in standard deviations of each. removed: 0 to 1.

    Returns:
        The width in standard deviations; 0 for a share of 0.

    Raises:
        ValueError: `removed` is outside [0, 1].
    """
    distances = torch.cat([(_scaled(weight) - center).abs().flatten() for weight in weights])
    return 2 * float(_cuts(distances, [removed])[0])


def magnitude(weight: Tensor, limit: Tensor | float) -> Tensor:
    """A mask that removes the weights whose absolute value is below `limit`, in their shape and type."""
    return (weight.abs().float() >= limit).to(weight.dtype)


def magnitude_limits(weight: Tensor, removed: Sequence[float]) -> Tensor:
    """The limits at which `magnitude` removes these shares of one site's weights; one sort serves all.

    Args:
        weight: of one site, n weights. removed: each 0 to 1, rounded to whole weights.

    Returns:
        (len(removed),) float32 on the weight's device. Weights of equal magnitude go or stay together,
        so in half precision a little less than asked may go.

    Raises:
        ValueError: a ratio is outside [0, 1].
    """
    return _cuts(weight.abs().flatten().float(), removed)


def _scaled(weight: Tensor) -> Tensor:
    """In units of its own standard deviation, float32; the unit of the statistics' histograms."""
    weight = weight.float()
    return weight / weight.std().clamp(min=1e-12)


def _cuts(values: Tensor, removed: Sequence[float]) -> Tensor:
    """For each share, the number half way between the last value to go and the first to stay.

    Args:
        values: (n,) all at least 0; a share of 0 gives 0, a share of 1 more than the largest.
    """
    for ratio in removed:
        _check_ratio(ratio)
    gone = torch.tensor([round(ratio * len(values)) for ratio in removed], device=values.device)
    ordered = values.sort().values
    ordered = torch.cat((-ordered[:1], ordered, ordered[-1:] + 1))
    return (ordered[gone] + ordered[gone + 1]) / 2


def _check_ratio(removed: float) -> None:
    if not 0 <= removed <= 1:
        raise ValueError(f"The removed ratio is {removed}; allowed is 0 to 1.")


def keep_ratio(masks: Mapping[str, Tensor]) -> dict[str, float]:
    """The share of weights kept per site, in [0, 1]; one transfer from the device for all sites."""
    if not masks:
        return {}
    means = torch.stack([m.detach().float().mean() for m in masks.values()]).tolist()
    return dict(zip(masks, means, strict=True))


def pack(mask: Tensor) -> np.ndarray:
    """A 0/1 mask of any shape as bits: uint8, ceil(n / 8) bytes, row-major, first weight highest bit."""
    return np.packbits((mask.detach() > 0.5).flatten().cpu().numpy())


def unpack(bits: np.ndarray, shape: tuple[int, ...]) -> Tensor:
    """The float32 mask of a shape from its bits.

    Raises:
        ValueError: the number of bytes does not fit the shape.
    """
    count = int(np.prod(shape))
    if bits.size != -(-count // 8):
        raise ValueError(f"{bits.size} bytes cannot hold a mask of shape {shape}; it needs {-(-count // 8)}.")
    return torch.from_numpy(np.unpackbits(bits, count=count).astype(np.float32)).reshape(shape)
