"""python -m maskunet features: sets of images side by side, as points, as features and as measures."""

import argparse
import csv
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

EXTRACTORS = ("tabletop", "clip", "inception")
EMBEDDINGS = ("t-SNE", "PCA", "UMAP")


def add(commands: Any) -> None:
    """Add the command to an argparse object of subcommands."""
    parser = commands.add_parser("features", help="compare image folders by a network's features")
    parser.add_argument(
        "--set", action="append", required=True, type=_named_folder, metavar="NAME=FOLDER", dest="sets",
        help="a folder of images; give one --set per folder",
    )  # fmt: skip
    parser.add_argument("--reference", help="name of the set to measure against; the first if left out")
    parser.add_argument("--extractor", choices=EXTRACTORS, default="tabletop")
    parser.add_argument("--weights", type=Path, help="of the extractor: a file or its folder")
    parser.add_argument("--embedding", choices=EMBEDDINGS, default="t-SNE")
    parser.add_argument("--perplexity", type=float, help="30 if left out, or fewer with few images")
    parser.add_argument("--seed", type=int, default=0, help="of the embedding and of the intervals")
    parser.add_argument("--device", help="cuda, mps or cpu; the best one if left out")
    parser.add_argument("--out", type=Path, required=True, help="folder for the tables and figures")
    parser.set_defaults(command=run)


def _named_folder(text: str) -> tuple[str, Path]:
    name, equals, folder = text.partition("=")
    if not (name and equals and folder):
        raise argparse.ArgumentTypeError(f"“{text}” is not NAME=FOLDER")
    return name, Path(folder)


def run(args: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Read the folders, extract, measure, embed; what is done is written before the next begins.

    Raises:
        ValueError: a folder, the extractor or the perplexity cannot be used; says what to do.
    """
    names = [name for name, _ in args.sets]
    reference = args.reference or names[0]
    if len(set(names)) < len(names) or reference not in names:
        parser.error(f"the sets need different names, and --reference one of them: {', '.join(names)}")
    from maskunet.evaluation import extractors, features
    from maskunet.library import networks
    from maskunet.records import feature_set

    pictures = [features.read_folder(folder, name) for name, folder in args.sets]
    for note in (note for one in pictures for note in one.notes):
        sys.stderr.write(f"{note}\n")
    _perplexity(args, sum(len(one.files) for one in pictures))  # a mistake is told before the work
    extractor = networks.extractor(args.extractor, args.weights, args.device)
    try:
        args.out.mkdir(parents=True, exist_ok=True)
    except OSError:
        parser.error(f"“{args.out.name}” cannot be made a folder; give another --out")
    found, skipped = [], {}
    for one in pictures:
        last = extracted(one, extractor, extractors.cache_place())
        found.append(last.result)
        skipped[one.name] = dict(last.skipped)
    feature_set.save(found, args.out / "features.npz")
    about = {
        "extractor": extractor.name, "weights": extractor.weights, "reference": reference, "seed": args.seed,
        "sets": {one.name: {"n": len(one.files), "skipped": skipped[one.name]} for one in found},
        "notes": [note for one in pictures for note in one.notes],
    }  # fmt: skip
    _measure(args, found, about)
    _embed(args, found)


def _measure(args: argparse.Namespace, found: Sequence[Any], about: Mapping[str, Any]) -> None:
    """Write metrics.json and show every measure of every set against the reference."""
    from dataclasses import asdict

    from maskunet.evaluation import metrics
    from maskunet.records.disk import whole

    tables = {one.name: one.features for one in found}
    reference = tables.pop(about["reference"])
    scores = {name: metrics.measure(table, reference, args.seed) for name, table in tables.items()}
    record = {
        **about,
        "intervals": {spec.title: spec.interval for spec in metrics.SPECS.values()},
        "scores": [{"set": name, **asdict(score)} for name, of_set in scores.items() for score in of_set],
    }
    text = json.dumps(record, indent=1, ensure_ascii=False)
    whole.write(args.out / "metrics.json", f"{text}\n")
    sys.stdout.writelines(f"{line}\n" for line in _lines(scores))


def _embed(args: argparse.Namespace, found: Sequence[Any]) -> None:
    """Write points.csv, embedding.png and embedding.svg."""
    from visualize import embedding

    tables = {one.name: one.features for one in found}
    n = sum(map(len, tables.values()))
    perplexity = _perplexity(args, n)
    sys.stderr.write(f"{args.embedding} of {n:,} images is running.\n")
    try:
        points = embedding.embed(tables, args.embedding, perplexity, args.seed)
    except ValueError as error:  # said again here, as only this package's sentences reach a person
        raise ValueError(str(error)) from error
    with (args.out / "points.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ("set", "file", "x", "y"))
        writer.writeheader()
        writer.writerows(embedding.table(points, {one.name: one.files for one in found}))
    detail = "" if args.embedding == "PCA" else f", perplexity {perplexity:g}, seed {args.seed}"
    figure = embedding.draw(points, f"{args.embedding}{detail}", {o.name: o.thumbnails for o in found})
    for kind in ("png", "svg"):
        figure.savefig(args.out / f"embedding.{kind}", dpi=150)
    sys.stdout.write(f"{embedding.CAVEATS[args.embedding]}\n")


def _perplexity(args: argparse.Namespace, n: int) -> float:
    """The one asked for, or 30 where n images allow it.

    Raises:
        ValueError: n images cannot be embedded so.
    """
    from visualize import embedding

    perplexity = args.perplexity
    if perplexity is None:
        perplexity = min(embedding.PERPLEXITY, max(1, embedding.largest_perplexity(n)))
    if problem := embedding.obstacle(args.embedding, n, perplexity):
        raise ValueError(problem)
    return perplexity


def extracted(pictures: Any, extractor: Any, cache: Path) -> Any:
    """The last `features.Progress`, with a bar on the way; what was skipped is said at the end."""
    from tqdm import tqdm

    from maskunet.evaluation import features

    with tqdm(total=len(pictures.files), desc=pictures.name, unit="image", file=sys.stderr) as bar:
        for progress in features.extract(pictures, extractor, cache):
            bar.update(progress.done - bar.n)
    for i, (file, reason) in enumerate(progress.skipped.items()):
        if i == 3:
            sys.stderr.write(f"and {len(progress.skipped) - 3} more, all in the JSON file\n")
            break
        sys.stderr.write(f"Skipped: {file} {reason}.\n")
    return progress


def _lines(scores: Mapping[str, Sequence[Any]]) -> list[str]:
    """One line per set and score."""
    lines = []
    for name, of_set in scores.items():
        for score in of_set:
            number = "not measured"
            if score.value is not None:
                number = f"{score.value:.4g} (95 % {score.low:.4g} to {score.high:.4g})"
            sizes = f"n = {score.n:,} against {score.n_reference:,}"
            lines.append(f"{name}: {score.title} {number}, {sizes}. {score.note}".rstrip())
    return lines
