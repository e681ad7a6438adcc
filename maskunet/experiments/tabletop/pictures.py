"""Pictures the judges must also read: reconstructions, and one-step x0 predictions of the model."""

from pathlib import Path

import numpy as np
import torch

from maskunet.experiments.tabletop.fit import mixed_precision
from maskunet.records.disk import whole
from maskunet.tabletop import data
from maskunet.tabletop.captions import caption

PREDICTION_GUIDANCE = 3.0


def decoded(vae_folder: Path, latents: Path, out: Path, shards: int) -> None:
    """Decode the cached latents: (1000, 3, 128, 128) uint8 per shard, as the autoencoder shows them."""
    from diffusers import AutoencoderKL

    vae = AutoencoderKL.from_pretrained(vae_folder).eval()
    out.mkdir(parents=True, exist_ok=True)
    for shard in range(shards):
        if (out / f"{shard:04d}.npy").exists():
            continue
        z = torch.from_numpy(np.load(latents / f"{shard:04d}.npy")[:, 0])
        pictures = []
        with torch.no_grad(), mixed_precision():
            for part in z.float().split(50):
                image = (vae.decode(part).sample.float() / 2 + 0.5).clamp(0, 1)
                pictures.append((image * 255).round().byte().numpy())
        with whole.file(out / f"{shard:04d}.npy") as fresh:
            np.save(fresh, np.concatenate(pictures))


def predictions(folder: Path, shards: int, seed: int = 0) -> None:
    """Noise real latents to a random timestep, predict x0 under a true caption, decode, save.

    Writes predictions.npy, (1000 * shards, 3, 128, 128) uint8, in the order of the scenes: what a
    reward is shown by the training-free method; and predictions_x0.npy, (1000 * shards, 4, 16, 16)
    float16, the latents they were decoded from.
    """
    from maskunet.models.base import from_folder

    device = torch.device("cpu")
    model = from_folder(
        folder / "model", name="tabletop", guidance=PREDICTION_GUIDANCE, device=device, dtype=torch.float32
    )
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    pairs = model.schedule.linspace_pairs(15)
    pictures, latents_of = [], []
    for shard in range(shards):
        scenes = data.training_scenes(shard)
        latents = torch.from_numpy(np.load(folder / "latents" / f"{shard:04d}.npy")[:, 0]).float()
        for start in range(0, data.SHARD, 25):
            z = latents[start : start + 25] * model.latent_scale
            texts = [caption(scene, rng) for scene in scenes[start : start + 25]]
            # One timestep per batch; the first two show no things yet.
            t = pairs[int(rng.integers(2, 15))][0]
            alpha_bar = model.schedule.alpha_bar(t)
            x_t = alpha_bar**0.5 * z + (1 - alpha_bar) ** 0.5 * torch.randn(z.shape, generator=generator)
            with torch.no_grad(), mixed_precision():
                text = model.encode_prompts([""] * len(z) + texts)
                output = model.predict(x_t, t, text, PREDICTION_GUIDANCE).float()
                x0, _ = model.schedule.x0_eps(output, x_t, t)
                pictures.append((model.decode(x0).float() * 255).round().byte().numpy())
            latents_of.append(x0.half().numpy())
    for name, parts in (("predictions", pictures), ("predictions_x0", latents_of)):
        with whole.file(folder / f"{name}.npy") as fresh:
            np.save(fresh, np.concatenate(parts))
