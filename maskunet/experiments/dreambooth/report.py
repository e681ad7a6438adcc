"""The table of DreamBooth as Markdown, CSV and JSON, each share with its interval."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from maskunet.evaluation.intervals import clustered
from maskunet.experiments.counted import change, share, told
from maskunet.experiments.dreambooth.prompts import ALONE, BESIDE, CLASS, DRIFT, NAME
from maskunet.experiments.dreambooth.rows import FIRST, FREE, ROWS, SECONDS, STEPS
from maskunet.experiments.markdown import INTERVALS, markdown_table, p_value
from maskunet.records.disk import whole
from maskunet.records.table import csv_text
from maskunet.tabletop.subjects import SUBJECTS

Rows = Sequence[Mapping[str, Any]]
BASE = "nothing"  # the row that the others' drift is measured against
COLUMNS = {
    "subject": "subject there", "other": "other thing right", "both": "both", "class": "class right",
    "leak": "subject in class pictures", "tasks": "seven tasks right",
}  # fmt: skip
PAPER = (
    "The paper's own comparison is another one: its script trains masks for 5,000 steps of 4 at 1e-3 without class "
    "pictures, against 800 steps of DreamBooth at 5e-6 with them. Here all rows have as many steps, or as many seconds, "
    "as the first one that trains; a row without class pictures has batches of half the size, so as many of the subject."
)


def summarize(rows: Rows) -> list[dict[str, Any]]:
    """One line per row and budget: each share with its 95 % interval and n, and its drift from the base model.

    Raises:
        ValueError: no row that trains has a picture yet.
    """
    if not any(row["row"] == FIRST for row in rows):
        raise ValueError("No row that trains has pictures yet; let it run longer.")
    found = []
    for row in ROWS:
        for budget in (STEPS, SECONDS):
            mine = [each for each in rows if (each["row"], each["budget"]) == (row.name, budget)]
            if mine:
                about = {name: mine[0][name] for name in ("row", "budget", "steps", "seconds")}
                drift = {group: _drift(mine, rows, group) for group in (CLASS, DRIFT)}
                found.append({**about, "title": row.title, "shares": _shares(mine), "drift": drift})
    return found


def _shares(rows: Rows) -> dict[str, dict[str, float]]:
    of = {group: [row for row in rows if row["group"] == group] for group in (ALONE, BESIDE, CLASS, DRIFT)}
    counted = {
        "subject": (of[ALONE] + of[BESIDE], lambda row: row["subject"]), "other": (of[BESIDE], lambda row: row["right"]),
        "both": (of[BESIDE], lambda row: row["subject"] and row["right"]), "class": (of[CLASS], lambda row: row["right"]),
        "leak": (of[CLASS], lambda row: row["subject"]), "tasks": (of[DRIFT], lambda row: row["right"]),
    }  # fmt: skip
    return {
        name: share([there(row) for row in some], [row["prompt"] for row in some])
        for name, (some, there) in counted.items()
        if some
    }


def _drift(mine: Rows, rows: Rows, group: str) -> dict[str, float] | None:
    """The paired change of what is right against the base model, with its interval; None where nothing is paired."""
    base = {row["seed"]: row["right"] for row in rows if row["row"] == BASE and row["group"] == group}
    own = [row for row in mine if row["group"] == group and row["seed"] in base]
    if not own or mine[0]["row"] == BASE:
        return None
    gains = [int(row["right"]) - int(base[row["seed"]]) for row in own]
    low, high = clustered(gains, [row["prompt"] for row in own])
    return {"value": sum(gains) / len(gains), "low": low, "high": high}


def prior(rows: Rows) -> dict[str, float] | None:
    """Whether the subject comes into fewer class pictures where class pictures are trained on: the sign test over prompts."""
    there = [
        {r["seed"]: r for r in rows if (r["row"], r["budget"], r["group"]) == (name, STEPS, CLASS)}
        for name in (FIRST, FREE)
    ]
    pairs = [(there[0][seed], leaked) for seed, leaked in there[1].items() if seed in there[0]]
    if not pairs:
        return None
    kept, free = ([pair[i]["subject"] for pair in pairs] for i in (0, 1))
    prompts = [with_pictures["prompt"] for with_pictures, _ in pairs]
    less, more = (sum(b and not a for a, b in zip(*both, strict=True)) for both in ((kept, free), (free, kept)))
    return {
        "less": less, "more": more, "p": change(free, kept, prompts)["p"], "n": len(pairs), "prompts": len(set(prompts)),
    }  # fmt: skip


def save(out: Path, rows: Rows, about: Mapping[str, Any]) -> str:
    """Write dreambooth.json, dreambooth.csv and dreambooth.md; returns the last one's text."""
    lines, path = summarize(rows), out / "dreambooth"
    text = markdown(lines, prior(rows), about)
    record = {"about": dict(about), "summary": lines, "prior": prior(rows)}
    whole.write(path.with_suffix(".json"), f"{json.dumps(record, indent=1, ensure_ascii=False)}\n")
    whole.write(path.with_suffix(".csv"), csv_text(map(_flat, lines)))
    whole.write(path.with_suffix(".md"), text)
    return text


def _flat(line: Mapping[str, Any]) -> dict[str, Any]:
    shares = {f"{name}_{key}": v for name in COLUMNS for key, v in line["shares"].get(name, _NONE).items()}
    return {**{name: line[name] for name in ("row", "budget", "steps", "seconds")}, **shares}


_NONE = dict.fromkeys(("value", "low", "high", "n"))


def markdown(lines: Rows, prior: Mapping[str, float] | None, about: Mapping[str, Any]) -> str:
    """The table, how it was made, and what it says of class pictures."""
    head = ["row", "equal", "steps", "s", "n", *COLUMNS.values(), "class, change", "tasks, change"]
    parts = [
        f"# DreamBooth with and without masks: the {about['subject']} of tabletop",
        f"Made by `{about['command']}` ({about['finished']}). Five renders of the subject are learned under the name "
        f"“a {NAME} {SUBJECTS[about['subject']].word}”. Whether it is there says the {_judge(about['subject'])}; the rest says "
        "the checker. n counts the pictures that ask for the subject. "
        f"{INTERVALS}; changes against the base model are paired by prompt and noise. Seconds are steps times what the quickest "
        "tenth of them took at most, so that neither samples nor other programs count.",
        markdown_table(head, [_cells(line) for line in lines]),
    ]
    if prior:
        parts.append(
            f"Class pictures keep the subject out of {prior['less']} of {prior['n']} pictures of the class where it "
            f"comes without them, and let it into {prior['more']} others (all weights; {prior['prompts']} prompts, sign test "
            f"{p_value(prior['p'], named=True)})."
        )
    return "\n\n".join([*parts, PAPER]) + "\n"


def _judge(subject: str) -> str:
    return "spotter (docs/results/spotter.md)" if SUBJECTS[subject].is_new else "checker too"


def _cells(line: Mapping[str, Any]) -> list[str]:
    trained = line["steps"] > 0
    how = [
        line["budget"] if trained else "",
        str(line["steps"]) if trained else "",
        f"{line['seconds']:.0f}" if trained else "",
    ]
    shares = [_told(line["shares"].get(name)) for name in COLUMNS]
    return [
        line["title"],
        *how,
        str(line["shares"]["subject"]["n"]),
        *shares,
        *(_told(line["drift"][group], "+") for group in (CLASS, DRIFT)),
    ]


def _told(found: Mapping[str, float] | None, sign: str = "") -> str:
    return told(found, sign) if found else ""
