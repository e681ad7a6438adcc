"""Classifier-free guidance (Ho and Salimans, 2022)."""

from torch import Tensor


def classifier_free(eps: Tensor, scale: float) -> Tensor:
    """Guide a doubled batch: eps_u + scale * (eps_c - eps_u).

    Args:
        eps: (2B, C, H, W), the unconditional half first.
        scale: 1 is no guidance.

    Returns:
        (B, C, H, W).
    """
    unconditional, conditional = eps.chunk(2)
    return unconditional + scale * (conditional - unconditional)
