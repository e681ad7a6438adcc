"""A finished run as the course of its optimization: both pictures, its curves, its predictions step by step."""

from collections.abc import Mapping
from html import escape

from maskunet.records import Run
from maskunet.ui import words
from maskunet.ui.html import charts, pictures


def still(run: Run, titles: Mapping[str, str], weights: Mapping[str, float] = charts.NONE) -> str:
    """A finished run: its pictures, its curves, and what its method predicted at each step.

    Args:
        titles: of models, methods and rewards, by name; `weights`, of the rewards in the total.
    """
    shown = pictures.pair(run.base_image, run.result_image, pictures.names(run, titles), run.request.prompt)
    method = titles.get(run.request.method, run.request.method)
    moves = any(row.get("loss") is not None for row in run.rows)
    said = "" if moves else f'<p class="hint">{escape(words.NO_UPDATES.format(method=method))}</p>'
    curves = charts.charts(run.rows, titles, weights=weights, base=run.base_rewards)
    seen = () if run.course is None else run.course.result
    strip = pictures.strip({step: pictures.uri(image) for step, image in enumerate(seen)})
    return f"{shown}{said}{curves}{strip}" if curves else f"{shown}{said or pictures.empty(words.EMPTY_OPTIMIZE)}"
