"""Features of several sets of images in the plane: t-SNE, PCA or UMAP, one color and marker per set."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from visualize.base import PlotSpec

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KINDS = ("t-SNE", "PCA", "UMAP")
CAVEATS = {
    "t-SNE": "t-SNE keeps who is near whom; distances, gaps and sizes of clusters mean nothing.",
    "PCA": "PCA shows the two directions of largest variance only; sets that overlap here may differ in others.",
    "UMAP": "UMAP keeps who is near whom; distances, gaps and sizes of clusters mean nothing.",
}
PERPLEXITY = 30.0  # where there are images enough
SEEDS = 2**32  # as many as scikit-learn and UMAP know
DIMENSIONS = 50  # t-SNE and UMAP see the first principal components (van der Maaten & Hinton 2008)
# Okabe and Ito's colors, which color-blind eyes tell apart, without their yellow; the markers differ too.
STYLES = tuple(zip(("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00"), "o^sDvP", strict=True))
SHOWN = 24  # thumbnails at most
NONE: Mapping[str, np.ndarray] = {}


def largest_perplexity(n: int) -> int:
    """The largest for n images: t-SNE looks at three times as many neighbors, and there are n - 1."""
    return (n - 1) // 3


def obstacle(kind: str, n: int, perplexity: float = PERPLEXITY) -> str:
    """Why n images cannot be embedded so, in one sentence; empty if they can."""
    if kind not in KINDS:
        return f"There is no embedding “{kind}”. There are: {', '.join(KINDS)}."
    least = 3 if kind == "PCA" else 4
    if n < least:
        return f"{kind} needs at least {least} images, and there are {n}. Add images to a set."
    if kind == "UMAP" and find_spec("umap") is None:
        return "UMAP is not installed. Install it with pip install umap-learn, or take t-SNE or PCA."
    if kind != "PCA" and not 1 <= perplexity <= largest_perplexity(n):  # so is what is no number
        return (
            f"The perplexity is {perplexity:g}; for {n:,} images 1 to {largest_perplexity(n):,} is allowed. "
            "Take another one, more images, or PCA."
        )
    return ""


def embed(
    features: Mapping[str, np.ndarray], kind: str = "t-SNE", perplexity: float = PERPLEXITY, seed: int = 0
) -> dict[str, np.ndarray]:
    """Put all sets into one plane.

    Takes seconds with thousands of images, and cannot tell how far it is: no library of these can.

    Args:
        features: (N, D) by name of the set, of one extractor.
        kind: "t-SNE", "PCA" or "UMAP".
        perplexity: about how many neighbors count, 1 to a third of all images; UMAP's `n_neighbors`.
        seed: t-SNE and UMAP are random; the same seed gives the same plane, as does one 2^32 larger.

    Returns:
        (N, 2) by name of the set.

    Raises:
        ValueError: the sets do not fit together, or as `obstacle` says.
    """
    tables = [np.asarray(table, np.float64) for table in features.values()]
    if not tables or any(t.ndim != 2 or t.shape[1] != tables[0].shape[1] for t in tables):
        raise ValueError("Give at least one set, and features (N, D) of one extractor for all sets.")
    together = np.concatenate(tables)
    if not np.isfinite(together).all():
        raise ValueError("Some features are not finite numbers. Extract them again.")
    if problem := obstacle(kind, len(together), perplexity):
        raise ValueError(problem)
    if (together == together[0]).all():
        raise ValueError(f"All {len(together)} images have the same features, so they are one point.")
    plane = {"t-SNE": _tsne, "PCA": _pca, "UMAP": _umap}[kind](together, perplexity, seed)
    ends = np.cumsum([len(table) for table in tables])[:-1]
    return dict(zip(features, np.split(plane, ends), strict=True))


def _components(features: np.ndarray, count: int) -> np.ndarray:
    """The first principal components, (N, count), fewer where there are not so many."""
    from sklearn.decomposition import PCA

    # Of many features only the first components are computed, from random directions: always the same.
    return PCA(min(count, *features.shape), random_state=0).fit_transform(features)


def _pca(features: np.ndarray, perplexity: float, seed: int) -> np.ndarray:
    plane = _components(features, 2)
    return np.pad(plane, ((0, 0), (0, 2 - plane.shape[1])))  # of a single feature there is one component


def _tsne(features: np.ndarray, perplexity: float, seed: int) -> np.ndarray:
    from sklearn.manifold import TSNE

    reduced = _components(features, DIMENSIONS)
    # The start by PCA keeps more of the large-scale order than a random one (Kobak & Berens 2019); a little
    # noise on it, as nothing else is drawn: what changes with the seed is chance.
    start = _pca(features, perplexity, seed) / reduced[:, 0].std()
    start = 1e-4 * (start + 0.1 * np.random.default_rng(seed).normal(size=start.shape))
    return TSNE(perplexity=perplexity, init=start, random_state=seed % SEEDS).fit_transform(reduced)


def _umap(features: np.ndarray, perplexity: float, seed: int) -> np.ndarray:
    from umap import UMAP

    neighbors = max(2, round(perplexity))
    return UMAP(n_neighbors=neighbors, random_state=seed % SEEDS).fit_transform(_components(features, DIMENSIONS))


def table(points: Mapping[str, np.ndarray], files: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    """One row per point: set, file, x, y; `files` by name of the set, in the points' order."""
    return [
        {"set": name, "file": file, "x": x, "y": y}
        for name, places in points.items()
        for file, (x, y) in zip(files[name], places.tolist(), strict=True)
    ]


def draw(points: Mapping[str, np.ndarray], title: str = "", thumbnails: Mapping[str, np.ndarray] = NONE) -> Figure:
    """Draw the plane; the legend says how many images each set has.

    Args:
        points: (N, 2) by name of the set, as `embed` gives them.
        title: such as "t-SNE, perplexity 30, seed 0".
        thumbnails: (N, H, W, 3) uint8 by name of the set; up to 24, far apart, are shown in place.

    Raises:
        ValueError: no points, or not two numbers each.
    """
    if not points or any(table.ndim != 2 or table.shape[1] != 2 for table in points.values()):
        raise ValueError("Give at least one set of points (N, 2), as `embed` returns them.")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.5, 4.6), layout="constrained")
    axes = figure.subplots()
    for i, (name, table) in enumerate(points.items()):
        color, marker = style(i)
        axes.scatter(
            *table.T,
            s=14,
            c=color,
            marker=marker,
            alpha=0.75,
            linewidths=0,
            label=f"{name} (n = {len(table):,})",
        )
    _show_thumbnails(axes, points, thumbnails)
    axes.set(title=title, xlabel="first axis, no unit", ylabel="second axis, no unit", xticks=(), yticks=())
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=min(3, len(points)), frameon=False)
    return figure


def style(i: int) -> tuple[str, str]:
    """Color and marker of set i; no two of the first 36 are alike in both."""
    return STYLES[i % len(STYLES)][0], STYLES[(i + i // len(STYLES)) % len(STYLES)][1]


def _show_thumbnails(axes: Axes, points: Mapping[str, np.ndarray], thumbnails: Mapping[str, np.ndarray]) -> None:
    from matplotlib.offsetbox import AnnotationBbox, OffsetImage

    shown = [
        (place, image, style(i)[0])
        for i, (name, table) in enumerate(points.items())
        for place, image in zip(table, thumbnails.get(name, ()), strict=False)
    ]
    for i in _far_apart(np.array([place for place, _, _ in shown])) if shown else ():
        place, image, color = shown[i]
        frame = {"edgecolor": color, "linewidth": 1.2}
        axes.add_artist(AnnotationBbox(OffsetImage(image, zoom=0.45), place, pad=0.1, bboxprops=frame))


def _far_apart(places: np.ndarray) -> list[int]:
    """Up to SHOWN indices: the first, then always the one farthest from all taken."""
    taken, gap = [0], np.full(len(places), math.inf)
    while len(taken) < min(SHOWN, len(places)):
        gap = np.minimum(gap, np.linalg.norm(places - places[taken[-1]], axis=1))
        taken.append(int(gap.argmax()))
    return taken


SPEC = PlotSpec(
    name="embedding",
    title="Features in the plane",
    summary="t-SNE, PCA or UMAP of the features of several sets of images, generated and real.",
    draw=draw,
    table=table,
)
