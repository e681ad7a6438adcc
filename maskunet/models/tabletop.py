"""The embedded world: a small model of a table with colored objects, trained by this project."""

import json

from maskunet.models.base import ModelSpec
from maskunet.tabletop.captions import VOCABULARY
from maskunet.tabletop.place import GUIDANCE, MODEL, WEIGHTS


def _guidance(default: float = 3.5) -> float:
    """The scale measured as best for plain on training prompts, written down by the training."""
    try:
        return float(json.loads(GUIDANCE.read_text())["guidance"])
    except (OSError, ValueError, KeyError, TypeError):
        return default


SPEC = ModelSpec(
    name="tabletop",
    title="Tabletop (embedded)",
    summary="A small model of 1 to 4 colored objects on a table, 128 x 128; runs on any machine.",
    license="Apache-2.0",
    guidance=_guidance(),
    folder=MODEL,
    rewards=WEIGHTS,
    embedded=True,
    vocabulary=VOCABULARY,
)
