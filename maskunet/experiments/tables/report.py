"""A table's records as means over seeds with intervals, paired with the first row; Markdown and CSV."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from maskunet.evaluation.intervals import columns, student
from maskunet.experiments.markdown import figure, markdown_table
from maskunet.experiments.tables.specs.base import TableSpec
from maskunet.records.disk import whole
from maskunet.records.table import csv_text

ENOUGH = 2048  # pictures; with fewer the Fréchet distance is too large


def summarize(spec: TableSpec, records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One line per row and checkpoint: means over the seeds, their intervals, and the change against the first row.

    The change is paired by seed, hence of the same prompts and noise: of the Fréchet distance in percent
    of the first row's, and of the kernel distance as a difference. Intervals are Student's; None for one seed.
    """
    first = {record["seed"]: record for record in records if record["row"] == spec.rows[0].name}
    lines = []
    for row in spec.rows:
        steps = dict.fromkeys(r["step"] for r in records if r["row"] == row.name)
        for step in sorted(steps, key=lambda step: (step is None, step)):
            mine = [r for r in records if r["row"] == row.name and r["step"] == step]
            change = [100 * (r["frechet"] / first[r["seed"]]["frechet"] - 1) for r in mine]
            kernel = [r["kernel"] - first[r["seed"]]["kernel"] for r in mine]
            lines.append({
                "row": row.name, "title": row.title, "step": step or mine[0].get("trained_steps", 0),
                "last": step is None, "seeds": len(mine),
                "n": mine[0]["n"], "n_reference": mine[0]["n_reference"],
                **_columns("frechet", [r["frechet"] for r in mine]),
                **_columns("real", [r["real"] for r in mine]),
                **_columns("change", change),
                **_columns("kernel", [r["kernel"] for r in mine]),
                **_columns("kernel_change", kernel),
                **_columns("agreement", [r["agreement"] for r in mine]),
                "removed": _mean([r["removed"] for r in mine if "removed" in r]),
                **_columns("held_out", [r["held_out_loss_change"] for r in mine if "held_out_loss_change" in r]),
                "paper": dict(row.paper),
            })  # fmt: skip
    return lines


def _columns(name: str, values: Sequence[float | None]) -> dict[str, float | None]:
    return columns(name, [value for value in values if value is not None], student, fewest=2)


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def markdown(spec: TableSpec, lines: Sequence[Mapping[str, Any]], about: Mapping[str, Any]) -> str:
    """The table with what it was made of, and the paper's own figures in columns that say so."""
    papers = list(dict.fromkeys(title for row in spec.rows for title in row.paper))
    heads = ["row", "trained steps", "removed", "held-out loss", "Fréchet distance", "change against the first row",
             "kernel distance x 1000", about["agreement"], *(f"paper's {title}" for title in papers)]  # fmt: skip
    body = [_cells(line, papers, plain=line["row"] == spec.rows[0].name) for line in lines]
    return "\n".join([
        f"# {spec.title}, on {about['model']}", "",
        f"Made with `{about['command']}`. {_of_what(lines, about)}", "",
        markdown_table(heads, body), "",
        f"The paper's columns are from {spec.source}: another model, other data, other features.", "",
    ])  # fmt: skip


def _cells(line: Mapping[str, Any], papers: Sequence[str], plain: bool) -> list[str]:
    change = "" if plain else figure(line, "change", "+.1f", " %")
    removed = "" if line["removed"] is None else f"{line['removed']:.2%}"
    kernel = {key: None if value is None else 1000 * value for key, value in line.items() if key.startswith("kernel")}
    return [
        line["title"], str(line["step"] or ""), removed, figure(line, "held_out", "+.2f", " %"),
        figure(line, "frechet", ".3f"), change,
        figure(kernel, "kernel", ".2f"), figure(line, "agreement", ".3f"), *(_paper(line, title) for title in papers),
    ]  # fmt: skip


def _paper(line: Mapping[str, Any], title: str) -> str:
    return f"{line['paper'][title]:.2f}" if title in line["paper"] and line["last"] else ""


def _of_what(lines: Sequence[Mapping[str, Any]], about: Mapping[str, Any]) -> str:
    first = lines[0]
    text = (
        f"Each row: {first['seeds']} seeds, each with its own training and {first['n']:,} pictures (guidance "
        f"{about['guidance']:g}, {about['steps']} sampling steps) of the same prompts and noise as the first row's, "
        f"against {first['n_reference']:,} pictures of “{about['reference']}”; features: {about['extractor']}. "
        "In parentheses 95 % intervals over the seeds (Student's t). Held-out loss: change of the training loss "
        "against the base model's, on pictures that no row trained on."
    )
    if first["n"] < ENOUGH:
        text += f" With fewer than {ENOUGH:,} pictures the distance itself is too large; compare rows only."
    if first["real"] is not None:
        text += (
            f" Of the same number of real pictures against the other real ones it is {figure(first, 'real', '.3f')}."
        )
    return text


def save(
    out: Path, spec: TableSpec, records: Sequence[Mapping[str, Any]], about: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Write NAME.json, NAME.md, NAME.csv, NAME.png and NAME.svg; returns the summary."""
    from visualize import base, table_rows

    lines = summarize(spec, records)
    table = {"about": {**about, "title": spec.title}, "summary": lines, "records": list(records)}
    path = out / f"{spec.name}.csv"
    whole.write(path.with_suffix(".json"), json.dumps(table, indent=1, ensure_ascii=False))
    whole.write(path.with_suffix(".md"), markdown(spec, lines, about))
    whole.write(path, csv_text(table_rows.table(table)))
    base.save(table_rows.draw(table), out / spec.name, ("png", "svg"), dpi=200)
    return lines
