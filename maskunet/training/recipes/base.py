"""What every recipe shares: its SPEC, the loop's settings, and what a recipe hands to the loop."""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from maskunet.encoders.text_states import TextStates
from maskunet.models.base import DiffusionModel
from maskunet.plugins import setting
from maskunet.records.disk import trained_file
from maskunet.records.training import Preparing
from maskunet.rewards.base import WeightedRewards
from maskunet.training import diffusion
from maskunet.training.data import Alternating, Feed, Pair, Pairs
from maskunet.training.objective import Encode, Objective

PRECISIONS = ("no", "bf16", "fp16")
COURSES = ("constant", "cosine")
Prepare = Callable[
    [DiffusionModel, Any, Feed, WeightedRewards | None, Path], Generator[Preparing, None, Pairs | Alternating]
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """How long and how fast to train; every recipe's settings extend these.

    Attributes:
        epochs: passes over the data; `steps` ends the training earlier, or later, if not 0.
        batch: pictures per optimizer step, over all processes. micro_batch: at once in one process; the
            gradients of the rest are accumulated.
        learning_rate, weight_decay: AdamW's. course: of the learning rate after `warm_up` steps.
        clip: the gradient's largest L2 norm. ema: decay of the averaged weights that are saved; 0 for none.
        caption_dropout: share of captions left out, for classifier-free guidance.
        precision: of the networks' computation; weights that train stay float32.
        checkpointing: recompute the masked blocks in the backward pass, for memory.
        every: steps between checkpoints. keep_each: keep the trained part of each one.
        seed: of order, noise, timesteps and masks.
    """

    epochs: int = setting(12, "passes over the data", low=1, high=10_000)
    steps: int = setting(0, "optimizer steps; 0 counts the epochs", low=0, high=10_000_000)
    batch: int = setting(32, "pictures per step", low=1, high=65_536)
    micro_batch: int = setting(4, "pictures at once per process", low=1, high=65_536)
    learning_rate: float = setting(1e-5, "AdamW's", low=0.0, high=10.0)
    weight_decay: float = setting(1e-2, "AdamW's", low=0.0, high=10.0)
    course: str = setting("constant", "of the learning rate", choices=COURSES)
    warm_up: int = setting(0, "steps to the full learning rate", low=0, high=1_000_000)
    clip: float = setting(1.0, "largest gradient norm", low=1e-6, high=1e9)
    ema: float = setting(0.0, "decay of the average; 0 for none", low=0.0, high=0.999999)
    caption_dropout: float = setting(0.0, "captions left out", low=0.0, high=1.0)
    precision: str = setting("no", "mixed", choices=PRECISIONS)
    checkpointing: bool = setting(False, "recompute masked blocks: less memory")
    keep_each: bool = setting(False, "the trained part of every checkpoint")
    every: int = setting(500, "steps between checkpoints", low=1, high=1_000_000)
    seed: int = setting(0, "of everything random", low=0, high=2**31)

    @property
    def learns_from(self) -> str:
        """The name of the reward that is optimized, or "pictures"; goes into the trained file."""
        return trained_file.PICTURES


class UNet(nn.Module):
    """A plain U-Net in the form that the loop calls, see `Recipe.module`."""

    def __init__(self, unet: nn.Module):
        super().__init__()
        self.unet = unet

    def forward(self, x_t: Tensor, t: Tensor, text: TextStates, draws: list[int]) -> Tensor:
        """The U-Net's output (B, C, H, W); nothing in it is random."""
        own = self.unet.conv_in.weight.dtype  # a copy that trains is float32, and the base model may be half
        return self.unet(x_t.to(own), t, **text.to(own).arguments).sample


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """What the loop trains.

    Attributes:
        module: called as module(x_t, t, text, draws) with noisy latents (B, C, H, W), timesteps (B,),
            their text states and one number per sample that fixes what is random in it; returns the
            U-Net's output (B, C, H, W). Its parameters that require gradients are trained.
        save: writes the trained part to a file. measure: figures for the log, cheap ones.
        encode: reads captions where text trains, with gradients to parameters of `module`; None for the model itself.
    """

    module: nn.Module
    save: Callable[[Path], None]
    measure: Callable[[Tensor, TextStates], Mapping[str, float]] = lambda x0, text: {}
    encode: Encode | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RecipeSpec:
    """A way of training: its name, presets of its settings (the first is the default), what trains, and from what.

    `makes` is the kind of file it leaves (`trained_file.kinds`), which tells the methods that can use it. `word`: the
    file has a word, whose settings are `token` and the like, and is put on the model as an embedding.

    `build(model, settings)` is a context manager that gives a `Recipe`; on exit the base model is, bit
    for bit, what it was. `objective(model, settings, held_out, rewards)` is what it learns from; `needs_rewards`
    tells that rewards must be given. `prepare(model, settings, feed, rewards, place)` makes what it learns from out of
    the given pictures and tells how far that is; in the folder `place`, which trainings share. None: they serve as they
    are. `own_pictures`: it learns from a folder of the user's, which needs no captions and is not mirrored.
    `shown(settings)`: the prompts of the sample sheets; None for the first captions. `before(settings, text)`: what the
    base model is asked for in place of a text that has a word which it does not know; None for the same.
    """

    name: str
    title: str
    summary: str
    source: str
    makes: str
    presets: Mapping[str, Any]
    build: Callable[[DiffusionModel, Any], AbstractContextManager[Recipe]]
    objective: Callable[[DiffusionModel, Any, Sequence[Pair], WeightedRewards | None], Objective] = diffusion.objective
    needs_rewards: bool = False
    prepare: Prepare | None = None
    word: bool = False
    own_pictures: bool = False
    shown: Callable[[Any], Sequence[str]] | None = None
    before: Callable[[Any, str], str] | None = None
