"""The race's files: race.json, race.csv, race.md, the plot and the pictures of the first prompts."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from maskunet.experiments.markdown import INTERVALS, NO_VERDICT, cell, gain, interval, markdown_table, p_value
from maskunet.experiments.race import shown
from maskunet.experiments.race.budget import Rows
from maskunet.experiments.race.report import GROUPS
from maskunet.records.disk import whole
from maskunet.records.table import csv_text

NOTES = (
    "Every entrant makes pictures from the same seeds of a prompt, as many as its budget allows, and keeps the one "
    "that the optimized reward likes best; so plain is best-of-N. What is left of a budget, or overdrawn, goes over "
    "to the next prompt. What judges and is not optimized runs when the clock has stopped. A U-Net call with a gradient "
    "counts as one call and takes about as long as three. Correct is what the checker says, and no method optimizes the held-out reward. "
    f"{INTERVALS}; p is the sign test's of different prompts fixed against broken, for each line by itself, and Holm's p the same for all lines of its table together: below .05 "
    "it is no accident of many lines. Any of N correct is what a perfect choice among an entrant's finished pictures "
    "would get, by the checker. An entrant whose pictures "
    "take more than the budget is marked, and its difference is no comparison at equal cost."
)

RANKS = "best_of_n/ranks"  # it alone looks at both rewards


def save(folder: Path, found: Mapping[str, Any], about: Mapping[str, Any], rows: Rows) -> None:
    """Write everything; the pictures are those that `race` left in the folder."""
    from visualize import base, race, race_sheet

    prompts = shown.first(rows, found["optimized"], folder)
    shown.save(folder, prompts)
    text = json.dumps({"about": about, **found, "shown": prompts}, indent=1)
    whole.write(folder / "race.json", f"{text}\n")
    whole.write(folder / "race.csv", csv_text(_flat_lines(found)))
    whole.write(folder / "race.md", markdown(found, about))
    base.save(race.draw(found), folder / "race", ("png", "svg"), dpi=200)
    for task in dict.fromkeys(each["task"] for each in prompts):
        sheet = shown.sheet(folder, [each for each in prompts if each["task"] == task], found["held_out"])
        race_sheet.draw(**sheet).savefig(folder / f"sheet_{task}.png", dpi=150)


def _flat_lines(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    from visualize.race import flat

    costs = ("equal_time", "equal_calls")
    return [{"budget": cost, **flat(line)} for cost in costs for line in found[cost]]


def markdown(found: Mapping[str, Any], about: Mapping[str, Any]) -> str:
    """The report to read."""
    optimized, held_out = found["optimized"], found["held_out"]
    tasks = list(dict.fromkeys(line["group"] for line in found["equal_time"]))
    parts = [
        "# The race: what a method gives for the same time",
        "",
        f"Made by `{about['command']}` on {about['model']} ({about['device']}, {about['processes']} "
        f"process{'es' if about['processes'] > 1 else ''}). Optimized: {optimized}. Held out: {held_out} and the "
        f"checker. {found['prompts']} of {about['asked']} prompts are finished, "
        f"{found['different']} of them different: short ones come again with other noise.",
        "",
        NOTES + _both(found) + _unjudged(found),
        "",
        f"## Equal time: {found['seconds']:g} s for each prompt",
        "",
    ]
    for group in reversed(tasks):
        parts += _table(found, "equal_time", group)
    parts += [f"## Equal U-Net calls: {found['calls']:.0f} for each prompt", ""]
    for group in reversed(tasks):
        parts += _table(found, "equal_calls", group)
    return "\n".join(parts).rstrip() + "\n"


def _both(found: Mapping[str, Any]) -> str:
    """A sentence on the entrant that looks at the held-out reward too, if it has run."""
    ran = any(line["entrant"].startswith(RANKS) for line in found["equal_time"])
    return f" {RANKS} chooses by {found['held_out']} too, so that only the checker judges it." if ran else ""


def _unjudged(found: Mapping[str, Any]) -> str:
    return f" {NO_VERDICT}" if found["equal_time"][0]["correct"] is None else ""


def _table(found: Mapping[str, Any], budget: str, group: str) -> list[str]:
    optimized, held_out = found["optimized"], found["held_out"]
    lines = [line for line in found[budget] if line["group"] == group]
    inside = ", ".join(lines[0]["tasks"]) if group in GROUPS else ""
    head = [
        "entrant", "correct", "95 %", "any of N correct", "against plain", "95 %", "fixed / broken", "p", "Holm's p",
        optimized, held_out,
        f"{held_out} against plain", "95 %", "pictures", "s", "calls",
    ]  # fmt: skip
    title = f"{group} ({inside})" if inside and inside != group else group
    name = f"### {title}, n = {lines[0]['n']} prompts, {lines[0]['different']} different"
    rows = [_cells(line, optimized, held_out) for line in lines]
    return [name, "", markdown_table(head, rows), *_others(lines), ""]


def _cells(x: Mapping[str, Any], optimized: str, held_out: str) -> list[str]:
    name = f"{x['entrant']} (overspent)" if x["over_budget"] else x["entrant"]
    other = x["against"].get("plain")
    change, better = ([""] * 5, [""] * 2) if other is None else (gain(other), _difference(other, held_out))
    among = "" if x["any_correct"] is None else f"{x['any_correct']:.3f} of {x['drawn']:.1f}"
    return [
        name, cell(x["correct"], ".3f"), interval(x["correct_low"], x["correct_high"], ".3f"), among, *change,
        f"{x[optimized]:.3f}", f"{x[held_out]:.4f}", *better,
        f"{x['pictures']:.1f}", f"{x['seconds']:.2f}", f"{x['unet_calls']:.0f}",
    ]  # fmt: skip


def _difference(found: Mapping[str, Any], what: str) -> list[str]:
    return [f"{found[what]:+.4f}", f"{found[f'{what}_low']:+.4f} to {found[f'{what}_high']:+.4f}"]


def _others(lines: Sequence[Mapping[str, Any]]) -> list[str]:
    """The comparisons with others than plain, one sentence each."""
    said = []
    for line in lines:
        for other, x in line["against"].items():
            if other != "plain" and x["correct"] is not None:
                said.append(
                    f"- {line['entrant']} against {other}: correct {x['correct']:+.3f} ({x['correct_low']:+.3f} to "
                    f"{x['correct_high']:+.3f}), {x['fixed']} fixed, {x['broken']} broken, {p_value(x['p'], named=True)}, "
                    f"Holm's {p_value(x['p_holm'])}"
                )
    return ["", *said] if said else []
