"""What a training reports while it goes on: plain data, no tensors."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainEvent:
    """One optimizer step, or the end.

    Attributes:
        step: steps done, 1 to `steps`. loss: mean over the batch; NaN in no event.
        seconds: since the training or its resumption began; seconds_left: estimated.
        figures: what the recipe measures, at checkpoints, such as the removed ratio.
        sheet: (H, W, 3) uint8 samples of fixed prompts, at checkpoints.
        checkpoint: whether this step was saved. skipped: pictures left out so far, by reason.
        final: the last event; `note` says why if it came early.
    """

    step: int
    steps: int
    loss: float
    learning_rate: float
    seconds: float
    seconds_left: float
    figures: Mapping[str, float] = field(default_factory=dict)
    sheet: np.ndarray | None = None
    checkpoint: bool = False
    skipped: Mapping[str, int] = field(default_factory=dict)
    final: bool = False
    note: str = ""
