"""Mask mathematics: how logits become 0/1 masks with a gradient, and how masks become bits.

MaskUNet (CVPR 2025), Eq. 5: m = 1 if sigmoid((l + g) / tau) > delta, else 0, with the gradient of the
sigmoid.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

NOISE_KINDS = ("one_sided", "logistic", "none")


def straight_through(
    logits: Tensor, noise: Tensor | float = 0.0, tau: float = 1.0, threshold: float = 0.5
) -> Tensor:
    """Make a mask that is hard 0/1 forward and soft backward (Eq. 5), for logits of any shape.

    Args:
        logits: real numbers; larger means kept more often.
        noise: added to the logits, see `noise_like`; an argument, so that a recomputation under
            gradient checkpointing sees the same one.
        tau: temperature of the sigmoid, > 0.
        threshold: delta of Eq. 5, in (0, 1).
    """
    soft = torch.sigmoid((logits + noise) / tau)
    hard = (soft > threshold).to(soft.dtype)
    return hard - soft.detach() + soft if soft.requires_grad else hard


def noise_like(logits: Tensor, kind: str, generator: torch.Generator) -> Tensor:
    """Draw the noise of the Gumbel-sigmoid, on the CPU so that a seed means the same everywhere.

    Args:
        kind: "one_sided", one Gumbel variable as the published code has it, so P(0) = exp(-exp(l));
            "logistic", the difference of two, so P(1) = sigmoid(l); "none", zeros.

    Raises:
        ValueError: an unknown kind.
    """
    if kind not in NOISE_KINDS:
        raise ValueError(f"There is no noise “{kind}”. Allowed is {', '.join(NOISE_KINDS)}.")
    if kind == "none":
        return torch.zeros_like(logits)
    # Away from 0 and 1, where the logarithms are infinite.
    uniform = torch.rand(logits.shape, generator=generator).clamp(1e-7, 1 - 1e-7)
    noise = -(-uniform.log()).log() if kind == "one_sided" else (uniform / (1 - uniform)).log()
    return noise.to(logits.device, logits.dtype)


def keep_probability(logits: Tensor, kind: str) -> Tensor:
    """The probability that a weight is kept at tau 1 and threshold 1/2, in closed form."""
    if kind == "one_sided":
        return 1 - torch.exp(-torch.exp(logits))
    return torch.sigmoid(logits) if kind == "logistic" else (logits > 0).to(logits.dtype)


def bernoulli(shape: tuple[int, ...], removed: float, generator: torch.Generator) -> Tensor:
    """An i.i.d. mask that removes each weight with probability `removed`, on the CPU, float32.

    Raises:
        ValueError: `removed` is outside [0, 1].
    """
    if not 0 <= removed <= 1:
        raise ValueError(f"The removed ratio is {removed}; allowed is 0 to 1.")
    return (torch.rand(shape, generator=generator) >= removed).float()


def keep_ratio(masks: Mapping[str, Tensor]) -> dict[str, float]:
    """The share of weights kept per site, in [0, 1]; one transfer from the device for all sites."""
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
