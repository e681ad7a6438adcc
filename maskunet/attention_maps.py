"""Read where the U-Net looks for each token: its cross-attention maps of one resolution, with gradients.

Attend-and-Excite and SynGen read the maps of 16 x 16 queries of Stable Diffusion 1.x, a quarter of the
latent's side: the coarsest one of the down and up blocks. `map_size` takes it from the U-Net's structure,
so a small model has its own: 8 x 8 for a latent of 16 x 16 with attention on two levels.
"""

from collections.abc import Mapping
from typing import Any

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
