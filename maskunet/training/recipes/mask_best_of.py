"""Masks from the best pictures alone: rejection fine-tuning, with a mask in place of weights."""

from dataclasses import dataclass

from maskunet.training import preference, ranked
from maskunet.training.recipes import mask_generator
from maskunet.training.recipes.base import RecipeSpec


@dataclass(frozen=True, kw_only=True)
class Settings(ranked.RankedSettings, mask_generator.MaskSettings):
    """Those of the mask generator's recipe and of ranked pictures."""


SPEC = RecipeSpec(
    name="mask_best_of",
    title="MaskUNet, from the best of a few",
    summary="A mask learns from the best of a few plain pictures of each prompt, as a reward ranks them.",
    source="rejection fine-tuning: RAFT (Dong et al. 2023), which trains weights, done with masks",
    makes="generator_from_reward",
    presets={
        "tabletop": Settings(**ranked.TABLETOP, **ranked.MASKS),
        "sd15": Settings(**ranked.SD15, **ranked.MASKS),
    },
    build=mask_generator.build,
    objective=preference.best_of,
    **ranked.SHARED,
)
