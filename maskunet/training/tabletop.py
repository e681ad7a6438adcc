"""Tabletop scenes as training data: rendered when asked for, or as cached latents, with fresh captions."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from maskunet.tabletop import checker, data
from maskunet.tabletop.captions import caption
from maskunet.tabletop.place import CHECKER
from maskunet.tabletop.scenes import mirrored
from maskunet.tabletop.tasks import TASKS, cases

PIXELS = 128  # along an edge of its pictures
EACH = 7  # prompts of every task on which a training is judged


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
        self.scale = float((latents / "scale.json").read_text(encoding="utf-8")) if latents else 1.0

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


class Correct:
    """The checker's word on pictures of the tasks' prompts, of the split that may choose a setting.

    Attributes:
        prompts: `EACH` of every task, task by task.
    """

    def __init__(self, device: torch.device):
        self._checker = checker.load(CHECKER).to(device)
        self._cases = [case for task in TASKS for case in cases(task, EACH, seed=0, split="train")]
        self.prompts = [case.prompt for case in self._cases]

    def __call__(self, image: Tensor, which: range) -> Tensor:
        """(B,) 1 where a picture of (B, 3, H, W) in [0, 1] is what its prompt asks for, else 0."""
        seen = zip((self._cases[i] for i in which), self._checker.see(image), strict=True)
        return torch.tensor([float(case.satisfied(things)) for case, things in seen])
