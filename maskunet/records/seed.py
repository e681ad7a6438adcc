"""A seed as people and other programs give it."""

import re
import secrets
from typing import Any

MAX_SEED = 2**64 - 1
DRAWN = 2**32  # so many are drawn from; torch's noise on the CPU knows no more, see `maskunet.seeds`
MAX_DIGITS = 20
RANDOM = (None, "", -1, "-1")  # what says "any" in other programs


def seed_of(value: Any) -> int:
    """A seed, 0 to 2^64 - 1: a whole number, also as text; for -1, None or an empty text one is drawn.

    Raises:
        ValueError: it is none; says what is allowed.
    """
    given = value.strip() if isinstance(value, str) else value
    if not isinstance(given, bool) and given in RANDOM:
        return secrets.randbelow(DRAWN)
    if isinstance(given, str) and re.fullmatch(rf"[+-]?[0-9]{{1,{MAX_DIGITS}}}(\.[0-9]{{0,{MAX_DIGITS}}})?", given):
        whole, _, rest = given.partition(".")
        given = float(given) if rest.strip("0") else int(whole)
    if isinstance(given, bool) or not isinstance(given, int | float) or not abs(given) < float("inf"):
        raise ValueError(f"The seed must be a number from 0 to {MAX_SEED:,}, or -1 for any.")
    if given != int(given):
        raise ValueError(f"The seed must be a whole number, not {given}.")
    if not 0 <= given <= MAX_SEED:
        said = f"{int(given):,}" if abs(given) < 10**MAX_DIGITS else f"a number of more than {MAX_DIGITS} digits"
        raise ValueError(f"The seed is {said}; allowed is 0 to {MAX_SEED:,}, or -1 for any.")
    return int(given)
