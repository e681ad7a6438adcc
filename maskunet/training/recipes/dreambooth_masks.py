"""DreamBooth with masks: a mask learns one subject, and no weight changes. A mask alone knows no new name."""

from dataclasses import dataclass

from maskunet.training import dreambooth
from maskunet.training.recipes import mask_generator
from maskunet.training.recipes.base import RecipeSpec


@dataclass(frozen=True, kw_only=True)
class Settings(dreambooth.DreamBoothSettings, mask_generator.MaskSettings):
    """Those of the mask generator's recipe and of DreamBooth. `variant` "static" is one mask for every step."""


SPEC = RecipeSpec(
    name="dreambooth_masks",
    title="DreamBooth, masks",
    summary="Masks learn one subject from a few pictures, and the U-Net stays; without a prior, as published.",
    source="MaskUNet (CVPR 2025), section 4.2.2; its script has 5,000 steps of 4 at 1e-3 without class pictures",
    makes="generator",
    presets={
        "tabletop": Settings(**dreambooth.TABLETOP, learning_rate=1e-2, variant="light"),
        "paper": Settings(steps=5000, batch=4, micro_batch=1, learning_rate=1e-3, class_pictures=0, guidance=7.5),
    },
    build=mask_generator.build,
    **dreambooth.SHARED,
)  # fmt: skip
