"""Perturbed-attention guidance: steer away from what the model draws when its self-attention is blind.

Ahn et al. 2024, "Self-rectifying diffusion sampling with perturbed-attention guidance".
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from maskunet.diffusion import classifier_free
from maskunet.encoders.text_states import TextStates
from maskunet.methods.base import MethodSpec, Predict, Prediction, Sampled, Sampling, Solver
from maskunet.models.base import DiffusionModel
from maskunet.plugins import setting


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings(Solver):
    """Where and how strongly.

    Attributes:
        scale: weight of the guidance away from the blind prediction, beside the prompt's.
        layers: the self-attention layers that are blind: those whose path begins so.
    """

    scale: float = setting(3.0, "perturbed-attention guidance scale", low=0.0, high=30.0)
    layers: str = setting("mid_block", "first part of the path of the layers")


@contextmanager
def looking(model: DiffusionModel, sampling: Sampling, settings: Settings) -> Iterator[Predict]:
    """The plain U-Net under both guidances: its batch also has the prompt's half with blind attention."""
    unconditional, prompts = sampling.text.unconditional, sampling.text.conditional
    # A guided call has two parts and counts as one; here it has three, and without guidance two, each a call of its own.
    calls = 1.5 if sampling.guidance.scale > 1 else 2

    def predict(step: int, t: int, x_t: Tensor) -> Prediction:
        scale = sampling.guidance.at(t)
        text = TextStates.cat([*([unconditional] if scale > 1 else []), prompts, prompts])
        parts = text.batch // prompts.batch
        output = model.unet(x_t.repeat(parts, 1, 1, 1), t, **text.arguments).sample
        *others, blinded, conditional = output.chunk(parts)
        output = classifier_free(torch.cat((*others, conditional)), scale)
        output = output + settings.scale * (conditional - blinded)
        return Prediction(x_t, model.schedule.x0_eps(output, x_t, t)[0], calls=calls)

    with blind(model.unet, settings.layers, prompts.batch):
        yield predict


@contextmanager
def blind(unet: nn.Module, layers: str, pictures: int) -> Iterator[None]:
    """Make these self-attention layers see each position by itself, in the last but one of a batch's parts.

    Args:
        pictures: samples in each part.

    Raises:
        ValueError: no self-attention layer's path begins so.
    """
    own = dict(unet.attn_processors)
    chosen = {name for name in own if name.startswith(layers) and ".attn1." in name}
    if not chosen:
        paths = sorted({name.partition(".attentions")[0] for name in own})
        raise ValueError(f"The setting layers fits no self-attention layer. Their names begin with {', '.join(paths)}.")
    unet.set_attn_processor({name: _Blind(each, pictures) if name in chosen else each for name, each in own.items()})
    try:
        yield
    finally:
        unet.set_attn_processor(own)


class _Blind:
    """An attention processor whose attention is the identity in the last but one of a batch's parts."""

    def __init__(self, processor: Any, pictures: int):
        self.processor, self.pictures = processor, pictures

    def __call__(self, attn: Any, hidden_states: Tensor, *inputs: Any, **more: Any) -> Tensor:
        *others, blinded, last = hidden_states.split(self.pictures)
        seen = self.processor(attn, torch.cat((*others, last)), *inputs, **more).split(self.pictures)
        blinded = attn.to_out[1](attn.to_out[0](attn.to_v(blinded)))
        return torch.cat((*seen[:-1], blinded, seen[-1]))


SPEC = MethodSpec(
    name="pag",
    title="Perturbed-attention guidance",
    kind="rival",
    summary="Guides away from a prediction without self-attention: better structure for half as much work again.",
    source="PAG (Ahn et al. 2024)",
    raced=("/gentle", ""),
    presets={"published": Settings(), "gentle": Settings(scale=1.0)},
    run=Sampled(looking),
)
