"""The precomputed feature sets: renders, and the embedded models' pictures with and without masks."""

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from maskunet import seeds
from maskunet.evaluation import features
from maskunet.models.base import DiffusionModel
from maskunet.records import Request, feature_set
from maskunet.records.disk import whole
from maskunet.records.feature_set import FeatureSet
from maskunet.rewards.base import WeightedRewards
from maskunet.tabletop.tasks import Case

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SetSpec:
    """A set's name and how its pictures are made."""

    name: str
    method: str
    preset: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)


REMOVED = 0.165  # the share that the embedded trained masks remove on tabletop_web
FILES = {  # by file, in the order of the page's list: the base model and its sets
    "01-tabletop_web": ("tabletop_web", (
        SetSpec("spoiled", "plain", settings={"second_order": True}),
        SetSpec("spoiled, random masks", "random_mask", "start", {"removed": REMOVED, "second_order": True}),
        SetSpec("spoiled, trained masks", "maskunet_trained", "shared", {"second_order": True}),
    )),
    "02-tabletop": ("tabletop", (
        SetSpec("tabletop", "plain"),
        SetSpec("tabletop, official", "maskunet_free", "official"),
    )),
}  # fmt: skip
FIRST_SHARD = 9_010  # with those after it: scenes that no training, report or card has used
SEED = 2  # of the prompts and the pictures; the card's is 1
KEPT_BITS = 0xFC  # of a thumbnail's bytes: the lowest two are noise to the eye and half of the file


def make(folder: Path, out: Path, n: int) -> None:
    """Make the pictures of n test prompts per task, and as many renders; write the files into the folder `out`.

    Every picture is kept in `folder` under its model's weights, so that a broken-off step goes on where it
    was. About 20 seconds for each prompt on a CPU.
    """
    from maskunet.library import networks
    from maskunet.library.library import Library
    from maskunet.tabletop.tasks import TASKS, cases

    asked = [(case, i) for task in TASKS for i, case in enumerate(cases(task, n, SEED))]
    extractor, library = networks.extractor("tabletop", device="cpu"), Library("tabletop_web", device="cpu")
    first = [renders(len(asked), extractor)]
    for file, (model, specs) in FILES.items():
        loaded = library.load(model)
        write([*first, *made(loaded.model, loaded.rewards, specs, asked, extractor, folder)], out / f"{file}.npz")
        first = []


def made(
    model: DiffusionModel,
    rewards: WeightedRewards,
    specs: Sequence[SetSpec],
    asked: Sequence[tuple[Case, int]],
    extractor: features.FeatureExtractor,
    folder: Path,
) -> Iterator[FeatureSet]:
    """One set per spec, of the same prompts and seeds.

    Args:
        asked: cases with their numbers within their task, as `maskunet.evaluate` counts them.
        folder: where each picture is kept.
    """
    from PIL import Image

    weights = hashlib.sha256(repr(sorted(model.weights.items())).encode()).hexdigest()[:12]
    for spec in specs:
        kept = folder / weights / spec.name.replace(",", "").replace(" ", "-")
        paths = []
        for number, (case, i) in enumerate(asked):
            seed = seeds.of_case(SEED, i)
            paths.append(kept / f"{case.task}-{seed}.png")
            if not paths[-1].exists():
                request = Request(
                    prompt=case.prompt, seed=seed, method=spec.method, preset=spec.preset, settings=spec.settings,
                    previews=False,
                )  # fmt: skip
                with whole.file(paths[-1]) as fresh:
                    Image.fromarray(_picture(model, rewards, request)).save(fresh)
            log.info("%s: %d of %d", spec.name, number + 1, len(asked))
        pictures = features.Pictures(
            name=spec.name,
            files=tuple(path.name for path in paths),
            sources=tuple(paths),
            captions=tuple(case.prompt for case, _ in asked),
        )
        yield _extracted(pictures, extractor)


def _picture(model: DiffusionModel, rewards: WeightedRewards, request: Request) -> np.ndarray:
    """(H, W, 3) uint8."""
    from maskunet.methods import SPECS

    spec = SPECS[request.method]
    *_, last = spec.run(model, rewards, request, spec.settings(request.preset, request.settings))
    return last.image


def renders(count: int, extractor: features.FeatureExtractor) -> FeatureSet:
    """As many renders of random scenes, each with a true caption."""
    from maskunet.tabletop.captions import caption
    from maskunet.tabletop.data import SHARD, training_scenes
    from maskunet.tabletop.render import render

    shards = range(FIRST_SHARD, FIRST_SHARD + -(-count // SHARD))
    scenes = [scene for shard in shards for scene in training_scenes(shard)][:count]
    rng = np.random.default_rng(SEED)
    pictures = features.Pictures(
        name="renders",
        files=tuple(f"scene-{FIRST_SHARD}-{i:04d}" for i in range(count)),
        sources=tuple(render(scenes).permute(0, 2, 3, 1).numpy()),
        captions=tuple(caption(scene, rng) for scene in scenes),
    )
    return _extracted(pictures, extractor)


def _extracted(pictures: features.Pictures, extractor: features.FeatureExtractor) -> FeatureSet:
    *_, last = features.extract(pictures, extractor)
    return last.result


def write(sets: Sequence[FeatureSet], out: Path) -> None:
    """Save the sets in under 3 MB for 4 of 350 pictures.

    Features are rounded to half precision (3 digits) and thumbnails to 64 levels, which packs them into half
    the size; the file holds float32 and bytes all the same.
    """
    from dataclasses import replace

    out.parent.mkdir(parents=True, exist_ok=True)
    rounded = [
        replace(
            one,
            features=one.features.astype(np.float16).astype(np.float32),
            thumbnails=one.thumbnails & np.uint8(KEPT_BITS),
        )
        for one in sets
    ]
    feature_set.save(rounded, out)
    log.info("%s: %.2f MB", out.name, out.stat().st_size / 1e6)
