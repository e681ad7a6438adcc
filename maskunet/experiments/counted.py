"""Shares and paired changes with their 95 % intervals, as tables hold and print them.

Pictures of one prompt are no independent trials: where they repeat, prompts are resampled, and counted in the sign test.
Where all are of one prompt its pictures are.
"""

from collections.abc import Hashable, Mapping, Sequence

from maskunet.evaluation.intervals import apart, clustered, of_share, sign_test, wilson

NOTHING = {"value": None, "low": None, "high": None}


def share(found: Sequence[bool | None], of: Sequence[Hashable] = ()) -> dict[str, float | None]:
    """How many of those that are known: Wilson's interval, or the bootstrap's over prompts where these repeat.

    Where all are alike it is `of_share`'s; where none is known n is 0 and the rest None.

    Args:
        of: which prompt each one is of; each of its own if left out.
    """
    known = [(v, prompt) for v, prompt in zip(found, of or range(len(found)), strict=True) if v is not None]
    if not known:
        return {**NOTHING, "n": 0}
    values, prompts = [value for value, _ in known], apart([prompt for _, prompt in known])
    n = len(values)
    low, high = wilson(sum(values), n) if n == len(set(prompts)) else of_share(values, prompts)
    return {"value": sum(values) / n, "low": low, "high": high, "n": n}


def change(
    now: Sequence[bool | None], before: Sequence[bool | None], of: Sequence[Hashable] = ()
) -> dict[str, float | None]:
    """The mean difference of pairs with the bootstrap's interval, how many prompts were fixed and broken, the sign test's p.

    Of pairs of which both are known; the difference is None where there are none.

    Args:
        of: as in `share`.
    """
    pairs = zip(now, before, of or range(len(now)), strict=True)
    known = [(int(a) - int(b), prompt) for a, b, prompt in pairs if a is not None and b is not None]
    if not known:
        return {**NOTHING, "fixed": 0, "broken": 0, "p": sign_test(0, 0)}
    gains, prompts = [gain for gain, _ in known], apart([prompt for _, prompt in known])
    low, high = clustered(gains, prompts)
    by_prompt: dict[Hashable, int] = {}
    for gain, prompt in zip(gains, prompts, strict=True):
        by_prompt[prompt] = by_prompt.get(prompt, 0) + gain
    fixed, broken = sum(gain > 0 for gain in by_prompt.values()), sum(gain < 0 for gain in by_prompt.values())
    return {
        "value": sum(gains) / len(gains), "low": low, "high": high, "fixed": fixed, "broken": broken,
        "p": sign_test(fixed, broken),
    }  # fmt: skip


def differs(found: Mapping[str, float]) -> bool:
    """Whether a change can be told from none, by its interval and by the sign test."""
    return not found["low"] <= 0 <= found["high"] and found["p"] < 0.05


def told(found: Mapping[str, float], sign: str = "") -> str:
    """A value and its interval, such as "0.25 (0.11 to 0.47)"; `sign`: "+" for a change."""
    return f"{found['value']:{sign}.2f} ({found['low']:{sign}.2f} to {found['high']:{sign}.2f})"
