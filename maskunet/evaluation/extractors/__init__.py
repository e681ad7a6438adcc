"""The networks whose features sets of pictures are compared by, one per file: each frozen, read when asked for."""

from pathlib import Path

from maskunet import machine
from maskunet.evaluation.extractors.base import Extractor, cache_place, fingerprint
from maskunet.plugins import discover

__all__ = ["SPECS", "Extractor", "cache_place", "fingerprint", "load"]

SPECS = discover(__name__)


def load(name: str, weights: Path | None = None, device: str | None = None) -> Extractor:
    """Load an extractor from this machine; never downloads.

    Args:
        name: one of `SPECS`.
        weights: as the extractor's SPEC says; None for those in use.
        device: "cuda", "mps" or "cpu", or None for the best one here.

    Raises:
        ValueError: no such extractor or device, or its weights are missing or damaged; says what to do.
    """
    if name not in SPECS:
        raise ValueError(f"There is no extractor “{name}”. There are: {', '.join(SPECS)}.")
    return SPECS[name].load(weights, machine.choose_device(device))
