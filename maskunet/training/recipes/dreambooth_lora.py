"""DreamBooth with LoRA: low-rank additions learn one subject; a file of a few megabytes."""

from dataclasses import dataclass

from maskunet.training import dreambooth
from maskunet.training.recipes import lora
from maskunet.training.recipes.base import RecipeSpec


@dataclass(frozen=True, kw_only=True)
class Settings(dreambooth.DreamBoothSettings, lora.LoraSettings):
    """Those of LoRA's recipe and of DreamBooth."""


SPEC = RecipeSpec(
    name="dreambooth_lora",
    title="DreamBooth, LoRA",
    summary="Low-rank additions learn one subject from a few pictures, with class pictures beside it.",
    source="Ruiz et al. 2023, with LoRA (Hu et al. 2021); defaults of diffusers' train_dreambooth_lora.py",
    makes="unet",
    presets={
        "tabletop": Settings(**dreambooth.TABLETOP, learning_rate=1e-3, warm_up=20, ema=0.99, rank=16, alpha=16),
        "sd15": Settings(epochs=5, batch=2, micro_batch=2, learning_rate=1e-4, every=100, class_pictures=100, guidance=7.5),
    },
    build=lora.build,
    **dreambooth.SHARED,
)  # fmt: skip
