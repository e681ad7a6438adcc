"""python -m maskunet score: a folder of pictures against a reference and against its captions."""

import argparse
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from maskunet.commands.features import EXTRACTORS, extracted

MADE = ("model", "method", "preset", "steps", "guidance", "seed", "images_per_prompt", "prompts")
SKIPPED = {"skipped": "folder", "skipped_reference": "reference"}


def add(commands: Any) -> None:
    """Add the command to an argparse object of subcommands."""
    parser = commands.add_parser("score", help="Fréchet and kernel distance and CLIP score of a folder")
    parser.add_argument("folder", type=Path, help="of pictures, as sample makes it")
    parser.add_argument("--reference", type=Path, metavar="FOLDER", help="of real pictures, as val2014")
    parser.add_argument("--extractor", choices=EXTRACTORS, default="tabletop")
    parser.add_argument("--weights", type=Path, help="of the extractor: a file or its folder")
    parser.add_argument("--clip", type=Path, metavar="DIR", help="a CLIP; one on this machine if left out")
    parser.add_argument("--seed", type=int, default=0, help="of the intervals")
    parser.add_argument("--device", help="cuda, mps or cpu; the best one if left out")
    parser.add_argument("--out", type=Path, required=True, help="folder for score.json and score.md")
    parser.set_defaults(command=run)


def run(args: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Measure what can be measured here, then write score.json and score.md.

    Raises:
        ValueError: a folder or a network cannot be used, or nothing can be measured; says what to do.
    """
    from maskunet.evaluation import features

    pictures = _with_captions(features.read_folder(args.folder), args.folder)
    reference = args.reference and features.read_folder(args.reference)
    clip, missing = _clip_folder(args)
    made = _made(args.folder)
    try:
        args.out.mkdir(parents=True, exist_ok=True)
    except OSError:
        parser.error(f"“{args.out.name}” cannot be made a folder; give another --out")
    about = {"command": _command(args), "folder": args.folder.name, "seed": args.seed, "made": made}
    about |= {"intervals": {}, "notes": [*pictures.notes, *missing]}
    scores = _against(args, pictures, reference, about) if reference else []
    if clip:
        scores.append(_clip_score(args, clip, pictures, about))
    save(args.out, scores, about)
    sys.stdout.write(table(scores) + "\n")


def _clip_folder(args: argparse.Namespace) -> tuple[Path | None, list[str]]:
    """The folder of the CLIP, or None and what to say of it where it is not needed.

    Raises:
        ValueError: the one asked for is not there, or nothing else is to be measured.
    """
    from maskunet.evaluation import clip_score
    from maskunet.records.disk.hub import MissingWeights

    try:
        return clip_score.find(args.clip), []
    except MissingWeights as error:
        if args.clip:
            raise
        if not args.reference:
            raise ValueError(f"{error} Or give --reference, to measure distances alone.") from error
        return None, [f"The CLIP score was not measured. {error}"]


def _command(args: argparse.Namespace) -> str:
    """The command for a POSIX shell, with the names of folders and not where they are."""
    names = ("reference", "extractor", "weights", "clip", "seed", "out")
    given = {name: getattr(args, name) for name in names}
    words = [f"--{k}={getattr(v, 'name', v)}" for k, v in given.items() if v is not None]
    return shlex.join(["python", "-m", "maskunet", "score", args.folder.name, *words])


def _with_captions(pictures: Any, folder: Path) -> Any:
    """The pictures with the captions of the folder's metadata.jsonl, where it has one."""
    from maskunet.prompts.files import captions

    found = captions(folder)
    if not found:
        return pictures
    return replace(pictures, captions=tuple(found.get(file, "") for file in pictures.files), notes=())


def _made(folder: Path) -> dict[str, Any]:
    """What the folder's sample.json says of how its pictures were made; empty where there is none."""
    from maskunet.encoders.reading import read_json

    path = folder / "sample.json"
    return read_json(path) if path.is_file() else {}


def _against(args: argparse.Namespace, pictures: Any, reference: Any, about: dict[str, Any]) -> list[Any]:
    """Every metric on the extractor's features."""
    from maskunet.evaluation import extractors, metrics
    from maskunet.library import networks

    spec = extractors.SPECS[args.extractor]
    extractor = networks.extractor(args.extractor, args.weights, args.device)
    found = [extracted(one, extractor, extractors.cache_place()) for one in (pictures, reference)]
    about |= {
        "reference": args.reference.name, "extractor": extractor.name, "weights": extractor.weights,
        "intervals": {metric.title: metric.interval for metric in metrics.SPECS.values()},
        "skipped": dict(found[0].skipped), "skipped_reference": dict(found[1].skipped),
        "notes": [f"{spec.title}: {spec.summary}", *about["notes"]],
    }  # fmt: skip
    return metrics.measure(found[0].result.features, found[1].result.features, args.seed)


def _clip_score(args: argparse.Namespace, folder: Path, pictures: Any, about: dict[str, Any]) -> Any:
    """The CLIP score of the pictures that have captions."""
    from tqdm import tqdm

    from maskunet import machine
    from maskunet.evaluation import clip_score, extractors

    clip = clip_score.Clip(folder, machine.choose_device(args.device))
    found = extracted(pictures, clip, extractors.cache_place())
    embedded = found.result
    told = sum(map(bool, embedded.captions))
    values: list[float] = []
    with tqdm(total=told, desc="captions", unit="image", file=sys.stderr) as bar:
        for batch in clip_score.scores(embedded, clip):
            values += batch.tolist()
            bar.update(len(batch))
    about |= {
        "clip": clip.title, "clip_weights": clip.weights, "skipped": dict(found.skipped),
        "intervals": {**about["intervals"], "CLIP score": clip_score.INTERVAL},
    }  # fmt: skip
    return clip_score.mean(values, args.seed, without=len(embedded.captions) - told)


def save(out: Path, scores: Sequence[Any], about: Mapping[str, Any]) -> None:
    """Write score.json and score.md."""
    from maskunet.records.disk import whole

    text = json.dumps({**about, "scores": list(map(asdict, scores))}, indent=1, ensure_ascii=False)
    whole.write(out / "score.json", f"{text}\n")
    whole.write(out / "score.md", markdown(scores, about))


def markdown(scores: Sequence[Any], about: Mapping[str, Any]) -> str:
    """The table, what the numbers are of, and how their intervals were made."""
    names = ("reference", "extractor", "weights", "clip", "clip_weights", "seed")
    of = [f"{name.replace('_', ' ')}: {about[name]}" for name in names if name in about]
    made = [f"{name}: {about['made'][name]}" for name in MADE if name in about["made"]]
    lost = {name: len(about.get(key, ())) for key, name in SKIPPED.items()}
    parts = [
        f"# Scores of “{about['folder']}”",
        f"Made by `{about['command']}`.",
        table(scores),
        "; ".join(of) + ".",
        *([f"Pictures made with {'; '.join(made)}."] if made else []),
        "95 % intervals: " + "; ".join(f"{name}, {how}" for name, how in about["intervals"].items()) + ".",
        *(
            f"Pictures of the {name} that could not be read and are left out: {n:,}."
            for name, n in lost.items()
            if n
        ),
        *about["notes"],
    ]
    return "\n\n".join(parts) + "\n"


def table(scores: Sequence[Any]) -> str:
    """One line per score, as Markdown."""
    rows = [("score", "value", "95 % interval", "n", "n of the reference", "note")]
    for score in scores:
        measured = score.value is not None
        number = f"{score.value:.4g}" if measured else "not measured"
        interval = f"{score.low:.4g} to {score.high:.4g}" if measured else ""
        sizes = (f"{score.n:,}", f"{score.n_reference:,}" if score.n_reference else "")
        rows.append((score.title, number, interval, *sizes, score.note))
    head, *body = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([head, "|---" * len(rows[0]) + "|", *body])
