"""A bench in one file."""

from typing import Any

from maskunet.bench.base import BenchSpec


def run(library: Any, size: str, rounds: int) -> dict[str, Any]:
    return {"dropped": rounds}


SPEC = BenchSpec(name="dropped_bench", summary="a bench in one file", sizes=("tabletop",), run=run)
