"""Perturbed-attention guidance: steer away from what the model draws when its self-attention is blind.

Ahn et al. 2024, "Self-rectifying diffusion sampling with perturbed-attention guidance".
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from maskunet.diffusion import dpmpp_2m_step
from maskunet.methods.base import MethodSpec, Reporter, finish, guidance_of, steps_of
from maskunet.models.base import DiffusionModel
from maskunet.plugins import setting
from maskunet.records import Request, StepEvent
from maskunet.rewards.base import WeightedRewards


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Where and how strongly.

    Attributes:
        scale: weight of the guidance away from the blind prediction, beside the prompt's.
        layers: the self-attention layers that are blind: those whose path begins so.
        second_order: DPM-Solver++ 2M; otherwise its first order.
    """

    scale: float = setting(3.0, "perturbed-attention guidance scale", low=0.0, high=30.0)
    layers: str = setting("mid_block", "first part of the path of the layers")
    second_order: bool = setting(True, "use the solver's second order")


def run(
    model: DiffusionModel, rewards: WeightedRewards, request: Request, settings: Settings
) -> Iterator[StepEvent]:
    """Sample under both guidances; one event per step and a final one."""
    pairs, scale = steps_of(model, request), guidance_of(model, request)
    report = Reporter(model, len(pairs), request)
    text = model.encode(request.prompt, request.negative_prompt)[[0, 1, 1]]  # the second is blind
    x_t, history = model.noise(request.seed), None
    with blind(model.unet, settings.layers):
        for step, (t, t_prev) in enumerate(pairs):
            with torch.no_grad():
                outputs = model.unet(x_t.repeat(3, 1, 1, 1), t, text).sample
                unconditional, blinded, conditional = outputs.chunk(3)
                output = unconditional + scale * (conditional - unconditional)
                output = output + settings.scale * (conditional - blinded)
                x0, _ = model.schedule.x0_eps(output, x_t, t)
                x_t, history = dpmpp_2m_step(model.schedule, x_t, x0, history, t, t_prev)
                preview = model.decode(x0) if request.previews and t_prev >= 0 else None
            history = history if settings.second_order else None
            report.unet_calls = math.ceil(1.5 * (step + 1))  # two thirds of such a batch count as one call
            yield report(step, t, image=preview, best=True)
    yield finish(model, rewards, request, report, x_t)


@contextmanager
def blind(unet: nn.Module, layers: str) -> Iterator[None]:
    """Make these self-attention layers see each position by itself, in the second third of a batch.

    Raises:
        ValueError: no self-attention layer's path begins so.
    """
    own = dict(unet.attn_processors)
    chosen = {name for name in own if name.startswith(layers) and ".attn1." in name}
    if not chosen:
        paths = sorted({name.partition(".attentions")[0] for name in own})
        raise ValueError(f"No self-attention layer begins with “{layers}”. There are: {', '.join(paths)}.")
    unet.set_attn_processor({name: _Blind(each) if name in chosen else each for name, each in own.items()})
    try:
        yield
    finally:
        unet.set_attn_processor(own)


class _Blind:
    """An attention processor whose attention is the identity in the second third of a batch."""

    def __init__(self, processor: Any):
        self.processor = processor

    def __call__(self, attn: Any, hidden_states: Tensor, *inputs: Any, **more: Any) -> Tensor:
        first, blinded, last = hidden_states.chunk(3)
        first, last = self.processor(attn, torch.cat((first, last)), *inputs, **more).chunk(2)
        return torch.cat((first, attn.to_out[1](attn.to_out[0](attn.to_v(blinded))), last))


SPEC = MethodSpec(
    name="pag",
    title="Perturbed-attention guidance",
    kind="rival",
    summary="Guides away from a prediction without self-attention: better structure for half as much work again.",
    source="PAG (Ahn et al. 2024)",
    raced=("/gentle", ""),
    presets={"published": Settings(), "gentle": Settings(scale=1.0)},
    run=run,
)
