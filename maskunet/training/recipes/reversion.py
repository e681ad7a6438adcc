"""ReVersion (Huang et al. 2023): a new word learns how things stand to each other, from pictures whose captions name them.

Textual inversion with three changes: every picture's caption names its own things around the word, "a cube {} a sphere"; the
word's vectors are steered towards prepositions (`maskunet.training.steering`); and noisier timesteps come more often.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from maskunet.models.base import DiffusionModel
from maskunet.models.base.new_word import check_new
from maskunet.plugins import setting
from maskunet.prompts.words import shortened
from maskunet.records.disk import trained_file
from maskunet.records.training import Preparing
from maskunet.rewards.base import WeightedRewards
from maskunet.training import diffusion
from maskunet.training.data import Feed, Pair, Pairs
from maskunet.training.objective import Batch, Objective, Predict, uniform
from maskunet.training.own_pictures import Worded
from maskunet.training.recipes import inversion
from maskunet.training.recipes.base import RecipeSpec, Settings
from maskunet.training.steering import Steering

SHOWN = ("a cube {} a sphere", "a cone {} a cylinder", "a photo of a cylinder {} a cube", "a red sphere {} a blue cone")


@dataclass(frozen=True, kw_only=True)
class ReversionSettings(inversion.WordSettings, Settings):
    """The loop's settings and the word's, and:

    Attributes:
        caption: of pictures that have none of their own. steering: weight of the contrast with prepositions and things,
            over the pictures that are at once in memory (`micro_batch`), as published.
        often_noisy: whether large timesteps come up to three times as often as small ones.
    """

    token: str = setting("<relates>", "the new word, as prompts have it")
    begin: str = setting("and", "known word to begin from")
    caption: str = setting("", "of pictures without their own, such as “a cat {} a box”")
    steering: float = setting(0.01, "towards prepositions; 0 for none", low=0.0, high=10.0)
    often_noisy: bool = setting(True, "noisy timesteps more often")


def related(settings: ReversionSettings, own: str, rng: np.random.Generator) -> str:
    """A picture's caption, the word in place of its {}."""
    return (own or settings.caption).replace("{}", settings.token)


def prepare(
    model: DiffusionModel, settings: ReversionSettings, feed: Feed, rewards: WeightedRewards | None, place: Path
) -> Generator[Preparing, None, Worded]:
    """The pictures with captions that have the word; see `RecipeSpec`.

    Raises:
        ValueError: as `check_new`; or the caption of a picture does not say where the word belongs.
    """
    check_new(model, settings.token, settings.vectors)
    _check_captions(settings, feed.pairs)
    yield from ()
    return Worded(feed.pairs, partial(related, settings))


def _check_captions(settings: ReversionSettings, pairs: Pairs) -> None:
    if settings.caption and not _has_place(settings, settings.caption):
        raise ValueError(f"The caption “{shortened(settings.caption)}” has no {{}} in place of the relation.")
    said = getattr(pairs, "said", lambda index: (pairs(index, index).caption,))
    name = getattr(pairs, "name", "number {}".format)
    without = [
        (name(index), own) for index in range(len(pairs)) for own in said(index) if not _has_place(settings, own)
    ]
    if without:
        file, own = without[0]
        told = f"says “{shortened(own)}”" if own else "has none"
        raise ValueError(
            "Every picture needs a caption that names the things, with {} in place of their relation: “a cat {} a box”. "
            f"{shortened(file)} {told}. Write them into metadata.jsonl, text.json or a .txt beside each picture, or set caption "
            "to one for all that have none."
        )


def _has_place(settings: ReversionSettings, own: str) -> bool:
    text = own or settings.caption
    return "{}" in text or settings.token.lower() in text.lower()


def mostly_noisy(rng: torch.Generator, count: int) -> int:
    """A timestep of `count`, drawn with p(t) proportional to 1 - cos(pi t / count) / 2."""
    return int(torch.searchsorted(_up_to(count), torch.rand((), generator=rng, dtype=torch.float64), right=True))


@cache
def _up_to(count: int) -> Tensor:
    """(count,) how likely a timestep is this one or an earlier one."""
    p = 1 - torch.cos(torch.pi * torch.arange(count, dtype=torch.float64) / count) / 2
    up_to = p.cumsum(0)
    return up_to / up_to[-1]


def objective(
    model: DiffusionModel, settings: ReversionSettings, held_out: Sequence[Pair], rewards: WeightedRewards | None
) -> Objective:
    """The diffusion loss and the steering; held-out pictures are judged as in textual inversion.

    Raises:
        ValueError: as `Steering`.
    """
    steering = Steering(model) if settings.steering else None

    def losses(predict: Predict, given: Batch) -> Tensor:
        plain = diffusion.losses(model, predict, given)
        if steering is None:
            return plain
        word = getattr(predict, "module", predict).word  # where there are several processes, torch wraps what learns
        return plain + settings.steering * steering(word, given.captions, given.draws)

    usual = inversion.objective(model, settings, held_out, rewards)
    return Objective(losses=losses, exam=usual.exam, timestep=mostly_noisy if settings.often_noisy else uniform)


def shown(settings: ReversionSettings) -> list[str]:
    """Prompts for the samples."""
    return [text.replace("{}", settings.token) for text in SHOWN]


SPEC = RecipeSpec(
    name="reversion",
    title="ReVersion",
    summary="A new word learns a relation from a few pictures whose captions name the things; no weight moves.",
    source="Huang et al. 2023 (ReVersion); MaskUNet (CVPR 2025), section 4.2.2, puts masks on it",
    makes=trained_file.EMBEDDING,
    presets={
        "tabletop": ReversionSettings(**inversion.TABLETOP),
        "sd15": ReversionSettings(**inversion.SD15, batch=8, micro_batch=2),
    },
    build=inversion.build,
    **inversion.SHARED | {"objective": objective, "prepare": prepare, "shown": shown},
)
