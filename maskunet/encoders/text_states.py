"""What a U-Net reads of prompts."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor


class TextStates(NamedTuple):
    """Text states of B prompts, or of their two guidance halves, the unconditional one first: then B is even.

    Attributes:
        states: (B, N, D), what cross-attention reads.
        pooled: (B, P), one vector for each prompt, and `sizes`, (B, 6), SDXL's sizes of the picture; None where
            the U-Net takes none.
    """

    states: Tensor
    pooled: Tensor | None = None
    sizes: Tensor | None = None

    @classmethod
    def of(cls, text: "TextStates | Tensor") -> "TextStates":
        """Bare states (B, N, D) as a record; a record as it is."""
        return text if isinstance(text, cls) else cls(text)

    @classmethod
    def told(cls, arguments: Mapping[str, Any]) -> "TextStates":
        """What `arguments` told a U-Net."""
        more = arguments.get("added_cond_kwargs") or {}
        return cls(arguments["encoder_hidden_states"], more.get("text_embeds"), more.get("time_ids"))

    @classmethod
    def cat(cls, texts: Sequence["TextStates"]) -> "TextStates":
        """Those of several in one batch."""
        return cls(*(None if each[0] is None else torch.cat(each) for each in zip(*texts, strict=True)))

    def each(self, change: Callable[[Tensor], Tensor]) -> "TextStates":
        """With every tensor changed."""
        return TextStates(*(None if each is None else change(each) for each in self))

    def to(self, *place: Any) -> "TextStates":
        """On another device, or of another dtype."""
        return self.each(lambda each: each.to(*place))

    def repeated(self, count: int) -> "TextStates":
        """Each prompt so many times, one after the other."""
        return self if count == 1 else self.each(lambda each: each.repeat_interleave(count, 0))

    @property
    def batch(self) -> int:
        """B."""
        return len(self.states)

    @property
    def unconditional(self) -> "TextStates":
        """The first half: of the negative prompts."""
        return self.each(lambda each: each[: len(each) // 2])

    @property
    def conditional(self) -> "TextStates":
        """The second half: of the prompts."""
        return self.each(lambda each: each[len(each) // 2 :])

    def guided(self, scale: float) -> "TextStates":
        """What a U-Net under this guidance reads: both halves, or without guidance the prompts alone."""
        return self if scale > 1 else self.conditional

    @property
    def arguments(self) -> dict[str, Any]:
        """As the keywords of diffusers' U-Nets."""
        if self.pooled is None:
            return {"encoder_hidden_states": self.states}
        more = {"text_embeds": self.pooled, "time_ids": self.sizes}
        return {"encoder_hidden_states": self.states, "added_cond_kwargs": more}
