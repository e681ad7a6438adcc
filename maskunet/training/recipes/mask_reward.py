"""Amortized masks: the mask generator learns from a reward, so that a mask costs no search at each picture."""

from dataclasses import dataclass

from maskunet.training import reward
from maskunet.training.recipes import mask_generator
from maskunet.training.recipes.base import RecipeSpec


@dataclass(frozen=True, kw_only=True)
class Settings(reward.RewardSettings, mask_generator.MaskSettings):
    """Those of the mask generator's recipe and of learning from a reward."""


SPEC = RecipeSpec(
    name="mask_reward",
    title="MaskUNet, from a reward",
    summary="The mask generator learns to please a reward; another reward says when to stop.",
    source="ReFL (Xu et al. 2023) and DRaFT (Clark et al. 2024), which train weights, done with masks",
    makes="generator_from_reward",
    presets={
        "tabletop": Settings(
            steps=200, batch=16, micro_batch=16, learning_rate=2e-3, weight_decay=0.0, noise="none", start=1.0,
            every=20,
        ),
        "sd15": Settings(
            epochs=1, batch=32, micro_batch=1, learning_rate=1e-3, weight_decay=0.0, noise="none", start=1.0,
            every=50, sampling_steps=25, first=10, checkpointing=True, precision="bf16",
        ),
    },
    build=mask_generator.build,
    objective=reward.objective,
    needs_rewards=True,
)  # fmt: skip
