"""LoRA from a reward: what weights gain where amortized masks learn the same way, their rival."""

from dataclasses import dataclass

from maskunet.training import reward
from maskunet.training.recipes import lora
from maskunet.training.recipes.base import RecipeSpec


@dataclass(frozen=True, kw_only=True)
class Settings(reward.RewardSettings, lora.LoraSettings):
    """Those of LoRA's recipe and of learning from a reward."""


SPEC = RecipeSpec(
    name="lora_reward",
    title="LoRA, from a reward",
    summary="Low-rank additions learn to please a reward; another reward says when to stop.",
    source="ReFL (Xu et al. 2023), with LoRA (Hu et al. 2021)",
    makes="unet",
    presets={
        "tabletop": Settings(
            steps=200, batch=16, micro_batch=16, learning_rate=1e-3, weight_decay=0.0, every=20
        ),
        "sd15": Settings(
            epochs=1, batch=32, micro_batch=1, learning_rate=1e-4, weight_decay=0.0, every=50, sampling_steps=25,
            first=10, checkpointing=True, precision="bf16",
        ),
    },
    build=lora.build,
    objective=reward.objective,
    needs_rewards=True,
)  # fmt: skip
