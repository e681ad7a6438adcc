"""Train the tabletop autoencoder: AutoencoderKL, 8x, 4 latent channels, on random 64-pixel crops."""

import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from maskunet.experiments.tabletop.fit import fit, mixed_precision
from maskunet.tabletop import data

CROP, BATCH, HELD_OUT_SHARD = 64, 16, 9_000
CONFIG = {
    "in_channels": 3, "out_channels": 3, "latent_channels": 4, "sample_size": 128,
    "block_out_channels": (16, 32, 64, 96), "layers_per_block": 1, "norm_num_groups": 8,
    "down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4,
}  # fmt: skip


def build() -> torch.nn.Module:
    """The untrained autoencoder, with plain attention: its backward is the faster one on a CPU."""
    from diffusers import AutoencoderKL
    from diffusers.models.attention_processor import AttnProcessor

    vae = AutoencoderKL(**CONFIG)
    vae.set_attn_processor(AttnProcessor())
    return vae.to(memory_format=torch.channels_last)


def train(folder: Path, scenes: Path, *, minutes: float, shards: int, decoder_only: bool = False) -> torch.nn.Module:
    """Train for some minutes and save the averaged model in diffusers' format.

    Args:
        folder: receives the checkpoint, the log and the model.
        scenes: rendered shards, see `data.make`.
        decoder_only: keep the encoder, so that latents made with it stay valid.
    """
    images = data.load(scenes, 0, shards)[1]
    vae = build()
    if decoder_only:
        from diffusers import AutoencoderKL

        vae.load_state_dict(AutoencoderKL.from_pretrained(folder / "vae").state_dict())
        vae.encoder.requires_grad_(False)
        vae.quant_conv.requires_grad_(False)
    held_out = held_out_images()

    def loss(generator: torch.Generator) -> dict[str, Tensor]:
        x = _crops(images, generator)
        with mixed_precision():
            posterior = vae.encode(x).latent_dist
            z = posterior.mean if decoder_only else posterior.sample(generator)
            y = vae.decode(z).sample
        losses = differences(y.float(), x)
        return losses if decoder_only else {**losses, "kl": 1e-6 * posterior.kl().mean()}

    def report(ema: torch.nn.Module) -> dict[str, float]:
        ema.save_pretrained(folder / "vae")
        return {"psnr": psnr(ema, held_out)}

    state = folder / ("decoder" if decoder_only else "autoencoder")
    return fit(vae, loss, state, minutes=minutes, learning_rate=1e-3, weight_decay=1e-4, on_checkpoint=report)


def differences(y: Tensor, x: Tensor) -> dict[str, Tensor]:
    """The losses of pictures (B, 3, H, W) in [-1, 1] that should be `x`: absolute and squared, by color."""
    # The gray table is most of a picture; what is told apart by color must not drown in it.
    weight = 1 + 4 * (x.amax(1, keepdim=True) - x.amin(1, keepdim=True)) / 2
    return {"l1": (weight * (y - x).abs()).mean(), "l2": 2 * (weight * (y - x) ** 2).mean()}


def held_out_images(count: int = 64) -> Tensor:
    """Renders of scenes that no training shard holds, (B, 3, 128, 128) in [-1, 1]."""
    from maskunet.tabletop.render import render

    return render(data.training_scenes(HELD_OUT_SHARD)[:count]).float() / 127.5 - 1


@torch.no_grad()
def psnr(vae: torch.nn.Module, images: Tensor) -> float:
    """Peak signal-to-noise ratio in dB over all pixels of `images` in [-1, 1]."""
    back = [vae.decode(vae.encode(x).latent_dist.mean).sample for x in images.split(16)]
    return signal_to_noise(torch.cat(back), images)


def signal_to_noise(y: Tensor, x: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of pictures in [-1, 1] that should be `x`."""
    return -10 * math.log10(float(((y.clamp(-1, 1) - x) / 2).square().mean()))


def _crops(images: list[np.ndarray], generator: torch.Generator) -> Tensor:
    """A batch of random crops; of two drawn the more colorful is kept, as most of a picture is table."""
    crops = []
    draws = torch.randint(0, 1 << 30, (BATCH, 7), generator=generator).tolist()
    for shard, index, flip, *corners in draws:
        image = images[shard % len(images)][index % data.SHARD]
        last = image.shape[-1] - CROP + 1
        pair = [
            image[:, top % last : top % last + CROP, left % last : left % last + CROP]
            for top, left in (corners[:2], corners[2:])
        ]
        crop = max(pair, key=lambda c: int((c.max(0) - c.min(0)).sum(dtype=np.int64)))
        crops.append(crop[:, :, ::-1] if flip % 2 else crop)
    return torch.from_numpy(np.stack(crops).astype(np.float32)) / 127.5 - 1
