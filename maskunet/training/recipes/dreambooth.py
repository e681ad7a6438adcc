"""DreamBooth: every weight of a copy of the U-Net learns one subject, with class pictures beside it."""

from dataclasses import dataclass

from maskunet.training import dreambooth
from maskunet.training.recipes import full
from maskunet.training.recipes.base import RecipeSpec
from maskunet.training.recipes.base import Settings as LoopSettings


@dataclass(frozen=True, kw_only=True)
class Settings(dreambooth.DreamBoothSettings, LoopSettings):
    """Those of the loop and of DreamBooth."""


SPEC = RecipeSpec(
    name="dreambooth",
    title="DreamBooth",
    summary="Every weight learns one subject from a few pictures, and class pictures keep what the class was.",
    source="Ruiz et al. 2023; defaults of diffusers' train_dreambooth.py with prior preservation",
    makes="unet",
    presets={
        "tabletop": Settings(**dreambooth.TABLETOP, learning_rate=2e-4, warm_up=20, ema=0.99),
        "sd15": Settings(epochs=4, batch=2, micro_batch=2, learning_rate=5e-6, every=200, class_pictures=200, guidance=7.5),
    },
    build=full.build,
    **dreambooth.SHARED,
)  # fmt: skip
