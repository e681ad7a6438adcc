"""Stable Diffusion 1.5 and XL with both rewards at their published sizes and random weights: their time, not their pictures."""

from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

from maskunet.bench.base import TOKENS, sd15_unet
from maskunet.diffusion import Schedule
from maskunet.encoders import blip, clip
from maskunet.models.base import TINY_DECODER, DiffusionModel, single_file, suit
from maskunet.models.base.single_file.kinds import Kind
from maskunet.rewards import SPECS
from maskunet.rewards.base import WeightedRewards
from maskunet.rewards.hpsv2 import HPSv2
from maskunet.rewards.image_reward import PUBLISHED_TOKENS, ImageReward

VAE = {
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
    "latent_channels": 4,
    "sample_size": 512,
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
}
TEXT = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}


class Tokenizer:
    """CLIP's tokens, from the vocabulary that comes with open_clip."""

    model_max_length = TOKENS

    def __call__(self, prompts: list[str], **options: Any) -> Any:
        """Padded and cut to 77 tokens, whatever the options say."""
        return SimpleNamespace(input_ids=clip.tokenizer(TOKENS)(prompts))


def stable_diffusion(pixels: int, device: torch.device, dtype: torch.dtype) -> tuple[DiffusionModel, WeightedRewards]:
    """The model with a tiny decoder, and its rewards, frozen; about 10 GB in float32.

    Args:
        pixels: edge of its pictures, a multiple of 64; Stable Diffusion 1.5's is 512.
        device: also "meta", to count operations without any memory.
    """
    from diffusers import AutoencoderKL, AutoencoderTiny
    from transformers import CLIPTextConfig, CLIPTextModel

    with torch.device(device):
        vae = AutoencoderKL(**VAE)
        text, tiny = CLIPTextModel(CLIPTextConfig(**TEXT)), AutoencoderTiny()  # by default it is TAESD
    unet = sd15_unet(device, dtype, pixels // 8)
    suit(unet, vae)
    for part in (vae, text, tiny):
        nn.Module.to(part, dtype)  # diffusers' own warns of what is no concern here
        part.eval().requires_grad_(False)
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    model = DiffusionModel(
        name="sd15-random", unet=unet, vae=vae, text_encoder=text, tokenizer=Tokenizer(),
        schedule=Schedule(alphas_cumprod=(1 - betas).cumprod(0), prediction_type="epsilon"),
        latent_scale=vae.config.scaling_factor, latent_shape=(4, pixels // 8, pixels // 8), guidance=7.5,
        device=device, dtype=dtype, weights={}, cache={TINY_DECODER: tiny.to(memory_format=torch.channels_last)},
    )  # fmt: skip
    return model, published_rewards(device, dtype)


def stable_diffusion_xl(pixels: int, dtype: torch.dtype) -> tuple[DiffusionModel, WeightedRewards]:
    """Stable Diffusion XL with a tiny decoder, and the rewards, all of them only shapes.

    Args:
        pixels: edge of its pictures, a multiple of 64; the published one's is 1024.
    """
    from diffusers import AutoencoderTiny

    meta, kind = torch.device("meta"), Kind(name="sdxl", title="sdxl")
    parts = {part: single_file.read.empty(kind, part) for part in kind.networks}
    with meta:
        tiny = AutoencoderTiny()
    for part in (*parts.values(), tiny):
        nn.Module.to(part, dtype)
        part.eval().requires_grad_(False)
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    model = DiffusionModel(
        **parts, name="sdxl-shapes", tokenizer=Tokenizer(), tokenizer_2=Tokenizer(),
        schedule=Schedule(alphas_cumprod=(1 - betas).cumprod(0), prediction_type="epsilon"),
        latent_scale=parts["vae"].config.scaling_factor, latent_shape=(4, pixels // 8, pixels // 8), guidance=5.0,
        device=meta, dtype=dtype, weights={}, cache={TINY_DECODER: tiny.to(memory_format=torch.channels_last)},
    )  # fmt: skip
    return model, published_rewards(meta, dtype)


def published_rewards(device: torch.device, dtype: torch.dtype) -> WeightedRewards:
    """ImageReward's BLIP-L and HPSv2's ViT-H-14, with the paper's weights."""
    with torch.device(device):
        judges = [blip.ImageRewardNetwork(), clip.build()]
    for judge in judges:
        judge.to(dtype).eval().requires_grad_(False)
    config = dict(blip.FULL_SIZE)
    image_reward = ImageReward(judges[0], _words(), config, device=device, dtype=dtype)
    return WeightedRewards(
        {
            "image_reward": (image_reward, SPECS["image_reward"].weight),
            "hpsv2": (HPSv2(judges[1], clip.tokenizer(), device, dtype), SPECS["hpsv2"].weight),
        }
    )


def _words() -> Any:
    """BERT's tokenizer without its words: each is the unknown one, which takes as long."""
    from transformers import BertTokenizer

    places = {number: word for word, number in PUBLISHED_TOKENS.items()}
    words = (places.get(number, f"[unused{number}]") for number in range(max(places) + 1))
    return BertTokenizer(vocab={word: number for number, word in enumerate(words)}, do_lower_case=True)
