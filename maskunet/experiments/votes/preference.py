"""What votes say of methods: shares with their intervals, the sign test over voters, strengths, and what could be seen.

Voters, not votes, are drawn again for what is to hold for other voters: those of one person are not independent.
"""

from typing import Any

import numpy as np

RESAMPLES = 1000
STEPS, CLOSE = 2000, 1e-7  # of the strengths' fit: how many at most, and the largest change of the last one
SEEN = 0.8  # of studies of this size, in which a preference would have been found


def share(successes: int, n: int) -> dict[str, Any]:
    """A share with Wilson's 95 % interval, and the exact p that it is one half; None of what no trial tells."""
    from scipy.stats import binomtest

    if n == 0:
        return {"n": 0, "share": None, "low": None, "high": None, "p": None}
    found = binomtest(int(successes), int(n))
    low, high = found.proportion_ci(method="wilson")
    return {"n": int(n), "share": successes / n, "low": float(low), "high": float(high), "p": float(found.pvalue)}


def least(n: int) -> float | None:
    """The smallest share above one half that n independent choices would have told from it, in `SEEN` of studies.

    Told: two-sided exact test, p < .05. None if no share would, however large.
    """
    from scipy.stats import beta, binom

    critical = int(binom.isf(0.025, n, 0.5)) + 1  # of n: this many are too many for chance
    return float(beta.ppf(SEEN, critical, n - critical + 1)) if 0 < critical <= n else None


def tail(voters: int) -> float:
    """How much a bootstrap of few voters cuts off at each end, for an interval of 95 % (expanded percentiles, Hesterberg 2015)."""
    from scipy.stats import norm, t

    return float(norm.cdf(t.ppf(0.025, voters - 1) * np.sqrt(voters / (voters - 1))))


def resampled(voters: int, seed: int = 0) -> np.ndarray:
    """How often each voter is drawn, (RESAMPLES, voters)."""
    return np.random.default_rng(seed).multinomial(voters, np.full(voters, 1 / voters), RESAMPLES)


def over_voters(successes: np.ndarray, trials: np.ndarray) -> tuple[float | None, float | None]:
    """The 95 % interval of a share, by drawing voters; none of one voter, and of voters who are all alike.

    Args:
        successes, trials: of each voter.
    """
    some = trials > 0
    voters = int(some.sum())
    if voters < 2:
        return None, None
    drawn, cut = resampled(voters), tail(voters)
    low, high = np.quantile((drawn @ successes[some]) / (drawn @ trials[some]), (cut, 1 - cut))
    return (float(low), float(high)) if low < high else (None, None)


def connected(wins: np.ndarray) -> np.ndarray:
    """Whether every method beats every other one, if not itself then through others: else no strength has an end.

    Args:
        wins: (..., m, m), how often the row's method was preferred to the column's.
    """
    m = wins.shape[-1]
    reached = ((wins > 0) | np.eye(m, dtype=bool)).astype(float)
    for _ in range(m.bit_length()):
        reached = np.minimum(reached @ reached, 1)
    return reached.astype(bool).all((-2, -1))


def strengths(wins: np.ndarray) -> np.ndarray:
    """Bradley-Terry strengths as log odds with mean 0, by the MM algorithm of Hunter (2004), equation 3.

    Args:
        wins: (..., m, m), `connected`; equal and neither are in none.

    Returns:
        (..., m): a method of strength a is preferred to one of strength b with the odds exp(a - b).
    """
    met, won = wins + wins.swapaxes(-1, -2), wins.sum(-1)
    found = np.zeros(won.shape)
    for _ in range(STEPS):
        gamma = np.exp(found)
        new = np.log(won / (met / (gamma[..., :, None] + gamma[..., None, :])).sum(-1))
        new -= new.mean(-1, keepdims=True)
        change, found = np.abs(new - found).max(), new
        if change < CLOSE:
            break
    return found


def ranking(wins: np.ndarray) -> dict[str, Any]:
    """Strengths of methods with their intervals over voters.

    Args:
        wins: (voters, m, m), of each voter.

    Returns:
        connected: whether there are any; strengths, low, high: of each method; lost: the share of resamples of voters that
        have none, which the intervals leave out.
    """
    total = wins.sum(0)
    if not connected(total):
        return {"connected": False}
    found = {"connected": True, "strengths": strengths(total).tolist(), "low": None, "high": None, "lost": None}
    voters = len(wins)
    if voters < 2:
        return found
    drawn = np.tensordot(resampled(voters), wins, 1)
    fine = connected(drawn)
    if fine.sum() < 2:
        return found | {"lost": 1.0}
    cut = tail(voters)
    low, high = np.quantile(strengths(drawn[fine]), (cut, 1 - cut), axis=0)
    return found | {"low": low.tolist(), "high": high.tolist(), "lost": float(1 - fine.mean())}


def alpha(counts: np.ndarray) -> tuple[float | None, float | None]:
    """Agreement between voters: Krippendorff's alpha for names, and how often two voters say the same.

    Args:
        counts: (questions asked, answers), how many voters gave each.
    """
    of = counts.sum(1)
    counts, of = counts[of > 1], of[of > 1]
    n = of.sum()
    if n == 0:
        return None, None
    differ = (counts * (of[:, None] - counts)).sum(1) / (of - 1)
    observed = differ.sum() / n
    each = counts.sum(0)
    expected = (each * (n - each)).sum() / n / (n - 1)
    return (float(1 - observed / expected) if expected else None), float(1 - observed)
