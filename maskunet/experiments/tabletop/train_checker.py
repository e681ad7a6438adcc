"""Train the checker on renders and on their reconstructions by the autoencoder."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from maskunet.experiments.tabletop.fit import fit, mixed_precision
from maskunet.tabletop import checker, data, on_disk
from maskunet.tabletop.render import project
from maskunet.tabletop.scenes import Scene, mirrored

BATCH = 32


def train(folder: Path, scenes: Path, reconstructions: Path | None, *, minutes: float, shards: int) -> nn.Module:
    """Train for some minutes and save the checker; half of each batch are reconstructions, if given."""
    plain, images = data.load(scenes, 0, shards)
    decoded = None
    if reconstructions is not None:
        decoded = [np.load(reconstructions / f"{i:04d}.npy", mmap_mode="r") for i in range(shards)]
    module = checker.Checker()
    held_out = data.training_scenes(9_000)[:200]
    from maskunet.tabletop.render import render

    pictures = render(held_out).float() / 255

    def loss(generator: torch.Generator) -> dict[str, Tensor]:
        batch, drawn = [], []
        for index, flip in torch.randint(1 << 30, (BATCH, 2), generator=generator).tolist():
            i = index % len(plain)
            source = decoded if decoded is not None and flip % 4 >= 2 else images
            picture = source[i // data.SHARD][i % data.SHARD]
            batch.append(picture[:, :, ::-1] if flip % 2 else picture)
            drawn.append(mirrored(plain[i]) if flip % 2 else plain[i])
        x = torch.from_numpy(np.stack(batch).astype(np.float32)) / 255
        x = jitter(x, generator)
        with mixed_precision():
            maps = module(x)
        return _losses(maps, drawn)

    def report(ema: nn.Module) -> dict[str, float]:
        on_disk.save(ema, folder / "checker")
        return checker.agreement(ema, held_out, pictures)

    return fit(module, loss, folder / "checker_state", minutes=minutes, learning_rate=2e-3, on_checkpoint=report)


def jitter(x: Tensor, generator: torch.Generator) -> Tensor:
    """Brightness, contrast, blur and noise, so that slightly wrong pictures are still read."""
    b = len(x)
    gain = 1 + 0.15 * torch.randn(b, 1, 1, 1, generator=generator)
    shift = 0.04 * torch.randn(b, 1, 1, 1, generator=generator)
    soft = F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, 1)
    mix = torch.rand(b, 1, 1, 1, generator=generator).clamp_min(0.4) * 1.6 - 0.64
    noise = 0.04 * torch.rand(b, 1, 1, 1, generator=generator) * torch.randn(x.shape, generator=generator)
    return ((x + mix * (soft - x)) * gain + shift + noise).clamp(0, 1)


def _losses(maps: dict[str, Tensor], scenes: list[Scene]) -> dict[str, Tensor]:
    size = maps["heat"].shape[-1]
    target = torch.zeros_like(maps["heat"])
    grid = torch.arange(size, dtype=torch.float32)
    where, things = [], []
    for b, scene in enumerate(scenes):
        points = project([(t.x, t.y, t.radius * 0.8) for t in scene]) * size
        for thing, (u, v) in zip(scene, points.tolist(), strict=True):
            blob = torch.exp(-((grid[None] - u + 0.5) ** 2 + (grid[:, None] - v + 0.5) ** 2) / 2.0)
            target[b, 0] = torch.maximum(target[b, 0], blob)
            where.append((b, min(max(int(v), 0), size - 1), min(max(int(u), 0), size - 1)))
            things.append(thing)
    b, v, u = torch.tensor(where).unbind(1)
    target[b, 0, v, u] = 1.0
    p = maps["heat"].sigmoid().clamp(1e-4, 1 - 1e-4)
    focal = -torch.where(target == 1, (1 - p) ** 2 * p.log(), (1 - target) ** 4 * p**2 * (1 - p).log())
    losses = {"heat": focal.sum() / len(things)}
    for group, names in checker.GROUPS.items():
        wanted = torch.tensor([names.index(getattr(t, group)) for t in things])
        losses[group] = F.cross_entropy(maps[group][b, :, v, u], wanted)
    place = torch.tensor([(t.x, t.y) for t in things])
    losses["place"] = F.l1_loss(maps["place"][b, :, v, u], place)
    return losses
