"""Features in the plane: who is near whom stays so, limits are said, and every set is told apart."""

import sys
from types import ModuleType

import numpy as np
import pytest
from sklearn.manifold import TSNE

from visualize import SPECS, embedding
from visualize.embedding import draw, embed, largest_perplexity, obstacle


def clusters(n=20, width=64, gap=8.0):
    """Three clusters, far apart, by name."""
    rng = np.random.default_rng(0)
    centers = gap * np.eye(3, width)
    return {
        name: (rng.normal(size=(n, width)) / np.sqrt(width) + center).astype(np.float32)
        for name, center in zip("abc", centers, strict=True)
    }


def neighbors_of_own_set(points):
    """Share of points whose nearest neighbor is of the same set."""
    together = np.concatenate(list(points.values()))
    owner = np.repeat(range(len(points)), [len(table) for table in points.values()])
    distance = np.linalg.norm(together[:, None] - together, axis=2) + np.diag(np.full(len(together), np.inf))
    return (owner[distance.argmin(1)] == owner).mean()


@pytest.mark.parametrize("kind", ["t-SNE", "PCA"])
def test_sets_that_are_apart_stay_apart(kind):
    points = embed(clusters(), kind, 10, seed=1)
    assert [table.shape for table in points.values()] == [(20, 2)] * 3
    assert neighbors_of_own_set(points) == 1


def test_pca_finds_the_plane_that_points_lie_in():
    flat = np.random.default_rng(0).normal(size=(40, 2)) * (3, 1)
    turned = flat @ np.linalg.qr(np.random.default_rng(1).normal(size=(7, 2)))[0].T + 5
    found = embed({"a": turned[:25], "b": turned[25:]}, "PCA")
    together = np.concatenate([found["a"], found["b"]])
    gaps = [np.linalg.norm(p[:, None] - p, axis=2) for p in (flat, together)]
    assert np.allclose(*gaps)
    assert together[:, 0].var() > together[:, 1].var()


def test_pca_of_a_single_feature_lies_on_a_line():
    assert np.ptp(embed({"a": np.arange(5.0)[:, None]}, "PCA")["a"][:, 1]) == 0


def test_a_seed_means_one_plane():
    first, again, other = (embed(clusters(8), "t-SNE", 5, seed)["b"] for seed in (3, 3, 4))
    assert (first == again).all()
    assert np.isfinite(other).all()
    assert (first != other).any()


def test_many_points_are_computed_by_approximation(monkeypatch):
    """2,000 points take seconds that way and minutes exactly."""
    made = []
    monkeypatch.setattr(
        "sklearn.manifold.TSNE", lambda *args, **options: made.append(TSNE(*args, **options)) or made[0]
    )
    features = {"a": np.random.default_rng(0).normal(size=(200, 64)).astype(np.float32)}
    assert embed(features)["a"].shape == (200, 2)
    assert made[0].method == "barnes_hut"


@pytest.mark.parametrize("perplexity", [20, 0.5, -1, float("nan"), float("inf")])
def test_a_perplexity_out_of_range_is_refused_with_the_largest_allowed(perplexity):
    with pytest.raises(ValueError, match="for 60 images 1 to 19 is allowed"):
        embed(clusters(), "t-SNE", perplexity)
    assert not obstacle("PCA", 60, perplexity)  # it does not use one


def test_the_largest_perplexity_is_accepted():
    features = {"a": clusters(10)["a"]}
    assert largest_perplexity(10) == 3
    assert embed(features, "t-SNE", 3)["a"].shape == (10, 2)
    assert "1 to 3" in obstacle("t-SNE", 10, 3.1)


@pytest.mark.parametrize(("kind", "n", "least"), [("t-SNE", 3, 4), ("UMAP", 3, 4), ("PCA", 2, 3)])
def test_too_few_images_are_refused(kind, n, least):
    assert obstacle(kind, n, 1) == f"{kind} needs at least {least} images, and there are {n}. Add images to a set."


def test_umap_is_asked_for_with_the_perplexity_as_neighbors(monkeypatch):
    class Stand:
        def __init__(self, n_neighbors, random_state):
            self.told = (n_neighbors, random_state)

        def fit_transform(self, reduced):
            assert reduced.shape == (60, 50)
            return np.tile(self.told, (60, 1))

    module = ModuleType("umap")
    module.UMAP = Stand
    monkeypatch.setitem(sys.modules, "umap", module)
    monkeypatch.setattr(embedding, "find_spec", lambda name: name)
    assert (embed(clusters(), "UMAP", 12.4, 5)["c"] == (12, 5)).all()


def test_umap_that_is_not_installed_is_said(monkeypatch):
    monkeypatch.setattr(embedding, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install umap-learn, or take t-SNE or PCA"):
        embed(clusters(), "UMAP", 5)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ({}, "at least one set"),
        ({"a": np.ones((5, 3)), "b": np.ones((5, 4))}, "one extractor"),
        ({"a": np.full((9, 3), np.nan)}, "not finite"),
        ({"a": np.ones((9, 3))}, "All 9 images have the same features"),
    ],
)
def test_features_that_cannot_be_embedded_are_refused(features, message):
    with pytest.raises(ValueError, match=message):
        embed(features, "t-SNE", 2)


def test_an_unknown_kind_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match="no embedding “Isomap”. There are: t-SNE, PCA, UMAP"):
        embed(clusters(), "Isomap")
    assert set(embedding.CAVEATS) == set(embedding.KINDS)


def test_the_figure_shows_every_point_and_says_how_many():
    points = {"base": np.arange(10.0).reshape(5, 2), "masked": np.ones((3, 2))}
    figure = SPECS["embedding"].draw(points, "PCA")
    drawn = figure.axes[0].collections
    assert [c.get_offsets().tolist() for c in drawn] == [p.tolist() for p in points.values()]
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == ["base (n = 5)", "masked (n = 3)"]
    assert figure.axes[0].get_title() == "PCA"


def test_36_sets_differ_in_color_or_marker_and_neighbors_in_both():
    styles = [embedding.style(i) for i in range(36)]
    assert len(set(styles)) == 36
    for one, other in zip(styles[:6], styles[1:6], strict=False):
        assert one[0] != other[0]
        assert one[1] != other[1]


def test_thumbnails_are_shown_far_apart_and_not_too_many():
    rng = np.random.default_rng(0)
    points = {"a": rng.normal(size=(40, 2)), "b": np.array([[100.0, 100]])}
    images = {name: np.zeros((len(table), 48, 48, 3), np.uint8) for name, table in points.items()}
    shown = [box.xy for box in draw(points, thumbnails=images).axes[0].artists]
    assert len(shown) == embedding.SHOWN
    assert (100, 100) in [tuple(place) for place in shown]
    assert not draw(points).axes[0].artists


@pytest.mark.parametrize("points", [{}, {"a": np.ones((4, 3))}, {"a": np.ones(4)}])
def test_points_that_are_none_are_refused(points):
    with pytest.raises(ValueError, match="at least one set of points"):
        draw(points)
