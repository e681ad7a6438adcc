"""A way of making a picture as one word: a method with a preset, a trained part and a guidance scale.

It is written method/preset:part@guidance, such as maskunet_free/improved, maskunet_trained:light or plain@2.5.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from maskunet.methods import SPECS, method_of
from maskunet.methods.base import MethodSpec
from maskunet.models.base import DiffusionModel
from maskunet.records import Request
from maskunet.rewards import JUDGES
from maskunet.rewards.base import WeightedRewards


@dataclass(frozen=True, kw_only=True, slots=True)
class Entrant:
    """A method as it is raced.

    Attributes:
        name: as it was given, method/preset:part@guidance; without them the method's first preset, its first
            trained part and the model's guidance scale.
        part: name of a trained file. guidance: None for the model's.
    """

    name: str
    spec: MethodSpec
    preset: str = ""
    part: str = ""
    guidance: float | None = None

    def request(self, asked: Request) -> Request:
        """The request with this entrant's method, preset and guidance."""
        guidance = asked.guidance if self.guidance is None else self.guidance
        return Request(
            prompt=asked.prompt, seed=asked.seed, model=asked.model, steps=asked.steps, guidance=guidance,
            method=self.spec.name, preset=self.preset, previews=False,
        )  # fmt: skip

    def settings(self, optimized: str, weights: Mapping[str, float]) -> Any:
        """The preset's settings, in which only the optimized reward counts.

        Args:
            weights: of every reward, by name; the optimized one keeps its own.
        """
        only: dict[str, float] = {}
        if self.spec.needs_rewards:
            only = {n: w if n == optimized else 0.0 for n, w in weights.items() if n not in JUDGES}
        return self.spec.settings(self.preset, {**only, **self.named()})

    def way(self, model: DiffusionModel, rewards: WeightedRewards, settings: Any = None) -> dict[str, Any]:
        """What decides its pictures besides the request, in plain values: settings, and hashes of all weights.

        Args:
            settings: the method's, such as those of `settings`; its preset's if left out.
        """
        settings = settings or self.spec.settings(self.preset, self.named())
        return {"settings": asdict(settings), "weights": dict(self.spec.weights(model, settings, rewards))}

    def named(self) -> dict[str, str]:
        """The setting that names the trained file, if one is named."""
        return {next(iter(self.spec.takes)): self.part} if self.part else {}


def entrant(name: str, methods: Mapping[str, MethodSpec] = SPECS) -> Entrant:
    """The entrant of that name, among these methods.

    Raises:
        ValueError: no such method or preset, or the guidance scale is no number; says what is allowed.
    """
    method, _, guidance = name.strip().partition("@")
    method, _, part = method.partition(":")
    method, _, preset = method.partition("/")
    spec = method_of(method, methods)
    spec.settings(preset)
    if part and not spec.takes:
        raise ValueError(f"“{name}” names a trained part, “{part}”, but {method} uses none. Leave “:{part}” out.")
    try:
        scale = float(guidance) if guidance else None
    except ValueError:
        raise ValueError(
            f"In “{name}” the guidance scale is no number. Write method/preset:part@guidance, such as plain@7.5."
        ) from None
    return Entrant(name=name.strip(), spec=spec, preset=preset, part=part, guidance=scale)
