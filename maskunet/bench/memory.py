"""What an update of the training-free loop needs at most at Stable Diffusion's size, counted without a GPU."""

from typing import Any

from maskunet.bench.base import BenchSpec
from maskunet.bench.loop import held
from maskunet.library.library import Library


def run(library: Library, size: str, rounds: int) -> dict[str, Any]:
    """See `held.peak`; nothing is measured, and one round tells all."""
    how = {"unit": "10^9 bytes", "pixels": held.PIXELS[size], "type": str(held.HALF).removeprefix("torch.")}
    return {**how, "variants": list(held.counted(size))}


SPEC = BenchSpec(
    name="memory",
    summary="memory of an update of the training-free loop, counted without weights",
    sizes=("sd15", "sdxl"),
    run=run,
)
