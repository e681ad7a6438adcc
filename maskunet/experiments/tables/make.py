"""Make a table: for every seed and row train, make pictures, measure; on from where it was stopped."""

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from maskunet.evaluation import extractors, features
from maskunet.evaluation.metrics.frechet import frechet_distance
from maskunet.evaluation.metrics.kernel import squared_mmd
from maskunet.experiments import picture_folder
from maskunet.experiments.tables.specs.base import Row, TableSpec
from maskunet.experiments.tables.world import World
from maskunet.experiments.trained import offer, user
from maskunet.plugins import chosen
from maskunet.training import checkpoint, loop
from maskunet.training.recipes import SPECS as RECIPES


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """What every row gets.

    Attributes:
        steps: optimizer steps; 0 leaves the preset's. changes: other settings of all recipes.
        pictures: per seed. seeds: of trainings, prompts and noise.
    """

    steps: int
    pictures: int
    seeds: Sequence[int]
    changes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Share:
    """Which of the processes this one is; each makes its share of the pictures."""

    rank: int = 0
    world: int = 1


def make(
    spec: TableSpec,
    world: World,
    budget: Budget,
    out: Path,
    share: Share,
    should_stop: Callable[[], str] = str,
) -> Iterator[str]:
    """Train and make pictures for every row and seed; tells in a line how far it is.

    The folder may be shared by several tables: rows of one name are made once.

    Raises:
        ValueError: a setting that a recipe does not have or allow, told before anything is made; a training or a
            folder of pictures in `out` was made otherwise, and which setting differs.
    """
    for row in spec.rows:
        if row.recipe:
            _settings(row, world, budget, seed=0)
    for seed in budget.seeds:
        for row in spec.rows:
            yield from _train(row, world, budget, seed, out, should_stop)
            if should_stop():
                return
            for name, part in _parts(row, world, budget, seed, out):
                yield from _sample(row, world, budget, seed, out / "pictures" / name, part, share, should_stop)
                if should_stop():
                    return


def _train(
    row: Row, world: World, budget: Budget, seed: int, out: Path, should_stop: Callable[[], str]
) -> Iterator[str]:
    if not row.recipe:
        return
    folder = out / "trainings" / f"{row.name}-{seed}"
    settings = _settings(row, world, budget, seed)
    resume = (folder / checkpoint.STATE).exists()
    events = loop.train(
        world.loaded.model,
        RECIPES[row.recipe],
        settings,
        world.pairs,
        folder,
        about=world.about,
        resume=resume,
    )
    with closing(events):
        for event in events:
            left = event.seconds_left / 60
            yield f"{row.title}, seed {seed}: step {event.step} of {event.steps}, {left:.0f} min left"
            if should_stop():
                return


def _settings(row: Row, world: World, budget: Budget, seed: int) -> Any:
    """Of the row's recipe."""
    recipe, own = RECIPES[row.recipe], world.changes.get(row.name, {})
    changes = {**row.settings, **own, **budget.changes, "seed": seed, "keep_each": True}
    changes |= {"steps": budget.steps} if budget.steps else {}
    return chosen(recipe.presets, recipe.name, world.preset, changes)


def _parts(row: Row, world: World, budget: Budget, seed: int, out: Path) -> list[tuple[str, Path | None]]:
    """The row's pictures' folder and the trained file, and those of its checkpoints where they are asked for."""
    name = f"{row.name}-{seed}"
    if not row.recipe:
        return [(name, None)]
    folder = out / "trainings" / name
    parts = [(name, folder / checkpoint.PART)]
    if row.each_checkpoint:
        *earlier, _ = checkpoint.parts(folder)  # the last one is the row's own
        every = _settings(row, world, budget, seed).every
        # A training that was stopped keeps its part of that step too, of which there are no figures.
        parts += [(f"{name}-step-{step}", path) for step, path in earlier if step % every == 0]
    return parts


def _sample(
    row: Row, world: World, budget: Budget, seed: int, out: Path, part: Path | None, share: Share,
    should_stop: Callable[[], str],
) -> Iterator[str]:  # fmt: skip
    method = "plain"
    settings: dict[str, Any] = {"second_order": world.second_order}
    if part is not None:
        kind = RECIPES[row.recipe].makes
        offer(world.loaded.model, kind, out.name, part)
        method, named = user(kind, out.name)
        settings |= named
    request = replace(world.request, method=method, preset="", settings=settings)
    prompts = world.prompts(seed, budget.pictures)
    progress = picture_folder.sample(
        world.loaded.model, world.loaded.rewards, request, prompts, out,
        seed=seed, rank=share.rank, world=share.world, should_stop=should_stop,
    )  # fmt: skip
    with closing(progress):
        for state in progress:
            yield f"{out.name}: picture {state.done} of {state.total}"


def wait_for_all(share: Share) -> None:
    """Return when every process has come here."""
    if share.world > 1:
        from accelerate import PartialState

        PartialState().wait_for_everyone()


def measure(spec: TableSpec, world: World, budget: Budget, out: Path) -> Iterator[str | list[dict[str, Any]]]:
    """Tell how far it is, and in the end give one record per row, seed and checkpoint.

    Each has row, seed, step (None for the last), n, n_reference, frechet, real (the distance that n real
    pictures have, or None), kernel, agreement (the mean of `World.agreement`, or None) and what the recipe
    measured, such as removed.

    Raises:
        ValueError: pictures are missing.
    """
    reference = None
    for progress in features.extract(world.reference, world.extractor, extractors.cache_place()):
        yield f"{world.reference.name}: features of picture {progress.done} of {progress.total}"
        reference = progress.result
    records = []
    for seed in budget.seeds:
        for row in spec.rows:
            for name, _ in _parts(row, world, budget, seed, out):
                yield f"{name}: features"
                pictures = _pictures(out / "pictures" / name)
                *_, last = features.extract(pictures, world.extractor, extractors.cache_place())
                found = last.result
                agreement = world.agreement and np.mean(world.agreement(pictures))
                records.append({
                    "row": row.name, "seed": seed, "step": _step(name), "n": len(found.features),
                    "n_reference": len(reference.features),
                    "frechet": frechet_distance(found.features, reference.features),
                    "real": _real_distance(reference.features, len(found.features), seed),
                    "kernel": squared_mmd(found.features, reference.features),
                    "agreement": agreement and float(agreement),
                    **_trained_figures(out / "trainings" / f"{row.name}-{seed}", _step(name)),
                })  # fmt: skip
    yield records


def _real_distance(reference: np.ndarray, n: int, seed: int) -> float | None:
    """The distance of n real pictures to the others: what a perfect model would have; None for too few."""
    if 2 * n > len(reference):
        return None
    order = np.random.default_rng(seed).permutation(len(reference))
    return frechet_distance(reference[order[:n]], reference[order[n:]])


def _pictures(folder: Path) -> features.Pictures:
    if not (folder / picture_folder.METADATA).exists():
        raise ValueError(f"Pictures of “{folder.name}” are missing. Give the same command again to go on.")
    return features.read_folder(folder, folder.name)


def _step(name: str) -> int | None:
    _, found, step = name.rpartition("-step-")
    return int(step) if found else None


def _trained_figures(training: Path, step: int | None) -> dict[str, float]:
    """What the recipe measured at a checkpoint, the last one without a step."""
    if not (training / checkpoint.LOG).exists():
        return {}
    with (training / checkpoint.LOG).open(newline="", encoding="utf-8") as file:
        lines = [line for line in csv.DictReader(file) if step is None or int(line["step"]) == step]
    return {"trained_steps": int(lines[-1]["step"]), **json.loads(lines[-1]["figures"])}
