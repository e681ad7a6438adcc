"""python -m maskunet likeness: how much generated pictures are like a subject's, by DINO and CLIP."""

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from maskunet.commands.base import CommandSpec, DeviceOptions, UsageError, bar, command_line, make_folder, option

if TYPE_CHECKING:
    from maskunet.evaluation.features import FeatureExtractor
    from maskunet.evaluation.metrics.base import Score
    from maskunet.records.feature_set import FeatureSet


@dataclass(frozen=True, kw_only=True)
class Options(DeviceOptions):
    folder: Path = option(help="generated pictures, as sample makes them", positional=True)
    real: Path = option(help="pictures of the subject", metavar="FOLDER")
    dino: Path | None = option(None, "a DINO or DINOv2 in transformers' format", metavar="DIR")
    clip: Path | None = option(None, "a CLIP in transformers' format", metavar="DIR")
    rare: str = option("sks", "the rare name, which is taken out of the prompts for CLIP-T")
    before: Path | None = option(None, "class pictures of the base model", metavar="FOLDER")
    after: Path | None = option(None, "class pictures of the trained model, of the same names", metavar="FOLDER")
    out: Path = option(writes="folder", help="folder for likeness.json")


def run(options: Options) -> None:
    """Measure with the networks that are given, say which in every line, and write likeness.json.

    Raises:
        ValueError: a folder or a network cannot be used; says what to do.
    """
    from maskunet.evaluation import clip_score, likeness
    from maskunet.machine import device_of
    from maskunet.records.disk import whole

    if not (options.dino or options.clip):
        raise UsageError("give --dino DIR, --clip DIR or both: the networks that compare the pictures")
    if (options.before is None) != (options.after is None):
        raise UsageError("--before and --after go together: class pictures of the base model and of the trained one")
    device = device_of(options.device)
    scores = []
    if options.dino:
        scores += _compared(options, likeness.Dino(options.dino, device), "DINO")
    if options.clip:
        clip = clip_score.Clip(clip_score.find(options.clip), device)
        scores += _compared(options, clip, "CLIP-I")
        scores.append(_of_text(options, clip))
    make_folder(options.out)
    record = {"command": command_line("likeness", options), "scores": [asdict(score) for score in scores]}
    whole.write(options.out / "likeness.json", f"{json.dumps(record, indent=1, ensure_ascii=False)}\n")
    sys.stdout.writelines(f"{_line(score)}\n" for score in scores)


def _compared(options: Options, network: "FeatureExtractor", name: str) -> "list[Score]":
    from maskunet.evaluation import likeness

    made, real = _features(options.folder, network), _features(options.real, network)
    scores = [
        likeness.likeness(made, real, name, network.title), likeness.ceiling(real, name, network.title),
        likeness.diversity(made, network.title),
    ]  # fmt: skip
    if options.before and options.after:
        sets = (_features(folder, network) for folder in (options.before, options.after))
        scores.append(likeness.drift(*sets, network.title))
    return scores


def _of_text(options: Options, clip: "FeatureExtractor") -> "Score":
    """CLIP-T, a cosine: captions without the rare name."""
    from dataclasses import replace

    import numpy as np

    from maskunet.evaluation import clip_score, likeness

    told = likeness.without(_features(options.folder, clip), options.rare)
    values = [float(value) / clip_score.SCALE for part in clip_score.scores(told, clip) for value in np.asarray(part)]
    return replace(clip_score.mean(values, without=told.captions.count("")), title="CLIP-T", note=f"{clip.title}.")


def _features(folder: Path, network: "FeatureExtractor") -> "FeatureSet":
    """A folder's features, with a bar on the way; what was left out is said at the end."""
    from maskunet.evaluation import extractors, features

    pictures = features.read_folder(folder)
    with bar("image", len(pictures.files), desc=pictures.name) as line:
        for progress in features.extract(pictures, network, extractors.cache_place()):
            line.update(progress.done - line.n)
    sys.stderr.writelines(f"Skipped: {file} {reason}.\n" for file, reason in progress.skipped.items())
    return progress.result


def _line(score: "Score") -> str:
    number = "not measured" if score.value is None else f"{score.value:.3f}"
    number += f" (95 % {score.low:.3f} to {score.high:.3f})" if score.low is not None else ""
    against = f" against {score.n_reference}" if score.n_reference else ""
    return f"{score.title}: {number}, n = {score.n}{against}. {score.note}"


SPEC = CommandSpec(name="likeness", title="compare generated pictures with a subject's", options=Options, run=run)
