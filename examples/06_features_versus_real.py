"""How far are pictures from real ones? Features of renders, and of the same kind seen through the autoencoder.

In a clone: python -m examples.06_features_versus_real
"""

import sys
from pathlib import Path

import numpy as np
import torch

from maskunet import Lab
from maskunet.evaluation import extractors, features, metrics
from maskunet.tabletop.render import render
from maskunet.tabletop.scenes import random_scene
from visualize import embedding

IMAGES, SEED = 60, 7


def pictures(name: str, images: np.ndarray) -> features.Pictures:
    files = tuple(f"{name}-{i:03d}" for i in range(len(images)))
    return features.Pictures(name=name, files=files, sources=tuple(images), captions=("",) * len(images))


def through_autoencoder(vae: torch.nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Encode to latents and back, (B, 3, H, W) uint8."""
    with torch.no_grad():
        batches = (vae.encode(part.float() / 127.5 - 1).latent_dist.mode() for part in images.split(20))
        decoded = torch.cat([vae.decode(latents).sample for latents in batches])
    return ((decoded / 2 + 0.5).clamp(0, 1) * 255).round().byte()


def main(out: Path, n: int = IMAGES) -> list[metrics.Score]:
    rng = np.random.default_rng(SEED)
    renders = render([random_scene(rng) for _ in range(2 * n)])
    # Other scenes than the reference's: the same ones would be pairs, and closer than chance.
    vae = Lab("tabletop", device="cpu").model.vae
    generated = through_autoencoder(vae, renders[n:])
    extractor = extractors.load("tabletop", device="cpu")
    sets = {}
    for name, images in (("renders", renders[:n]), ("autoencoder", generated)):
        named = pictures(name, images.permute(0, 2, 3, 1).numpy())
        *_, last = features.extract(named, extractor)
        sets[name] = last.result
    scores = metrics.measure(sets["autoencoder"].features, sets["renders"].features, SEED)
    for score in scores:
        print(f"{score.title} {score.value:.3f} (95 % {score.low:.3f} to {score.high:.3f}, n = {score.n}) {score.note}")
    points = embedding.embed({name: one.features for name, one in sets.items()}, "t-SNE", 10, SEED)
    thumbnails = {name: one.thumbnails for name, one in sets.items()}
    embedding.draw(points, f"t-SNE, perplexity 10, seed {SEED}", thumbnails).savefig(out, dpi=150)
    return scores


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "features.png"))
