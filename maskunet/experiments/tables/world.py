"""Where a table's pictures come from and what they are measured against: the tabletop world, or COCO's files."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from maskunet.encoders.pixels import from_uint8
from maskunet.evaluation import extractors, features
from maskunet.library import networks
from maskunet.library.library import Loaded
from maskunet.prompts.files import Prompt
from maskunet.records import Request
from maskunet.training import sources
from maskunet.training.data import Pairs

FIRST_SHARD = 9_020  # with those after it: scenes that no training, report or card has used
REFERENCE = 1_000  # renders that the tabletop's pictures are measured against
SHARDS = 100  # of captions, enough for 100,000 different prompts per seed


@dataclass(frozen=True, kw_only=True, slots=True)
class World:
    """What a table needs besides its rows.

    Attributes:
        pairs: what the rows train on, and `about`, what identifies it.
        preset: of the recipes; `changes`, by row, settings that suit this world better than the preset's.
        request: steps and guidance of the pictures. second_order: of their solver.
        prompts: the first n prompts of a seed.
        reference: real pictures. extractor: makes features of both.
        agreement: how well pictures fit their captions, one number each, and `agreement_title`, what it is;
            None where no network for it is here.
    """

    loaded: Loaded
    pairs: Pairs
    about: Mapping[str, Any]
    preset: str
    request: Request
    second_order: bool
    prompts: Callable[[int, int], Sequence[Prompt]]
    reference: features.Pictures
    extractor: features.FeatureExtractor
    agreement: Callable[[features.Pictures], Sequence[float]] | None
    agreement_title: str
    changes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def tabletop(loaded: Loaded, latents: Path | None, guidance: float | None) -> World:
    """Rendered scenes: one part to train on, another for the captions, a third as the reference."""
    size = 128
    pairs, about = sources.find("tabletop", size, latents)
    return World(
        loaded=loaded,
        pairs=pairs,
        about=about,
        preset="tabletop",
        request=Request(prompt="replaced by each", model=loaded.model.name, guidance=guidance),
        second_order=True,
        prompts=_captions,
        reference=renders(),
        extractor=networks.extractor("tabletop", device=loaded.model.device.type),
        agreement=partial(_hpsv2, loaded),
        agreement_title="HPSv2 score (tabletop's)",
        changes={"live": {"learning_rate": 1e-3}},  # the light generator's is too large for it
    )


def _hpsv2(loaded: Loaded, pictures: features.Pictures) -> list[float]:
    """The tabletop has no CLIP but HPSv2's, which was trained on its pictures and captions."""
    from PIL import Image

    found = []
    for source, caption in zip(pictures.sources, pictures.captions, strict=True):
        pixels = from_uint8(np.array(Image.open(source).convert("RGB")), loaded.model.device)
        with torch.no_grad():
            found.append(float(loaded.rewards(pixels, [caption])["hpsv2"]))
    return found


def _captions(seed: int, n: int) -> list[Prompt]:
    from maskunet.tabletop.captions import caption
    from maskunet.tabletop.data import SHARD, training_scenes

    first = FIRST_SHARD + 1 + SHARDS * seed
    rng = np.random.default_rng((3, seed))
    scenes = (scene for shard in range(first, first + -(-n // SHARD)) for scene in training_scenes(shard))
    return [Prompt(f"{i:05d}", caption(scene, rng)) for i, (scene, _) in enumerate(zip(scenes, range(n), strict=False))]


def renders() -> features.Pictures:
    """`REFERENCE` clean renders of scenes that no model trained on, to measure a distance to; always the same."""
    from maskunet.tabletop.data import training_scenes
    from maskunet.tabletop.render import render

    scenes = training_scenes(FIRST_SHARD)[:REFERENCE]
    return features.Pictures(
        name="renders",
        files=tuple(f"scene-{FIRST_SHARD}-{i:04d}" for i in range(len(scenes))),
        sources=tuple(render(scenes).permute(0, 2, 3, 1).numpy()),
        captions=("",) * len(scenes),
    )


def coco(
    loaded: Loaded,
    coco: Path,
    laion: str,
    extractor: features.FeatureExtractor,
    clip: Path | None,
    guidance: float | None,
) -> World:
    """COCO's pictures as the reference, one caption of each as the prompts, another data set to train on.

    Args:
        coco: a folder of pictures such as val2017, with annotations/captions_val2017.json beside it.
        laion: a folder with metadata.jsonl or a Parquet file such as LAION-art's.
        clip: folder of a CLIP; None for one on this machine, if there is any.

    Raises:
        ValueError: a folder is missing or not in its format; says what it must hold.
    """
    reference = features.read_folder(coco, "COCO")
    known = [
        Prompt(Path(file).stem, text) for file, text in zip(reference.files, reference.captions, strict=True) if text
    ]
    if not known or not reference.captions_from.startswith("captions"):  # COCO's files are called so
        raise ValueError(
            f"No caption of “{coco.name}” was found. COCO's lie in annotations/captions_{coco.name}.json beside it."
        )
    model = loaded.model
    pairs, about = sources.find(laion, model.pixels)
    return World(
        loaded=loaded, pairs=pairs, about=about, preset="paper",
        request=Request(prompt="replaced by each", model=model.name, steps=50, guidance=7.5 if guidance is None else guidance),
        second_order=False,  # which is DDIM, the paper's sampler
        prompts=lambda seed, n: known[:n],
        reference=reference,
        extractor=extractor,
        agreement=_clip(clip, model.device), agreement_title="CLIP score",
    )  # fmt: skip


def _clip(folder: Path | None, device: torch.device) -> Callable[[features.Pictures], Sequence[float]] | None:
    from maskunet.evaluation import clip_score
    from maskunet.records.disk.hub import MissingWeights

    try:
        clip = clip_score.Clip(clip_score.find(folder), device)
    except MissingWeights:
        if folder:
            raise
        return None

    def scores(pictures: features.Pictures) -> Sequence[float]:
        *_, last = features.extract(pictures, clip, extractors.cache_place())
        return np.concatenate([*clip_score.scores(last.result, clip)])

    return scores
