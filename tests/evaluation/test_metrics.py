"""Measures between sets of features: closed forms, intervals that mean what they say, bad input."""

from itertools import combinations

import numpy as np
import pytest

from maskunet.evaluation import metrics
from maskunet.evaluation.metrics import SPECS, frechet, kernel, neighbors
from maskunet.evaluation.metrics.base import TooFewImages

IDS = list(SPECS)


def drawn(n, width, seed, shift=0.0):
    return np.random.default_rng(seed).normal(size=(n, width)) + shift


def with_moments(mean, covariance, n=200, seed=0):
    """A table whose sample mean and covariance are exactly these."""
    noise = drawn(n, len(mean), seed)
    noise -= noise.mean(0)
    whitening = np.linalg.inv(np.linalg.cholesky(np.cov(noise.T)))
    return noise @ whitening.T @ np.linalg.cholesky(covariance).T + mean


def test_frechet_distance_of_gaussians_whose_covariances_commute():
    # |m1 - m2|² + the sum of (s1 - s2)² in the common axes
    turn = np.array([[0.6, -0.8, 0], [0.8, 0.6, 0], [0, 0, 1]])
    ours = turn @ np.diag([4.0, 9.0, 1.0]) @ turn.T
    theirs = turn @ np.diag([1.0, 4.0, 25.0]) @ turn.T
    x, y = with_moments([1.0, 2, 3], ours), with_moments([0.0, 0, 5], theirs, n=150, seed=1)
    assert frechet.frechet_distance(x, y) == pytest.approx((1 + 4 + 4) + (1 + 1 + 16))


def test_frechet_distance_of_gaussians_whose_covariances_do_not_commute():
    # For 2 x 2, tr (C1 C2)^(1/2) = (tr C1 C2 + 2 (det C1 det C2)^(1/2))^(1/2): Cayley and Hamilton
    ours, theirs = np.array([[2.0, 1], [1, 3]]), np.array([[4.0, -1], [-1, 1]])
    root = np.sqrt(np.trace(ours @ theirs) + 2 * np.sqrt(np.linalg.det(ours) * np.linalg.det(theirs)))
    x, y = with_moments([0.0, 0], ours), with_moments([0.0, 0], theirs, seed=1)
    assert frechet.frechet_distance(x, y) == pytest.approx(np.trace(ours + theirs) - 2 * root)


@pytest.mark.parametrize("n", [5, 60])  # fewer and more images than features
def test_frechet_distance_of_a_set_to_itself_and_to_its_shift(n):
    x = drawn(n, 12, 0)
    assert frechet.frechet_distance(x, x) == pytest.approx(0, abs=1e-9)
    assert frechet.frechet_distance(x, x + 2) == pytest.approx(12 * 4)


def test_frechet_interval_is_that_of_the_means_where_they_decide():
    # d² is about the squared gap of the means here, whose standard deviation is 2 gap (1/n + 1/m)^(1/2).
    gap, n, m = 30.0, 400, 100
    (score,) = frechet.measure(drawn(n, 1, 0), drawn(m, 1, 1, gap))
    expected = 1.96 * 2 * gap * np.sqrt(1 / n + 1 / m)
    assert (score.high - score.low) / 2 == pytest.approx(expected, rel=0.35)
    assert score.low < score.value < score.high


@pytest.mark.parametrize(("shift", "least", "most"), [(0.5, 0.75, 1.4), (0, 1, 2.2)])
def test_frechet_interval_covers_what_other_images_would_give(shift, least, most):
    pairs = [(drawn(60, 12, 2 * i), drawn(60, 12, 2 * i + 1, shift)) for i in range(60)]
    scores = [frechet.measure(x, y)[0] for x, y in pairs]
    halves = np.mean([score.high - score.value for score in scores])
    assert least < halves / (1.96 * np.std([score.value for score in scores])) < most


def test_frechet_warns_below_2048_images():
    few, enough = drawn(100, 2, 0), drawn(2048, 2, 1)
    assert "100 of the advised 2,048" in frechet.measure(few, enough)[0].note
    assert not frechet.measure(enough, enough[::-1])[0].note


def test_kernel_distance_by_hand():
    # k(a, b) = (ab + 1)³: within {0, 1} 1, within {2, 3} 343, across 1, 1, 27 and 64.
    x, y = np.array([[0.0], [1]]), np.array([[2.0], [3]])
    assert kernel.squared_mmd(x, y) == pytest.approx(1 + 343 - 2 * (1 + 1 + 27 + 64) / 4)


def test_kernel_distance_divides_by_the_width():
    x, y = np.array([[1.0, 1], [1, 1]]), np.zeros((2, 2))
    assert kernel.squared_mmd(x, y) == pytest.approx(2**3 + 1 - 2 * 1)


def test_kernel_distance_is_zero_in_expectation_over_all_splits_of_one_set():
    pool, everyone = drawn(7, 3, 0), set(range(7))
    halves = [(list(a), sorted(everyone - set(a))) for a in combinations(range(7), 3)]
    found = [kernel.squared_mmd(pool[a], pool[b]) for a, b in halves]
    assert np.std(found) > 0.1
    assert np.mean(found) == pytest.approx(0, abs=1e-12)


def test_kernel_distance_does_not_depend_on_the_size_of_a_block(monkeypatch):
    x, y = drawn(30, 4, 0), drawn(23, 4, 1, 0.3)
    whole = kernel.measure(x, y)
    monkeypatch.setattr(kernel, "BLOCK", 7)
    assert kernel.measure(x, y)[0].value == pytest.approx(whole[0].value)
    assert kernel.measure(x, y)[0].low == pytest.approx(whole[0].low)


def test_kernel_interval_covers_what_other_images_would_give():
    pairs = [(drawn(60, 2, 2 * i), drawn(60, 2, 2 * i + 1, 0.8)) for i in range(80)]
    scores = [kernel.measure(x, y)[0] for x, y in pairs]
    spread = np.std([score.value for score in scores])
    halves = np.mean([(score.high - score.low) / 2 for score in scores])
    assert halves == pytest.approx(1.96 * spread, rel=0.3)


def test_precision_and_recall_of_equal_and_of_far_sets():
    x = drawn(50, 8, 0, shift=1e4).astype(np.float32)
    for values, other in (((1, 1), x.copy()), ((0, 0), x + 1000)):
        scores = neighbors.measure(x, other)
        assert tuple(score.value for score in scores) == values
        assert [score.name for score in scores] == ["precision", "recall"]


def test_copies_of_one_picture_are_within_their_own_neighborhood():
    x = np.repeat(drawn(3, 64, 0, shift=50), 6, axis=0)
    assert neighbors.share_within(x, x.copy()) == 1


def test_precision_and_recall_by_hand():
    # Balls to the third neighbor: 0 and 3 reach 3 far, 1 and 2 reach 2.
    reference = np.arange(4.0)[:, None]
    assert neighbors.share_within(np.array([[-3.0], [-3.1], [6.0], [6.1]]), reference) == 0.5
    # A set of one mode covers half of a reference of two, and lies wholly within it.
    two_modes = np.concatenate([drawn(40, 2, 0), drawn(40, 2, 1, shift=100)])
    precision, recall = neighbors.measure(two_modes[:40], two_modes)
    assert (precision.value, recall.value) == (1, 0.5)
    assert recall.low < 0.5 < recall.high
    assert (recall.n, recall.n_reference) == (40, 80)


@pytest.mark.parametrize("name", IDS)
def test_every_score_has_its_sizes_and_an_interval_and_repeats(name):
    x, y = drawn(40, 5, 0), drawn(30, 5, 1)
    scores = SPECS[name].measure(x, y, 3)
    assert scores == SPECS[name].measure(x, y, 3)
    for score in scores:
        assert (score.n, score.n_reference) == (40, 30)
        assert score.low < score.value < score.high


@pytest.mark.parametrize("name", IDS)
def test_every_spec_says_how_to_read_it(name):
    spec = SPECS[name]
    assert spec.name == name
    assert spec.better in ("lower", "higher")
    assert all((spec.title, spec.summary, spec.source, spec.interval))


@pytest.mark.parametrize("name", IDS)
def test_features_that_do_not_fit_are_refused(name):
    measure, x = SPECS[name].measure, drawn(20, 5, 0)
    with pytest.raises(ValueError, match="5 numbers per image and the reference's 6"):
        measure(x, drawn(20, 6, 0), 0)
    with pytest.raises(ValueError, match="finite"):
        measure(x, np.where(np.eye(20, 5) > 0, np.nan, x), 0)
    with pytest.raises(TooFewImages, match="there are 1 and 20"):
        measure(x[:1], x, 0)


def test_what_can_be_measured_is_measured_with_few_images():
    scores = {score.name: score for score in metrics.measure(drawn(3, 2, 0), drawn(9, 2, 1))}
    assert scores["frechet"].value > 0
    assert scores["kernel"].value is None
    assert scores["neighbors"].note == "Needs 4 images in each set; there are 3 and 9 in the reference."
