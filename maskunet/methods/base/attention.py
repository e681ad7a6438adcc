"""Where the U-Net looks for each token, and how latents are moved by it: cross-attention maps and SynGen's loss."""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any, Protocol

import torch
from torch import Tensor, nn


def map_size(unet: nn.Module, latent: tuple[int, int]) -> tuple[int, int]:
    """Height and width of the maps in the first up block that attends to the text.

    Args:
        latent: height and width of the latents.
    """
    blocks = unet.up_blocks
    first = next(i for i, block in enumerate(blocks) if getattr(block, "has_cross_attention", False))
    halvings = len(blocks) - 1 - first
    return tuple(-(-side // 2**halvings) for side in latent)  # a strided convolution rounds up


class CrossAttentionMaps:
    """Collects the cross-attention maps of one size while it is entered, one U-Net call at a time.

    On exit, also after an exception, the U-Net has its own attention processors again.

        with CrossAttentionMaps(unet, map_size(unet, (64, 64))) as maps:
            unet(x_t, t, text)
        seen = maps.mean()

    Args:
        size: height and width of the maps.
    """

    def __init__(self, unet: nn.Module, size: tuple[int, int]):
        self.unet, self.size = unet, size
        self._found: list[Tensor] = []
        self._processors: dict[str, Any] = {}

    def __enter__(self) -> "CrossAttentionMaps":
        self._found, self._processors = [], dict(self.unet.attn_processors)
        self._set({name: _Reader(processor, self) for name, processor in self._processors.items()})
        return self

    def __exit__(self, *exception: object) -> None:
        self._set(self._processors)

    def _set(self, processors: Mapping[str, Any]) -> None:
        self.unet.set_attn_processor(dict(processors))  # a copy: it takes out what it has set

    def mean(self) -> Tensor:
        """The mean over layers and heads, (B, H, W, N) for N tokens; each pixel's sum is 1.

        Raises:
            RuntimeError: the U-Net has no maps of this size, or was not called.
        """
        if not self._found:
            raise RuntimeError(f"No cross-attention of {self.size[0]} x {self.size[1]} queries was computed.")
        return torch.cat(self._found, dim=1).mean(1).unflatten(1, self.size)


class _Reader:
    """An attention processor that does what another one does, and keeps the maps of the wanted layers."""

    def __init__(self, processor: Any, maps: CrossAttentionMaps):
        self.processor, self.maps = processor, maps

    def __call__(
        self, attn: Any, hidden_states: Tensor, encoder_hidden_states: Tensor | None = None, **more: Any
    ) -> Tensor:
        queries = self.maps.size[0] * self.maps.size[1]
        if encoder_hidden_states is None or hidden_states.shape[1] != queries:
            return self.processor(attn, hidden_states, encoder_hidden_states, **more)
        query, key, value = (
            attn.head_to_batch_dim(project(states))
            for project, states in (
                (attn.to_q, hidden_states),
                (attn.to_k, encoder_hidden_states),
                (attn.to_v, encoder_hidden_states),
            )
        )
        probabilities = attn.get_attention_scores(query, key)  # (B heads, H W, N)
        self.maps._found.append(probabilities.unflatten(0, (-1, attn.heads)))
        states = attn.batch_to_head_dim(torch.bmm(probabilities, value))
        return attn.to_out[1](attn.to_out[0](states))


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


PIECES = ("mean", "largest")


def binding_loss(maps: Tensor, groups: Sequence[TokenGroup], words: Sequence[int], pieces: str = "largest") -> Tensor:
    """How far a noun's map is from its modifiers' and how near it is to all others' (SynGen, Eq. 1-4).

    With D half the sum of both Kullback-Leibler divergences, for each noun and modifier
    D(noun, modifier) - 1/2 (mean over others o of D(noun, o) + mean over o of D(modifier, o)), and
    - mean over o of D(noun, o) for a noun without modifiers. Of a word of several pieces the largest D
    counts, for a pair and for each other o, as in the published code.

    Args:
        maps: (H, W, N) attention to each token; normalized over the pixels here.
        groups: token positions. words: the positions of all words; those outside a group are its others.
        pieces: with "mean", the mean D over a word's pieces counts for the others.

    Returns:
        A scalar.
    """
    log_p = maps.flatten(0, 1).float().clamp(min=torch.finfo(torch.float32).tiny).log().log_softmax(0).T  # (N, HW)

    def apart(pairs: Sequence[tuple[int, int]]) -> Tensor:
        first, second = (log_p[list(side)] for side in zip(*pairs, strict=True))
        return ((first.exp() - second.exp()) * (first - second)).sum(1) / 2

    terms = []
    for group in groups:
        others = [position for position in words if position not in group.positions]

        def away(word: tuple[int, ...], others: Sequence[int] = others) -> Tensor:
            if not others:
                return log_p.new_zeros(())
            each = apart([*product(word, others)])
            return each.mean() if pieces == "mean" else each.unflatten(0, (len(word), -1)).amax(0).mean()

        for modifier in group.modifiers:
            pair = apart([*product(modifier, group.noun)]).max()
            terms.append(pair - (away(group.noun) + away(modifier)) / 2)
        if not group.modifiers:
            terms.append(-away(group.noun))
    return torch.stack(terms).sum()
