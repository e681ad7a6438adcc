"""Textual inversion with masks: a new word and the masks learn together, and no weight of the model moves."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from maskunet.encoders.text_states import TextStates
from maskunet.masks import generator_file
from maskunet.models.base import DiffusionModel
from maskunet.models.base.new_word import NewWord
from maskunet.training.recipes import inversion, mask_generator
from maskunet.training.recipes.base import Recipe, RecipeSpec


@dataclass(frozen=True, kw_only=True)
class Settings(inversion.InversionSettings, mask_generator.MaskSettings):
    """Those of textual inversion and of the mask generator; one learning rate for both."""


class Together(nn.Module):
    """The U-Net under the generator's masks, in the form that the loop calls, with the word's vectors; both learn."""

    def __init__(self, masks: mask_generator.Masked, word: NewWord):
        super().__init__()
        self.masks, self.word = masks, word

    def forward(self, x_t: Tensor, t: Tensor, text: TextStates, draws: list[int]) -> Tensor:
        """As `Masked`."""
        return self.masks(x_t, t, text, draws)


@contextmanager
def build(model: DiffusionModel, settings: Any) -> Iterator[Recipe]:
    """Put masks on the frozen U-Net, and a word beside the text encoder's table; one file has both.

    Args:
        settings: `inversion.WordSettings` and `mask_generator.MaskSettings`.

    Raises:
        ValueError: as the `build` of each.
    """
    with inversion.build(model, settings) as reading, mask_generator.build(model, settings) as masking:
        masks, word = masking.module, reading.module.word

        def save(path: Path) -> None:
            base = {"model": model.name, "weights": dict(model.weights), "learns_from": settings.learns_from}
            base |= {"token": settings.token, "begin": settings.begin}
            generator_file.save(masks.generator, path, base, word.vectors)

        def measure(x0: Tensor, text: TextStates) -> dict[str, float]:
            return {**masking.measure(x0, text), **reading.measure(x0, text)}

        yield Recipe(module=Together(masks, word), save=save, measure=measure, encode=reading.encode)


SPEC = RecipeSpec(
    name="inversion_masks",
    title="Textual inversion, masks",
    summary="A new word and masks learn together what a few of your pictures show; no weight moves.",
    source="Gal et al. 2022, with MaskUNet's masks (CVPR 2025, section 3.2); nothing is published of both together",
    makes="generator",
    presets={
        "tabletop": Settings(**inversion.TABLETOP, variant="light", shows="tabletop"),
        "sd15": Settings(**inversion.SD15, batch=4, micro_batch=1, variant="light"),
    },
    build=build,
    **inversion.SHARED,
)
