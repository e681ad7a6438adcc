"""One metric per file: from features of two sets of pictures to numbers, each with n and a 95 % interval."""

import numpy as np

from maskunet.evaluation.metrics.base import Score, TooFewImages
from maskunet.plugins import discover

SPECS = discover(__name__)


def measure(features: np.ndarray, reference: np.ndarray, seed: int = 0) -> list[Score]:
    """Every metric of a set (N, D) against a reference (M, D); what cannot be measured says why.

    Raises:
        ValueError: the features are not two tables of finite numbers of one width.
    """
    scores = []
    for spec in SPECS.values():
        try:
            scores += spec.measure(features, reference, seed)
        except TooFewImages as error:
            n, m = len(features), len(reference)
            scores.append(Score(name=spec.name, title=spec.title, n=n, n_reference=m, note=str(error)))
    return scores
