"""Self-attention that looks at the first frame, which keeps what things look like (Text2Video-Zero, section 3.3.2)."""

from typing import Any

from torch import Tensor, nn


class CrossFrame:
    """While it is entered, every frame's self-attention takes its keys and values from the first frame.

    On exit, also after an exception, the U-Net has its own attention processors again; what those do else stays.

    Args:
        frames: in a batch, once for each half of the guidance.
    """

    def __init__(self, unet: nn.Module, frames: int):
        self.unet, self.frames = unet, frames
        self._processors: dict[str, Any] = {}

    def __enter__(self) -> "CrossFrame":
        self._processors = dict(self.unet.attn_processors)
        self.unet.set_attn_processor({n: _First(each, self.frames) for n, each in self._processors.items()})
        return self

    def __exit__(self, *exception: object) -> None:
        self.unet.set_attn_processor(self._processors)


class _First:
    """An attention processor that does what another one does, with the first frame in place of a frame itself."""

    def __init__(self, processor: Any, frames: int):
        self.processor, self.frames = processor, frames

    def __call__(
        self, attn: Any, hidden_states: Tensor, encoder_hidden_states: Tensor | None = None, **more: Any
    ) -> Tensor:
        if encoder_hidden_states is None:
            by_half = hidden_states.unflatten(0, (-1, self.frames))
            encoder_hidden_states = by_half[:, :1].expand_as(by_half).flatten(0, 1)
        return self.processor(attn, hidden_states, encoder_hidden_states, **more)
