"""ZeroGPU, a Space that lends a GPU for one call at a time, to a process of its own."""

import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

USUAL, LONGEST = 60, 120  # seconds of a loan: when nothing is known, and at most


def is_here() -> bool:
    """Whether this is such a Space; app.py imports its package `spaces` before anything else."""
    return "spaces" in sys.modules and os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")


def lent(work: Callable[..., Iterator[Any]], seconds: Callable[..., float]) -> Callable[..., Iterator[Any]]:
    """A generator function as such a Space runs it: elsewhere, where arguments and results are copied to and fro.

    Whose loan it is follows from the request in whose context it is called.

    Args:
        work: what needs the GPU. seconds: with its arguments, how long the loan must be.
    """
    return sys.modules["spaces"].GPU(work, duration=seconds)


def loan(usual: float | None) -> float:
    """Seconds to ask for, the fewer the sooner it is granted.

    Args:
        usual: what an equal request took, or None.
    """
    return USUAL if usual is None else min(max(10, 1.5 * usual), LONGEST)
