"""The checker: a small detector trained on ground truth that reports what stands on the table.

It is no reward and no method may optimize it. It finds centers as peaks of a heat map and reads each
thing's attributes and place there (CenterNet, Zhou et al. 2019, in its simplest form).
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from maskunet.tabletop import on_disk
from maskunet.tabletop.scenes import COLORS, SHAPES, SIZES, TEXTURES, Thing

THRESHOLD = 0.4  # of the heat; chosen on training renders
GROUPS = {"shape": SHAPES, "color": tuple(COLORS), "texture": TEXTURES, "size": tuple(SIZES)}


class Checker(nn.Module):
    """Pictures (B, 3, 128, 128) in [0, 1] to maps (B, channels, 32, 32) at a quarter of the size."""

    def __init__(self, width: int = 24):
        super().__init__()
        w = width
        self.width = width
        self.stem = nn.Sequential(_conv(3, w, 2), _conv(w, w), _conv(w, 2 * w, 2), _conv(2 * w, 2 * w))
        self.deep = nn.Sequential(
            _conv(2 * w, 4 * w, 2), _conv(4 * w, 4 * w), _conv(4 * w, 4 * w, dilation=2), _conv(4 * w, 4 * w)
        )
        self.merge = _conv(6 * w, 4 * w)
        channels = 1 + sum(len(names) for names in GROUPS.values()) + 2
        self.head = nn.Conv2d(4 * w, channels, 1)
        nn.init.constant_(self.head.bias[:1], -4.0)  # centers are rare

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Heat logits, attribute logits by group, and the place (x, y) in world units."""
        maps = self.head(self.states(image)).float()
        sizes = [1, *(len(names) for names in GROUPS.values()), 2]
        return dict(zip(("heat", *GROUPS, "place"), maps.split(sizes, 1), strict=True))

    def states(self, image: Tensor) -> Tensor:
        """What the maps are read from, (B, 4 * width, 32, 32)."""
        near = self.stem(image * 2 - 1)
        far = F.interpolate(self.deep(near), scale_factor=2, mode="nearest")
        return self.merge(torch.cat((near, far), 1))

    @torch.no_grad()
    def see(self, image: Tensor) -> list[list[Thing]]:
        """The things in each picture of (B, 3, H, W) in [0, 1], strongest first."""
        maps = self(F.interpolate(image.float(), size=128, mode="area") if image.shape[-1] != 128 else image.float())
        heat = maps["heat"].sigmoid()
        peaks = (heat == F.max_pool2d(heat, 5, 1, 2)) & (heat > THRESHOLD)
        found: list[list[Thing]] = [[] for _ in image]
        rows = peaks.nonzero()[:, [0, 2, 3]].tolist()
        for b, v, u in sorted(rows, key=lambda row: -float(heat[row[0], 0, row[1], row[2]])):
            names = {group: choices[int(maps[group][b, :, v, u].argmax())] for group, choices in GROUPS.items()}
            x, y = maps["place"][b, :, v, u].tolist()
            found[b].append(Thing(**names, x=x, y=y))
        return found


def _conv(inputs: int, outputs: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, dilation, dilation, bias=False),
        nn.GroupNorm(8, outputs),
        nn.SiLU(),
    )


def load(folder: Path) -> Checker:
    """The trained checker from its folder."""
    return on_disk.load(Checker, folder)


def agreement(checker: Checker, scenes, images: Tensor) -> dict[str, float]:
    """How often the checker agrees with the ground truth, in [0, 1].

    Returns:
        things: share of things found with the right shape and color; texture: and texture;
        scenes: share of pictures in which every thing is right and none is made up.
    """
    right = textured = total = whole = 0
    for batch, pictures in zip(_batches(scenes), images.split(50), strict=True):
        for scene, seen in zip(batch, checker.see(pictures), strict=True):
            matches = [_match(thing, seen) for thing in scene]
            good = [
                m is not None and (m.shape, m.color) == (t.shape, t.color) for m, t in zip(matches, scene, strict=True)
            ]
            fine = [g and m.texture == t.texture for g, m, t in zip(good, matches, scene, strict=True)]
            right, textured, total = right + sum(good), textured + sum(fine), total + len(scene)
            whole += all(good) and len(seen) == len(scene)
    return {"things": right / total, "with_texture": textured / total, "scenes": whole / len(scenes)}


def _batches(scenes, size: int = 50) -> list:
    return [scenes[i : i + size] for i in range(0, len(scenes), size)]


def _match(thing: Thing, seen: list[Thing]) -> Thing | None:
    near = sorted(seen, key=lambda s: np.hypot(s.x - thing.x, s.y - thing.y))
    return near[0] if near and np.hypot(near[0].x - thing.x, near[0].y - thing.y) < thing.radius else None
