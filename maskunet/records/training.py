"""What a training reports while it goes on: plain data, no tensors."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from maskunet.records.page import Presets


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainEvent:
    """One optimizer step, or the end.

    Attributes:
        step: steps done, 1 to `steps`. loss: mean over the batch; NaN in no event.
        seconds: since the training or its resumption began; seconds_left: estimated.
        figures: what the recipe measures, at checkpoints, such as the removed ratio.
        sheet: (H, W, 3) uint8 samples of fixed prompts, at checkpoints.
        checkpoint: whether this step was saved. skipped: pictures left out so far, by reason, and `examples`, one of
            each.
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
    examples: Mapping[str, str] = field(default_factory=dict)
    final: bool = False
    note: str = ""

    @property
    def left_out(self) -> list[str]:
        """One sentence per reason for which pictures were left out."""
        told = {reason: f", such as {self.examples[reason]}" for reason in self.skipped if reason in self.examples}
        counts = {reason: "1 picture was" if n == 1 else f"{n:,} pictures were" for reason, n in self.skipped.items()}
        return [f"{count} left out: {reason}{told.get(reason, '')}." for reason, count in counts.items()]


@dataclass(frozen=True, kw_only=True, slots=True)
class Preparing:
    """Work before the first step: pictures from which the training learns.

    Attributes:
        done, total: how much is made. what: is counted, "prompts" with their pictures or "class pictures".
        note: what was found of them in the end, a sentence.
    """

    done: int
    total: int
    note: str = ""
    what: str = "prompts"


@dataclass(frozen=True, kw_only=True, slots=True)
class RecipeCard:
    """A way of training that can be chosen, with the settings that a page draws, their ranges those of a page.

    `method` is the one that uses what it makes; empty where that is put on the model, as an embedding is.
    `word`: it makes a word, that is put on the model and stands in prompts. `own_pictures`: it learns from pictures that
    the user gives.
    """

    name: str
    title: str
    summary: str
    method: str
    presets: Presets
    own_pictures: bool = False
    word: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainRequest:
    """What to train, and on which base.

    `settings` replace single values of the preset; `name` is what it is chosen by. `pictures`: files of the user's own, for
    recipes that learn from them.
    """

    recipe: str
    name: str
    model: str = "tabletop"
    preset: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    pictures: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class BaseSamples:
    """The base model's samples of the prompts and noise that the sheets show.

    Attributes:
        sheet: (H, W, 3) uint8, side by side. captions: one per sample.
        held_out: pictures that the training never sees, which measure the change of the loss.
        notes: sentences on the pictures that it learns from.
    """

    sheet: np.ndarray
    captions: tuple[str, ...]
    held_out: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainState:
    """A training as a page shows it.

    Attributes:
        phase: "loading", "preparing", "training", "stopping", "done", "stopped" or "failed".
        prepared: the newest of what is made before the first step, if anything is.
        events: one per step so far, without their sheets.
        sheets: the newest checkpoints' samples (H, W, 3) by step, the last one newest.
        base: the same samples of the base model, as soon as they are made.
        saved: the last step that is kept, 0 for none.
        message: why it failed, one sentence.
        seconds: since the start.
    """

    request: TrainRequest
    phase: str = "loading"
    prepared: Preparing | None = None
    events: tuple[TrainEvent, ...] = ()
    sheets: Mapping[int, np.ndarray] = field(default_factory=dict)
    base: BaseSamples | None = None
    saved: int = 0
    message: str = ""
    seconds: float = 0.0

    @property
    def over(self) -> bool:
        """Whether nothing more will come."""
        return self.phase in ("done", "stopped", "failed")
