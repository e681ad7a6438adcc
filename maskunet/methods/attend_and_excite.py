"""Attend-and-Excite: before a step, move the latents until every thing of the prompt is looked at somewhere.

Chefer et al. 2023, Algorithm 1.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from maskunet.methods.base import MethodSpec, Predict, Prediction, Sampled, Sampling, Solver
from maskunet.methods.base.attention import CrossAttentionMaps, gradient_step, map_size
from maskunet.methods.base.guidance import prompt_half
from maskunet.models.base import DiffusionModel
from maskunet.plugins import setting
from maskunet.prompts.groups import groups_of
from maskunet.prompts.tokens import locate

# What each thing's largest attention must reach, by share of the steps done: 0, 10 and 20 of 50 steps.
THRESHOLDS = {0.0: 0.05, 0.2: 0.5, 0.4: 0.8}


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings(Solver):
    """How far and how long the latents are moved.

    Attributes:
        groups: the things, such as "red cube; blue sphere"; empty to read them off the prompt. Only
            the nouns count, the last words.
        scale: length of a move; it falls to 0.7 of that over the steps.
        moved: share of the steps before which the latents are moved; published: 25 of 50.
        refinements: most moves at the three steps that have a threshold.
    """

    groups: str = setting("", "things, with “;” between them; empty: the prompt's")
    scale: float = setting(20.0, "length of a move of the latents", low=0.0, high=1000.0)
    moved: float = setting(0.5, "share of the steps with a move", low=0.0, high=1.0)
    refinements: int = setting(20, "most moves at a step with a threshold", low=1, high=100)


@contextmanager
def looking(model: DiffusionModel, sampling: Sampling, settings: Settings) -> Iterator[Predict]:
    """The plain U-Net on moved latents."""
    (request,), steps = sampling.requests, len(sampling.pairs)
    found = locate(groups_of(request.prompt, settings.groups), request.prompt, model.tokenizer)
    nouns, size = [group.noun for group in found.groups], map_size(model.unet, model.latent_shape[1:])
    lengths = settings.scale * np.sqrt(np.linspace(1, 0.5, steps))
    thresholds = {round(share * steps): value for share, value in THRESHOLDS.items()}

    def predict(step: int, t: int, x_t: Tensor) -> Prediction:
        def unexcited(x_t: Tensor) -> Tensor:
            with CrossAttentionMaps(model.unet, size) as maps:
                model.predict(x_t, t, sampling.text)
            return excitation_loss(maps.mean()[0], nouns)

        loss, moves = None, 0
        if step < round(settings.moved * steps):
            target = 1 - thresholds[step] if step in thresholds else np.inf
            x_t, loss, moves = excite(x_t, unexcited, float(lengths[step]), target, settings.refinements)
        told = {"loss": loss, "note": "" if step else found.cut}
        return Prediction(x_t, sampling.plain(x_t, t), [told], 1 + moves * prompt_half(sampling.guidance))

    yield predict


def excite(
    x_t: Tensor, loss_of: Callable[[Tensor], Tensor], length: float, target: float, refinements: int
) -> tuple[Tensor, float, int]:
    """Move the latents once, and before that up to `refinements` times while the loss is above `target`.

    Returns:
        The moved latents, the loss before the last move, and how often the U-Net was called.
    """
    x_t, loss = gradient_step(x_t, loss_of, length)
    calls = 1
    if loss > target:
        # As published, the loss compared is the one before the move, so one more follows the last.
        while loss > target and calls < refinements:
            x_t, loss = gradient_step(x_t, loss_of, length)
            calls += 1
        x_t, loss = gradient_step(x_t, loss_of, length)
        calls += 1
    return x_t, loss, calls


def excitation_loss(maps: Tensor, nouns: Sequence[tuple[int, ...]]) -> Tensor:
    """The largest over the nouns of 1 - the largest attention to it, smoothed (Eq. 1-2).

    Attention competes among the tokens behind the start token, sharpened by a factor of 100.

    Args:
        maps: (H, W, N). nouns: positions of each noun's word pieces; the most attended piece counts.
    """
    sharp = (100 * maps[..., 1:-1].float()).softmax(-1).permute(2, 0, 1)  # without the start and last token
    smooth = F.conv2d(F.pad(sharp[:, None], (1, 1, 1, 1), mode="reflect"), _gaussian().to(sharp)[None, None])
    largest = smooth.flatten(1).amax(1)
    return torch.stack([1 - largest[[i - 1 for i in noun]].amax() for noun in nouns]).amax()


def _gaussian() -> Tensor:
    """A 3 x 3 kernel of sum 1; published code: exp(-(x / (2 sigma))^2) at sigma 0.5, without the root."""
    line = torch.exp(-torch.tensor([-1.0, 0.0, 1.0]).square())
    kernel = line[:, None] * line
    return kernel / kernel.sum()


SPEC = MethodSpec(
    name="attend_and_excite",
    title="Attend-and-Excite",
    kind="rival",
    summary="Moves the latents so that the attention to every thing of the prompt is strong somewhere.",
    source="Attend-and-Excite (Chefer et al. 2023), Algorithm 1; its thresholds at 0, 20 and 40 % of the steps",
    raced=("/gentle", ""),
    presets={"published": Settings(), "gentle": Settings(scale=5.0, refinements=5)},
    run=Sampled(looking, shares=lambda settings: False),
)
