"""Which weights carry a concept: gradients, by the entries of a mask, of what rewards see in predicted pictures.

CAD (Nguyen et al., NeurIPS 2025) attributes a concept to parameters to first order: a mask entry that goes from 1 to 0
changes a figure by minus its gradient. Here the figure is how much more rewards like a predicted picture with its own
caption than with its rivals.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from maskunet.diffusion import classifier_free, denoise, doubled
from maskunet.encoders.text_states import TextStates
from maskunet.experiments.concepts.concept import Example
from maskunet.masks.masked_unet import MaskedUNet
from maskunet.models.base import DiffusionModel
from maskunet.rewards.base import WeightedRewards

STEPS = 8  # of the samplings; they end at the last step that is looked at
LOOKED = (1, 3, 5)


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen in the pictures of some examples.

    Attributes:
        gradients: (B, W) of each one's figure, by the entries of all sites, the mean over the steps.
        margins: (B, K) at the last step: reward of the own caption minus that of each rival.
    """

    gradients: Tensor
    margins: Tensor


def look(
    model: DiffusionModel, masked: MaskedUNet, rewards: WeightedRewards, examples: Sequence[Example], figure: Any
) -> Look:
    """Sample the examples together under the masks that are folded in, and look at the predicted pictures.

    Args:
        masked: entered; `MaskedUNet.fold` has put the masks on.
        examples: each with the same number of rivals.
        figure: margins (B, K) to the figure (B,) whose gradient is taken.
    """
    scale, found, margins = model.guidance, [], torch.zeros(0)
    text = TextStates.cat([model.encode_prompts([""] * len(examples)), model.encode_prompts([e.prompt for e in examples])])
    text = text.guided(scale)
    captions = [caption for e in examples for caption in (e.prompt, *e.rivals)]

    def seen(x0: Tensor) -> Tensor:
        image = model.decode(x0, tiny=model.tiny_decoder is not None)
        each = image.repeat_interleave(len(captions) // len(examples), 0)
        scores = rewards(each, captions)["total"].unflatten(0, (len(examples), -1))
        return scores[:, :1] - scores[:, 1:]

    @torch.no_grad()
    def at(step: int, t: int, x_t: Tensor) -> Generator[None, None, tuple[Tensor, Tensor]]:
        nonlocal margins
        features = masked.encode(doubled(x_t, scale), t, text)
        if step not in LOOKED:
            output = classifier_free(masked.decode(features), scale)
            x0 = model.schedule.x0_eps(output, x_t, t)[0]
        else:
            with torch.enable_grad():
                halves = len(features.sample) // len(examples)
                entries = [
                    torch.ones(len(examples), *site.shape, dtype=model.dtype, device=model.device, requires_grad=True)
                    for site in masked.sites
                ]
                masks = {s.name: e.repeat(halves, 1, 1) for s, e in zip(masked.sites, entries, strict=True)}
                output = classifier_free(masked.decode(features, masks), scale)
                x0 = model.schedule.x0_eps(output, x_t, t)[0]
                margins = seen(x0)
                gradients = torch.autograd.grad(figure(margins).sum(), entries)
            found.append(torch.cat([g.flatten(1).float() for g in gradients], 1))
            x0, margins = x0.detach(), margins.detach()
        yield
        return x_t, x0

    noise = torch.cat([model.noise(e.seed) for e in examples])
    for _ in denoise(model.schedule, model.schedule.linspace_pairs(STEPS)[: LOOKED[-1] + 1], noise, at):
        pass
    return Look(torch.stack(found).mean(0), margins)
