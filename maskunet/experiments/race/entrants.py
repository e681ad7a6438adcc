"""Who runs: methods as `runs.entrant` writes them."""

import re
from collections.abc import Sequence

from maskunet.methods import SPECS
from maskunet.methods.base import KINDS
from maskunet.models.base import DiffusionModel
from maskunet.runs.entrant import Entrant, entrant

PLAIN = "plain"
# What `--methods all` means, of those that take a trained file only where the model has one.
ALL = tuple(
    f"{spec.name}{way}"
    for spec in sorted(SPECS.values(), key=lambda spec: (spec.name != PLAIN, KINDS.index(spec.kind)))
    for way in spec.raced
)


def kind_of(name: str) -> str:
    """The kind of an entrant's method, see `MethodSpec`; empty for a method that is gone."""
    spec = SPECS.get(re.split("[/:@]", name, maxsplit=1)[0])
    return "" if spec is None else spec.kind


def entrants(names: str) -> list[Entrant]:
    """Those of the names with commas between them, or of ALL; plain, which all are held against, first.

    Raises:
        ValueError: as `entrant`.
    """
    given = ALL if names == "all" else names.split(",")
    return [entrant(name) for name in dict.fromkeys([PLAIN, *(name.strip() for name in given)])]


def present(chosen: Sequence[Entrant], model: DiffusionModel, steps: int | None = None) -> list[Entrant]:
    """Without those that need a trained file where the model has none, or more steps than it takes.

    Args:
        steps: of a picture; None for the model's own number.
    """
    return [each for each in chosen if _works(each, model, steps or model.steps)]


def _works(each: Entrant, model: DiffusionModel, steps: int) -> bool:
    settings = each.spec.settings(each.preset, each.named())
    try:
        each.spec.parts(model, settings)
    except ValueError:
        return False
    return steps >= each.spec.least_steps(settings)
