"""The loops that are timed: the published one's shape, ours, and ours with each of its options."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from maskunet import plugins
from maskunet.bench.loop import reference
from maskunet.methods import SPECS
from maskunet.records import StepEvent

OURS, OFFICIAL = SPECS["maskunet_free"], "official"


@dataclass(frozen=True, kw_only=True, slots=True)
class Variant:
    """A loop by name.

    Attributes:
        settings: of the training-free method, where they are not those of `preset`.
        other_updates: whether an update of it differs, or only their number.
        run: as a method's.
    """

    name: str
    preset: str = OFFICIAL
    settings: Mapping[str, Any] = field(default_factory=dict)
    other_updates: bool = False
    run: Callable[..., Iterator[StepEvent]] = OURS.run

    def chosen(self, more: Mapping[str, Any]) -> Any:
        """Its settings, with what a size of model asks for."""
        return OURS.settings(self.preset, {**self.settings, **more})


def _switches() -> Iterator[Variant]:
    """Ours with each of the method's settings that change what an update costs, turned on."""
    for card in plugins.cards(OURS.settings(OFFICIAL)):
        if card.cost:
            yield Variant(name=card.name.replace("_", " "), settings={card.name: True}, other_updates=True)


def _presets() -> Iterator[Variant]:
    """The presets as which the method is raced, but the one that all others are changes of."""
    names = (way.removeprefix("/") for way in OURS.raced)
    yield from (Variant(name=name, preset=name) for name in names if name != OFFICIAL)


VARIANTS = (  # the reference first; what the method's SPEC does not tell is one line here
    Variant(name="reference", other_updates=True, run=reference.run),
    Variant(name="exact", other_updates=True),  # the same pictures
    Variant(name="no unused updates", settings={"early_updates": 0}),  # none in the first seven steps
    Variant(name="one noise", settings={"common_noise": True}),  # drawn once per step
    *_switches(),
    *_presets(),
)
