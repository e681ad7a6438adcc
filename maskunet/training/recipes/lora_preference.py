"""LoRA from preferences: what weights gain where masks learn the same way, their rival."""

from dataclasses import dataclass

from maskunet.training import preference, ranked
from maskunet.training.recipes import lora
from maskunet.training.recipes.base import RecipeSpec


@dataclass(frozen=True, kw_only=True)
class Settings(preference.PreferenceSettings, lora.LoraSettings):
    """Those of LoRA's recipe and of learning from preferences."""


SPEC = RecipeSpec(
    name="lora_preference",
    title="LoRA, from preferences",
    summary="Low-rank additions learn from the best and the worst of a few plain pictures, as a reward ranks them.",
    source="Diffusion-DPO (Wallace et al. 2023), with LoRA (Hu et al. 2021)",
    makes="unet",
    presets={
        "tabletop": Settings(
            steps=300, batch=16, micro_batch=16, learning_rate=1e-3, weight_decay=0.0, every=50
        ),
        "sd15": Settings(
            epochs=4, batch=32, micro_batch=1, learning_rate=1e-4, weight_decay=0.0, every=50, prompts=4000, pictures=4,
            sampling_steps=25, checkpointing=True, precision="bf16",
        ),
    },
    build=lora.build,
    objective=preference.objective,
    needs_rewards=True,
    prepare=ranked.prepare,
)  # fmt: skip
