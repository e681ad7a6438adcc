"""The live charts: what they write beside a curve is what the curve has."""

import re

from maskunet.ui.html import charts


def drawn(values):
    """The labels at the left axis, and the heights of the points, of a chart of the share of weights kept."""
    html = charts.charts(
        [{"keep_ratio": value, "timestep": 10 * i, "step": i, "final": False} for i, value in enumerate(values)], {}
    )
    (path,) = re.findall(r'polyline points="([^"]+)"', html)
    labels = re.findall(r'text-anchor="end">([^<]+%)<', html)
    return labels, [float(point.partition(",")[2]) for point in path.split()]


def test_the_ends_of_the_axis_are_the_least_and_the_greatest_value():
    labels, heights = drawn([0.93, 0.95, 0.94])
    assert labels == ["93.0%", "95.0%"]
    assert heights[0] == charts.HEIGHT - charts.BOTTOM and heights[1] == charts.TOP
    assert heights[2] == (heights[0] + heights[1]) / 2


def test_a_flat_line_runs_through_the_middle_and_no_share_above_all_is_written():
    labels, heights = drawn([0.995, 0.995, 0.995])
    assert labels == ["99.5%"]
    assert set(heights) == {charts.TOP + (charts.HEIGHT - charts.TOP - charts.BOTTOM) / 2}


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
