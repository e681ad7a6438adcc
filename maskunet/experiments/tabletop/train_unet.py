"""Train the tabletop U-Net and its text encoder together, on cached latents and their captions."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from maskunet.experiments.tabletop.fit import fit, mixed_precision, progress
from maskunet.experiments.tabletop.latents import Corpus
from maskunet.experiments.tabletop.tokenizer import LENGTH
from maskunet.models.base.folder import hashes
from maskunet.records.disk import trained_file, whole

BATCH, CAPTION_DROPOUT = 64, 0.1
LEARNING_RATE, LEARNING_RATE_ONWARDS = 1.5e-3, 3e-4  # from nothing, and from a trained model
RECORD = "training.json"  # beside the networks: what they learned from, and for how long
SNR_LIMIT, SNR_FLOOR = 5.0, 0.2  # what stands where is decided where the noise is strongest
TEXT_WIDTH = 128
UNET = {
    "sample_size": 16, "in_channels": 4, "out_channels": 4, "layers_per_block": 1,
    "block_out_channels": (64, 128, 192), "cross_attention_dim": TEXT_WIDTH, "attention_head_dim": (2, 4, 4),
    "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
    "norm_num_groups": 16,
}  # fmt: skip
SCHEDULER = {
    "beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012,
    "num_train_timesteps": 1000, "prediction_type": "epsilon", "clip_sample": False,
    "set_alpha_to_one": False, "steps_offset": 1, "timestep_spacing": "linspace",
}  # fmt: skip


class TextToImage(nn.Module):
    """The two networks trained together."""

    def __init__(self, tokens: int):
        super().__init__()
        from diffusers import UNet2DConditionModel
        from diffusers.models.attention_processor import AttnProcessor
        from transformers import CLIPTextConfig, CLIPTextModel

        self.unet = UNet2DConditionModel(**UNET).to(memory_format=torch.channels_last)  # a third faster
        self.unet.set_attn_processor(AttnProcessor())
        config = CLIPTextConfig(
            vocab_size=tokens, hidden_size=TEXT_WIDTH, intermediate_size=4 * TEXT_WIDTH,
            num_hidden_layers=3, num_attention_heads=4, max_position_embeddings=LENGTH,
            bos_token_id=tokens - 2, eos_token_id=tokens - 1, pad_token_id=tokens - 1,
        )  # fmt: skip
        self.text_encoder = CLIPTextModel._from_config(config, attn_implementation="eager")

    def take(self, model: Path) -> None:
        """Load the networks of a saved model; without the optimizer's state."""
        from diffusers import UNet2DConditionModel
        from transformers import CLIPTextModel

        self.unet.load_state_dict(UNet2DConditionModel.from_pretrained(model / "unet").float().state_dict())
        text = CLIPTextModel.from_pretrained(model / "text_encoder", dtype=torch.float32)
        self.text_encoder.load_state_dict(text.state_dict())


def train(folder: Path, scenes: Path, latents: Path, *, minutes: float, shards: int) -> nn.Module:
    """Train for some minutes; every checkpoint is saved as a StableDiffusionPipeline folder.

    Without a checkpoint it goes on from the weights in model/, if there are any. What it learned from is written
    down in model/training.json.

    Args:
        folder: holds vae/ and model/tokenizer, receives the checkpoint, the log and model/.
        scenes, latents: what `data.make` wrote, and `latents.clean` or `latents.spoiled`.

    Raises:
        ValueError: the checkpoint was trained on another corpus.
    """
    from diffusers import DDIMScheduler
    from transformers import CLIPTokenizer

    tokenizer = CLIPTokenizer.from_pretrained(folder / "model" / "tokenizer")
    pair, corpus = TextToImage(len(tokenizer)), Corpus(scenes, latents, shards)
    record = _record(folder, corpus, shards)
    if record["onwards_from"]:
        pair.take(folder / "model")
    alphas = DDIMScheduler(**SCHEDULER).alphas_cumprod

    def loss(generator: torch.Generator) -> dict[str, Tensor]:
        index = torch.randint(len(corpus), (BATCH,), generator=generator)
        side = torch.randint(2, (BATCH,), generator=generator)
        z = corpus.latents(index, side)
        rng = np.random.default_rng(int(torch.randint(1 << 40, (1,), generator=generator)))
        drawn = zip(index.tolist(), side.tolist(), strict=True)
        texts = ["" if rng.random() < CAPTION_DROPOUT else corpus.text(*each, rng) for each in drawn]
        tokens = tokenizer(
            texts, padding="max_length", truncation=True, max_length=LENGTH, return_tensors="pt"
        ).input_ids
        # Stratified timesteps: a batch covers the schedule evenly, so the loss is less noisy.
        t = ((torch.arange(BATCH) + torch.rand(BATCH, generator=generator)) * 1000 / BATCH).long()
        noise = torch.randn(z.shape, generator=generator)
        alpha_bar = alphas[t].view(-1, 1, 1, 1)
        x_t = alpha_bar.sqrt() * z + (1 - alpha_bar).sqrt() * noise
        snr = alphas[t] / (1 - alphas[t])
        with mixed_precision():
            eps = pair.unet(x_t, t, pair.text_encoder(tokens)[0]).sample
        error = (eps.float() - noise).square().mean((1, 2, 3))
        # The error of x0 weighted by min(SNR, 5) (Hang et al. 2023) plus a floor; eps = x0 error x SNR.
        weight = (snr.clamp(max=SNR_LIMIT) + SNR_FLOOR) / snr
        return {"eps": (error * weight).mean()}

    def report(ema: nn.Module) -> dict[str, float]:
        export(ema, tokenizer, folder, corpus.scale)
        return {}

    rate = record["learning_rate"]
    ema = fit(pair, loss, folder / "unet", minutes=minutes, learning_rate=rate, ema_decay=0.9995, on_checkpoint=report)
    updates, spent = progress(folder / "unet")
    whole.write(folder / "model" / RECORD, json.dumps({**record, "updates": updates, "minutes": spent}, indent=1))
    return ema


def _record(folder: Path, corpus: Corpus, shards: int) -> dict[str, Any]:
    """What the training is, as it was begun."""
    path, now = folder / "model" / RECORD, {**(corpus.about or {}), "shards": shards}
    if path.exists():
        record = json.loads(path.read_text(encoding="utf-8"))
        if record["corpus"] != now:
            raise ValueError(
                f"The training in “{folder.name}” was begun with another corpus. Give its settings again, which are in "
                f"model/{RECORD}, or another --folder."
            )
        return record
    begun = (folder / "unet" / "state.pt").exists()  # by a version that kept no record
    known = hashes(folder / "model") if (folder / "model" / "unet").is_dir() and not begun else {}
    record = {
        "onwards_from": trained_file.of_unet(known), "corpus": now, "batch": BATCH,
        # The rate that makes a model from nothing would wash out what one has learned.
        "learning_rate": LEARNING_RATE_ONWARDS if known else LEARNING_RATE,
    }  # fmt: skip
    whole.write(path, json.dumps(record, indent=1))
    return record


def export(pair: nn.Module, tokenizer, folder: Path, scale: float) -> None:
    """Write model/ in the Stable Diffusion format, fp16 safetensors."""
    import copy

    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline

    vae = AutoencoderKL.from_pretrained(folder / "vae")
    vae.register_to_config(scaling_factor=scale, _name_or_path="")
    StableDiffusionPipeline(
        vae=vae.half(),
        unet=copy.deepcopy(pair.unet).half(),
        text_encoder=copy.deepcopy(pair.text_encoder).half(),
        tokenizer=tokenizer,
        scheduler=DDIMScheduler(**SCHEDULER),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder / "model", safe_serialization=True, max_shard_size="9MB")


def shares(model: Path) -> dict[str, float]:
    """The shares of what was spoiled in what a model learned from, as `spoiling.Shares`; none where it is not known."""
    record = model / RECORD
    return json.loads(record.read_text(encoding="utf-8"))["corpus"].get("shares", {}) if record.is_file() else {}
