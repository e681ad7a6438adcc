"""Improved precision and recall: who lies within the other set's neighborhoods (Kynkäänniemi et al. 2019).

Each image of a set gets a ball that reaches to its third nearest neighbor in the set. Precision is the
share of a set's images within a ball of the reference; recall is the share of the reference within a ball
of the set.
"""

import numpy as np

from maskunet.evaluation.intervals import wilson
from maskunet.evaluation.metrics.base import MetricSpec, Score, checked

NEIGHBORS = 3
BLOCK = 1024  # rows of the distance matrix at once
ROUNDING = 1e-6  # of the largest norm: a copy of an image comes out at a distance of about 1e-8 of it


def share_within(images: np.ndarray, manifold: np.ndarray) -> float:
    """Share of images (N, D) within a ball around an image of `manifold` (M, D), in [0, 1]; M > 3."""
    from sklearn.metrics import euclidean_distances
    from sklearn.neighbors import NearestNeighbors

    center = manifold.mean(0)  # far from the origin the differences would lose digits
    images, manifold = images - center, manifold - center
    near = NearestNeighbors(n_neighbors=NEIGHBORS, algorithm="brute").fit(manifold)
    radius = near.kneighbors()[0][:, -1]
    radius += ROUNDING * max(np.linalg.norm(images, axis=1).max(), np.linalg.norm(manifold, axis=1).max())
    blocks = (images[i : i + BLOCK] for i in range(0, len(images), BLOCK))
    return sum(int((euclidean_distances(b, manifold) <= radius).any(1).sum()) for b in blocks) / len(images)


def measure(features: np.ndarray, reference: np.ndarray, seed: int = 0) -> tuple[Score, ...]:
    """Precision and recall with Wilson's interval, given the balls; nothing is drawn, so no seed counts.

    A bootstrap of the scored images alone repeats n trials that hit or miss, which Wilson's interval
    gives in closed form. The images that carry the balls cannot be drawn again: a twin would be its own
    nearest neighbor and shrink the ball. The interval leaves out how they happened to fall.

    Raises:
        TooFewImages: a set has fewer than 4 images.
        ValueError: as `base.checked`.
    """
    x, y = checked(features, reference, least=NEIGHBORS + 1)
    sizes = {"n": len(x), "n_reference": len(y)}
    scores = []
    for name, images, manifold in (("precision", x, y), ("recall", y, x)):
        value = share_within(images, manifold)
        low, high = wilson(round(value * len(images)), len(images))
        scores.append(Score(name=name, title=name.capitalize(), value=value, low=low, high=high, **sizes))
    return tuple(scores)


SPEC = MetricSpec(
    name="neighbors",
    title="Precision and recall",
    summary="Share of images within the other set's neighborhoods.",
    source="Kynkäänniemi et al. 2019",
    better="higher",
    interval="Wilson's",
    measure=measure,
)
