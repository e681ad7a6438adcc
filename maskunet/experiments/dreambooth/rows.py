"""The table's rows: what learns the subject, and controls that learn nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

STEPS, SECONDS = "steps", "seconds"  # equal to those of the first row that trains
WORDS, WORD, NAMED, RANDOM = "words", "class word", "name", "random masks"


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One line.

    Attributes:
        recipe: what trains; empty for a control. settings: besides its preset's.
        prior: with class pictures; without them a batch holds the same number of the subject's pictures.
        called: what the subject is called in the prompts of a control.
    """

    name: str
    title: str
    recipe: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    prior: bool = True
    called: str = NAMED


FIRST, FREE, MASKS = "weights", "weights-free", "masks"
ROWS = (  # in the order in which they are made
    Row(name=FIRST, title="all weights, class pictures", recipe="dreambooth"),
    Row(name="nothing", title="base model, the rare name"),
    Row(name=WORD, title="base model, the class word alone", called=WORD),
    Row(name=WORDS, title="base model, the subject in known words", called=WORDS),
    Row(name=FREE, title="all weights, no class pictures", recipe="dreambooth", prior=False),
    Row(name=MASKS, title="masks, class pictures", recipe="dreambooth_masks"),
    Row(name="masks-free", title="masks, no class pictures", recipe="dreambooth_masks", prior=False),
    Row(name="masks-word", title="masks and a word, class pictures", recipe="dreambooth_masks_word"),
    Row(name=RANDOM, title="random masks that remove as much as the masks"),
    Row(name="lora", title="LoRA, class pictures", recipe="dreambooth_lora"),
)
