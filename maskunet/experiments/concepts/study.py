"""Make every concept's mask, and judge it on prompts that made none: pictures as rows on disk, so that a study goes on.

The most telling pictures come first: of the base, of each mask, of as many random weights; then what else one might do.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from maskunet.encoders.pixels import from_uint8
from maskunet.experiments import journal
from maskunet.experiments.concepts import taught
from maskunet.experiments.concepts.concept import TabletopConcept
from maskunet.experiments.concepts.figures import best_dose, picture
from maskunet.experiments.concepts.make import Making, held_mask, make
from maskunet.experiments.concepts.subjects import TRAINING, Subject, opened, others, showing
from maskunet.experiments.trained import offer
from maskunet.library.library import Loaded
from maskunet.masks import algebra, held
from maskunet.methods import SPECS as METHODS
from maskunet.methods.base.batches import together
from maskunet.models.base import DiffusionModel
from maskunet.models.base.dressed import dressed
from maskunet.records import Request
from maskunet.records import held_mask as kept
from maskunet.records.added import READINGS, Added
from maskunet.rewards.base import WeightedRewards
from maskunet.training import checkpoint

BATCH = 8  # pictures that share U-Net calls, always the same ones
DOSES = (0.25, 0.5, 0.75)  # besides the whole mask, to be shown
CHOICES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)  # of which training prompts choose one
PAIRS = (("red", "striped"), ("blue", "cone"))  # taken away together
AMPLIFIED = ("red", "striped")  # also the other way, in prompts that leave the attribute open
ROUNDS = 4  # of them
RANDOM = 23  # the seed of random masks


@dataclass(frozen=True, kw_only=True, slots=True)
class Arm:
    """A way to make pictures of a group of prompts.

    Attributes:
        kind: "base", "erase", "random", "choose" (a dose, on training prompts), "chosen" (at that dose), "amplify", "dose",
            "negative", "lora" or "pair".
        concept: its name; of a pair the two with a plus between them; empty where pictures serve every concept.
        group: "showing" the concept, leaving it "open", or "others". dose: share of the mask that is on; of a random one how many weights it
            removes, which is as many as the largest mask of the study.
    """

    kind: str
    concept: str = ""
    group: str = ""
    dose: float = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Study:
    """What all rows share.

    Attributes:
        loaded: the base model with its rewards, which make the masks, and the checker, which judges them.
        concepts: all, in the order in which they are made. pairs: of their names, taken away together.
        n: pictures of each group. few: of doses, rivals and pairs. steps: of each picture.
        identity: of models and judges; a folder belongs to one.
    """

    loaded: Loaded
    concepts: Sequence[TabletopConcept]
    pairs: Sequence[tuple[str, str]]
    making: Making
    n: int
    few: int
    steps: int
    identity: Mapping[str, Any]
    out: Path

    @property
    def shared(self) -> dict[str, Any]:
        """What the rows of a folder have in common; more concepts or pictures may be added later."""
        return {**self.identity, "making": asdict(self.making), "steps": self.steps}

    @property
    def file(self) -> Path:
        """Where the rows are."""
        return self.out / "rows.jsonl"

    def mask(self, concept: str, direction: str = "erase") -> Path:
        """Where the mask of a concept lies."""
        return self.out / "masks" / f"{direction}_{concept}.safetensors"

    def lora(self, concept: str) -> Path:
        """Where the LoRA is trained that forgets a concept."""
        return self.out / "loras" / concept

    def rows(self) -> list[dict[str, Any]]:
        """The pictures so far."""
        return journal.read(self.file, self.shared, "study") if self.file.exists() else []


def run(study: Study, should_stop: Callable[[], str] = str) -> Iterator[str]:
    """Make and judge what is missing; tells in a line how far it is.

    Raises:
        ValueError: the folder holds another study.
    """
    journal.resume(study.file, study.shared, "study")
    (study.out / "masks").mkdir(parents=True, exist_ok=True)
    done = {_key(row) for row in study.rows()}
    for arm, subjects in work(study):
        groups = [subjects[start : start + BATCH] for start in range(0, len(subjects), BATCH)]
        missing = [
            some for some in groups
            if any(_key({**asdict(arm), "prompt": each.prompt, "seed": each.seed}) not in done for each in some)
        ]  # fmt: skip
        direction = "amplify" if arm.kind == "amplify" else "erase"
        for concept in (each for each in study.concepts if each.name in arm.concept.split("+")):
            if not study.mask(concept.name, direction).exists():
                yield from _made(study, concept, direction)  # not stopped half way: it would begin anew
                if should_stop():
                    return
            if missing and arm.kind == "lora" and not taught.finished(study.lora(concept.name)):
                teaching = taught.teach(study.loaded.model, concept, study.lora(concept.name), steps=study.steps)
                with closing(teaching) as lines:  # which saves, so that the next run goes on there
                    for line in lines:
                        yield line
                        if should_stop():
                            return
        for some in missing:
            rows = [row for row in pictures(study, arm, some) if _key(row) not in done]
            for row in journal.kept(rows, study.file):
                done.add(_key(row))
            yield f"{arm.kind} {arm.concept} {arm.group}: {len(done)} pictures"
            if should_stop():
                return


def work(study: Study) -> Iterator[tuple[Arm, Sequence[Subject]]]:
    """Every arm with its pictures, the most telling first."""
    n, few = study.n, study.few
    for concept in study.concepts:
        groups = {"showing": showing(concept, n), "others": others(concept, n)}
        for group, subjects in groups.items():
            yield Arm(kind="base"), subjects
            yield Arm(kind="erase", concept=concept.name, group=group), subjects
    most = max(len(kept.load(study.mask(concept.name)).at(0)) for concept in study.concepts)
    for concept in study.concepts:
        yield Arm(kind="random", dose=float(most)), showing(concept, n)
    for concept in study.concepts:
        yield from _dosed(study, concept)
    for concept in (each for each in study.concepts if each.name in AMPLIFIED):
        yield Arm(kind="base"), opened(concept, n)
        yield Arm(kind="amplify", concept=concept.name, group="open"), opened(concept, n)
        yield Arm(kind="amplify", concept=concept.name, group="others"), others(concept, n)
    for kind, concept in product(("negative", "lora"), study.concepts):
        for group, subjects in {"showing": showing(concept, few), "others": others(concept, few)}.items():
            yield Arm(kind=kind, concept=concept.name, group=group), subjects
    for first, second in study.pairs:
        both = [next(each for each in study.concepts if each.name == name) for name in (first, second)]
        name = f"{first}+{second}"
        for concept in both:
            yield Arm(kind="pair", concept=name, group=f"showing {concept.name}"), showing(concept, few)
        left = [each for each in others(both[0], 2 * few) if second not in dict(each.words).values()][:few]
        yield Arm(kind="base"), left
        yield Arm(kind="pair", concept=name, group="others"), left
    for concept in study.concepts:
        for dose in DOSES:
            for group, subjects in {"showing": showing(concept, few), "others": others(concept, few)}.items():
                yield Arm(kind="dose", concept=concept.name, group=group, dose=dose), subjects


def _dosed(study: Study, concept: TabletopConcept) -> Iterator[tuple[Arm, Sequence[Subject]]]:
    """Choose the dose of a mask on training prompts; where less than all of it is better, judge that."""
    few = study.few
    for group, subjects in {
        "showing": showing(concept, few, TRAINING),
        "others": others(concept, few, TRAINING),
    }.items():
        yield Arm(kind="base"), subjects
        for dose in CHOICES:
            yield Arm(kind="choose", concept=concept.name, group=group, dose=dose), subjects
    dose = chosen_dose(concept, study.rows())  # of the pictures just made
    if dose < 1:
        for group, subjects in {"showing": showing(concept, study.n), "others": others(concept, study.n)}.items():
            yield Arm(kind="chosen", concept=concept.name, group=group, dose=dose), subjects


def chosen_dose(concept: TabletopConcept, rows: Sequence[Mapping[str, Any]]) -> float:
    """The dose that training prompts choose; 1 before all of their pictures are there."""
    mine = [row for row in rows if row["kind"] == "choose" and row["concept"] == concept.name]
    doses = {dose: [row for row in mine if row["dose"] == dose] for dose in CHOICES}
    if len({len(some) for some in doses.values()}) > 1 or not mine:
        return 1.0
    return best_dose(concept.attribute, doses, {picture(row): row for row in rows if row["kind"] == "base"})


def _made(study: Study, concept: TabletopConcept, direction: str) -> Iterator[str]:
    """Make the concept's mask."""
    model, making = study.loaded.model, replace(study.making, direction=direction)
    making = replace(making, rounds=min(ROUNDS, making.rounds)) if direction == "amplify" else making
    for last in make(model, study.loaded.rewards, concept, making):
        told = f"round {last.number}, {len(last.removed)} weights, seen in {last.seen:.0%}"
        yield f"{direction} {concept.name}: {told}"
    kept.save(held_mask(model, concept, making, last, {}), study.mask(concept.name, direction))


def pictures(study: Study, arm: Arm, subjects: Sequence[Subject]) -> list[dict[str, Any]]:
    """Make these pictures together, and say what is on them."""
    model, checker = _model(study, arm), study.loaded.checker
    method, settings, negative = _how(study, arm)
    request = Request(
        prompt="-", negative_prompt=negative, model=model.name, method=method, steps=study.steps,
        guidance=model.guidance, previews=False, statistics=False,
    )  # fmt: skip
    spec = METHODS[method]
    asked = [replace(request, prompt=each.prompt, seed=each.seed) for each in subjects]
    images: dict[int, np.ndarray] = {}
    for number, event in together(spec, model, WeightedRewards({}), asked, spec.settings("", settings)):
        if event.final:
            images[number] = event.image
    seen = checker.see(from_uint8(np.stack([images[i] for i in range(len(asked))]), model.device))
    return [
        {
            **asdict(arm), "prompt": each.prompt, "words": dict(each.words), "seed": each.seed,
            "seen": [{name: getattr(thing, name) for name in SEEN} for thing in things],
        }
        for each, things in zip(subjects, seen, strict=True)
    ]  # fmt: skip


def _model(study: Study, arm: Arm) -> DiffusionModel:
    """The base model, or a copy with a LoRA."""
    if arm.kind != "lora":
        return study.loaded.model
    files = {"loras": {arm.concept: study.lora(arm.concept) / checkpoint.PART}, "embeddings": {}}
    return dressed(study.loaded.model, Added(((arm.concept, 1.0),), (), READINGS[0]), files, [])


SEEN = ("shape", "color", "texture", "size")


def _how(study: Study, arm: Arm) -> tuple[str, dict[str, Any], str]:
    """The method, its settings and the negative prompt.

    Where no mask was found the base makes the pictures: a mask that removes nothing is not offered to a model.
    """
    if arm.kind in ("base", "negative", "lora"):
        return "plain", {}, arm.concept if arm.kind == "negative" else ""
    if arm.kind == "random":
        return ("held_mask", {"mask": _random(study, int(arm.dose))}, "") if arm.dose else ("plain", {}, "")
    path = study.mask(arm.concept, arm.kind if arm.kind in ("pair", "amplify") else "erase")
    if not path.exists():
        kept.save(algebra.union(*(kept.load(study.mask(name)) for name in arm.concept.split("+"))), path)
    if not len(kept.load(path).at(0)):
        return "plain", {}, ""
    offer(study.loaded.model, "mask", path.stem, path)
    return "held_mask", {"mask": path.stem, "dose": arm.dose}, ""


def _random(study: Study, count: int) -> str:
    """The name of a mask that removes so many weights, chosen by chance."""
    model, path = study.loaded.model, study.out / "masks" / f"random_{count}.safetensors"
    if not path.exists():
        total = sum(rows * columns for rows, columns in held.shapes(model.unet).values())
        places = np.random.default_rng(RANDOM).permutation(total)[:count].astype(np.uint32)
        kept.save(held.of_model(model, {0: places}, {"made": "random", "seed": RANDOM}), path)
    offer(model, "mask", path.stem, path)
    return path.stem


def _key(row: Mapping[str, Any]) -> tuple:
    return tuple(row[name] for name in ("kind", "concept", "group", "dose", "prompt", "seed"))
