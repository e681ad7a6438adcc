"""How many operations an update of the training-free loop takes at Stable Diffusion's size, saving by saving."""

from typing import Any

from maskunet.bench.base import BenchSpec
from maskunet.bench.loop import flops
from maskunet.library.library import Library


def run(library: Library, size: str, rounds: int) -> dict[str, Any]:
    """See `flops.at_512_pixels`; nothing is timed, and one round tells all."""
    return {"unit": "10^12 operations", "pixels": 512, "updates": list(flops.at_512_pixels())}


SPEC = BenchSpec(
    name="operations",
    summary="operations of an update of the training-free loop, counted without weights",
    sizes=("sd15",),
    run=run,
)
