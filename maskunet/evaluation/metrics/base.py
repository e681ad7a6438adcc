"""What every metric shares: the SPEC, the score with its interval, and the check of the features."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


class TooFewImages(ValueError):
    """The metric is not defined for so few images; the message says how many it needs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """One number about a set of images.

    Attributes:
        value, low, high: the number and its 95 % interval; None where it could not be measured.
        n, n_reference: images of the set and of the reference.
        note: what a reader must know, one sentence, or empty.
    """

    name: str
    title: str
    n: int
    n_reference: int
    value: float | None = None
    low: float | None = None
    high: float | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricSpec:
    """A metric's name, how to read it, and how to measure it.

    Attributes:
        better: "lower" or "higher".
        interval: where the interval comes from, one sentence.
        measure: (features (N, D), reference (M, D), seed) -> scores; the same seed, the same numbers.
    """

    name: str
    title: str
    summary: str
    source: str
    better: str
    interval: str
    measure: Callable[[np.ndarray, np.ndarray, int], tuple[Score, ...]]


def checked(features: np.ndarray, reference: np.ndarray, least: int) -> tuple[np.ndarray, np.ndarray]:
    """Both tables in float64.

    Raises:
        TooFewImages: one has fewer than `least` rows.
        ValueError: they are not tables of one width, or hold what is no number.
    """
    for table in (features, reference):
        if table.ndim != 2 or not np.isfinite(table).all():
            raise ValueError("Features must be tables (images, D) of finite numbers. Extract them again.")
    if features.shape[1] != reference.shape[1]:
        raise ValueError(
            f"The features have {features.shape[1]:,} numbers per image and the reference's "
            f"{reference.shape[1]:,}. Extract both with the same extractor."
        )
    n, m = len(features), len(reference)
    if min(n, m) < least:
        raise TooFewImages(f"Needs {least} images in each set; there are {n} and {m} in the reference.")
    return features.astype(np.float64), reference.astype(np.float64)
