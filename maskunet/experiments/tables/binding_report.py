"""Tables 2 and 3 as Markdown, CSV and JSON, the paper's figures in columns that say so."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from maskunet.evaluation.benchmarks import SPECS as BENCHMARKS
from maskunet.experiments.markdown import INTERVALS, markdown_table, p_value
from maskunet.experiments.tables.binding import PLAIN, BindingTable
from maskunet.records.disk import whole
from maskunet.records.table import csv_text

Lines = Sequence[Mapping[str, Any]]


def save(out: Path, number: str, table: BindingTable, lines: Lines, about: Mapping[str, Any]) -> None:
    """Write table_N.json, table_N.csv and table_N.md."""
    path = out / f"table_{number}"
    record = {"about": {**about, "title": table.title}, "summary": list(lines)}
    whole.write(path.with_suffix(".json"), f"{json.dumps(record, indent=1, ensure_ascii=False)}\n")
    whole.write(path.with_suffix(".md"), markdown(table, lines, about))
    whole.write(path.with_suffix(".csv"), csv_text(map(_flat, lines)))


def _flat(line: Mapping[str, Any]) -> dict[str, Any]:
    shares = {f"{task}_{key}": v for task, found in line["tasks"].items() for key, v in found.items()}
    against = {f"against_plain_{key}": v for key, v in line["against"].items()}
    paper = {f"paper_{task}": v for task, v in line["paper"].items()}
    return {
        "row": line["row"],
        **shares,
        **against,
        "seconds": line["seconds"],
        "calls": line["calls"],
        **paper,
    }


def markdown(table: BindingTable, lines: Lines, about: Mapping[str, Any]) -> str:
    """The table, what it was made of, and the paper's own beside it."""
    titles = list(lines[0]["tasks"])
    head = ["method", *titles, "against plain", "fixed / broken", "p", "U-Net calls", "seconds"]
    body = [_cells(line, titles) for line in lines]
    paper_titles = [title for title in titles if any(title in figures for figures in table.paper().values())]
    paper = [[name, *(f"{figures[t]:.4g}" for t in paper_titles)] for name, figures in table.paper().items()]
    twins = ", ".join(f"{title} by {task}" for title, task in table.tasks.items() if title != task)
    return "\n\n".join(filter(None, [
        f"# {table.title}, on {about['model']}",
        f"Made with `{about['command']}`. Share correct by the checker, which no method optimizes, of "
        f"{lines[0]['tasks'][titles[0]]['n']} pictures per task ({about['finished']}); guidance {about['guidance']:g}. "
        f"{INTERVALS}; the difference from plain is paired by prompt and noise. p is the sign test's of prompts fixed against broken.",
        markdown_table(head, body),
        f"Twins of the paper's tasks: {twins}.",
        f"## The paper's own figures ({table.source})",
        markdown_table(["method", *paper_titles], paper),
        f"Another model, other prompts, another judge. {BENCHMARKS[table.benchmark].published_note}{table.missing}",
    ])) + "\n"  # fmt: skip


def _cells(line: Mapping[str, Any], titles: Sequence[str]) -> list[str]:
    shares = [line["tasks"][title] for title in titles]
    gain = line["against"]
    against = ["", "", ""]
    if line["row"] != PLAIN:
        against = [
            f"{gain['value']:+.3f} ({gain['low']:+.3f} to {gain['high']:+.3f})",
            f"{gain['fixed']} / {gain['broken']}",
            p_value(gain["p"]),
        ]
    values = [f"{share['value']:.2f} ({share['low']:.2f} to {share['high']:.2f})" for share in shares]
    return [f"`{line['row']}`", *values, *against, f"{line['calls']:.0f}", f"{line['seconds']:.1f}"]
