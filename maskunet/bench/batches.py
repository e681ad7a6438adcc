"""What it gives when pictures share their U-Net calls, and how far they are from the same pictures made alone."""

import logging
from collections.abc import Sequence
from statistics import median
from typing import Any

import numpy as np

from maskunet.bench.base import BenchSpec, seconds
from maskunet.evaluation.intervals import bootstrap
from maskunet.library.library import Library, Loaded
from maskunet.methods import SPECS
from maskunet.methods.base.batches import together
from maskunet.records import Request

log = logging.getLogger(__name__)

PICTURES, SIZES = 8, (1, 2, 4, 8)
PROMPT = "a red cube and a blue sphere"
METHODS = ("plain", "random_mask", "maskunet_trained")


def made(loaded: Loaded, method: str, size: int) -> list[np.ndarray]:
    """Eight pictures, so many of them together."""
    spec = SPECS[method]
    asked = [Request(prompt=PROMPT, seed=seed, previews=False, statistics=False) for seed in range(PICTURES)]
    found = []
    for start in range(0, PICTURES, size):
        some = asked[start : start + size]
        for _, event in together(spec, loaded.model, loaded.rewards, some, spec.settings()):
            found += [event.image.astype(int)] if event.final else []
    return found


def compared(alone: Sequence[np.ndarray], others: Sequence[np.ndarray]) -> dict[str, float]:
    """The largest difference of a value, 0 to 255, and the share of values that differ."""
    difference = np.abs(np.stack(alone) - np.stack(others))
    return {"largest_difference": int(difference.max()), "share_that_differs": float((difference > 0).mean())}


def run(library: Library, size: str, rounds: int) -> dict[str, Any]:
    """Time eight pictures by batch size, all sizes in turn; the first round warms up."""
    loaded = library.load(size)
    rows = []
    for method in METHODS:
        taken: dict[int, list[float]] = {each: [] for each in SIZES}
        for number in range(rounds + 1):
            took = [seconds(loaded.model.device, made, loaded, method, each) for each in SIZES]
            log.info("%s, round %d: %s", method, number, ", ".join(f"{each:.2f} s" for each in took))
            for values, each in zip(taken.values(), took, strict=True):
                values += [each] if number else []
        alone = made(loaded, method, 1)
        for each in SIZES[1:]:
            faster = [one / many for one, many in zip(taken[1], taken[each], strict=True)]
            low, high = bootstrap(faster, of=np.median)
            found = {
                "method": method,
                "batch": each,
                "times_as_fast": median(faster),
                "low": low,
                "high": high,
            }
            rows.append(found | compared(alone, made(loaded, method, each)))
    return {"n": rounds, "pictures": PICTURES, "rows": rows}


SPEC = BenchSpec(
    name="batches",
    summary="pictures that share their U-Net calls beside pictures made alone",
    sizes=("tabletop",),
    run=run,
)
