"""The loops that are timed: the published one's shape, ours, and ours with each of its options."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from maskunet.bench.loop import reference
from maskunet.methods import SPECS
from maskunet.records import StepEvent

OURS = SPECS["maskunet_free"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Variant:
    """A loop by name.

    Attributes:
        about: what it does otherwise than the reference, in a few words.
        settings: of the training-free method, where they are not those of `preset`.
        other_updates: whether an update of it differs, or only their number.
        run: as a method's.
    """

    name: str
    about: str
    preset: str = "official"
    settings: Mapping[str, Any] = field(default_factory=dict)
    other_updates: bool = False
    run: Callable[..., Iterator[StepEvent]] = OURS.run

    def chosen(self, more: Mapping[str, Any]) -> Any:
        """Its settings, with what a size of model asks for."""
        return OURS.settings(self.preset, {**self.settings, **more})


VARIANTS = (  # the reference first; an option of ours is one line
    Variant(name="reference", about="the published loop's shape", other_updates=True, run=reference.run),
    Variant(name="exact", about="ours: the same pictures", other_updates=True),
    Variant(name="no unused updates", about="none in the first seven steps", settings={"early_updates": 0}),
    Variant(name="one noise", about="the masks' noise drawn once per step", settings={"common_noise": True}),
    Variant(
        name="tiny decoder", about="rewards through it", settings={"tiny_decoder": True}, other_updates=True
    ),
    Variant(
        name="low memory", about="recomputed, not kept", settings={"low_memory": True}, other_updates=True
    ),
    Variant(name="improved", about="the preset of that name", preset="improved"),
    Variant(name="improved_fast", about="the same, through the tiny decoder", preset="improved_fast"),
)
