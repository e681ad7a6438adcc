"""Shares and paired changes with their 95 % intervals, as tables hold and print them."""

from collections.abc import Mapping, Sequence

from maskunet.evaluation.intervals import bootstrap, sign_test, wilson


def share(found: Sequence[bool | None]) -> dict[str, float]:
    """How many of those that are known, with Wilson's interval.

    Raises:
        ValueError: none is known.
    """
    known = [value for value in found if value is not None]
    low, high = wilson(sum(known), len(known))
    return {"value": sum(known) / len(known), "low": low, "high": high, "n": len(known)}


def change(now: Sequence[bool], before: Sequence[bool]) -> dict[str, float]:
    """The mean difference of pairs with the bootstrap's interval, how many were fixed and broken, the sign test's p."""
    gains = [int(a) - int(b) for a, b in zip(now, before, strict=True)]
    low, high = bootstrap(gains)
    fixed, broken = gains.count(1), gains.count(-1)
    return {
        "value": sum(gains) / len(gains), "low": low, "high": high, "fixed": fixed, "broken": broken,
        "p": sign_test(fixed, broken),
    }  # fmt: skip


def told(found: Mapping[str, float], sign: str = "") -> str:
    """A value and its interval, such as "0.25 (0.11 to 0.47)"; `sign`: "+" for a change."""
    return f"{found['value']:{sign}.2f} ({found['low']:{sign}.2f} to {found['high']:{sign}.2f})"
