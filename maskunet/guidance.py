"""Ways to steer the denoising: by two prompts, by a gradient to the latents, and what SynGen asks of it."""

import math
from collections.abc import Callable, Sequence
from itertools import product
from typing import Protocol

import torch
from torch import Tensor


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


def gradient_step(x_t: Tensor, loss_of: Callable[[Tensor], Tensor], size: float) -> tuple[Tensor, float]:
    """Move noisy latents against the gradient of a loss: x_t - size * d loss / d x_t.

    Args:
        x_t: (B, C, H, W). loss_of: a scalar with a gradient to its argument.

    Returns:
        The moved latents, and the loss before the move. Where it is not a number or does not depend on
        the latents, they stay.
    """
    with torch.enable_grad():
        x_t = x_t.detach().requires_grad_()
        loss = loss_of(x_t)
        gradient = torch.autograd.grad(loss, x_t)[0] if loss.requires_grad else torch.zeros_like(x_t)
    value = float(loss.detach())
    moves = math.isfinite(value) and bool(torch.isfinite(gradient).all())
    return (x_t - size * gradient if moves else x_t).detach(), value


class TokenGroup(Protocol):
    """A noun's token positions and those of each of its modifiers."""

    noun: tuple[int, ...]
    modifiers: tuple[tuple[int, ...], ...]
    positions: frozenset[int]


def binding_loss(maps: Tensor, groups: Sequence[TokenGroup], words: Sequence[int]) -> Tensor:
    """How far a noun's map is from its modifiers' and how near it is to all others' (SynGen, Eq. 1-4).

    With D half the sum of both Kullback-Leibler divergences, for each noun and modifier
    D(noun, modifier) - 1/2 (mean over others o of D(noun, o) + mean over o of D(modifier, o)), and
    - mean over o of D(noun, o) for a noun without modifiers. Of words of several pieces the largest D
    counts for a pair, and the mean over pieces for the others.

    Args:
        maps: (H, W, N) attention to each token; normalized over the pixels here.
        groups: token positions. words: the positions of all words; those outside a group are its others.

    Returns:
        A scalar.
    """
    log_p = (
        maps.flatten(0, 1).float().clamp(min=torch.finfo(torch.float32).tiny).log().log_softmax(0).T
    )  # (N, HW)

    def apart(pairs: Sequence[tuple[int, int]]) -> Tensor:
        first, second = (log_p[list(side)] for side in zip(*pairs, strict=True))
        return ((first.exp() - second.exp()) * (first - second)).sum(1) / 2

    terms = []
    for group in groups:
        others = [position for position in words if position not in group.positions]

        def away(pieces: tuple[int, ...], others: Sequence[int] = others) -> Tensor:
            return apart([*product(pieces, others)]).mean() if others else log_p.new_zeros(())

        for modifier in group.modifiers:
            pair = apart([*product(modifier, group.noun)]).max()
            terms.append(pair - (away(group.noun) + away(modifier)) / 2)
        if not group.modifiers:
            terms.append(-away(group.noun))
    return torch.stack(terms).sum()
