"""Train the inspector on spoiled renders, drawn anew for every batch, and on reconstructions of some."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from maskunet.experiments.tabletop.fit import fit
from maskunet.tabletop import data, inspector, on_disk
from maskunet.tabletop.inspector import KINDS
from maskunet.tabletop.render import render
from maskunet.tabletop.scenes import Scene
from maskunet.tabletop.spoiling import spoiled

BATCH, RECONSTRUCTED = 36, 300  # pictures a batch; reconstructions of each kind
HELD_OUT_SHARD = 9_003  # a seed of which no training has used a scene


def train(folder: Path, scenes: Path, *, minutes: float, shards: int) -> nn.Module:
    """Train for some minutes and save the inspector; half of each batch are reconstructions.

    Args:
        folder: holds vae/, receives the checkpoint, the log and inspector/.
        scenes: rendered shards, see `data.make`.
    """
    plain, images = data.load(scenes, 0, shards)
    renders = [images[i // data.SHARD][i % data.SHARD] for i in range(len(plain))]
    some = np.random.default_rng(1).integers(len(plain), size=RECONSTRUCTED)
    known = by_kind([plain[i] for i in some], [renders[i] for i in some], seed=1)
    decoded = {kind: reconstructed(folder / "vae", x) for kind, x in known.items()}
    held_out = held_out_pictures(folder / "vae", 50)
    module = inspector.Inspector()

    def loss(generator: torch.Generator) -> dict[str, Tensor]:
        rng = np.random.default_rng(int(torch.randint(1 << 40, (1,), generator=generator)))
        wanted = [i % len(KINDS) for i in range(BATCH)]
        batch = []
        for kind in (KINDS[i] for i in wanted):
            i = int(rng.integers(len(plain)))
            if rng.random() < 0.5:
                picture = torch.tensor(spoiled(renders[i], plain[i], rng, kind)).float() / 255
            else:
                picture = decoded[kind][i % RECONSTRUCTED]
            batch.append(picture.flip(-1) if rng.random() < 0.5 else picture)
        gain = torch.from_numpy(rng.normal(1, 0.03, (BATCH, 3, 1, 1)).astype(np.float32))
        logits = module((torch.stack(batch) * gain).clamp(0, 1))
        return {"kind": F.cross_entropy(logits, torch.tensor(wanted))}

    def report(ema: nn.Module) -> dict[str, float]:
        on_disk.save(ema, folder / "inspector")
        return {
            f"{what} {kind}": share
            for what, pictures in held_out.items()
            for kind, share in inspector.accuracy(ema, pictures).items()
        }

    return fit(module, loss, folder / "inspector_state", minutes=minutes, learning_rate=2e-3, on_checkpoint=report)


def held_out_pictures(vae_folder: Path, n: int) -> dict[str, dict[str, Tensor]]:
    """Renders that no training has seen, n of each kind, and their reconstructions: (n, 3, 128, 128) in [0, 1]."""
    scenes = data.training_scenes(HELD_OUT_SHARD)[:n]
    renders = by_kind(scenes, render(scenes).numpy(), seed=2)
    return {"renders": renders, "reconstructions": {k: reconstructed(vae_folder, x) for k, x in renders.items()}}


def by_kind(scenes: list[Scene], renders: list[np.ndarray], seed: int) -> dict[str, Tensor]:
    """All pictures spoiled in each way, (n, 3, 128, 128) in [0, 1]."""
    rng = np.random.default_rng(seed)
    return {
        kind: torch.from_numpy(np.stack([spoiled(x, s, rng, kind) for s, x in zip(scenes, renders, strict=True)])) / 255
        for kind in KINDS
    }


@torch.no_grad()
def reconstructed(vae_folder: Path, pictures: Tensor) -> Tensor:
    """The pictures as the autoencoder shows them."""
    from diffusers import AutoencoderKL

    vae = AutoencoderKL.from_pretrained(vae_folder).float().eval()
    parts = [vae.decode(vae.encode(x * 2 - 1).latent_dist.mean).sample for x in pictures.split(25)]
    return (torch.cat(parts) / 2 + 0.5).clamp(0, 1)
