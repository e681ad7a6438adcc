"""Intervals against known values."""

import numpy as np
import pytest

from maskunet.statistics import bootstrap, sign_test, wilson


def test_wilson_gives_the_textbook_interval():
    assert wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson(0, 20)[0] == 0.0
    with pytest.raises(ValueError, match="at least one"):
        wilson(0, 0)


def test_the_bootstrap_covers_the_mean_of_normal_samples_about_95_times_in_100():
    rng = np.random.default_rng(0)
    intervals = [bootstrap(rng.normal(1.0, 2.0, 60), seed=i) for i in range(100)]
    assert 88 <= sum(low <= 1.0 <= high for low, high in intervals) <= 100


def test_the_sign_test_is_exact():
    assert sign_test(8, 0) == pytest.approx(2 / 2**8)
    assert sign_test(5, 5) == 1.0
