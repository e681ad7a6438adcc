"""The kernel distance: unbiased squared MMD with the cubic kernel (Binkowski et al. 2018, KID).

k(x, y) = (x'y / D + 1)³. Its expectation is 0 for two sets of one distribution, so it may come out negative.
"""

import numpy as np

from maskunet.evaluation.intervals import Z
from maskunet.evaluation.metrics.base import MetricSpec, Score, checked

SUBSETS = 100
BLOCK = 512  # rows of the kernel matrix at once


def squared_mmd(features: np.ndarray, reference: np.ndarray) -> float:
    """The unbiased estimate from tables (N, D) and (M, D) with at least 2 rows each."""
    return float(_over_subsets(features, reference, np.ones((1, len(features))), np.ones((1, len(reference))))[0])


def _over_subsets(x: np.ndarray, y: np.ndarray, of_x: np.ndarray, of_y: np.ndarray) -> np.ndarray:
    """The estimate for each of S subsets, (S,); `of_x` (S, N) and `of_y` (S, M) are 1 for their members."""
    n, m = of_x.sum(1), of_y.sum(1)
    within = _sums(x, x, of_x, of_x, distinct=True) / (n * (n - 1))
    within += _sums(y, y, of_y, of_y, distinct=True) / (m * (m - 1))
    return within - 2 * _sums(x, y, of_x, of_y) / (n * m)


def _sums(x: np.ndarray, y: np.ndarray, of_x: np.ndarray, of_y: np.ndarray, distinct: bool = False) -> np.ndarray:
    """The kernel summed over all pairs of each subset; `distinct` leaves out an image with itself."""
    total = np.zeros(len(of_x))
    for start in range(0, len(x), BLOCK):
        kernel = (x[start : start + BLOCK] @ y.T / x.shape[1] + 1) ** 3
        if distinct:
            rows = np.arange(len(kernel))
            kernel[rows, start + rows] = 0
        total += np.einsum("sb,bs->s", of_x[:, start : start + BLOCK], kernel @ of_y.T)
    return total


def measure(features: np.ndarray, reference: np.ndarray, seed: int = 0) -> tuple[Score, ...]:
    """The estimate from all images, and an interval from 100 random halves.

    A bootstrap would draw images twice and count their similarity to themselves, which the unbiased
    estimate leaves out. Halves have no image twice, and for a mean over images their variance around
    the whole is 1/(n/2) - 1/n = 1/n: that of the whole itself. Where the sets are equal the estimate
    varies less than a mean does, and the interval is wider than it need be.

    Raises:
        TooFewImages: a set has fewer than 4 images.
        ValueError: as `base.checked`.
    """
    x, y = checked(features, reference, least=4)
    rng = np.random.default_rng(seed)
    value, *halves = _over_subsets(x, y, _subsets(len(x), rng), _subsets(len(y), rng))
    half = Z * float(np.std(halves, ddof=1))
    return (
        Score(
            name=SPEC.name, title=SPEC.title, n=len(x), n_reference=len(y),
            value=float(value), low=float(value) - half, high=float(value) + half,
        ),
    )  # fmt: skip


def _subsets(n: int, rng: np.random.Generator) -> np.ndarray:
    """Members (1 + SUBSETS, n): first all images, then random halves."""
    order = rng.random((SUBSETS, n)).argsort(1)
    return np.vstack([np.ones((1, n)), order < n // 2])


SPEC = MetricSpec(
    name="kernel",
    title="Kernel distance",
    summary="Squared MMD with a cubic kernel, unbiased.",
    source="Binkowski et al. 2018",
    better="lower",
    interval=f"from {SUBSETS} random halves",
    measure=measure,
)
