"""DATE: every few steps, move the prompt's text states along the gradient of the rewards of the predicted picture.

"Diffusion adaptive text embedding" (2510.23974, NeurIPS 2025): c <- c + rho g / |g|, g = grad_c r(x0(x_t, c)). It is the
training-free mask's twin: the same gradient, taken to what the U-Net reads and not to its weights.
"""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from maskunet.diffusion import denoise
from maskunet.encoders.text_states import TextStates
from maskunet.methods.base import (
    MethodSpec,
    RewardWeights,
    decoder_part,
    finish,
    objective,
    start,
)
from maskunet.methods.base.guidance import prompt_half
from maskunet.models.base import DiffusionModel
from maskunet.plugins import setting
from maskunet.records import Request, StepEvent
from maskunet.rewards.base import WeightedRewards


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings(RewardWeights):
    """How far and how often the text states are moved.

    Attributes:
        every: steps from one move to the next, the first step has one; published: 10 of 50.
        updates: moves at such a step.
        length: rho, of a move, in the norm over all tokens; 0 leaves the plain picture.
        keeps: start from where the last move led; otherwise such a step starts from the prompt's own states.
        tiny_decoder: the rewards look through the model's tiny decoder; the final picture is the full one's.
    """

    every: int = setting(3, "steps between moves", low=1, high=100)
    updates: int = setting(1, "moves at a time", low=0, high=100)
    length: float = setting(2.0, "rho, length of a move of the text states", low=0.0, high=1000.0)
    keeps: bool = setting(True, "start from the last move, not from the prompt")
    tiny_decoder: bool = setting(False, "faster: look through the tiny decoder", cost=True)


def run(model: DiffusionModel, rewards: WeightedRewards, request: Request, settings: Settings) -> Iterator[StepEvent]:
    """Sample with text states that move; one event per move and per step, and a final one."""
    pairs, guidance, weights, report, both = start(model, rewards, request, settings)
    judges = rewards.optimizing(weights)
    prompt = text = both.conditional
    half = prompt_half(guidance)

    def score(x0: Tensor) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        image = model.decode(x0, tiny=settings.tiny_decoder)
        scores = judges(image, [request.prompt])
        return objective(scores, weights).sum(), scores, image

    def look(step: int, t: int, x_t: Tensor) -> Generator[StepEvent, None, tuple[Tensor, Tensor]]:
        nonlocal text
        updates = settings.updates if step % settings.every == 0 else 0
        if updates and not settings.keeps:
            text = prompt
        predict = predictor(model, x_t, t, both.unconditional, guidance.at(t))
        for update in range(updates):
            direction, aim, scores, image = steepest(text, lambda moving: score(predict(moving)))
            report.unet_calls += half
            note = "" if aim.isfinite() else f"A reward was not a number at step {step + 1}; the text stayed."
            yield report(
                step, t, image=image if request.previews else None, rewards=scores, loss=-float(aim),
                update=update, updates=updates, note=note,
            )  # fmt: skip
            if aim.isfinite():
                text = text._replace(states=text.states + settings.length * direction)
        with torch.no_grad():
            x0 = predict(text)
            preview = model.decode(x0) if request.previews and step + 1 < len(pairs) else None
        report.unet_calls += guidance.calls(t)
        yield report(step, t, image=preview, update=updates, updates=updates, best=True)
        return x_t, x0

    order = settings.second_order
    x0 = yield from denoise(model.schedule, pairs, model.noise(request.seed), look, second_order=order)
    yield finish(model, rewards, request, report, x0)


def predictor(
    model: DiffusionModel, x_t: Tensor, t: int, unconditional: TextStates, scale: float
) -> Callable[[TextStates], Tensor]:
    """What predicts x0 from the prompt's text states; the other guidance half is computed once, without a gradient."""
    with torch.no_grad():
        blind = model.unet(x_t, t, **unconditional.arguments).sample if scale > 1 else None

    def predict(text: TextStates) -> Tensor:
        output = model.unet(x_t, t, **text.arguments).sample
        if blind is not None:
            output = blind + scale * (output - blind)
        return model.schedule.x0_eps(output, x_t, t)[0]

    return predict


def steepest(
    text: TextStates, score: Callable[[TextStates], tuple[Tensor, dict[str, Tensor], Tensor]]
) -> tuple[Tensor, Tensor, dict[str, Tensor], Tensor]:
    """The direction in which the aim rises most, of norm 1 for each prompt, or 0 where there is none to be found.

    Args:
        score: what is made of the text states: the aim, a scalar, the rewards by name and the picture.

    Returns:
        The direction (B, N, D), and what `score` returned, without a gradient.
    """
    with torch.enable_grad():
        moving = text._replace(states=text.states.detach().requires_grad_())
        aim, scores, image = score(moving)
        (gradient,) = torch.autograd.grad(aim, moving.states)
    norm = gradient.float().norm(dim=(1, 2), keepdim=True)
    found = (norm > 0) & norm.isfinite()
    direction = torch.where(found, gradient / norm, 0.0).to(text.states.dtype)
    return direction, aim.detach(), {name: each.detach() for name, each in scores.items()}, image.detach()


SPEC = MethodSpec(
    name="date",
    title="DATE",
    kind="rival",
    summary="Moves what the U-Net reads of the prompt towards the rewards, every few steps.",
    source="DATE (2510.23974); published with a move at every 10th of 50 steps, how often and how far is ours",
    presets={"third": Settings(), "fast": Settings(tiny_decoder=True), "each": Settings(every=1)},
    run=run,
    parts=decoder_part,
)
