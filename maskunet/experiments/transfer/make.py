"""Make each prompt's masks, put them on every prompt, and judge the pictures.

Every picture is a row on disk and every mask a file, so that a study goes on where it was stopped.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from maskunet import seeds
from maskunet.experiments.evaluate import drawn
from maskunet.experiments.trained import offer
from maskunet.library.library import Loaded
from maskunet.masks import algebra, held
from maskunet.methods import SPECS
from maskunet.records import Request, held_mask
from maskunet.records.held_mask import HeldMask
from maskunet.runs import mask_sources
from maskunet.runs.entrant import Entrant
from maskunet.tabletop.tasks import TASKS, Case, cases

BATCH = 7  # pictures under one mask that share U-Net calls, always the same ones
LATER = -333  # timesteps: the mask of a step is used a third of the way later
# Whose mask a picture is made under, as the table names it.
CONDITIONS = {
    "plain": "none",
    "own": "its own",
    "other": "another prompt's",
    "seed": "its own prompt's of another seed",
    "time": "its own, a third of the steps later",
    "random": "its own, each site's weights shuffled",
    "carried": "its own prompt's and seed's of the other base",
}
ALONE = ("seed", "time", "random", "carried")
KEY = ("base", "source", "condition", "target", "mask")  # what tells a picture from all others
Key = tuple[str, str, str, int, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Study:
    """What all pictures share.

    Attributes:
        bases: each base model with rewards and checker, by what it is called; masks are carried between the first two.
        sources: the methods whose masks are tried.
        subjects: prompts with the seed of their noise.
        asked: steps and guidance. seed: of the subjects, and of what is shuffled.
    """

    bases: Mapping[str, Loaded]
    sources: Sequence[Entrant]
    subjects: Sequence[tuple[Case, int]]
    asked: Request
    seed: int
    out: Path

    def file(self, base: str, source: str, number: int, variant: str) -> Path:
        """Where a mask is."""
        base, source = (re.sub(r"\W+", "_", name) for name in (base, source))
        return self.out / "masks" / base / source / f"{number}-{variant}.safetensors"

    def other(self, base: str) -> str:
        """The base whose masks are carried over to this one, or empty."""
        return next((name for name in self.bases if name != base), "")


def subjects(per_task: int, seed: int) -> list[tuple[Case, int]]:
    """Held-out prompts of every task with the seeds of their noise."""
    return [
        (case, seeds.of_case(seed, number)) for task in TASKS for number, case in enumerate(cases(task, per_task, seed))
    ]


def total(study: Study) -> int:
    """How many pictures there are to make."""
    n = len(study.subjects)
    alone = len(ALONE) - (len(study.bases) < 2)
    return len(study.bases) * n * (1 + len(study.sources) * (n + alone))


def key(row: Mapping[str, Any]) -> Key:
    """The row's entries of KEY."""
    return tuple(row[name] for name in KEY)


def make(study: Study, done: set[Key], should_stop: Callable[[], str] = str) -> Iterator[dict[str, Any]]:
    """Make what is missing.

    Args:
        done: keys of rows that are there.

    Yields:
        The row of `evaluate.judge` with base, source, condition, target and mask; of the last two the prompts' numbers,
        -1 for no mask.
    """
    for base in study.bases:
        yield from _pictures(study, _Use(base, "", "plain", -1, _every(study)), None, done, should_stop)
    for source in study.sources:
        for base in study.bases:
            for number in range(len(study.subjects)):
                for variant, targets in _uses(study, base, number):
                    if should_stop():
                        return
                    use = _Use(base, source.name, variant, number, targets)
                    path = _mask(study, base, source, number, variant) if _missing(use, targets, done) else None
                    yield from _pictures(study, use, path, done, should_stop)


class _Use(NamedTuple):
    """Pictures of some prompts under one mask, by the prompts' numbers; under their own and all others' it is "own"."""

    base: str
    source: str
    condition: str
    mask: int
    targets: Sequence[int]

    def key(self, target: int) -> Key:
        condition = "other" if self.condition == "own" and target != self.mask else self.condition
        return self.base, self.source, condition, target, self.mask


def _every(study: Study) -> list[int]:
    return list(range(len(study.subjects)))


def _uses(study: Study, base: str, number: int) -> Iterator[tuple[str, list[int]]]:
    """The variant and the targets of each use of a prompt's masks."""
    yield "own", _every(study)
    for variant in ALONE:
        if variant != "carried" or study.other(base):
            yield variant, [number]


def _missing(use: _Use, targets: Sequence[int], done: set[Key]) -> list[int]:
    return [target for target in targets if use.key(target) not in done]


def _pictures(
    study: Study, use: _Use, path: Path | None, done: set[Key], should_stop: Callable[[], str]
) -> Iterator[dict[str, Any]]:
    """The pictures of a use under the mask of that file, or under none."""
    loaded = study.bases[use.base]
    spec, given = (SPECS["plain"], {}) if path is None else (SPECS["held_mask"], {"mask": "tried"})
    if path is not None:
        offer(loaded.model, "mask", "tried", path)
    settings = spec.settings("", given)
    for start in range(0, len(use.targets), BATCH):
        some = use.targets[start : start + BATCH]
        missing = _missing(use, some, done)
        if not missing or should_stop():
            continue
        asked = [
            (case, replace(_request(study, use.base, case, seed), method=spec.name, settings=given))
            for case, seed in (study.subjects[target] for target in some)
        ]
        for target, (row, _) in zip(some, drawn(loaded, spec, asked, settings), strict=True):
            if target in missing:
                yield {**dict(zip(KEY, use.key(target), strict=True)), **row}


def _request(study: Study, base: str, case: Case, seed: int) -> Request:
    guidance = study.asked.guidance or study.bases[base].model.guidance
    return replace(
        study.asked,
        prompt=case.prompt,
        seed=seed,
        model=study.bases[base].model.name,
        guidance=guidance,
        previews=False,
        statistics=True,
    )


def _mask(study: Study, base: str, source: Entrant, number: int, variant: str) -> Path:
    """The file of a mask, made if it is not there."""
    path = study.file(base, source.name, number, variant)
    if not path.exists():
        held_mask.save(_made(study, base, source, number, variant), path)
    return path


def _made(study: Study, base: str, source: Entrant, number: int, variant: str) -> HeldMask:
    if variant == "carried":
        there = held_mask.load(_mask(study, study.other(base), source, number, "own"))
        model = study.bases[base].model
        return algebra.carried(there, model.name, model.weights, held.shapes(model.unet))
    if variant in ("time", "random"):
        own = held_mask.load(_mask(study, base, source, number, "own"))
        return algebra.shifted(own, LATER) if variant == "time" else algebra.shuffled(own, study.seed + number)
    case, seed = study.subjects[number]
    loaded = study.bases[base]
    if variant == "seed":
        seed = seeds.of_prompt(seed, 1)
    asked = source.request(_request(study, base, case, seed))
    same = {"second_order": True}  # as those pictures are sampled that are made under the mask
    asked = replace(asked, keep_masks=True, statistics=False, settings={**source.named(), **same})
    settings = source.spec.settings(asked.preset, asked.settings)
    with closing(source.spec.run(loaded.model, loaded.rewards, asked, settings)) as events:
        return mask_sources.of_events(loaded.model, events, asked, settings)
