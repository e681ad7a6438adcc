"""ZeroGPU, a Space that lends a GPU for one call at a time, to a process of its own.

What a visitor may borrow is counted: two minutes a day without a login. So a loan is no longer than it must be.
"""

import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

SHORTEST, LONGEST = 10, 120  # seconds of a loan
SPARE = 1.5  # an equal request may take that much longer
STEPS = 15  # where none are asked for

# Seconds for Stable Diffusion 1.5 at 512 px, about twice what an H100 takes (docs/speed.md), as nobody has measured the
# card that is lent.
START, STEP, UPDATE, FRUGAL = 4.0, 0.08, 0.2, 5.0


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


def loan(usual: float | None, expected: float = LONGEST) -> float:
    """Seconds to ask for, the fewer the sooner it is granted.

    Args:
        usual: what an equal request took, or None. expected: seconds, where none was made.
    """
    return min(max(SHORTEST, expected if usual is None else SPARE * usual), LONGEST)


def expected(steps: int | None, settings: Any = None) -> float:
    """Seconds that a pair of pictures takes which was never made, by the method's settings: the plain one and its own.

    Args:
        steps: asked for, or None. settings: the method's, whatever it has of the numbers that cost time; None for a plain
            picture.
    """

    def number(name: str) -> float:
        value = getattr(settings, name, 0)
        return value if isinstance(value, int | float) else 0

    steps = steps or STEPS
    pictures = 1 + max(1, number("n"), number("particles")) + number("looks") * number("look_steps") / steps
    early = min(number("early_steps"), steps)
    updates = early * number("early_updates") + (steps - early) * number("updates")
    updates = updates / max(1, number("every")) + 2 * number("refinements")
    each = UPDATE * max(1, number("views")) ** 0.5 * (FRUGAL if getattr(settings, "low_memory", False) else 1)
    return START + pictures * steps * STEP + updates * each
