"""What a training learns from: a loss per sample, and an exam on what no training sees."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from maskunet.encoders.pixels import from_uint8
from maskunet.encoders.text_states import TextStates
from maskunet.models.base import DiffusionModel
from maskunet.training.data import Pair

# (x_t, t, text states, draws) -> the U-Net's output, as `Recipe.module`.
Predict = Callable[[Tensor, Tensor, Tensor, list[int]], Tensor]
# Captions -> their text states, where text trains; else the model's own.
Encode = Callable[[list[str]], TextStates]
AT_ONCE = 16  # held-out samples per U-Net call


@dataclass(frozen=True)
class Batch:
    """Samples of a training; pictures and captions are encoded when they are first asked for.

    Attributes:
        numbers: one per sample; equal ones have the same picture, caption, noise and t.
        captions: one per sample; empty where the pair's own was left out.
        noise: (B, C, h, w) standard normal. t: (B,) timesteps.
        draws: one number per sample, which fixes whatever else is random about it; none for an exam.
        encode: reads the captions; None for the model itself.
    """

    model: DiffusionModel
    numbers: list[int]
    pairs: Sequence[Pair]
    captions: list[str]
    noise: Tensor
    t: Tensor
    draws: list[int]
    encode: Encode | None = None

    @cached_property
    def x0(self) -> Tensor:
        """(B, C, h, w) the pictures' latents, scaled."""
        with torch.no_grad():
            return torch.stack([_latents(self.model, pair) for pair in self.pairs])

    @cached_property
    def text(self) -> TextStates:
        """The captions' text states, and for Stable Diffusion XL how each picture was cut."""
        text = (self.encode or self.model.encode_prompts)(self.captions)
        if text.sizes is None:
            return text
        sizes = text.sizes.clone()
        for own, pair in zip(sizes, self.pairs, strict=True):
            if pair.cut:
                own[: len(pair.cut)] = torch.tensor(pair.cut)
        return text._replace(sizes=sizes)

    @property
    def weights(self) -> Tensor:
        """(B,) how much each sample counts."""
        return torch.tensor([pair.weight for pair in self.pairs], device=self.noise.device)

    def read_by(self, encode: Encode | None) -> "Batch":
        """The same samples with other text states; the pictures are not encoded again."""
        if encode is None:
            return self
        other = replace(self, encode=encode)
        vars(other)["x0"] = self.x0
        return other


def uniform(rng: torch.Generator, count: int) -> int:
    """One of `count` timesteps, each as likely as any other."""
    return int(torch.randint(count, (), generator=rng))


def _latents(model: DiffusionModel, pair: Pair) -> Tensor:
    if pair.latents is not None:
        return torch.from_numpy(pair.latents).float().to(model.device)
    pixels = from_uint8(np.asarray(pair.image), model.device).to(model.vae.dtype) * 2 - 1
    return model.vae.encode(pixels).latent_dist.mean[0].float() * model.latent_scale


@dataclass(frozen=True, kw_only=True, slots=True)
class Objective:
    """What a training minimizes, and what tells whether it helps.

    Attributes:
        losses: (B,) of a batch, of what predicts the U-Net's output.
        exam: figures on samples that no training sees, against the base model, of what predicts the U-Net's output and
            what reads captions, None for the model itself.
        timestep: draws a sample's t from its own generator and the number of timesteps.
        cycle: samples after which the first ones come again, with other draws; 0 for as many as the data have.
        best: the figure whose largest value so far marks the checkpoint whose trained part is kept; empty to
            keep the newest.
    """

    losses: Callable[[Predict, Batch], Tensor]
    exam: Callable[[Predict, Encode | None], Mapping[str, float]]
    timestep: Callable[[torch.Generator, int], int] = uniform
    cycle: int = 0
    best: str = ""
