"""Intervals: Wilson's for a share, the bootstrap's for a mean or median, Student's for a few repetitions; p-values."""

from collections.abc import Callable, Hashable, Sequence

import numpy as np

Z = 1.959964  # 97.5 % quantile of the normal distribution
RESAMPLES = 10_000
DRAWN = 10_000_000  # values in memory at once


def wilson(successes: int, n: int) -> tuple[float, float]:
    """The 95 % interval of a share of n independent trials (Wilson 1927), each end in [0, 1].

    Raises:
        ValueError: n is not positive.
    """
    if n < 1:
        raise ValueError(f"An interval needs at least one trial, not {n}.")
    share = successes / n
    center = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * np.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    return float(max(0.0, center - half)), float(min(1.0, center + half))


def bootstrap(values: Sequence[float], seed: int = 0, of: Callable[..., np.ndarray] = np.mean) -> tuple[float, float]:
    """The 95 % percentile interval of the mean, by resampling; for differences pass them paired.

    Args:
        of: what the interval is of, np.mean or np.median.

    Raises:
        ValueError: there are no values.
    """
    data = np.asarray(values, dtype=float)
    if data.size == 0:
        raise ValueError("An interval needs at least one value.")
    rng = np.random.default_rng(seed)
    rows = max(1, DRAWN // data.size)  # a block of resamples at a time: FID-30k's would be gigabytes
    blocks = (min(rows, RESAMPLES - start) for start in range(0, RESAMPLES, rows))
    found = np.concatenate([of(data[rng.integers(0, data.size, (n, data.size))], 1) for n in blocks])
    low, high = np.quantile(found, (0.025, 0.975))
    return float(low), float(high)


def clustered(
    values: Sequence[float], of: Sequence[Hashable], seed: int = 0, over: Sequence[float] = ()
) -> tuple[float, float]:
    """As `bootstrap`, where some values belong together, such as pictures of one prompt: these are drawn together.

    Values that all belong to the same are drawn one by one: what their interval is of is that one.

    Args:
        of: what each value belongs to. over: counts, one beside each value, for the ratio of both sums in place of a mean;
            a resample with none of them is divided by 1.

    Raises:
        ValueError: there are no values.
    """
    groups: dict[Hashable, list[tuple[float, float]]] = {}
    for value, count, name in zip(values, over or [1] * len(values), apart(of), strict=True):
        groups.setdefault(name, []).append((value, count))
    if not groups:
        raise ValueError("An interval needs at least one value.")
    sums, counts = np.array([np.sum(each, 0) for each in groups.values()], float).T
    drawn = np.random.default_rng(seed).integers(0, len(groups), (RESAMPLES, len(groups)))
    low, high = np.quantile(sums[drawn].sum(1) / np.maximum(counts[drawn].sum(1), 1), (0.025, 0.975))
    return float(low), float(high)


def of_share(values: Sequence[float], of: Sequence[Hashable]) -> tuple[float, float]:
    """As `clustered`, of values in [0, 1]; where all are 0 or all are 1 its width would be none: Wilson's of as many groups."""
    if set(values) in ({0}, {1}):
        n = len(set(apart(of)))
        return wilson(round(values[0] * n), n)
    return clustered(values, of)


def apart(of: Sequence[Hashable]) -> Sequence[Hashable]:
    """What values belong to; each to itself where all belong to the same, of which they are then independent samples."""
    return of if len(set(of)) > 1 else range(len(of))


def student(values: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of the mean of a few independent values (Student 1908).

    Raises:
        ValueError: fewer than two values.
    """
    from scipy.stats import t

    data = np.asarray(values, dtype=float)
    if data.size < 2:
        raise ValueError(f"An interval over repetitions needs at least two, not {data.size}.")
    half = t.ppf(0.975, data.size - 1) * data.std(ddof=1) / np.sqrt(data.size)
    return float(data.mean() - half), float(data.mean() + half)


def columns(
    name: str, values: Sequence[float], interval: Callable[..., tuple[float, float]] = bootstrap, fewest: int = 1
) -> dict[str, float | None]:
    """The mean with its interval as columns of a table: `name`, `name`_low, `name`_high; None where there are too few.

    Args:
        fewest: values that the interval needs.
    """
    low, high = interval(values) if len(values) >= fewest else (None, None)
    return {name: float(np.mean(values)) if values else None, f"{name}_low": low, f"{name}_high": high}


def sign_test(better: int, worse: int) -> float:
    """The two-sided exact p-value that `better` and `worse` discordant pairs are equally likely."""
    from math import comb

    n = better + worse
    tail = sum(comb(n, k) for k in range(max(better, worse), n + 1)) / 2**n
    return min(1.0, 2 * tail)


def holm(values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values (1979): below 5 % they keep the chance of any false finding among all below 5 %."""
    p = np.asarray(values, dtype=float)
    order, adjusted = p.argsort(), np.empty_like(p)
    adjusted[order] = np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1)).clip(max=1)
    return adjusted.tolist()
