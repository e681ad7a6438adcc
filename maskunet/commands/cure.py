"""python -m maskunet cure: what mends a base model that learned from spoiled data."""

import sys
from argparse import ArgumentTypeError
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskunet.commands.base import (
    CommandSpec,
    ModelOptions,
    bar,
    comma_separated,
    command_line,
    make_folder,
    option,
    resumable,
)

if TYPE_CHECKING:
    from maskunet.experiments.cures.make import Study

FIRST = ("plain", "light", "random", "lora", "full")


def _entrants(text: str) -> tuple[str, ...]:
    from maskunet.experiments.cures.entrants import ENTRANTS

    names = comma_separated(text)
    if unknown := [name for name in names if name not in ENTRANTS]:
        raise ArgumentTypeError(f"there is no entrant “{unknown[0]}”; there are: {', '.join(ENTRANTS)}")
    return names


def _rates(text: str) -> tuple[float, ...]:
    try:
        rates = tuple(float(word) for word in text.split(","))
    except ValueError:
        rates = ()
    if not rates or not all(0 < rate <= 1 for rate in rates):
        raise ArgumentTypeError(f"“{text:.40}” is not learning rates above 0 and at most 1, with commas")
    return tuple(dict.fromkeys(rates))


@dataclass(frozen=True, kw_only=True)
class Options(ModelOptions):
    model: str = option("tabletop_web", "base model")
    entrants: tuple[str, ...] = option(FIRST, "who is compared, with commas", read=_entrants)
    latents: Path | None = option(None, "cached latents of the clean scenes", metavar="DIR")
    clean: int = option(0, "clean pictures, of which a tenth is held out; all 8,000 if left out", low=0, high=8000)
    updates: int = option(250, "of each training", low=1)
    rates: tuple[float, ...] = option((), "learning rates to choose from; each entrant's own if left out", read=_rates)
    trainings: int = option(3, "of each entrant that learns", low=1)
    n: int = option(60, "held-out prompts per task", low=1)
    choosing: int = option(7, "training prompts per task, to choose learning rate and guidance", low=1)
    out: Path = option(writes="folder", help="folder; give it again to go on")


def run(options: Options) -> None:
    """Make what is missing, and report what there is; Ctrl+C keeps what is done.

    Raises:
        ValueError: data are missing, or the folder was begun otherwise; says what to do.
    """
    from maskunet.evaluation import extractors, features
    from maskunet.experiments.cures import entrants, make, report, write
    from maskunet.experiments.tables.world import renders
    from maskunet.machine import versions

    study, chosen = _study(options), [entrants.ENTRANTS[name] for name in dict.fromkeys(options.entrants)]
    make_folder(options.out)
    with resumable() as should_stop, bar("", bar_format="{desc} [{elapsed}]") as line:
        for text in make.make(study, chosen, should_stop):
            line.set_description_str(text)
    *_, last = features.extract(renders(), study.extractor, extractors.cache_place())
    begun = [entrant for entrant in entrants.ENTRANTS.values() if study.file(entrant).exists()]
    ready = [entrant for entrant in begun if make.has_chosen(study, entrant)]
    lines = report.summarize(study, ready, last.result.features)
    about = {
        "command": command_line("cure", options, model=study.loaded.model.name), "model": study.loaded.model.name, "updates": study.steps,
        "left_out": [entrant.title for entrant in begun if entrant not in ready], "versions": versions(),
        "corpus": _corpus(study.loaded.model.name, options.weights), **study.shared,
    }  # fmt: skip
    write.save(options.out, lines, about)
    sys.stdout.write(write.markdown(lines, about))


def _corpus(model: str, weights: Path | None) -> dict[str, float]:
    """What was spoiled in what the base learned from, if that lies beside its weights."""
    from maskunet.experiments.tabletop import train_unet
    from maskunet.models import SPECS

    place = weights or (SPECS[model].folder if model in SPECS else None)
    return {} if place is None else train_unet.shares(place)


def _study(options: Options) -> "Study":
    from maskunet.experiments import judges
    from maskunet.experiments.cures.make import Study
    from maskunet.library import networks
    from maskunet.training import sources
    from maskunet.training.data import First

    loaded, identity = judges.load(options.model, options.weights, options.device, **options.added)
    judges.check_eyes(loaded, "The study of cures")
    pairs, about = sources.find("tabletop", loaded.model.pixels, options.latents)
    about: dict[str, Any] = {**about, "examples": options.clean or len(pairs)}
    return Study(
        loaded=loaded, pairs=First(pairs, options.clean) if options.clean else pairs, about=about, identity=identity,
        extractor=networks.extractor("tabletop", device=loaded.model.device.type), preset="tabletop",
        steps=options.updates, training_seeds=options.trainings, prompts=options.n, choosing=options.choosing,
        out=options.out, rates=options.rates,
    )  # fmt: skip


SPEC = CommandSpec(
    name="cure", title="what mends a base model that learned from spoiled data", options=Options, run=run
)
