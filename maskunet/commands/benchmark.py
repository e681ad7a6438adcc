"""python -m maskunet benchmark: GenEval and BLIP-VQA of a folder of pictures, beside published figures."""

import argparse
import csv
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

NAMES = ("blip_vqa", "geneval")  # a test compares them with the room's


def add(commands: Any) -> None:
    """Add the command to an argparse object of subcommands."""
    parser = commands.add_parser("benchmark", help="judge a folder of pictures as a published benchmark does")
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--images", type=Path, required=True, metavar="FOLDER", help="as sample makes it")
    parser.add_argument(
        "--prompts", type=Path, required=True, metavar="FILE",
        help="the benchmark's prompts as published: evaluation_metadata.jsonl, or color_val.txt",
    )  # fmt: skip
    parser.add_argument("--weights", type=Path, metavar="DIR", help="folder of the benchmark's networks")
    parser.add_argument("--device", help="cuda, mps or cpu; the best one if left out")
    parser.add_argument("--out", type=Path, required=True, help="folder for the tables")
    parser.set_defaults(command=run)


def run(args: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Judge every picture, then write rows.csv, prompts.csv, benchmark.json and benchmark.md.

    Raises:
        ValueError: prompts, pictures or weights cannot be used; says what to do.
    """
    from maskunet import machine
    from maskunet.evaluation import benchmarks
    from maskunet.machine import versions
    from maskunet.prompts import files

    spec = benchmarks.SPECS[args.name]
    prompts = files.read(args.prompts)
    spec.check(prompts)
    pictures = benchmarks.pictures_of(args.images, prompts)
    made = _made(args.images)
    # Mistakes so far were told at once; from here on it takes seconds.
    folders, device = benchmarks.find(spec, args.weights), machine.choose_device(args.device)
    by = spec.load(folders, device, prompts)
    try:
        args.out.mkdir(parents=True, exist_ok=True)
    except OSError:
        parser.error(f"“{args.out.name}” cannot be made a folder; give another --out")
    rows = _judged(benchmarks.judge(spec, by, pictures, args.prompts.stem), len(pictures), args.out)
    about = {
        "benchmark": spec.name, "images": args.images.name, "prompts": args.prompts.name,
        "without_pictures": len(prompts) - len({row.key for row in rows}),
        "protocol": benchmarks.protocol(pictures, made), "made": made,
        "networks": _hashes(folders), "interval": spec.interval,
        "device": device.type, "versions": versions(),
    }  # fmt: skip
    save(args.out, spec, rows, about)
    sys.stdout.writelines(f"{line}\n" for line in lines(spec.summarize(rows)))


def _made(folder: Path) -> dict[str, Any]:
    """What the folder's sample.json says of how its pictures were made; empty where there is none.

    Raises:
        ValueError: it is no JSON object.
    """
    path = folder / "sample.json"
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(
            "“sample.json” is no valid JSON. Take it out, or make the pictures again."
        ) from error
    if not isinstance(found, dict):
        raise ValueError("“sample.json” is no JSON object. Take it out, or make the pictures again.")
    return found


def _judged(rows: Iterable[Any], count: int, out: Path) -> list[Any]:
    """Every row, written to rows.csv as soon as it is there."""
    from tqdm import tqdm

    from maskunet.evaluation.benchmarks.base import Row

    kept = []
    with (out / "rows.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(Row.__dataclass_fields__))
        writer.writeheader()
        for row in tqdm(rows, total=count, unit="image", file=sys.stderr):
            writer.writerow(asdict(row))
            file.flush()
            kept.append(row)
    return kept


def _hashes(folders: Mapping[str, Path]) -> dict[str, str]:
    """SHA-256 of each network's weights."""
    from maskunet.records.disk.hub import file_hash

    return {name: file_hash(folder / "model.safetensors") for name, folder in folders.items()}


def save(out: Path, spec: Any, rows: Sequence[Any], about: Mapping[str, Any]) -> None:
    """Write prompts.csv, benchmark.json and benchmark.md."""
    from maskunet.records.disk import whole

    scores = spec.summarize(rows)
    with whole.file(out / "prompts.csv") as fresh, fresh.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("key", "task", "prompt", "images", "value"))
        writer.writerows(_prompt_rows(rows))
    record = {**about, "scores": [asdict(score) for score in scores]}
    whole.write(out / "benchmark.json", f"{json.dumps(record, indent=1, ensure_ascii=False)}\n")
    whole.write(out / "benchmark.md", markdown(spec, scores, about))


def _prompt_rows(rows: Sequence[Any]) -> list[tuple[str, str, str, int, float]]:
    """One line per prompt: the mean of its pictures' values."""
    of_prompt: dict[str, list[Any]] = {}
    for row in rows:
        of_prompt.setdefault(row.key, []).append(row)
    return [
        (key, found[0].task, found[0].prompt, len(found), sum(row.value for row in found) / len(found))
        for key, found in of_prompt.items()
    ]


def lines(scores: Sequence[Any]) -> list[str]:
    """One line per score."""
    return [
        f"{score.name:14s} {score.value:.4f} (95 % {score.low:.4f} to {score.high:.4f}), "
        f"n = {score.n:,}, prompts: {score.prompts:,}. {score.note}".rstrip()
        for score in scores
    ]


def markdown(spec: Any, scores: Sequence[Any], about: Mapping[str, Any]) -> str:
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
    notes = [score.note for score in scores if score.note] + [spec.published_note]
    if missing := about["without_pictures"]:
        notes.insert(0, f"{missing:,} prompts of “{about['prompts']}” have no picture and are left out.")
    return (
        "\n\n".join(
            [
                f"# {spec.title}",
                f"{spec.summary} Source: {spec.source}.",
                _table([("task", f"{ours}, here", "95 % interval", "images", *published), *values]),
                f"Intervals: {spec.interval}. Published figures were made otherwise, as the next table says.",
                _table([("protocol", *protocols), *made]),
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


def _table(rows: Sequence[Sequence[str]]) -> str:
    head, *body = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([head, "|---" * len(rows[0]) + "|", *body])
