"""Masks from preferences: one static mask learns which of two pictures is better; no gradient goes through a reward."""

from dataclasses import dataclass

from maskunet.training import preference, ranked
from maskunet.training.recipes import mask_generator
from maskunet.training.recipes.base import RecipeSpec


@dataclass(frozen=True, kw_only=True)
class Settings(preference.PreferenceSettings, mask_generator.MaskSettings):
    """Those of the mask generator's recipe and of learning from preferences."""


SPEC = RecipeSpec(
    name="mask_preference",
    title="MaskUNet, from preferences",
    summary="A mask learns from the best and the worst of a few plain pictures of each prompt, as a reward ranks them.",
    source="Diffusion-DPO (Wallace et al. 2023), which trains weights, done with masks",
    makes="generator_from_reward",
    presets={
        "tabletop": Settings(**ranked.TABLETOP, **ranked.MASKS),
        "sd15": Settings(**ranked.SD15, **ranked.MASKS),
    },
    build=mask_generator.build,
    objective=preference.objective,
    **ranked.SHARED,
)
