"""What a transfer study found: the verdict, a line per condition, and the matrix of prompts by prompts."""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from maskunet.evaluation.intervals import clustered, columns, of_share
from maskunet.experiments.counted import change, share
from maskunet.experiments.markdown import figure, markdown_table, p_value
from maskunet.experiments.transfer.make import CONDITIONS
from maskunet.records.disk import whole
from maskunet.records.table import csv_text
from maskunet.tabletop.spoiling import CLEAN

Rows = Sequence[Mapping[str, Any]]
NOTES = (
    "Each prompt is drawn from the same noise without a mask and under every mask. A line is a mean over prompts; "
    "under another prompt's mask each prompt counts once, with the mean over all others' masks. Gains are against the "
    "plain picture, and “against own” against the picture under the prompt's own mask, both paired by prompt; "
    "intervals are 95 %: the bootstrap's over different prompts, for shares Wilson's where no prompt comes twice. The reward is the weighted sum of both, "
    "and correct is what the checker says, which no mask was made for; spoiled is what the inspector says. Masks "
    "change from step to step, and are used at the steps they were made at."
)


def summarize(rows: Rows) -> list[dict[str, Any]]:
    """A line per base, source and condition.

    Args:
        rows: of `make.make`.
    """
    plain = {(row["base"], row["target"]): row for row in rows if row["condition"] == "plain"}
    rows = [row for row in rows if not _of_the_same_words(row, plain)]
    groups = dict.fromkeys((row["base"], row["source"]) for row in rows if row["source"])
    lines = []
    for base, source in groups:
        mine = [row for row in rows if (row["base"], row["source"]) == (base, source)]
        before = {target: row for (name, target), row in plain.items() if name == base}
        mine += [{**row, "source": source} for row in before.values()]
        own = _by_target(mine, "own")
        for condition in CONDITIONS:
            if found := _by_target(mine, condition):
                lines.append({"base": base, "source": source, "condition": condition, **_line(found, before, own)})
    return lines


def _of_the_same_words(row: Mapping[str, Any], plain: Mapping[tuple[str, int], Mapping[str, Any]]) -> bool:
    """Whether another prompt's mask is of a prompt with the same words after all; short ones repeat."""
    other = plain.get((row["base"], row["mask"]))
    return row["condition"] == "other" and other is not None and other["prompt"] == row["prompt"]


def _by_target(rows: Rows, condition: str) -> dict[int, list[Mapping[str, Any]]]:
    found: dict[int, list[Mapping[str, Any]]] = {}
    for row in rows:
        if row["condition"] == condition:
            found.setdefault(row["target"], []).append(row)
    return found


def _line(found: Mapping[int, Rows], plain: Mapping[int, Mapping[str, Any]], own: Mapping[int, Rows]) -> dict[str, Any]:
    both = sorted(found.keys() & plain.keys())
    reward, right = ({t: _mean(found[t], value) for t in both} for value in (_reward, _right))
    texts = {t: plain[t]["prompt"] for t in both}
    over = partial(clustered, of=list(texts.values()))  # the same words may be asked for with other noise
    line = {
        "prompts": len(both), "pictures": sum(len(found[t]) for t in both),
        "removed": float(np.mean([1 - row["keep_ratio"] for t in both for row in found[t]])),
        "reward": float(np.mean(list(reward.values()))),
        **columns("gain", [reward[t] - _reward(plain[t]) for t in both], over),
        "correct": float(np.mean(list(right.values()))),
        **columns("correct_gain", [right[t] - _right(plain[t]) for t in both], over),
        "mended": sum(max(right[t] - _right(plain[t]), 0) for t in both),
        "broken": sum(max(_right(plain[t]) - right[t], 0) for t in both),
    }  # fmt: skip
    looked_at = all("looks" in row for t in both for row in found[t])
    line["spoiled"] = float(np.mean([_mean(found[t], _spoiled) for t in both])) if looked_at else None
    if all(len(found[t]) == 1 for t in both):
        known = share([bool(right[t]) for t in both], [*texts.values()])
        line["correct_low"], line["correct_high"] = known["low"], known["high"]
        line["p"] = change([bool(right[t]) for t in both], [bool(_right(plain[t])) for t in both], [*texts.values()])[
            "p"
        ]
    else:
        line["correct_low"], line["correct_high"] = of_share([*right.values()], [*texts.values()])
    shared = [t for t in both if t in own]
    over = partial(clustered, of=[texts[t] for t in shared])
    line |= columns("own_gain", [reward[t] - _mean(own[t], _reward) for t in shared], over)
    return line | columns("own_correct", [right[t] - _mean(own[t], _right) for t in shared], over)


def _reward(row: Mapping[str, Any]) -> float:
    return row["rewards"]["total"]


def _right(row: Mapping[str, Any]) -> float:
    return float(row["correct"])


def _spoiled(row: Mapping[str, Any]) -> float:
    return float(row["looks"] != CLEAN)


def _mean(rows: Rows, value: Any) -> float:
    return sum(map(value, rows)) / len(rows)


def verdict(lines: Sequence[Mapping[str, Any]]) -> str:
    """A sentence or two for each base and source, in plain words."""
    told = []
    for base, source in dict.fromkeys((line["base"], line["source"]) for line in lines):
        at = {line["condition"]: line for line in lines if (line["base"], line["source"]) == (base, source)}
        if {"own", "other"} <= at.keys():
            told.append(f"- **{source} on {base}**: {_judged(at)}")
    return "\n".join(told) or "- Not enough pictures yet to say anything."


def _judged(at: Mapping[str, Mapping[str, Any]]) -> str:
    own, other = at["own"], at["other"]
    low, high = other["own_gain_low"], other["own_gain_high"]
    if high < 0:
        says = "a mask suits its own prompt better than others"
    elif low > 0:
        says = "a mask suits other prompts better than its own"
    else:
        says = "another prompt's masks do as much as its own, within the interval"
    if own["gain_low"] <= 0 <= own["gain_high"]:
        says += ", and its own change the reward by nothing measurable"
    rest = [
        f"{CONDITIONS[name]} {figure(at[name], 'gain', '+.2f')}" for name in at if name not in ("plain", "own", "other")
    ]
    right = ", ".join(
        f"{CONDITIONS[name]} {at[name]['correct']:.2f}" for name in ("plain", "own", "other") if name in at
    )
    return (
        f"{says}. Reward against plain: its own {figure(own, 'gain', '+.2f')}, another prompt's "
        f"{figure(other, 'gain', '+.2f')}; the difference {figure(other, 'own_gain', '+.2f')}. "
        f"{'Also ' + '; '.join(rest) + '. ' if rest else ''}Share correct by mask: {right}."
    )


def table(lines: Sequence[Mapping[str, Any]]) -> str:
    """The lines as Markdown."""
    head = [
        "base",
        "masks of",
        "whose mask",
        "pictures",
        "removed",
        "reward",
        "gain",
        "against own",
        "correct",
        "more correct",
        "mended, broken",
        "p",
        "spoiled",
    ]
    return markdown_table(head, [_cells(line) for line in lines])


def _cells(line: Mapping[str, Any]) -> list[str]:
    plain, own = line["condition"] == "plain", line["condition"] == "own"
    return [
        line["base"], line["source"], CONDITIONS[line["condition"]], f"{line['pictures']}", f"{line['removed']:.2%}",
        f"{line['reward']:.2f}", "" if plain else figure(line, "gain", "+.2f"), "" if own else figure(line, "own_gain", "+.2f"),
        figure(line, "correct", ".2f"), "" if plain else figure(line, "correct_gain", "+.2f"),
        "" if plain else f"{line['mended']:.3g}, {line['broken']:.3g}",
        p_value(line["p"]) if not plain and "p" in line else "", "" if line["spoiled"] is None else f"{line['spoiled']:.2f}",
    ]  # fmt: skip


def matrix(rows: Rows) -> list[dict[str, Any]]:
    """What each mask does to each prompt: base, source, target, mask, reward against plain, correct with and without."""
    plain = {(row["base"], row["target"]): row for row in rows if row["condition"] == "plain"}
    return [
        {
            "base": row["base"], "source": row["source"], "target": row["target"], "mask": row["mask"],
            "task": row["task"], "prompt": row["prompt"], "gain": _reward(row) - _reward(before),
            "correct": row["correct"], "plain_correct": before["correct"],
        }
        for row in rows
        if row["condition"] in ("own", "other") and (before := plain.get((row["base"], row["target"])))
    ]  # fmt: skip


def by_task(rows: Rows, base: str, source: str) -> str:
    """The matrix as Markdown, mean gains of tasks by tasks; a prompt's own mask is left out."""
    cells = [cell for cell in matrix(rows) if (cell["base"], cell["source"]) == (base, source)]
    tasks = {cell["target"]: cell["task"] for cell in cells}
    names = list(dict.fromkeys(tasks[number] for number in sorted(tasks)))
    gains: dict[tuple[str, str], list[float]] = {}
    for cell in cells:
        if cell["target"] != cell["mask"] and cell["mask"] in tasks:
            gains.setdefault((cell["task"], tasks[cell["mask"]]), []).append(cell["gain"])
    body = [[of, *(f"{np.mean(gains[of, by]):+.2f}" if (of, by) in gains else "" for by in names)] for of in names]
    return markdown_table(["prompt of \\ mask of", *names], body)


def markdown(rows: Rows, lines: Sequence[Mapping[str, Any]], about: Mapping[str, Any]) -> str:
    """The page: the verdict first."""
    parts = [
        "# Is a mask made for its prompt?",
        "",
        verdict(lines),
        "",
        f"Made by `{about['command']}`.",
        "",
        table(lines),
        "",
        NOTES,
    ]
    for base, source in dict.fromkeys((line["base"], line["source"]) for line in lines):
        parts += [
            "",
            f"## {source} on {base}: reward against plain, by the prompt's and the mask's task",
            "",
            by_task(rows, base, source),
        ]
    return "\n".join([*parts, ""])


def save(folder: Path, rows: Rows, about: Mapping[str, Any]) -> str:
    """Write transfer.json, transfer.csv, matrix.csv and transfer.md; returns the page."""
    lines = summarize(rows)
    text = markdown(rows, lines, about)
    whole.write(folder / "transfer.json", json.dumps({"about": about, "lines": lines}, indent=1) + "\n")
    whole.write(folder / "transfer.csv", csv_text(lines))
    whole.write(folder / "matrix.csv", csv_text({**cell, "gain": round(cell["gain"], 4)} for cell in matrix(rows)))
    whole.write(folder / "transfer.md", text)
    return text
