"""python -m maskunet benchmark: GenEval and BLIP-VQA of a folder of pictures, beside published figures."""

import csv
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskunet import plugins
from maskunet.commands.base import CommandSpec, DeviceOptions, bar, make_folder, option
from maskunet.experiments.markdown import markdown_table

if TYPE_CHECKING:
    from maskunet.evaluation.benchmarks.base import BenchmarkSpec, Row, Score

PROMPTS = "the benchmark's prompts as published: evaluation_metadata.jsonl, or color_val.txt"


@dataclass(frozen=True, kw_only=True)
class Options(DeviceOptions):
    name: str = option(choices=plugins.names("maskunet.evaluation.benchmarks"), positional=True)
    images: Path = option(help="as sample makes it, or as GenEval and T2I-CompBench lay them", metavar="FOLDER")
    prompts: Path = option(help=PROMPTS, metavar="FILE")
    weights: Path | None = option(None, "folder of the benchmark's networks", metavar="DIR")
    out: Path = option(writes="folder", help="folder for the tables")


def run(options: Options) -> None:
    """Judge every picture, then write rows.csv, prompts.csv, benchmark.json and benchmark.md.

    Raises:
        ValueError: prompts, pictures or weights cannot be used; says what to do.
    """
    from maskunet import machine
    from maskunet.evaluation import benchmarks
    from maskunet.machine import versions
    from maskunet.prompts import files

    spec = benchmarks.SPECS[options.name]
    prompts = files.read(options.prompts)
    spec.check(prompts)
    pictures = benchmarks.pictures_of(options.images, prompts)
    notes = [*filter(None, (files.several(prompts), benchmarks.left_out(options.images, pictures)))]
    made = files.made(options.images)
    # Mistakes so far were told at once; from here on it takes seconds.
    folders, device = benchmarks.find(spec, options.weights), machine.choose_device(options.device)
    by = spec.load(folders, device, prompts)
    make_folder(options.out)
    rows = _judged(benchmarks.judge(spec, by, pictures, options.prompts.stem), len(pictures), options.out)
    about = {
        "benchmark": spec.name, "images": options.images.name, "prompts": options.prompts.name,
        "without_pictures": len(prompts) - len({row.key for row in rows}),
        "protocol": benchmarks.protocol(pictures, made), "made": made,
        "networks": _hashes(folders), "interval": spec.interval, "notes": notes,
        "device": device.type, "versions": versions(),
    }  # fmt: skip
    save(options.out, spec, rows, about)
    sys.stderr.writelines(f"{note}\n" for note in notes)
    sys.stdout.writelines(f"{line}\n" for line in lines(spec.summarize(rows)))


def _judged(rows: "Iterable[Row]", count: int, out: Path) -> "list[Row]":
    """Every row, written to rows.csv as soon as it is there."""
    from maskunet.evaluation.benchmarks.base import Row

    kept = []
    with (out / "rows.csv").open("w", newline="", encoding="utf-8") as file, bar("image", count) as line:
        writer = csv.DictWriter(file, list(Row.__dataclass_fields__))
        writer.writeheader()
        for row in rows:
            writer.writerow(asdict(row))
            file.flush()
            kept.append(row)
            line.update()
    return kept


def _hashes(folders: Mapping[str, Path]) -> dict[str, str]:
    """SHA-256 of each network's weights."""
    from maskunet.records.disk.hub import file_hash

    return {name: file_hash(folder / "model.safetensors") for name, folder in folders.items()}


def save(out: Path, spec: "BenchmarkSpec", rows: "Sequence[Row]", about: Mapping[str, Any]) -> None:
    """Write prompts.csv, benchmark.json and benchmark.md."""
    from maskunet.records.disk import whole
    from maskunet.records.table import csv_text

    scores = spec.summarize(rows)
    whole.write(out / "prompts.csv", csv_text(_prompt_rows(rows)))
    record = {**about, "scores": [asdict(score) for score in scores]}
    whole.write(out / "benchmark.json", f"{json.dumps(record, indent=1, ensure_ascii=False)}\n")
    whole.write(out / "benchmark.md", markdown(spec, scores, about))


def _prompt_rows(rows: "Sequence[Row]") -> list[dict[str, Any]]:
    """One line per prompt: the mean of its pictures' values."""
    of_prompt: dict[str, list[Row]] = {}
    for row in rows:
        of_prompt.setdefault(row.key, []).append(row)
    return [
        {
            "key": key,
            "task": found[0].task,
            "prompt": found[0].prompt,
            "images": len(found),
            "value": sum(row.value for row in found) / len(found),
        }
        for key, found in of_prompt.items()
    ]


def lines(scores: "Sequence[Score]") -> list[str]:
    """One line per score."""
    return [
        f"{score.name:14s} {score.value:.4f} (95 % {score.low:.4f} to {score.high:.4f}), "
        f"n = {score.n:,}, prompts: {score.prompts:,}. {score.note}".rstrip()
        for score in scores
    ]


def markdown(spec: "BenchmarkSpec", scores: "Sequence[Score]", about: Mapping[str, Any]) -> str:
    """The scores beside published ones, and how each were made."""
    ours = f"“{about['images']}”"
    values = [
        (score.name, f"{score.value:.4f}", f"{score.low:.4f} to {score.high:.4f}", f"{score.n:,}",
         *(_number(figures.get(score.name)) for figures in spec.published.values()))
        for score in scores
    ]  # fmt: skip
    published = [f"{method}, published" for method in spec.published]
    protocols = {f"{ours}, here": about["protocol"], **spec.protocols}
    names = dict.fromkeys(name for protocol in protocols.values() for name in protocol)
    made = [(name, *(protocol.get(name, "") for protocol in protocols.values())) for name in names]
    notes = [*about.get("notes", ()), *(score.note for score in scores if score.note), spec.published_note]
    if missing := about["without_pictures"]:
        notes.insert(0, f"{missing:,} prompts of “{about['prompts']}” have no picture and are left out.")
    return (
        "\n\n".join(
            [
                f"# {spec.title}",
                f"{spec.summary} Source: {spec.source}.",
                markdown_table(["task", f"{ours}, here", "95 % interval", "images", *published], values),
                f"Intervals: {spec.interval}. Published figures were made otherwise, as the next table says.",
                markdown_table(["protocol", *protocols], made),
                *filter(None, notes),
            ]
        )
        + "\n"
    )


def _number(value: float | None) -> str:
    """With two digits where that is all that was published."""
    if value is None:
        return ""
    return f"{value:.2f}" if value == round(value, 2) else f"{value:.4f}"


SPEC = CommandSpec(
    name="benchmark",
    title="judge a folder of pictures as a published benchmark does",
    options=Options,
    run=run,
)
