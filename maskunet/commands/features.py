"""python -m maskunet features: sets of images side by side, as points, as features and as measures."""

import json
import sys
from argparse import ArgumentTypeError
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskunet import plugins
from maskunet.commands.base import CommandSpec, DeviceOptions, UsageError, bar, make_folder, option, seed_option

if TYPE_CHECKING:
    from maskunet.evaluation.features import FeatureExtractor, Pictures, Progress
    from maskunet.evaluation.metrics.base import Score
    from maskunet.records.feature_set import FeatureSet

EMBEDDINGS = ("t-SNE", "PCA", "UMAP")  # a test compares them with the plot's, which would bring NumPy


@dataclass(frozen=True, kw_only=True)
class ExtractorOptions(DeviceOptions):
    """By which network's features pictures are compared."""

    extractor: str = option(
        "tabletop",
        "network: tabletop for renders, inception or clip for photos",
        choices=plugins.names("maskunet.evaluation.extractors"),
    )
    weights: Path | None = option(None, "of the extractor: a file or its folder")


def _named_folder(text: str) -> tuple[str, Path]:
    name, equals, folder = text.partition("=")
    if not (name and equals and folder):
        raise ArgumentTypeError(f"“{text}” is not NAME=FOLDER")
    return name, Path(folder)


@dataclass(frozen=True, kw_only=True)
class Options(ExtractorOptions):
    set: tuple[tuple[str, Path], ...] = option(
        help="a folder of images; give one --set per folder", metavar="NAME=FOLDER", read=_named_folder, repeat=tuple
    )
    reference: str | None = option(None, "name of the set to measure against; the first if left out")
    embedding: str = option("t-SNE", choices=EMBEDDINGS)
    perplexity: float | None = option(None, "30 if left out, or fewer with few images")
    seed: int = seed_option(0, "of the embedding and of the intervals")
    out: Path = option(writes="folder", help="folder for the tables and figures")


def run(options: Options) -> None:
    """Read the folders, extract, measure, embed; what is done is written before the next begins.

    Raises:
        ValueError: a folder, the extractor or the perplexity cannot be used; says what to do.
    """
    names = [name for name, _ in options.set]
    reference = options.reference or names[0]
    if len(set(names)) < len(names) or reference not in names:
        raise UsageError(f"the sets need different names, and --reference one of them: {', '.join(names)}")
    from maskunet.evaluation import extractors, features
    from maskunet.library import networks
    from maskunet.records import feature_set

    pictures = [features.read_folder(folder, name) for name, folder in options.set]
    for note in (note for one in pictures for note in one.notes):
        sys.stderr.write(f"{note}\n")
    _perplexity(options, sum(len(one.files) for one in pictures))  # a mistake is told before the work
    extractor = networks.extractor(options.extractor, options.weights, options.device)
    make_folder(options.out)
    found, skipped, notes = [], {}, [note for one in pictures for note in one.notes]
    for one in pictures:
        last = extracted(one, extractor, extractors.cache_place())
        found.append(last.result)
        skipped[one.name] = dict(last.skipped)
        notes += last.notes
    feature_set.save(found, options.out / "features.npz")
    about = {
        "extractor": extractor.name,
        "weights": extractor.weights,
        "reference": reference,
        "seed": options.seed,
        "sets": {one.name: {"n": len(one.files), "skipped": skipped[one.name]} for one in found},
        "notes": notes,
    }
    _measure(options, found, about)
    _embed(options, found)


def _measure(options: Options, found: "Sequence[FeatureSet]", about: Mapping[str, Any]) -> None:
    """Write metrics.json and show every measure of every set against the reference."""
    from dataclasses import asdict

    from maskunet.evaluation import metrics
    from maskunet.records.disk import whole

    tables = {one.name: one.features for one in found}
    reference = tables.pop(about["reference"])
    scores = {name: metrics.measure(table, reference, options.seed) for name, table in tables.items()}
    record = {
        **about,
        "intervals": {spec.title: spec.interval for spec in metrics.SPECS.values()},
        "scores": [{"set": name, **asdict(score)} for name, of_set in scores.items() for score in of_set],
    }
    text = json.dumps(record, indent=1, ensure_ascii=False)
    whole.write(options.out / "metrics.json", f"{text}\n")
    sys.stdout.writelines(f"{line}\n" for line in _lines(scores))


def _embed(options: Options, found: "Sequence[FeatureSet]") -> None:
    """Write points.csv, embedding.png and embedding.svg."""
    from maskunet.records.disk import whole
    from maskunet.records.table import csv_text
    from visualize import base, embedding

    tables = {one.name: one.features for one in found}
    n = sum(map(len, tables.values()))
    perplexity = _perplexity(options, n)
    sys.stderr.write(f"{options.embedding} of {n:,} images is running.\n")
    try:
        points = embedding.embed(tables, options.embedding, perplexity, options.seed)
    except ValueError as error:  # said again here, as only this package's sentences reach a person
        raise ValueError(str(error)) from error
    files = {one.name: one.files for one in found}
    whole.write(options.out / "points.csv", csv_text(embedding.table(points, files)))
    detail = "" if options.embedding == "PCA" else f", perplexity {perplexity:g}, seed {options.seed}"
    figure = embedding.draw(points, f"{options.embedding}{detail}", {o.name: o.thumbnails for o in found})
    base.save(figure, options.out / "embedding", ("png", "svg"), dpi=150)
    sys.stdout.write(f"{embedding.CAVEATS[options.embedding]}\n")


def _perplexity(options: Options, n: int) -> float:
    """The one asked for, or 30 where n images allow it.

    Raises:
        ValueError: n images cannot be embedded so.
    """
    from visualize import embedding

    perplexity = options.perplexity
    if perplexity is None:
        perplexity = min(embedding.PERPLEXITY, max(1, embedding.largest_perplexity(n)))
    if problem := embedding.obstacle(options.embedding, n, perplexity):
        raise ValueError(problem)
    return perplexity


def extracted(pictures: "Pictures", extractor: "FeatureExtractor", cache: Path) -> "Progress":
    """The last `features.Progress`, with a bar on the way; what was skipped is said at the end."""
    from maskunet.evaluation import features

    with bar("image", len(pictures.files), desc=pictures.name) as line:
        for progress in features.extract(pictures, extractor, cache):
            line.update(progress.done - line.n)
    for i, (file, reason) in enumerate(progress.skipped.items()):
        if i == 3:
            sys.stderr.write(f"and {len(progress.skipped) - 3} more, all in the JSON file\n")
            break
        sys.stderr.write(f"Skipped: {file} {reason}.\n")
    sys.stderr.writelines(f"{note}\n" for note in progress.notes)
    return progress


def _lines(scores: "Mapping[str, Sequence[Score]]") -> list[str]:
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


SPEC = CommandSpec(name="features", title="compare image folders by a network's features", options=Options, run=run)
