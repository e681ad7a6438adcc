"""Train the tabletop's tiny decoder: an AutoencoderTiny whose decoder imitates the full one's pictures."""

import copy
import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from maskunet.experiments.tabletop.fit import fit
from maskunet.experiments.tabletop.train_autoencoder import differences, signal_to_noise

BATCH, HELD_OUT = 8, 64
WIDTH, BLOCKS = 24, (3, 3, 1, 0)
# The format asks for an encoder; nothing here uses it, so it is as small as can be, and all zeros.
CONFIG = {
    "decoder_block_out_channels": (WIDTH,) * 4,
    "num_decoder_blocks": BLOCKS,
    "encoder_block_out_channels": (4,) * 4,
    "num_encoder_blocks": (0,) * 4,
}


def build() -> torch.nn.Module:
    """The untrained autoencoder; it takes latents as the U-Net sees them, as TAESD does."""
    from diffusers import AutoencoderTiny

    tiny = AutoencoderTiny(**CONFIG)
    for parameter in tiny.encoder.parameters():
        parameter.requires_grad_(False).zero_()
    return tiny.to(memory_format=torch.channels_last)


def train(folder: Path, *, minutes: float, shards: int) -> torch.nn.Module:
    """Train for some minutes and save the averaged model in half precision under model/tiny_decoder.

    Args:
        folder: holds latents/ and decoded/ of the scenes, and the x0 predictions with their latents;
            the last 64 of the predictions are held out, and the log has the tiny decoder's PSNR on them.
    """
    latents, pictures = examples(folder, shards)
    tiny = build()

    def loss(generator: torch.Generator) -> dict[str, Tensor]:
        rows = torch.randint(len(latents) - HELD_OUT, (BATCH,), generator=generator)
        return differences(tiny.decode(latents[rows].float()).sample, _signed(pictures[rows]))

    @torch.no_grad()
    def report(ema: torch.nn.Module) -> dict[str, float]:
        _save(copy.deepcopy(ema).half(), folder / "model" / "tiny_decoder")
        y = ema.decode(latents[-HELD_OUT:].float()).sample
        return {"psnr": signal_to_noise(y, _signed(pictures[-HELD_OUT:]))}

    state = folder / "tiny_decoder"
    return fit(tiny, loss, state, minutes=minutes, learning_rate=2e-3, weight_decay=1e-4, on_checkpoint=report)


def examples(folder: Path, shards: int) -> tuple[Tensor, Tensor]:
    """Latents (N, 4, 16, 16) at the U-Net's scale and the full decoder's uint8 pictures of them.

    First those of the scenes, then the x0 predictions, which look less like finished pictures.
    """
    scale = json.loads((folder / "model" / "vae" / "config.json").read_text(encoding="utf-8"))["scaling_factor"]
    names = [f"{shard:04d}.npy" for shard in range(shards)]
    latents = [np.load(folder / "latents" / name)[:, 0] * np.float16(scale) for name in names]
    pictures = [np.load(folder / "decoded" / name) for name in names]
    latents.append(np.load(folder / "predictions_x0.npy"))
    pictures.append(np.load(folder / "predictions.npy"))
    return torch.from_numpy(np.concatenate(latents)), torch.from_numpy(np.concatenate(pictures))


def _save(tiny: torch.nn.Module, folder: Path) -> None:
    """As diffusers does, less the entry of its own that it complains of when it reads it."""
    tiny.save_pretrained(folder)
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    del config["block_out_channels"]
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _signed(pictures: Tensor) -> Tensor:
    return pictures.float() / 127.5 - 1
