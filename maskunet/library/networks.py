"""The networks that judge pictures, with the weights that are in use on this machine."""

from pathlib import Path

from maskunet.evaluation import extractors
from maskunet.library import library


def extractor(name: str, weights: Path | None = None, device: str | None = None) -> extractors.Extractor:
    """As `extractors.load`; one that takes a network of the rewards gets the default model's.

    Raises:
        ValueError: no such extractor or device, or its weights are missing or damaged; says what to do.
    """
    spec = extractors.SPECS.get(name)
    if weights is None and spec is not None and spec.of_reward:
        here = library.Library(device=device)
        weights = here.find(here.default)[1].get(spec.of_reward)
    return extractors.load(name, weights, device)
