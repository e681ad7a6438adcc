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
        "tabletop": Settings(**ranked.TABLETOP, learning_rate=1e-3),
        "sd15": Settings(**ranked.SD15, learning_rate=1e-4),
    },
    build=lora.build,
    objective=preference.objective,
    **ranked.SHARED,
)
