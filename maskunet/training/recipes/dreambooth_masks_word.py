"""DreamBooth with masks and a word: the masks learn one subject, and a new word of the prompt learns its name."""

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from maskunet.models.base import DiffusionModel
from maskunet.models.base.new_word import check_new
from maskunet.records.training import Preparing
from maskunet.rewards.base import WeightedRewards
from maskunet.training import dreambooth
from maskunet.training.data import Alternating, Feed
from maskunet.training.own_pictures import Worded
from maskunet.training.recipes import inversion, inversion_masks, mask_generator
from maskunet.training.recipes.base import RecipeSpec


@dataclass(frozen=True, kw_only=True)
class Settings(dreambooth.DreamBoothSettings, inversion.WordSettings, mask_generator.MaskSettings):
    """Those of DreamBooth, of the word and of the mask generator; the instance prompt has the word."""


def prepare(
    model: DiffusionModel, settings: Settings, feed: Feed, rewards: WeightedRewards | None, place: Path
) -> Generator[Preparing, None, Worded | Alternating]:
    """As `dreambooth.prepare`, once it is clear that the word can learn.

    Raises:
        ValueError: as `dreambooth.prepare`; or the word is none, or not where it belongs.
    """
    check_new(model, settings.token, settings.vectors)
    word = settings.token.lower()
    if word not in settings.instance_prompt.lower():
        raise ValueError(
            f"The instance prompt does not have the word {settings.token}, which then learns nothing. Write “a photo of "
            f"{settings.token} dog”, for example."
        )
    if settings.class_pictures and word in settings.class_prompt.lower():
        raise ValueError(
            f"The class prompt has the word {settings.token}, which the base model does not know. Name the class alone."
        )
    return (yield from dreambooth.prepare(model, settings, feed, rewards, place))


TABLETOP = {**dreambooth.TABLETOP, "instance_prompt": "a <mine> cylinder"}
SPEC = RecipeSpec(
    name="dreambooth_masks_word",
    title="DreamBooth, masks and a word",
    summary="Masks and a new word learn one subject from a few pictures, with class pictures beside it; the U-Net stays.",
    source="MaskUNet (CVPR 2025), section 4.2.2, with a word as in Gal et al. 2022; nothing is published of both together",
    makes="generator",
    presets={
        "tabletop": Settings(**TABLETOP, learning_rate=1e-2, variant="light"),
        "sd15": Settings(
            steps=5000, batch=4, micro_batch=1, learning_rate=1e-3, variant="light", class_pictures=200, guidance=7.5,
            instance_prompt="a photo of <mine> object", precision="bf16", checkpointing=True,
        ),
    },
    build=inversion_masks.build,
    **inversion.SHARED | dreambooth.SHARED | {"prepare": prepare},
)  # fmt: skip
