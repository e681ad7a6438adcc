"""The Fréchet distance between Gaussians fitted to two sets of features (Heusel et al. 2017).

d² = |m1 - m2|² + tr(C1 + C2 - 2 (C1 C2)^(1/2)), without the root, as FID is reported.

The trace of the root is the sum of the roots of C1 C2's eigenvalues. With C = F'F these are the singular
values of F1 F2': real and not negative also for singular covariances, and no matrix root is needed.
"""

import numpy as np

from maskunet.evaluation.intervals import Z
from maskunet.evaluation.metrics.base import MetricSpec, Score, checked

ENOUGH = 2048  # images; the width of Inception's pool features
RESAMPLES = 40


def frechet_distance(features: np.ndarray, reference: np.ndarray) -> float:
    """d² of two tables (N, D) and (M, D) with at least 2 rows each; in squared units of the features."""
    gap = features.mean(0) - reference.mean(0)
    ours, theirs = _factor(features), _factor(reference)
    root = np.linalg.svd(ours @ theirs.T, compute_uv=False).sum()
    return max(0.0, float(gap @ gap + (ours**2).sum() + (theirs**2).sum() - 2 * root))


def _factor(features: np.ndarray) -> np.ndarray:
    """F with F'F the covariance, (min(N, D), D)."""
    centered = (features - features.mean(0)) / np.sqrt(len(features) - 1)
    return centered if len(centered) <= centered.shape[1] else np.linalg.qr(centered, mode="r")


def measure(features: np.ndarray, reference: np.ndarray, seed: int = 0) -> tuple[Score, ...]:
    """The distance and an interval from the bootstrap over the images of both sets.

    A resample holds 63 % of the images, some of them several times, so its distance is larger by the
    estimator's bias. The resamples' percentiles would therefore miss the value; their standard
    deviation is taken instead, 1.96 of it to both sides. The interval says how much other images of
    the same number would change the distance, not how far it is from that of endlessly many. Where the
    sets are nearly equal it is wider than need be, up to twice.

    Raises:
        TooFewImages: a set has fewer than 2 images.
        ValueError: as `base.checked`.
    """
    x, y = checked(features, reference, least=2)
    value, rng = frechet_distance(x, y), np.random.default_rng(seed)
    resampled = [
        frechet_distance(x[rng.integers(0, len(x), len(x))], y[rng.integers(0, len(y), len(y))])
        for _ in range(RESAMPLES)
    ]
    half = Z * float(np.std(resampled, ddof=1))
    return (
        Score(
            name=SPEC.name, title=SPEC.title, n=len(x), n_reference=len(y),
            value=value, low=max(0.0, value - half), high=value + half, note=_note(len(x), len(y)),
        ),
    )  # fmt: skip


def _note(n: int, m: int) -> str:
    if min(n, m) >= ENOUGH:
        return ""
    return f"Too large with {min(n, m):,} of the advised {ENOUGH:,} images. Compare only with sets of the same sizes."


SPEC = MetricSpec(
    name="frechet",
    title="Fréchet distance",
    summary="Between Gaussians fitted to both sets.",
    source="Heusel et al. 2017",
    better="lower",
    interval=f"from {RESAMPLES} bootstrap resamples",
    measure=measure,
)
