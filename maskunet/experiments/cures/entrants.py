"""Who is compared: what learns from the clean pictures, and the controls that learn nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Entrant:
    """One line of the study.

    Attributes:
        recipe: what is trained (`maskunet.training.recipes`); empty for what learns nothing.
        method: by which those draw that learn nothing. settings: of it, or of the recipe besides its preset's.
        rates: learning rates to choose from; of three or more, so that the best one may lie between others.
        like: of random masks, the entrant that they remove as much as.
    """

    name: str
    title: str
    recipe: str = ""
    method: str = "plain"
    settings: Mapping[str, Any] = field(default_factory=dict)
    rates: tuple[float, ...] = (0.0,)
    like: str = ""


def _masks(variant: str, title: str, *rates: float) -> Entrant:
    return Entrant(name=variant, title=title, recipe="mask_generator", settings={"variant": variant}, rates=rates)


def _lora(name: str, title: str, rank: int) -> Entrant:
    rates = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
    return Entrant(name=name, title=title, recipe="lora", settings={"rank": rank, "alpha": rank}, rates=rates)


PLAIN = Entrant(name="plain", title="nothing but guidance")
ENTRANTS = {
    entrant.name: entrant
    for entrant in (
        PLAIN,
        _masks("light", "masks, light", 1e-3, 3e-3, 1e-2, 3e-2),
        Entrant(
            name="random",
            title="random masks, as many as light's",
            method="random_mask",
            settings={"kind": "iid"},
            like="light",
        ),
        _lora("lora", "LoRA, rank 4", 4),
        _lora("lora_wide", "LoRA, as many parameters as light", 17),
        Entrant(name="full", title="full fine-tune", recipe="full", rates=(1e-5, 3e-5, 1e-4, 3e-4)),
        _masks("static", "masks, static", 5e-3, 1.5e-2, 5e-2),
        _masks("live", "masks, live", 3e-4, 1e-3, 3e-3),
        _masks("official", "masks, official", 3e-4, 1e-3, 3e-3),
    )
}
