"""What each part of an embedded model does, as `python -m maskunet causal` measured it; comes with the project."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from maskunet.records.disk.shipped import shipped
from maskunet.records.selection import Place

TWINS = {"k": "q", "out": "v"}  # one effect, measured once: see `experiments.causal`
FOLDER = shipped("docs/results/causal")


@dataclass(frozen=True, kw_only=True, slots=True)
class CausalMap:
    """Effects by the place that was knocked out, as a selection writes it.

    Attributes:
        cells: the means of a place with their 95 % intervals. most: the largest mean distance of them, 0 to 255.
    """

    cells: Mapping[str, Mapping[str, Any]]
    most: float

    def at(self, place: Place) -> Mapping[str, Any] | None:
        """The effect of a place, or None if it was not measured."""
        measured = replace(place, roles=tuple(TWINS.get(role, role) for role in place.roles))
        return self.cells.get(str(place)) or self.cells.get(str(measured))


@lru_cache(maxsize=8)
def read(model: str, folder: Path = FOLDER) -> CausalMap | None:
    """The map of a base model, or None if there is none."""
    try:
        found = json.loads((folder / f"{model}.json").read_text(encoding="utf-8"))
        cells = {cell["what"]: cell for cell in found["cells"]}
        return CausalMap(cells=cells, most=max(cell["distance"] for cell in cells.values()))
    except (OSError, ValueError):
        return None
