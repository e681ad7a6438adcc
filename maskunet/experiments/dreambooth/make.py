"""Train every row on the same pictures, make the same prompts' pictures with each, judge them; row by row on disk.

A row that trains is measured twice: after as many steps as the first one, and after as many seconds as that one took.
"""

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from maskunet.experiments.dreambooth.prompts import ALONE, BESIDE, NAME, Asked, Judges, asked
from maskunet.experiments.dreambooth.rows import FIRST, MASKS, NAMED, RANDOM, ROWS, SECONDS, STEPS, WORD, WORDS, Row
from maskunet.experiments.trained import offer, user
from maskunet.methods import method_of
from maskunet.methods.base.batches import fitting, together
from maskunet.models.base import DiffusionModel
from maskunet.models.base.dressed import dressed
from maskunet.plugins import chosen
from maskunet.records import Request
from maskunet.records.added import Added
from maskunet.records.training import TrainEvent
from maskunet.rewards.base import WeightedRewards
from maskunet.tabletop import checker, spotter
from maskunet.tabletop.place import CHECKER, SPOTTER
from maskunet.tabletop.subjects import SUBJECTS, photos
from maskunet.training import checkpoint, loop, sources
from maskunet.training.recipes import SPECS as RECIPES

UNSCORED = WeightedRewards({})
PHOTOS = 5
QUICK = 0.1  # this share of the steps takes less than the pace; sheets and other programs only make steps longer
NEAR = 0.05  # numbers of steps that differ by less are the same


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What the table is of.

    Attributes:
        subject: in `SUBJECTS`. steps: of every training; 0 for the preset's. pictures: of each group of prompts.
        seed: of the trainings. guidance: of the pictures; None for the model's. changes: other settings of all recipes.
    """

    subject: str = "hat"
    steps: int = 0
    pictures: int = 20
    seed: int = 0
    guidance: float | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Arm:
    """A row's pictures under one of the two budgets: the file that makes them, or none, and the training's length."""

    row: Row
    budget: str
    part: Path | None = None
    steps: int = 0
    seconds: float = 0.0


def make(
    model: DiffusionModel, plan: Plan, out: Path, done: Sequence[Mapping[str, Any]], tell: Callable[[str], Any],
    should_stop: Callable[[], str] = str,
) -> Iterator[dict[str, Any]]:  # fmt: skip
    """Give one record per picture that is not among those `done`; `tell` is told how far it is, in a line.

    Each has row, budget, steps and seconds of the training, group, prompt, seed, subject and right; see `Judges`.

    Raises:
        ValueError: a setting that a recipe does not allow; a folder that was begun otherwise.
    """
    subject = SUBJECTS[plan.subject]
    judges = Judges(plan.subject, subject, checker.load(CHECKER), spotter.load(SPOTTER))
    wanted, known = asked(subject, plan.pictures), {key(row) for row in done}
    for row in ROWS:
        if row.called == WORDS and subject.is_new:
            continue  # no word names it
        for budget in _budgets(row):
            arm = _trained(model, plan, row, budget, out, tell, should_stop)
            if should_stop():
                return
            mine = [one for one in wanted if _asks(row, one)]
            left = [one for one in mine if (row.name, budget, one.group, one.seed) not in known]
            # Later pictures on it would be of other prompts than the other rows' sheets.
            sheet = out / "shown" / f"{row.name}.png" if budget == STEPS and left[:1] == mine[:1] else None
            for number, found in enumerate(_pictures(model, plan, arm, left, judges, out, sheet)):
                tell(f"{row.title}, equal {budget}: picture {number + 1} of {len(left)}")
                yield found
                if should_stop():
                    return


def key(row: Mapping[str, Any]) -> tuple[str, str, str, int]:
    """What tells a picture from the others."""
    return row["row"], row["budget"], row["group"], row["seed"]


def _budgets(row: Row) -> tuple[str, ...]:
    return (STEPS, SECONDS) if row.recipe and row.name != FIRST else (STEPS,)


def _asks(row: Row, one: Asked) -> bool:
    """The controls that are called otherwise have no pictures but the subject's."""
    return row.called == NAMED or one.group in (ALONE, BESIDE)


def _trained(
    model: DiffusionModel, plan: Plan, row: Row, budget: str, out: Path, tell: Callable[[str], Any],
    should_stop: Callable[[], str],
) -> Arm:  # fmt: skip
    """Train a row as long as its budget allows, and give its arm."""
    if not row.recipe:
        return Arm(row, budget)
    folder = out / "trainings" / row.name
    settings = _settings(plan, row)
    steps = settings.steps
    if budget == SECONDS:
        fair = max(1, round(_length(plan, FIRST) * _pace(plan, FIRST, out) / _pace(plan, row.name, out)))
        kept = (step for step, _ in checkpoint.parts(folder) if step <= steps)
        near = min(kept, key=lambda step: abs(step - fair))
        if abs(near - fair) <= NEAR * fair:
            fair = near
        elif fair < steps:  # no checkpoint was kept there
            folder = folder.with_name(f"{row.name}-{SECONDS}")
        steps = fair
    if _reached(folder) < steps:
        _train(model, row, replace(settings, steps=steps), folder, _photos(plan.subject, out), tell, should_stop)
    step, part = max((each for each in checkpoint.parts(folder) if each[0] <= steps), default=(0, None))
    return Arm(row, budget, part, step, step * _pace(plan, row.name, out))


def _reached(folder: Path) -> int:
    return max((step for step, _ in checkpoint.parts(folder)), default=0)


def _settings(plan: Plan, row: Row) -> Any:
    recipe, word = RECIPES[row.recipe], SUBJECTS[plan.subject].word
    named = {"token": NAME} if recipe.word else {}  # the rare name of the other rows, as a word that learns
    plain = chosen(recipe.presets, recipe.name, "tabletop", {**row.settings, **named, **plan.changes})
    steps = plan.steps or plain.steps
    free = {} if row.prior else {"class_pictures": 0, "batch": max(1, plain.batch // 2)}
    return replace(
        plain, steps=steps, every=max(2, steps // 4), keep_each=True, seed=plan.seed,
        instance_prompt=f"a {NAME} {word}", class_prompt=f"a {word}", **free,
    )  # fmt: skip


def _length(plan: Plan, name: str) -> int:
    """Steps of a row's training under the budget of equal steps."""
    return _settings(plan, next(row for row in ROWS if row.name == name)).steps


def _log(plan: Plan, name: str, out: Path) -> list[dict[str, str]]:
    """The lines of a training's log up to equal steps, which one for equal seconds goes beyond; none without a log."""
    path, most = out / "trainings" / name / checkpoint.LOG, _length(plan, name)
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [line for line in csv.DictReader(file) if int(line["step"]) <= most]


def _pace(plan: Plan, name: str, out: Path) -> float:
    """Seconds of a step of a row's training, as long as it had the machine to itself; 0 before the first step."""
    told = [0.0, *(float(line["seconds"]) for line in _log(plan, name, out))]
    spent = [after - before if after > before else after for before, after in pairwise(told)]  # resumed, it tells anew
    return float(np.quantile(spent, QUICK)) if spent else 0.0


def _train(
    model: DiffusionModel, row: Row, settings: Any, folder: Path, pictures: Path, tell: Callable[[str], Any],
    should_stop: Callable[[], str],
) -> None:  # fmt: skip
    """Train, or go on."""
    pairs, about = sources.find(str(pictures), model.pixels, own_pictures=True)
    events = loop.train(
        model, RECIPES[row.recipe], settings, pairs, folder, about=about, resume=(folder / checkpoint.STATE).exists()
    )
    with closing(events):
        for event in events:
            if isinstance(event, TrainEvent):
                tell(f"{row.title}: step {event.step} of {event.steps}")
            else:
                tell(f"{row.title}: {event.done} of {event.total} {event.what}")
            if should_stop():
                return


def _photos(name: str, out: Path) -> Path:
    """The folder of the subject's pictures, as a user would bring it."""
    from PIL import Image

    from maskunet.tabletop.render import render

    folder = out / "photos"
    folder.mkdir(parents=True, exist_ok=True)
    for i, pixels in enumerate(render(photos(SUBJECTS[name], PHOTOS)).permute(0, 2, 3, 1).numpy()):
        if not (folder / f"{i:02d}.png").exists():
            Image.fromarray(pixels).save(folder / f"{i:02d}.png")
    return folder


def _pictures(
    model: DiffusionModel, plan: Plan, arm: Arm, wanted: Sequence[Asked], judges: Judges, out: Path, sheet: Path | None
) -> Iterator[dict[str, Any]]:
    """Make and judge an arm's pictures; the first ones made at once are shown on the sheet, where it is asked for."""
    method, settings = "plain", {}
    if arm.part is not None:
        name, recipe = f"{arm.row.name}-{arm.steps}", RECIPES[arm.row.recipe]
        offer(model, recipe.makes, name, arm.part)
        method, settings = user(recipe.makes, name)
        if recipe.word:
            model = dressed(model, Added(embeddings=((name, NAME),)), {"loras": {}, "embeddings": {name: arm.part}}, [])
    elif arm.row.name == RANDOM:
        method, settings = "random_mask", {"removed": _removed(plan, out)}
    spec = method_of(method)
    values, size = spec.settings(overrides=settings), fitting(model)
    for start in range(0, len(wanted), size):
        some = wanted[start : start + size]
        requests = [
            Request(
                prompt=one.prompt(_called(plan.subject, arm.row)), seed=one.seed, model=model.name, method=method,
                settings=settings, previews=False, guidance=plan.guidance,
            )
            for one in some
        ]  # fmt: skip
        images = {
            number: event.image for number, event in together(spec, model, UNSCORED, requests, values) if event.final
        }
        if sheet and not start:
            _keep(sheet, [*images.values()])
        for one, request, found in zip(
            some, requests, judges(some, [images[i] for i in range(len(some))]), strict=True
        ):
            yield {
                "row": arm.row.name, "budget": arm.budget, "steps": arm.steps, "seconds": arm.seconds,
                "group": one.group, "prompt": request.prompt, "seed": one.seed, **found,
            }  # fmt: skip


def _called(name: str, row: Row) -> str:
    subject = SUBJECTS[name]
    return {WORDS: f"a {subject.words}", WORD: f"a {subject.word}", NAMED: f"a {NAME} {subject.word}"}[row.called]


def _removed(plan: Plan, out: Path) -> float:
    """The share of weights that the masks remove after equal steps."""
    figures = [json.loads(line["figures"]) for line in _log(plan, MASKS, out)]
    return next(each["removed"] for each in reversed(figures) if each)


def _keep(path: Path, pictures: Sequence[Any]) -> None:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate(list(pictures), 1)).save(path)
