"""A metric in one file."""

import numpy as np

from maskunet.evaluation.metrics.base import MetricSpec, Score


def measure(features: np.ndarray, reference: np.ndarray, seed: int) -> tuple[Score, ...]:
    n, m = len(features), len(reference)
    score = Score(name="dropped_metric", title="Dropped metric", n=n, n_reference=m, value=0.5, low=0.4, high=0.6)
    return (score,)


SPEC = MetricSpec(
    name="dropped_metric",
    title="Dropped metric",
    summary="A metric in one file.",
    source="a test",
    better="lower",
    interval="none",
    measure=measure,
)
