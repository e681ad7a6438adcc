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
        "tabletop": Settings(
            steps=1000, batch=8, micro_batch=8, learning_rate=1e-3, warm_up=20, ema=0.99, every=100, rank=16, alpha=16,
            instance_prompt="a sks cylinder", class_prompt="a cylinder", class_pictures=32, sampling_steps=15,
        ),
        "sd15": Settings(epochs=5, batch=2, micro_batch=2, learning_rate=1e-4, every=100, class_pictures=100, guidance=7.5),
    },
    build=lora.build,
    prepare=dreambooth.prepare,
    own_pictures=True,
    shown=dreambooth.shown,
)  # fmt: skip
