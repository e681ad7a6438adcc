"""python -m maskunet score: a folder of pictures against a reference and against its captions."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskunet.commands.base import CommandSpec, bar, command_line, make_folder, option, seed_option
from maskunet.commands.features import ExtractorOptions, extracted
from maskunet.experiments.markdown import markdown_table

if TYPE_CHECKING:
    from maskunet.evaluation.features import Pictures
    from maskunet.evaluation.metrics.base import Score

MADE = ("model", "method", "preset", "steps", "guidance", "seed", "images_per_prompt", "prompts")
SKIPPED = {"skipped": "folder", "skipped_reference": "reference"}


@dataclass(frozen=True, kw_only=True)
class Options(ExtractorOptions):
    folder: Path = option(help="of pictures, as sample makes it", positional=True)
    reference: Path | None = option(None, "of real pictures, as val2014", metavar="FOLDER")
    clip: Path | None = option(None, "a CLIP; one on this machine if left out", metavar="DIR")
    seed: int = seed_option(0, "of the intervals")
    out: Path = option(writes="folder", help="folder for score.json and score.md")


def run(options: Options) -> None:
    """Measure what can be measured here, then write score.json and score.md.

    Raises:
        ValueError: a folder or a network cannot be used, or nothing can be measured; says what to do.
    """
    from maskunet.evaluation import features
    from maskunet.prompts import files

    pictures = features.read_folder(options.folder)
    reference = options.reference and features.read_folder(options.reference)
    clip, missing = _clip_folder(options)
    made = files.made(options.folder)
    make_folder(options.out)
    about = {
        "command": command_line("score", options),
        "folder": options.folder.name,
        "seed": options.seed,
        "made": made,
    }
    if pictures.captions_from:
        about["captions"] = pictures.captions_from
    notes = [*pictures.notes, *(reference.notes if reference else ())]
    sys.stderr.writelines(f"{note}\n" for note in notes)
    about |= {"intervals": {}, "notes": [*notes, *missing]}
    scores = _against(options, pictures, reference, about) if reference else []
    if clip:
        scores.append(_clip_score(options, clip, pictures, about))
    save(options.out, scores, about)
    sys.stdout.write(table(scores) + "\n")


def _clip_folder(options: Options) -> tuple[Path | None, list[str]]:
    """The folder of the CLIP, or None and what to say of it where it is not needed.

    Raises:
        ValueError: the one asked for is not there, or nothing else is to be measured.
    """
    from maskunet.evaluation import clip_score
    from maskunet.records.disk.hub import MissingWeights

    try:
        return clip_score.find(options.clip), []
    except MissingWeights as error:
        if options.clip:
            raise
        if not options.reference:
            raise ValueError(f"{error} Or give --reference, to measure distances alone.") from error
        return None, [f"The CLIP score was not measured. {error}"]


def _against(options: Options, pictures: "Pictures", reference: "Pictures", about: dict[str, Any]) -> "list[Score]":
    """Every metric on the extractor's features."""
    from maskunet.evaluation import extractors, metrics
    from maskunet.library import networks

    spec = extractors.SPECS[options.extractor]
    extractor = networks.extractor(options.extractor, options.weights, options.device)
    found = [extracted(one, extractor, extractors.cache_place()) for one in (pictures, reference)]
    about |= {
        "reference": options.reference.name,
        "extractor": extractor.name,
        "weights": extractor.weights,
        "intervals": {metric.title: metric.interval for metric in metrics.SPECS.values()},
        "skipped": dict(found[0].skipped),
        "skipped_reference": dict(found[1].skipped),
        "notes": [f"{spec.title}: {spec.summary}", *about["notes"], *found[0].notes, *found[1].notes],
    }
    return metrics.measure(found[0].result.features, found[1].result.features, options.seed)


def _clip_score(options: Options, folder: Path, pictures: "Pictures", about: dict[str, Any]) -> "Score":
    """The CLIP score of the pictures that have captions."""
    from maskunet import machine
    from maskunet.evaluation import clip_score, extractors

    clip = clip_score.Clip(folder, machine.choose_device(options.device))
    found = extracted(pictures, clip, extractors.cache_place())
    embedded = found.result
    told = sum(map(bool, embedded.captions))
    values: list[float] = []
    with bar("image", told, desc="captions") as line:
        for batch in clip_score.scores(embedded, clip):
            values += batch.tolist()
            line.update(len(batch))
    about |= {
        "clip": clip.title,
        "clip_weights": clip.weights,
        "skipped": dict(found.skipped),
        "notes": [*about["notes"], *(note for note in found.notes if note not in about["notes"])],
        "intervals": {**about["intervals"], "CLIP score": clip_score.INTERVAL},
    }
    return clip_score.mean(values, options.seed, without=len(embedded.captions) - told)


def save(out: Path, scores: "Sequence[Score]", about: Mapping[str, Any]) -> None:
    """Write score.json and score.md."""
    from maskunet.records.disk import whole

    text = json.dumps({**about, "scores": list(map(asdict, scores))}, indent=1, ensure_ascii=False)
    whole.write(out / "score.json", f"{text}\n")
    whole.write(out / "score.md", markdown(scores, about))


def markdown(scores: "Sequence[Score]", about: Mapping[str, Any]) -> str:
    """The table, what the numbers are of, and how their intervals were made."""
    names = ("reference", "extractor", "weights", "clip", "clip_weights", "captions", "seed")
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
        *(f"Pictures of the {name} that could not be read and are left out: {n:,}." for name, n in lost.items() if n),
        *about["notes"],
    ]
    return "\n\n".join(parts) + "\n"


def table(scores: "Sequence[Score]") -> str:
    """One line per score, as Markdown."""
    rows = []
    for score in scores:
        measured = score.value is not None
        number = f"{score.value:.4g}" if measured else "not measured"
        interval = f"{score.low:.4g} to {score.high:.4g}" if measured else ""
        sizes = (f"{score.n:,}", f"{score.n_reference:,}" if score.n_reference else "")
        rows.append((score.title, number, interval, *sizes, score.note))
    return markdown_table(["score", "value", "95 % interval", "n", "n of the reference", "note"], rows)


SPEC = CommandSpec(
    name="score", title="Fréchet and kernel distance and CLIP score of a folder", options=Options, run=run
)
