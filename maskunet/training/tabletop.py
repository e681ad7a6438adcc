"""Tabletop scenes as training data: rendered when asked for, or as cached latents, with fresh captions."""

from pathlib import Path
from typing import Any

import numpy as np

from maskunet.tabletop import data
from maskunet.tabletop.captions import caption
from maskunet.tabletop.scenes import mirrored

PIXELS = 128  # along an edge of its pictures


class Tabletop:
    """Scenes of the first shards; every draw words the caption anew, and every other one mirrors the scene.

    Args:
        shards: of 1,000 scenes each. latents: a folder that `python -m maskunet tabletop latents` wrote,
            which saves rendering and encoding. A shard is laid out when it is first asked for.
    """

    notes = ()

    def __init__(self, shards: int = 8, latents: Path | None = None):
        self.shards = shards
        self.latents = [np.load(latents / f"{i:04d}.npy", mmap_mode="r") for i in range(shards)] if latents else []
        self.scale = float((latents / "scale.json").read_text()) if latents else 1.0

    def __len__(self) -> int:
        return self.shards * data.SHARD

    def __call__(self, index: int, draw: int) -> Any:
        """See `maskunet.training.data.Pairs`."""
        from maskunet.training.data import Pair

        rng = np.random.default_rng((7, draw))
        flipped = bool(rng.random() < 0.5)
        shard, place = divmod(index, data.SHARD)
        scene = data.training_scenes(shard)[place]
        scene = mirrored(scene) if flipped else scene
        text = caption(scene, rng)
        if self.latents:
            return Pair(text, latents=self.latents[shard][place, int(flipped)].astype(np.float32) * self.scale)
        from maskunet.tabletop.render import render

        return Pair(text, image=render([scene], PIXELS)[0].permute(1, 2, 0).numpy())
