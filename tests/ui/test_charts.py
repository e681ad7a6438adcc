"""The live charts: what they write beside a curve is what the curve has."""

import re

import pytest

from maskunet.ui import gallery, words
from maskunet.ui.html import charts, plots
from maskunet.ui.html.optimize import still


def drawn(values):
    """The labels at the left axis, and the heights of the points, of a chart of the share of weights kept."""
    html = charts.charts(
        [{"keep_ratio": value, "timestep": 10 * i, "step": i, "final": False} for i, value in enumerate(values)], {}
    )
    (path,) = re.findall(r'polyline points="([^"]+)"', html)
    labels = re.findall(r'text-anchor="end">([^<]+%)<', html)
    return labels, [float(point.partition(",")[2]) for point in path.split()]


def test_the_axis_has_round_numbers_around_the_values():
    labels, heights = drawn([0.72, 0.88, 0.8])
    assert labels == ["70 %", "75 %", "80 %", "85 %", "90 %"]
    low, high = charts.SIZE[1] - charts.BOTTOM, charts.TOP
    assert heights == [pytest.approx(low + (high - low) * share, abs=0.06) for share in (0.1, 0.9, 0.5)]


def test_a_flat_line_stays_flat_and_no_share_above_all_is_written():
    labels, heights = drawn([0.9996, 0.9997, 0.9996])
    assert float(labels[-1].removesuffix(" %")) == 100
    assert max(heights) - min(heights) < 0.01 * (charts.SIZE[1] - charts.TOP - charts.BOTTOM)


def test_behind_a_reward_is_the_unmasked_pictures_at_the_same_step_or_its_last():
    rows = [
        {"step": i // 2, "timestep": 9 - i, "final": i == 4, "reward_total": 1.0 + i, "base_reward_total": base}
        for i, base in enumerate([0.5, 0.5, 2.0, 2.0, 6.0])
    ]
    html = charts.charts(rows, {})
    points = re.search(r'"unmasked" points="([^"]+)"', html)[1].split()
    heights = [float(point.partition(",")[2]) for point in points]
    assert len(heights) == 4 and heights[0] == heights[1] > heights[2] == heights[3]
    assert '<small class="fall">falls −' not in html  # it ends at 5, the unmasked picture's last known step at 2
    old = [{key: value for key, value in row.items() if key != "base_reward_total"} for row in rows]
    assert "unmasked" not in charts.charts(old, {})
    html = charts.charts(old, {}, base={"total": 6.0})
    level = {point.partition(",")[2] for point in re.search(r'"unmasked" points="([^"]+)"', html)[1].split()}
    assert len(level) == 1 and '<small class="fall">falls −1.00</small>' in html


def test_what_is_not_drawn_is_not_explained_and_a_method_without_updates_says_which_has_them():
    run = next(run for run in gallery.load().values() if run.request.method == "random_mask")
    html = still(run, {"random_mask": "Random mask"})
    assert "Random mask optimizes no mask." in html and "training-free" in html
    assert words.CHART_HINT in html and words.UNMASKED_HINT not in html
    steered = next(run for run in gallery.load().values() if run.request.method == "maskunet_free")
    assert words.UNMASKED_HINT in still(steered, {}) and "optimizes no mask" not in still(steered, {})


def test_a_total_says_what_it_is_the_sum_of():
    row = {"step": 0, "timestep": 9, "final": False, "reward_a": 1.0, "reward_b": 2.0, "reward_total": 11.0}
    titles = {"a": "Aesthetics", "b": "B"}
    assert "<span>Total reward: Aesthetics + 5 × B</span>" in charts.charts([row], titles, weights={"a": 1.0, "b": 5.0})
    assert "<span>Total reward</span>" in charts.charts([row], titles, weights={"a": 1.0})  # one is not known


@pytest.mark.parametrize(
    ("share", "told"),
    [(0.0661, "6.61 %"), (0.000333, "0.0333 %"), (0.999667, "99.9667 %"), (0.93, "93 %"), (0, "0 %"), (1, "100 %")],
)
def test_a_share_near_none_or_all_has_the_digits_that_it_needs(share, told):
    assert plots.percent(share) == told


def test_a_chart_that_is_drawn_anew_in_a_moment_has_nothing_to_point_at():
    rows = [{"step": 0, "timestep": 999, "final": False, "reward_total": 0.5, "keep_ratio": 0.9}]
    still, moving = charts.charts(rows, {}), charts.charts(rows, {}, still=False)
    assert still.count("<title>update 1, t 999") == 2 and "<title>" not in moving
    assert moving.count("<polyline") == still.count("<polyline") == 2


def test_a_reward_that_nobody_has_heard_of_has_its_chart_and_its_title():
    values = {"reward_a": 1.0, "reward_<b>": 2.0, "reward_total": 3.0, "keep_ratio": 0.5}
    html = charts.charts([{"step": 0, "timestep": 999, "final": False, **values}], {"a": "Aesthetics & more"})
    titles = re.findall(r'<div class="chart (\w+)"><div class="head"><span>(.*?)</span>', html)
    assert titles == [
        ("total", "Total reward"),
        ("reward0", "Aesthetics &amp; more"),
        ("reward1", "&lt;b&gt;"),
        ("keep_ratio", "Weights kept"),
    ]
