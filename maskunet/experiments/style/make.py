"""Train a LoRA that makes all things metal, then make every prompt's picture with it and without, under masks and without.

The style is in no caption, so that the LoRA alone brings it; masks are a trained generator's of the base, and the
training-free ones. Every picture is a row on disk at once, so that a study goes on where it was stopped.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from maskunet import seeds
from maskunet.encoders.pixels import from_uint8
from maskunet.experiments.evaluate import drawn
from maskunet.library.library import Loaded
from maskunet.masks.sites import find_sites
from maskunet.models.base.dressed import dressed
from maskunet.plugins import chosen
from maskunet.records import Request
from maskunet.records.added import NOTHING, READINGS, Added
from maskunet.runs.entrant import Entrant
from maskunet.tabletop import data
from maskunet.tabletop.captions import plan, write
from maskunet.tabletop.checker import Checker
from maskunet.tabletop.scenes import Scene
from maskunet.tabletop.tasks import TASKS, Case, cases
from maskunet.training import checkpoint, loop
from maskunet.training.data import Pair
from maskunet.training.recipes import SPECS as RECIPES

STYLE, LORA = "metal", "style"
SHARDS, PIXELS = 2, 128
TASKS_ASKED = tuple(task for task in TASKS if task != "texture_attribution")  # whose prompts ask for no texture


class Styled:
    """Tabletop scenes in which everything is metal, with captions that name no texture."""

    notes = ()

    def __len__(self) -> int:
        return SHARDS * data.SHARD

    def __call__(self, index: int, draw: int) -> Pair:
        """See `maskunet.training.data.Pairs`."""
        from maskunet.tabletop.render import render

        rng = np.random.default_rng((7, draw))
        shard, place = divmod(index, data.SHARD)
        scene = styled(data.training_scenes(shard)[place])
        how = plan(scene, rng)
        how["named"] = [tuple(name for name in named if name != "texture") for named in how["named"]]
        return Pair(write(scene, how), image=render([scene], PIXELS)[0].permute(1, 2, 0).numpy())


def styled(scene: Scene) -> Scene:
    """The scene with every thing in the style."""
    return tuple(replace(thing, texture=STYLE) for thing in scene)


@dataclass(frozen=True, kw_only=True, slots=True)
class Study:
    """What a study is of.

    Attributes:
        loaded: the base model, with its checker. masks: the methods that put masks on. plain: the one without.
        steps: of the LoRA's training. n: prompts per task. seed: of prompts and noise.
    """

    loaded: Loaded
    plain: Entrant
    masks: Sequence[Entrant]
    steps: int
    n: int
    seed: int
    out: Path

    @property
    def file(self) -> Path:
        """The LoRA."""
        return self.out / LORA / checkpoint.PART

    def arms(self) -> list[tuple[str, Entrant]]:
        """What is compared: "" for no LoRA, else what masks act on under it, with a method; one table after the other."""
        masked = [(reading, each) for each in self.masks for reading in ("", *READINGS)]
        return [("", self.plain), (READINGS[0], self.plain), *masked]


def train(study: Study, should_stop: Callable[[], str] = str) -> Iterator[str]:
    """Train the LoRA, or what is left of it; tells in a line how far it is."""
    folder = study.out / LORA
    recipe = RECIPES["lora"]
    settings = chosen(recipe.presets, recipe.name, "tabletop", {"steps": study.steps, "every": study.steps})
    begun = (folder / checkpoint.STATE).exists()
    about = {"data": f"tabletop, all {STYLE}"}
    events = loop.train(study.loaded.model, recipe, settings, Styled(), folder, about=about, resume=begun)
    with closing(events):
        for event in events:
            yield f"LoRA: step {event.step} of {event.steps}"
            if should_stop():
                return


def under(study: Study, reading: str) -> Loaded:
    """The base model, or a copy with the LoRA on it."""
    added = Added(((LORA, 1.0),), (), reading) if reading else NOTHING
    if added == NOTHING:
        return study.loaded
    model, files = study.loaded.model, {"loras": {LORA: study.file}, "embeddings": {}}
    return replace(study.loaded, model=dressed(model, added, files, [site.name for site in find_sites(model.unet)]))


def subjects(n: int, seed: int) -> list[list[tuple[Case, int]]]:
    """The held-out prompts with the seeds of their noise: a row of all tasks for each of n numbers."""
    every = zip(*(cases(task, n, seed, "test") for task in TASKS_ASKED), strict=True)
    return [[(case, seeds.of_case(seed, i)) for case in row] for i, row in enumerate(every)]


def wanted(study: Study) -> set[tuple]:
    """The `key` of every picture that the study asks for."""
    pairs = [pair for row in subjects(study.n, study.seed) for pair in row]
    return {(reading, entrant.name, case.prompt, seed) for reading, entrant in study.arms() for case, seed in pairs}


def make(study: Study, done: set[tuple], should_stop: Callable[[], str] = str) -> Iterator[dict[str, Any]]:
    """Rows of the pictures that are not `done` (`key`), arm by arm."""
    for reading, entrant in study.arms():
        loaded = None
        for row in subjects(study.n, study.seed):
            missing = [(case, seed) for case, seed in row if (reading, entrant.name, case.prompt, seed) not in done]
            if not missing:
                continue
            loaded = loaded or under(study, reading)
            yield from _pictures(loaded, reading, entrant, missing)
            if should_stop():
                return


def _pictures(
    loaded: Loaded, reading: str, entrant: Entrant, wanted: Sequence[tuple[Case, int]]
) -> Iterator[dict[str, Any]]:
    request = replace(entrant.request(Request(prompt="-", model=loaded.model.name)), settings=entrant.named())
    asked = [(case, replace(request, prompt=case.prompt, seed=seed)) for case, seed in wanted]
    settings = entrant.spec.settings(entrant.preset, entrant.named())
    for row, image in drawn(loaded, entrant.spec, asked, settings):
        yield {**row, "lora": reading, "method": entrant.name, "style": style_of(loaded.checker, image)}


@torch.no_grad()
def style_of(checker: Checker, image: np.ndarray) -> float:
    """The share of the things on a picture (H, W, 3) uint8 that have the style; 0 where there are none."""
    seen = checker.see(from_uint8(image))[0]
    return sum(thing.texture == STYLE for thing in seen) / len(seen) if seen else 0.0


def key(row: Mapping[str, Any]) -> tuple:
    """Which picture a row is of."""
    return row["lora"], row["method"], row["prompt"], row["seed"]
