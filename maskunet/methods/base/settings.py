"""Settings that several methods have."""

from collections.abc import Mapping
from dataclasses import dataclass, make_dataclass

from torch import Tensor

from maskunet import rewards
from maskunet.plugins import setting
from maskunet.records.selection import parse
from maskunet.rewards.base import WeightedRewards, required


@dataclass(frozen=True, kw_only=True, slots=True)
class Solver:
    """How a method's loop goes from step to step.

    Attributes:
        second_order: DPM-Solver++ 2M; otherwise its first order.
        guidance_from, guidance_until: in which share of the steps there is guidance; a step without it costs half. See
            `guidance`.
    """

    second_order: bool = setting(True, "of the solver")
    guidance_from: float = setting(0.0, "share of the steps", low=0.0, high=1.0)
    guidance_until: float = setting(1.0, "share of the steps", low=0.0, high=1.0)


# Of a method that rewards steer: for each one that there is a field, such as hpsv2, its weight (omega, Eq. 10).
RewardWeights = make_dataclass(
    "RewardWeights",
    [
        (name, float, setting(spec.weight, f"weight of {spec.title}", low=0.0, high=100.0))
        for name, spec in rewards.SPECS.items()
    ],
    bases=(Solver,),
    frozen=True,
    kw_only=True,
    slots=True,
)


def check_sites(selection: str) -> None:
    """Refuse what chooses no sites, before any model is there.

    Raises:
        ValueError: it is no selection.
    """
    if isinstance(selection, str):  # anything else is refused with the other settings
        parse(selection)


def weights_of(settings: Solver, judges: WeightedRewards) -> dict[str, float]:
    """The weight of each reward in what is optimized; one of the user's own, without a field, keeps what it came with.

    Raises:
        MissingWeights: there are no rewards; says how to get them.
    """
    return {name: getattr(settings, name, weight) for name, weight in required(judges).weights.items()}


def sees_all(settings: Solver) -> bool:
    """Whether every reward chooses whatever its weight, as by their ranks; see `candidates.order`."""
    return getattr(settings, "choose", "") == "ranks"


def objective(scores: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """What a method optimizes: its own weighted sum of the rewards (Eq. 10), (B,).

    A run's "total" has the rewards' own weights instead, so that it is one scale in all runs.
    """
    return sum(weights[name] * value for name, value in scores.items() if name in weights)
