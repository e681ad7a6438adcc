"""Train every row on the same pictures, make the same prompts' pictures with each, judge them; row by row on disk.

A row that trains is measured twice: after as many steps as the first one, and after as many seconds as that one took.
"""

import csv
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from maskunet.experiments.dreambooth.prompts import ALONE, BESIDE, NAME, Asked, Judges, asked
from maskunet.experiments.dreambooth.rows import FIRST, NAMED, RANDOM, ROWS, SECONDS, STEPS, WORD, WORDS, Row
from maskunet.experiments.trained import offer, user
from maskunet.methods import method_of
from maskunet.methods.base.batches import fitting, together
from maskunet.models.base import DiffusionModel
from maskunet.models.base.dressed import dressed
from maskunet.plugins import chosen
from maskunet.records import Request
from maskunet.records.added import Added
from maskunet.records.disk import whole
from maskunet.records.training import TrainEvent
from maskunet.rewards.base import WeightedRewards
from maskunet.tabletop import checker, spotter
from maskunet.tabletop.place import CHECKER, SPOTTER
from maskunet.tabletop.subjects import SUBJECTS, photos
from maskunet.training import checkpoint, loop, sources
from maskunet.training.recipes import SPECS as RECIPES

UNSCORED = WeightedRewards({})
PHOTOS = 5
PACE = "pace.json"  # seconds per step of a training, as long as this process had a core
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
            mine = [one for one in wanted if _asks(row, one) and (row.name, budget, one.group, one.seed) not in known]
            for number, found in enumerate(_pictures(model, plan, arm, mine, judges, out)):
                tell(f"{row.title}, equal {budget}: picture {number + 1} of {len(mine)}")
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
        first = json.loads((out / "trainings" / FIRST / PACE).read_text())
        fair = round(first["steps"] * first["seconds"] / json.loads((folder / PACE).read_text())["seconds"])
        steps = steps if abs(fair - steps) <= NEAR * steps else max(fair, settings.every)
    if _reached(folder) < steps:
        _train(model, row, replace(settings, steps=steps), folder, _photos(plan.subject, out), tell, should_stop)
    step, part = max((each for each in checkpoint.parts(folder) if each[0] <= steps), default=(0, None))
    pace = json.loads((folder / PACE).read_text())["seconds"] if (folder / PACE).exists() else 0.0
    return Arm(row, budget, part, step, step * pace)


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


def _train(
    model: DiffusionModel, row: Row, settings: Any, folder: Path, pictures: Path, tell: Callable[[str], Any],
    should_stop: Callable[[], str],
) -> None:  # fmt: skip
    """Train, or go on, and write down what a step costs."""
    pairs, about = sources.find(str(pictures), model.pixels, own_pictures=True)
    events = loop.train(
        model, RECIPES[row.recipe], settings, pairs, folder, about=about, resume=(folder / checkpoint.STATE).exists()
    )
    spent, mark, steps = 0.0, time.process_time(), 0
    with closing(events):
        for event in events:
            if isinstance(event, TrainEvent):
                if not event.checkpoint:  # what a step costs, not what its samples do
                    spent, steps = spent + time.process_time() - mark, steps + 1
                tell(f"{row.title}: step {event.step} of {event.steps}")
            else:
                tell(f"{row.title}: {event.done} of {event.total} {event.what}")
            if should_stop():
                return
            mark = time.process_time()
    if not (folder / PACE).exists():
        whole.write(folder / PACE, json.dumps({"steps": settings.steps, "seconds": spent / max(1, steps)}))


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
    model: DiffusionModel, plan: Plan, arm: Arm, wanted: Sequence[Asked], judges: Judges, out: Path
) -> Iterator[dict[str, Any]]:
    method, preset, settings = "plain", "", {}
    if arm.part is not None:
        name, recipe = f"{arm.row.name}-{arm.steps}", RECIPES[arm.row.recipe]
        offer(model, recipe.makes, name, arm.part)
        method, settings = user(recipe.makes, name)
        if recipe.word:
            model = dressed(model, Added(embeddings=((name, NAME),)), {"loras": {}, "embeddings": {name: arm.part}}, [])
    elif arm.row.name == RANDOM:
        method, settings = "random_mask", {"removed": _removed(out)}
    spec = method_of(method)
    values, size = spec.settings(preset, settings), fitting(model)
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
        if arm.budget == STEPS and not start:
            _keep(out / "shown" / f"{arm.row.name}.png", [*images.values()])
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


def _removed(out: Path) -> float:
    """The share of weights that the trained masks remove."""
    with (out / "trainings" / "masks" / checkpoint.LOG).open(newline="", encoding="utf-8") as file:
        figures = [json.loads(line["figures"]) for line in csv.DictReader(file)]
    return next(each["removed"] for each in reversed(figures) if each)


def _keep(path: Path, pictures: Sequence[Any]) -> None:
    import numpy as np
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate(list(pictures), 1)).save(path)
