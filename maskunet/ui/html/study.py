"""The precomputed study of random masks: how often does one win, over how much it removes."""

import json
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from maskunet.records.disk.shipped import shipped
from maskunet.ui import explore_words, words
from maskunet.ui.html import plots
from maskunet.ui.html.copy_button import button

FOLDER = shipped("docs/results/random-masks/tabletop_web")  # of the base that the page opens with
CLASSES = ("a", "b", "image", "all")
PANELS = (  # the summary's column, its intervals' prefix, title, level of no effect, format
    ("win_rate", "win", explore_words.WIN_RATE, 0.5, plots.percent),
    ("reward", "reward", explore_words.REWARD_GAIN, 0.0, plots.number),
    ("correct", "correct", explore_words.CORRECT, None, plots.percent),
)


def section(folder: Path = FOLDER) -> str:
    """The study's three curves and the command that made them; nothing if it has not been made."""
    try:
        found = json.loads((folder / "study.json").read_text(encoding="utf-8"))
        curves = list(dict.fromkeys(line["curve"] for line in found["summary"]))
        series = [(curve, curve, CLASSES[i % len(CLASSES)]) for i, curve in enumerate(curves)]
        drawn = "".join(_panel(found, series, *panel) for panel in PANELS)
        about = found["about"]
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    badge = f'<span class="badge">{words.PRECOMPUTED}</span>'
    said = explore_words.study(about["model"], found["summary"][0]["n"])
    return (
        f'<details><summary>{explore_words.STUDY}</summary><p class="said">{badge} {escape(said)}</p>'
        f'{plots.legend(series)}<div class="plots">{drawn}</div>'
        f'<p class="hint">{explore_words.STUDY_HINT} {button(about["command"], explore_words.STUDY_COMMAND)}</p></details>'
    )


def _panel(
    found: Mapping[str, Any], series: list[plots.Series], column: str, interval: str, title: str, level: float | None, ys: Any
) -> str:  # fmt: skip
    """One curve per kind of mask; a row per ratio, a column per kind."""
    rows: dict[float, dict[str, Any]] = {}
    for line in found["summary"]:
        if column == "win_rate" and line["unchanged"] == line["n"]:
            continue  # nothing is removed: every picture is the plain one
        key = line["curve"]
        rows.setdefault(line["removed"], {"removed": line["removed"], "n": line["n"]}).update(
            {key: line[column], f"{key}_low": line[f"{interval}_low"], f"{key}_high": line[f"{interval}_high"]}
        )
    level = found["plain"]["correct"] if column == "correct" else level
    table = [rows[ratio] for ratio in sorted(rows)]
    floor = None if column == "reward" else 0.0
    drawn = plots.lines(
        table,
        series,
        x="removed",
        xlabel=explore_words.ASKED,
        ylabel=title,
        ys=ys,
        xs=plots.percent,
        level=level,
        floor=floor,
    )
    return plots.framed("", drawn.removeprefix(plots.legend(series)), table, f"random_masks_{column}")
