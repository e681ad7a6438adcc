"""Textual inversion (Gal et al. 2022): a new word learns what a few pictures show, and no weight of the model moves."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from maskunet.encoders.text_states import TextStates
from maskunet.models.base import DiffusionModel
from maskunet.models.base.embedding import Words
from maskunet.models.base.new_word import NewWord, check_new
from maskunet.plugins import setting
from maskunet.records.disk import trained_file
from maskunet.records.training import Preparing
from maskunet.rewards.base import WeightedRewards
from maskunet.training import diffusion
from maskunet.training.data import Feed, Pair
from maskunet.training.objective import Objective
from maskunet.training.own_pictures import Worded
from maskunet.training.recipes.base import Recipe, RecipeSpec, Settings, UNet

SHOWN = ("a {}", "a photo of a {}", "a {} and a blue cube", "a {} left of a red sphere")
TEMPLATES = {
    "thing": (
        "a photo of a {}", "a {}", "a picture that shows a {}", "a close photo of one {}", "a {} in bright light",
        "a {} in dim light", "a sharp photo of the {}", "a photo of my {}", "the {} seen from the front",
        "a snapshot of a {}", "a clean {}", "a small {}", "a large {}", "here is the {}",
    ),
    "style": (
        "a painting in the style of {}", "a picture in the style of {}", "a drawing in the manner of {}",
        "art in the style of {}", "a small work in the style of {}", "a detail of a picture in the style of {}",
        "a print in the style of {}", "a sketch in the manner of {}",
    ),
    "tabletop": (
        "a {}", "a photo of a {}", "a picture of a {}", "there is a {}", "a {} on a table", "a photo of a {} on a gray table",
    ),
}  # fmt: skip
"""Captions of a picture without one, by what it shows; those of tabletop are in the words its model knows."""
# Of the presets of every recipe whose word learns alone, or with masks.
TABLETOP = {"steps": 200, "batch": 8, "micro_batch": 8, "learning_rate": 1e-2, "clip": 1e9, "every": 100}
SD15 = {
    "steps": 3000, "learning_rate": 2e-3, "clip": 1e9, "every": 500, "precision": "bf16", "checkpointing": True,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)  # without slots, so that a recipe's settings can extend two classes
class WordSettings:
    """A word that learns.

    Attributes:
        token: the new word. begin: a word of the model's from which its vectors begin; "" for the mean of all.
        vectors: how many tokens of a prompt the word takes.
    """

    token: str = setting("<mine>", "the new word, as prompts have it")
    begin: str = setting("", "known word to begin from")
    vectors: int = setting(1, "tokens that the word takes", low=1, high=64)


@dataclass(frozen=True, kw_only=True)
class InversionSettings(WordSettings, Settings):
    """The loop's settings and the word's, and:

    Attributes:
        shows: what the pictures show, which decides their captions; one that has {} or the token in it keeps its own.
        mirror: whether half of the pictures are mirrored.
    """

    shows: str = setting("thing", "what the pictures show", choices=tuple(TEMPLATES))
    mirror: bool = setting(False, "half of the pictures mirrored")


def caption(settings: InversionSettings, own: str, rng: np.random.Generator) -> str:
    """One of the captions for a picture, or its own."""
    if "{}" in own:
        return own.replace("{}", settings.token)
    if settings.token.lower() in own.lower():
        return own
    templates = TEMPLATES[settings.shows]
    return templates[int(rng.integers(len(templates)))].replace("{}", settings.token)


def prepare(
    model: DiffusionModel, settings: InversionSettings, feed: Feed, rewards: WeightedRewards | None, place: Path
) -> Generator[Preparing, None, Worded]:
    """The pictures with captions that have the new word; see `RecipeSpec`."""
    check_new(model, settings.token, settings.vectors)
    yield from ()
    return Worded(feed.pairs, partial(caption, settings), mirror=settings.mirror)


def objective(
    model: DiffusionModel, settings: WordSettings, held_out: Sequence[Pair], rewards: WeightedRewards | None
) -> Objective:
    """The diffusion loss; on held-out pictures the base model reads the first word in place of the new one."""
    held = diffusion.HeldOut(model, held_out, partial(before, settings))
    return Objective(losses=partial(diffusion.losses, model), exam=held.change)


def before(settings: WordSettings, text: str) -> str:
    """The text with a word that the base model knows in place of the new one, in capitals or not."""
    return Words({settings.token: ()}).pattern.sub(lambda _: settings.begin or "thing", text)


class Inverted(UNet):
    """The frozen U-Net, in the form that the loop calls, with the new word's vectors, which alone learn."""

    def __init__(self, model: DiffusionModel, word: NewWord):
        super().__init__(model.unet)
        self.word = word


@contextmanager
def build(model: DiffusionModel, settings: Any) -> Iterator[Recipe]:
    """Let copies of the text encoder's tables have rows that learn; the base model is not touched.

    Args:
        settings: the loop's and `WordSettings`.

    Raises:
        ValueError: as `NewWord`.
    """
    word = NewWord(model, settings.token, settings.begin, settings.vectors)
    if settings.checkpointing:
        model.unet.enable_gradient_checkpointing()

    def save(path: Path) -> None:
        base = {"model": model.name, "weights": model.weights, "learns_from": settings.learns_from}
        word.save(path, {**base, "begin": settings.begin})

    def measure(x0: Tensor, text: TextStates) -> dict[str, float]:
        return {"vector_norm": word.norm}

    try:
        yield Recipe(module=Inverted(model, word), save=save, measure=measure, encode=word.model.text_states)
    finally:
        model.unet.disable_gradient_checkpointing()
        model.unet.eval()


def shown(settings: Any) -> list[str]:
    """Prompts for the samples."""
    templates = SHOWN if settings.shows != "style" else TEMPLATES["style"][:4]
    return [text.replace("{}", settings.token) for text in templates]


SHARED: dict[str, Any] = {
    "objective": objective, "prepare": prepare, "word": True, "own_pictures": True, "shown": shown, "before": before,
}  # fmt: skip
"""What the SPECs of the recipes whose word learns have in common."""

SPEC = RecipeSpec(
    name="inversion",
    title="Textual inversion",
    summary="A new word learns what a few of your pictures show; no weight moves.",
    source="Gal et al. 2022; MaskUNet (CVPR 2025), section 4.2.2, puts masks on it",
    makes=trained_file.EMBEDDING,
    presets={
        "tabletop": InversionSettings(**TABLETOP, shows="tabletop"),
        "sd15": InversionSettings(**SD15, batch=4, micro_batch=1),
    },
    build=build,
    **SHARED,
)
