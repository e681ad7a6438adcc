"""Intervals against known values."""

from itertools import combinations

import numpy as np
import pytest

from maskunet.evaluation.intervals import bootstrap, clustered, columns, holm, of_share, sign_test, student, wilson
from maskunet.experiments.evaluate import load, paired, paired_line, save, summarize, table


def test_wilson_gives_the_textbook_interval():
    assert wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson(0, 20)[0] == 0.0
    with pytest.raises(ValueError, match="at least one"):
        wilson(0, 0)


def test_the_bootstrap_covers_the_mean_of_normal_samples_about_95_times_in_100():
    rng = np.random.default_rng(0)
    intervals = [bootstrap(rng.normal(1.0, 2.0, 60), seed=i) for i in range(100)]
    assert 88 <= sum(low <= 1.0 <= high for low, high in intervals) <= 100


def test_the_interval_of_a_ratio_is_that_of_its_resamples():
    after, before, of = [1, 0, 1, 1, 0, 0], [1, 1, 1, 1, 1, 0], [0, 0, 1, 1, 2, 2]
    low, high = clustered(after, of, over=before)
    assert (low, high) == (0, 1) and clustered(after, of, over=[1] * 6) == clustered(after, of)
    assert clustered([0, 0], [0, 1], over=[0, 0]) == (0, 0)


def test_of_one_group_the_values_are_drawn_one_by_one():
    values = [1.0, 2.0, 3.0, 7.0]
    assert clustered(values, ["a"] * 4) == bootstrap(values)


def test_the_bootstrap_of_a_median_is_about_the_median():
    values = [1.0] * 9 + [1000.0]
    assert bootstrap(values, of=np.median) == (1.0, 1.0)
    assert bootstrap(values)[1] > 100


def test_values_that_belong_together_are_no_more_than_one():
    rng = np.random.default_rng(1)
    prompts = rng.normal(0.0, 1.0, 20)
    values, of = np.repeat(prompts, 5), np.repeat(np.arange(20), 5)
    alone = bootstrap(prompts)
    assert clustered(values, of) == pytest.approx(alone, abs=0.05)
    assert np.ptp(bootstrap(values)) < 0.6 * np.ptp(alone)
    assert clustered([1.0, 0.0, 0.0], ["a", "b", "b"])[0] == 0.0
    with pytest.raises(ValueError, match="at least one"):
        clustered([], [])


def test_a_mean_is_written_with_its_interval_if_there_are_enough_values():
    assert columns("x", [1.0, 2.0, 3.0])["x"] == 2.0
    assert columns("x", [1.0], student, fewest=2) == {"x": 1.0, "x_low": None, "x_high": None}
    assert columns("x", []) == {"x": None, "x_low": None, "x_high": None}


def test_the_sign_test_is_exact():
    assert sign_test(8, 0) == pytest.approx(2 / 2**8)
    assert sign_test(5, 5) == 1.0


def row(prompt, seed, reward, correct):
    return {
        "task": "two", "prompt": prompt, "seed": seed, "correct": correct, "held_out": False,
        "rewards": {"total": reward}, "keep_ratio": 1.0, "seconds": 1.0, "unet_calls": 15,
    }  # fmt: skip


def test_evaluations_are_compared_image_by_image():
    ours = [row("a", i, 1.0 + i, True) for i in range(6)]
    theirs = [row("a", i, 0.5 + i, i < 3) for i in range(6)]
    found = paired(ours, [*theirs, row("b", 0, 9.0, True)])
    assert (found["n"], found["correct"]["fixed"], found["correct"]["broken"]) == (6, 3, 0)
    assert found["reward"] == {"value": pytest.approx(0.5), "low": pytest.approx(0.5), "high": pytest.approx(0.5)}
    line = paired_line("plain", found)
    assert "6 pairs" in line and "spoiled" not in line
    with pytest.raises(ValueError, match="share no prompt"):
        paired(ours, [row("b", 0, 9.0, True)])


def test_two_evaluations_say_how_many_more_are_right_and_how_many_fewer_spoiled():
    """Of three prompts two were mended, and both pictures of one were cleaned; the interval is over prompts."""
    before = [{**row(p, i, 0.0, False), "looks": "noisy"} for p in "abc" for i in range(2)]
    after = [{**row(p, i, 0.0, p != "c"), "looks": "clean" if p == "a" else "noisy"} for p in "abc" for i in range(2)]
    line = paired_line("plain", paired(after, before))
    assert "share right +0.67 (+0.00 to +1.00), prompts right more often 2, less often 0, sign test p = 0.500" in line
    assert line.endswith("share spoiled -0.33 (-1.00 to +0.00).")


def test_one_picture_has_no_interval():
    ours, theirs = [row("a", 0, 1.5, True)], [row("a", 0, 1.0, False)]
    assert paired_line("plain", paired(ours, theirs)).endswith("has no interval: total reward +0.500.")
    assert "1.500 to 1.500" not in table(summarize(ours))


def test_holm_is_bonferroni_on_every_set_that_a_finding_is_in():
    """Holm's adjusted p is the closed test's: the largest of |S| min p over all sets S with the finding in it."""
    p = [0.01, 0.04, 0.03, 0.005, 0.9, 0.03]
    sets = [s for size in range(1, 7) for s in combinations(range(6), size)]
    closed = [min(1.0, max(len(s) * min(p[j] for j in s) for s in sets if i in s)) for i in range(6)]
    assert holm(p) == pytest.approx(closed)
    assert holm([0.02]) == [0.02] and holm([]) == []


def test_a_summary_has_a_line_per_task_and_one_for_all(tmp_path):
    rows = [row("a", i, float(i), i % 2 == 0) for i in range(10)]
    lines = summarize(rows)
    assert [line["task"] for line in lines] == ["two", "all"]
    assert lines[0]["correct"] == 0.5
    assert (lines[0]["low"], lines[0]["high"]) == wilson(5, 10)
    save(tmp_path, rows, {"n": 10})
    assert load(tmp_path) == rows
    with pytest.raises(ValueError, match="holds no evaluation"):
        load(tmp_path / "nothing")


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_share_of_all_or_none_has_wilsons_interval_of_as_many_groups(value):
    assert of_share([value] * 6, [0, 0, 1, 1, 2, 2]) == wilson(round(3 * value), 3)
    mixed = [value, 1 - value, 0.5]
    assert of_share(mixed, [0, 1, 2]) == clustered(mixed, [0, 1, 2])
