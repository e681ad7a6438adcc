"""Rendered training scenes on disk: made once, shard by shard, read as a memory map."""

import json
import logging
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from maskunet.tabletop.render import render
from maskunet.tabletop.scenes import Scene, Thing, random_scene

log = logging.getLogger(__name__)

SHARD = 1000


@lru_cache(maxsize=64)  # half a second to make, a megabyte to keep
def training_scenes(shard: int) -> tuple[Scene, ...]:
    """The scenes of one shard; shard numbers are seeds, so any machine makes the same ones."""
    rng = np.random.default_rng((20_26, shard))
    return tuple(random_scene(rng) for _ in range(SHARD))


def make(folder: Path, shards: int, workers: int = 2) -> None:
    """Render the first `shards` shards of 1,000 scenes that are not in `folder` yet."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = [i for i in range(shards) if not (folder / f"{i:04d}.npy").exists()]
    with ProcessPoolExecutor(workers) as pool:
        for i in pool.map(_render_shard, [folder] * len(missing), missing):
            log.info("shard %d of %d", i + 1, shards)


def _render_shard(folder: Path, shard: int) -> int:
    torch.set_num_threads(1)
    scenes = training_scenes(shard)
    (folder / f"{shard:04d}.json").write_text(json.dumps([[asdict(t) for t in s] for s in scenes]), encoding="utf-8")
    images = render(scenes).numpy()
    with (folder / f"{shard:04d}.tmp").open("wb") as file:
        np.save(file, images)
    (folder / f"{shard:04d}.tmp").rename(folder / f"{shard:04d}.npy")
    return shard


def load(folder: Path, first: int, last: int) -> tuple[list[Scene], list[np.ndarray]]:
    """Scenes and memory-mapped (1000, 3, 128, 128) uint8 shards, `first` to `last` (excluded)."""
    scenes, images = [], []
    for i in range(first, last):
        rows = json.loads((folder / f"{i:04d}.json").read_text(encoding="utf-8"))
        scenes += [tuple(Thing(**thing) for thing in row) for row in rows]
        images.append(np.load(folder / f"{i:04d}.npy", mmap_mode="r"))
    return scenes, images
