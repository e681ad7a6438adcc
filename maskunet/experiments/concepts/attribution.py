"""Which weights carry a concept: gradients, by the entries of a mask, of what rewards see in predicted pictures.

CAD (Nguyen et al., NeurIPS 2025) attributes a concept to weights to first order: a mask entry that goes from 1 to 0 changes
a figure by minus its gradient. Here the figure is the margin: how much more the rewards like a predicted picture with its
own caption than with that caption's rivals.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from maskunet.diffusion import classifier_free, denoise, doubled
from maskunet.encoders.text_states import TextStates
from maskunet.experiments.concepts.concept import Example
from maskunet.masks.masked_unet import MaskedUNet
from maskunet.models.base import DiffusionModel
from maskunet.rewards.base import WeightedRewards

STEPS = 6  # of a sampling, which ends at the last step that is looked at
LOOKED = (1, 4)  # of them, one while colors and places are decided and one with details; of 1,000 timesteps 832 and 333
RIVALS = 3  # captions that each picture is held against


@dataclass(frozen=True, slots=True)
class Look:
    """What the rewards see in pictures of B prompts.

    Attributes:
        gradients: (B, W) of each one's mean margin by the mask entries of all sites, the mean over the steps.
        margins: (B, K) at the last step, against every rival: what has lost its color is not like any other three.
    """

    gradients: Tensor
    margins: Tensor


def look(model: DiffusionModel, masked: MaskedUNet, rewards: WeightedRewards, examples: Sequence[Example]) -> Look:
    """Sample the examples together under the masks that are folded in, and look at the predicted pictures.

    The gradient by the entry of a weight that is gone is 0.

    Args:
        masked: entered. examples: what does not have `RIVALS` rivals has some of them several times.
    """
    scale, count = model.guidance, len(examples)
    nothing, told = model.encode_prompts([""] * count), model.encode_prompts([each.prompt for each in examples])
    text = TextStates.cat([nothing, told]).guided(scale)
    gradients, margins = [], torch.zeros(count, RIVALS)

    def predicted(features, t: int, x_t: Tensor, masks: dict[str, Tensor] | None = None) -> Tensor:
        output = classifier_free(masked.decode(features, masks), scale)
        return model.schedule.x0_eps(output, x_t, t)[0]

    @torch.no_grad()
    def step(number: int, t: int, x_t: Tensor) -> Generator[None, None, tuple[Tensor, Tensor]]:
        nonlocal margins
        yield
        features = masked.encode(doubled(x_t, scale), t, text)
        if number not in LOOKED:
            return x_t, predicted(features, t, x_t)
        shapes = {site.name: (count, *site.shape) for site in masked.sites}
        entries = {name: x_t.new_ones(shape).requires_grad_() for name, shape in shapes.items()}
        with torch.enable_grad():
            halves = len(features.sample) // count
            x0 = predicted(features, t, x_t, {name: each.repeat(halves, 1, 1) for name, each in entries.items()})
            image = model.decode(x0, tiny=model.tiny_decoder is not None)
            found = torch.autograd.grad(margins_of(rewards, image, examples).mean(1).sum(), [*entries.values()])
        gradients.append(torch.cat([each.flatten(1).float() for each in found], 1))
        if number == LOOKED[-1]:
            margins = margins_of(rewards, image.detach(), examples, max(len(each.rivals) for each in examples))
        return x_t, x0.detach()

    noise = torch.cat([model.noise(each.seed) for each in examples])
    for _ in denoise(model.schedule, model.schedule.pairs(STEPS)[: LOOKED[-1] + 1], noise, step):
        pass
    return Look(torch.stack(gradients).mean(0), margins)


def margins_of(rewards: WeightedRewards, image: Tensor, examples: Sequence[Example], count: int = RIVALS) -> Tensor:
    """(B, count) the total reward of pictures (B, 3, H, W) with their captions minus that with each of the rivals."""
    captions = [
        caption
        for each in examples
        for caption in (each.caption, *(each.rivals[i % len(each.rivals)] for i in range(count)))
    ]
    scores = rewards(image.repeat_interleave(1 + count, 0), captions)["total"].unflatten(0, (len(examples), -1))
    return scores[:, :1] - scores[:, 1:]
