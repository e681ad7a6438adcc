"""Train each entrant on clean pictures, choose its settings on training prompts, judge it on held-out ones.

Every picture is a row on disk at once, and every training has checkpoints, so that a study goes on where it was stopped.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from maskunet import seeds
from maskunet.evaluation.extractors import Extractor
from maskunet.experiments import journal
from maskunet.experiments.cures.entrants import ENTRANTS, Entrant
from maskunet.experiments.evaluate import drawn
from maskunet.experiments.trained import offer, user
from maskunet.library.library import Loaded
from maskunet.methods import SPECS as METHODS
from maskunet.plugins import chosen
from maskunet.records import Request
from maskunet.tabletop.tasks import TASKS, Case, cases
from maskunet.training import checkpoint, loop
from maskunet.training.data import Pairs
from maskunet.training.recipes import SPECS as RECIPES

FIXED = 2.5  # the guidance scale at which all are compared, besides each one's own best
SCALES = (FIXED, 4.0, 7.5, 10.0, 15.0)  # to choose from
TUNED_WITH = 0  # the seed of the trainings from which settings are chosen
NOISE = {"train": 3, "test": 11}  # of a split's prompts and their noise
BATCH = 7  # pictures that share U-Net calls, always the same ones
Cell = dict[str, Any]  # which pictures belong together: split, rate, training, guidance


class _Stopped(Exception):
    pass


@dataclass(frozen=True, kw_only=True, slots=True)
class Study:
    """What all entrants share.

    Attributes:
        loaded: the base model, with checker and inspector.
        pairs: the clean pictures, and `about`, what identifies them.
        identity: of models and judges; a folder belongs to one.
        preset: of the recipes. steps: optimizer steps. training_seeds: of each entrant that learns.
        prompts: per task, held out. choosing: per task, training prompts to choose settings on.
        rates: learning rates to choose from in place of each entrant's own.
    """

    loaded: Loaded
    pairs: Pairs
    about: Mapping[str, Any]
    identity: Mapping[str, Any]
    extractor: Extractor
    preset: str
    steps: int
    training_seeds: int
    prompts: int
    choosing: int
    out: Path
    rates: tuple[float, ...] = ()

    @property
    def shared(self) -> dict[str, Any]:
        """What the rows of a folder have in common; more seeds or held-out prompts may be added later."""
        return {
            **self.identity, "steps": self.steps, "choosing": self.choosing, "scales": list(SCALES), "data": dict(self.about),
            "features": self.extractor.weights, **({"rates": list(self.rates)} if self.rates else {}),
        }  # fmt: skip

    def rates_of(self, entrant: Entrant) -> tuple[float, ...]:
        """The learning rates to choose from."""
        return self.rates if self.rates and entrant.recipe else entrant.rates

    def file(self, entrant: Entrant) -> Path:
        """Where an entrant's rows are."""
        return self.out / "rows" / f"{entrant.name}.jsonl"

    def rows(self, entrant: Entrant) -> list[dict[str, Any]]:
        """An entrant's pictures so far."""
        file = self.file(entrant)
        return journal.read(file, self.shared, "study") if file.exists() else []


def make(study: Study, entrants: Sequence[Entrant], should_stop: Callable[[], str] = str) -> Iterator[str]:
    """Train, choose and judge; tells in a line how far it is.

    Raises:
        ValueError: the folder holds another study, or one of random masks comes before those it is a control of.
    """
    try:
        for entrant in entrants:
            study.file(entrant).parent.mkdir(parents=True, exist_ok=True)
            journal.resume(study.file(entrant), study.shared, "study")
            yield from _entrant(study, entrant, should_stop)
    except _Stopped:
        return


def _entrant(study: Study, entrant: Entrant, should_stop: Callable[[], str]) -> Iterator[str]:
    for rate in study.rates_of(entrant):
        yield from _train(study, entrant, rate, TUNED_WITH, should_stop)
        for scale in SCALES:
            cell = {"split": "train", "rate": rate, "training": TUNED_WITH, "guidance": scale}
            yield from _judge(study, entrant, cell, study.choosing, should_stop)
    rate, scale = best(study.rows(entrant))
    for seed in range(study.training_seeds if entrant.recipe else 1):
        yield from _train(study, entrant, rate, seed, should_stop)
        for guidance in dict.fromkeys((scale, FIXED)):
            cell = {"split": "test", "rate": rate, "training": seed, "guidance": guidance}
            yield from _judge(study, entrant, cell, study.prompts, should_stop)


def best(rows: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """The learning rate and the guidance scale with most correct pictures of training prompts.

    Of equals the first ones, which are the smaller.
    """
    right = {setting: sum(verdicts) for setting, verdicts in tried(rows).items()}
    return max(sorted(right), key=right.__getitem__)


def tried(rows: Sequence[Mapping[str, Any]]) -> dict[tuple[float, float], list[bool]]:
    """Whether each picture of a training prompt is correct, by learning rate and guidance scale."""
    verdicts: dict[tuple[float, float], list[bool]] = {}
    for row in rows:
        if row["split"] == "train":
            verdicts.setdefault((row["rate"], row["guidance"]), []).append(row["correct"])
    return verdicts


def has_chosen(study: Study, entrant: Entrant) -> bool:
    """Whether there are all the pictures of training prompts from which its settings are chosen."""
    made = sum(row["split"] == "train" for row in study.rows(entrant))
    return made >= len(study.rates_of(entrant)) * len(SCALES) * len(subjects("train", study.choosing))


def training(study: Study, entrant: Entrant, rate: float, seed: int) -> Path:
    """The folder of one training."""
    return study.out / "trainings" / f"{entrant.name}-{rate:g}-{seed}"


def _train(study: Study, entrant: Entrant, rate: float, seed: int, should_stop: Callable[[], str]) -> Iterator[str]:
    if not entrant.recipe:
        return
    recipe, folder = RECIPES[entrant.recipe], training(study, entrant, rate, seed)
    changes = {**entrant.settings, "learning_rate": rate, "seed": seed, "steps": study.steps, "every": study.steps}
    settings = chosen(recipe.presets, recipe.name, study.preset, changes)
    resume = (folder / checkpoint.STATE).exists()
    model = study.loaded.model
    with closing(loop.train(model, recipe, settings, study.pairs, folder, about=study.about, resume=resume)) as events:
        for event in events:
            yield f"{folder.name}: step {event.step} of {event.steps}"
            if should_stop():
                raise _Stopped
    offer(model, recipe.makes, folder.name, folder / checkpoint.PART)


def _judge(study: Study, entrant: Entrant, cell: Cell, n: int, should_stop: Callable[[], str]) -> Iterator[str]:
    """Make the cell's missing pictures."""
    made = {row["number"] for row in study.rows(entrant) if cell.items() <= row.items()}
    asked = subjects(cell["split"], n)
    if len(made) >= len(asked):
        return
    method, settings = _how(study, entrant, cell)
    spec = METHODS[method]
    request = Request(
        prompt="-", model=study.loaded.model.name, method=method, guidance=cell["guidance"], settings=settings,
        previews=False,
    )  # fmt: skip
    for start in range(0, len(asked), BATCH):
        some = asked[start : start + BATCH]
        if {number for number, _, _ in some} <= made:
            continue
        each = [(case, replace(request, prompt=case.prompt, seed=seed)) for _, case, seed in some]
        rows, images = zip(*drawn(study.loaded, spec, each, spec.settings("", settings)), strict=True)
        features = np.round(study.extractor(np.stack(images)), 4).tolist()
        numbered = [
            {**row, **cell, "number": number, "features": states}
            for (number, _, _), row, states in zip(some, rows, features, strict=True)
        ]
        deque(journal.kept((row for row in numbered if row["number"] not in made), study.file(entrant)), maxlen=0)
        at = ", ".join(f"{name} {cell[name]:g}" for name in ("rate", "training", "guidance"))
        yield f"{entrant.name}, {cell['split']}, {at}: picture {start + len(some)} of {len(asked)}"
        if should_stop():
            raise _Stopped


def subjects(split: str, n: int) -> list[tuple[int, Case, int]]:
    """`n` prompts of each task with the seed of their noise, and a number that stays theirs whatever n is.

    Task by task within each number, so that what is stopped early has seen all tasks.
    """
    by_number = zip(*(cases(task, n, NOISE[split], split) for task in TASKS), strict=True)
    every = [(case, seeds.of_case(NOISE[split], i)) for i, together in enumerate(by_number) for case in together]
    return [(number, case, seed) for number, (case, seed) in enumerate(every)]


def _how(study: Study, entrant: Entrant, cell: Cell) -> tuple[str, dict[str, Any]]:
    """The method and its settings; all are sampled by the same solver."""
    method, settings = entrant.method, entrant.settings
    if entrant.recipe:
        made = training(study, entrant, cell["rate"], cell["training"])
        method, settings = user(RECIPES[entrant.recipe].makes, made.name)
    removed = {"removed": _removed(study, entrant, cell)} if entrant.like else {}
    return method, {"second_order": True, **settings, **removed}


def _removed(study: Study, entrant: Entrant, cell: Cell) -> float:
    """The share that those which these are a control of remove on training prompts, at the same guidance scale."""
    like = ENTRANTS[entrant.like]
    if not has_chosen(study, like):
        raise ValueError(f"{entrant.name} removes as much as {like.name}, which comes first. Let that one run.")
    rows = study.rows(like)
    rate, _ = best(rows)
    cell = {"split": "train", "rate": rate, "guidance": cell["guidance"]}
    mine = [1 - row["keep_ratio"] for row in rows if cell.items() <= row.items()]
    return sum(mine) / len(mine)
