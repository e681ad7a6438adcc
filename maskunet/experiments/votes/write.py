"""A study's report as files: report.md, report.csv, report.json and voters.csv."""

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from maskunet.experiments.markdown import markdown_table, p_value
from maskunet.experiments.votes.report import ALL
from maskunet.records.disk import whole
from maskunet.records.table import csv_text

REPORT, VOTERS = "report", "voters.csv"
ASKED = {"looks": "Which looks better?", "fits": "Which fits the prompt better?"}
HEAD = (
    "preferred", "to", "share", "95 %, votes", "95 %, voters", "decided votes", "equal", "neither", "voters for / against", "p",
    "Holm's p", "could have been seen",
)  # fmt: skip
NOTES = (
    "Voters saw pairs of the same prompt and seed, without names, each voter in an order and on sides of their own. A "
    "share is of decided votes; equal and neither are shares of all votes. The first interval is Wilson's and takes "
    "votes as independent; the second draws voters anew, and is the one to believe where tastes differ. p is the exact sign "
    "test over voters, each for what most of their own decided votes say; Holm's p is the same for all lines of a "
    "question together. Repeats and obvious pairs are in none of these. “Could have been seen” is the smallest share "
    "that a study of this size finds in 4 of 5 cases (exact test, p < .05): of votes if they were independent, and of "
    "voters. An interval that holds .5 says that nothing was seen, not that there is nothing."
)
STRENGTHS = (
    "Bradley-Terry strengths of decided votes, in log odds around 0: a method of strength a is preferred to one of "
    "strength b with the odds exp(a − b). Intervals are 95 % by drawing voters anew."
)


def save(folder: Path, found: Mapping[str, Any], about: Mapping[str, Any]) -> str:
    """Write everything into the study's folder; returns the report to read."""
    text = markdown(found, about)
    with whole.telling("report"):
        whole.write(folder / f"{REPORT}.json", json.dumps({"about": about, **found}, indent=1) + "\n")
        whole.write(folder / f"{REPORT}.csv", csv_text([*found["lines"], *_strength_lines(found)]))
        lines = [{**one, "marks": "; ".join(one["marks"])} for one in found["voters"]]
        whole.write(folder / VOTERS, csv_text(lines))
        whole.write(folder / f"{REPORT}.md", text)
    return text


def markdown(found: Mapping[str, Any], about: Mapping[str, Any]) -> str:
    """The report to read."""
    own = "" if found["per_voter"] == found["pairs"] else f", {found['per_voter']} of them for each voter"
    lost = [f"{_n(about['cut'], 'line')} cut off while being written"] if about.get("cut") else []
    lost += [f"{_n(found['foreign'], 'vote')} on pairs that the study does not have"] if found["foreign"] else []
    left_out = f" Left out: {', '.join(lost)}." if lost else ""
    parts = [
        "# Blind votes",
        "",
        f"Made by `{about['command']}`. {_n(found['pairs'], 'pair')} by {len(found['methods'])} methods{own}; "
        f"{_n(found['voted'], 'voter')}, {found['finished']} to the end, {_n(found['votes'], 'vote')}. "
        f"Study {found['study'][:12]}.{left_out}",
        "",
        NOTES,
        "",
    ]
    for group in dict.fromkeys(line["group"] for line in found["lines"]):
        parts += _group(found, group)
    parts += ["## Voters", "", *_voters(found)]
    return "\n".join(parts).rstrip() + "\n"


def _n(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _group(found: Mapping[str, Any], group: str) -> list[str]:
    alone = len({line["group"] for line in found["lines"]}) == 1
    parts = []
    for question, asked in ASKED.items():
        lines = [line for line in found["lines"] if (line["group"], line["question"]) == (group, question)]
        if lines:
            title = asked if alone else f"{asked[:-1]}: {group}"
            parts += [
                f"## {title}",
                "",
                markdown_table(HEAD, [_cells(line) for line in lines]),
                "",
                *map(_size, lines[:1]),
                "",
            ]
        for ranked in found["rankings"]:
            if (ranked["group"], ranked["question"]) == (group, question):
                parts += [*_strengths(found["methods"], ranked), ""]
    return parts


def _cells(line: Mapping[str, Any]) -> list[str]:
    return [
        _text(line["first"]), _text(line["second"]), _number(line["share"]), _interval(line["low"], line["high"]),
        _interval(line["voters_low"], line["voters_high"]), f"{line['decided']:,}", _number(line["equal"]),
        _number(line["neither"]), f"{line['for_first']} / {line['for_second']}", _chance(line["p"]),
        _chance(line["p_holm"]), f"{_number(line['least'])} of votes, {_number(line['least_voters'])} of voters",
    ]  # fmt: skip


def _size(line: Mapping[str, Any]) -> str:
    """What the first line's number of votes and voters can tell, in a sentence."""
    if line["least"] is None:
        return f"{_n(line['decided'], 'decided vote')} can tell nothing; at least 6 are needed."
    said = f"{_n(line['decided'], 'decided vote')} would show a share of {_number(line['least'])} or more"
    voters = line["for_first"] + line["for_second"]
    if line["least_voters"] is None:
        return f"{said}, if they were independent. {_n(voters, 'voter')} can tell nothing about other voters."
    return f"{said} if they were independent; {voters} voters would show what {_number(line['least_voters'])} of voters prefer."


def _strengths(methods: Sequence[str], ranked: Mapping[str, Any]) -> list[str]:
    if not ranked["connected"]:
        return [
            "Strengths: not connected. Some methods were never preferred to the others, not even through third ones, or were "
            "never compared with them, so nothing says by how much they differ."
        ]
    order = sorted(range(len(methods)), key=lambda i: -ranked["strengths"][i])
    ends = ranked["low"] and list(zip(ranked["low"], ranked["high"], strict=True))
    cells = [
        [_text(methods[i]), f"{ranked['strengths'][i]:+.2f}", _interval(*ends[i], sign="+") if ends else ""]
        for i in order
    ]
    lost = (
        f" {ranked['lost']:.1%} of the draws were not connected and are left out: the intervals are too short."
        if ranked["lost"]
        else ""
    )
    return [STRENGTHS + lost, "", markdown_table(("method", "strength", "95 %"), cells)]


def _strength_lines(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    lines = []
    for ranked in found["rankings"]:
        for i, method in enumerate(found["methods"] if ranked["connected"] else ()):
            known = {
                "group": ranked["group"],
                "question": ranked["question"],
                "first": method,
                "strength": ranked["strengths"][i],
            }
            ends = {f"strength_{end}": ranked[end][i] for end in ("low", "high") if ranked[end]}
            lines.append(known | ends)
    return lines


def _voters(found: Mapping[str, Any]) -> list[str]:
    said = {
        "left": "of the pairs with a preferred side, the left one in",
        "same": "repeated pairs, answered the same in",
        "right": "obvious pairs, the picture preferred to noise in",
    }
    lines = [f"- {what} {_of(found['overall'][name])}" for name, what in said.items()]
    for question, one in found["agreement"].items():
        if one["same"] is not None:
            krippendorff = "" if one["alpha"] is None else f"; Krippendorff's alpha {one['alpha']:.2f}"
            lines.append(f"- two voters on “{ASKED[question]}” say the same in {_number(one['same'])}{krippendorff}")
    marked = [one for one in found["voters"] if one["marks"]]
    if not marked:
        return [*lines, "", "No voter is marked."]
    cells = [[one["voter"], _text("; ".join(one["marks"]))] for one in marked]
    head = f"{_n(len(marked), 'voter')} marked, who may have had their reasons; “{ALL}” has them too:"
    return [*lines, "", head, "", markdown_table(("voter", "why"), cells)]


def _of(one: Mapping[str, Any]) -> str:
    if not one["n"]:
        return "none"
    return f"{_number(one['share'])} ({_interval(one['low'], one['high'])}), n = {one['n']:,}"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.2f}"


def _chance(p: float | None) -> str:
    return "none" if p is None else p_value(p)


def _interval(low: float | None, high: float | None, sign: str = "") -> str:
    return "" if low is None or high is None else f"{low:{sign}.2f} to {high:{sign}.2f}"


def _text(name: str) -> str:
    """A name as a table's cell: no markup of it is taken for the report's."""
    return escape(name, quote=False).replace("|", "\\|").replace("\n", " ")
