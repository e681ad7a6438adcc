"""Several pictures of one prompt at once: their seeds, their guided outputs, their scores, the best of them."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from maskunet.diffusion import classifier_free
from maskunet.models.base import DiffusionModel
from maskunet.rewards.base import WeightedRewards


def seeds(first: int, count: int) -> list[int]:
    """`count` seeds, 0 to 2^32 - 1, that follow from the first, which is one of them."""
    more = (int(np.random.SeedSequence((first, i)).generate_state(1)[0]) for i in range(1, count))
    return [first, *more]


def guided(model: DiffusionModel, x_t: Tensor, t: int, text: Tensor, scale: float, at_once: int) -> Tensor:
    """The guided output (N, C, H, W) of the plain U-Net for N latents of one prompt.

    Args:
        text: (2, N, D) as `DiffusionModel.encode` gives it. at_once: latents per U-Net call; memory.
    """
    outputs = []
    for part in x_t.split(at_once):
        both = model.unet(torch.cat((part, part)), t, text.repeat_interleave(len(part), 0)).sample
        outputs.append(classifier_free(both, scale))
    return torch.cat(outputs)


def scored(
    model: DiffusionModel, rewards: WeightedRewards, prompt: str, x0: Tensor, at_once: int
) -> tuple[Tensor, dict[str, Tensor]]:
    """The pictures (N, 3, H, W) of clean latents and their rewards by name, (N,) each."""
    images, scores = [], []
    for part in x0.split(at_once):
        images.append(model.decode(part))
        scores.append(rewards(images[-1], [prompt] * len(part)))
    return torch.cat(images), {name: torch.cat([each[name] for each in scores]) for name in scores[0]}


def best(scores: Mapping[str, Tensor]) -> int:
    """Which candidate has the largest total reward; one that is not a number never has it."""
    return int(scores["total"].nan_to_num(nan=-torch.inf).argmax())


def only(scores: Mapping[str, Tensor], index: int) -> dict[str, Tensor]:
    """One candidate's rewards, (1,) each."""
    return {name: values[index : index + 1] for name, values in scores.items()}
