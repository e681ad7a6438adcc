"""ReNO: move the first noise of a few steps, or of one, so that the rewards like the picture more.

"Enhancing one-step text-to-image models through reward-based noise optimization" (2406.04312, NeurIPS 2024). Of the noise
z with d values, the minimum of

    - sum_i omega_i r_i(x0(z)) + lambda (|z|^2 / 2 - (d - 1) log |z|)

is sought by SGD with Nesterov momentum, each gradient clipped to an L2 norm. The second term is what the norm of a
normal draw has as its negative log-density; it holds |z| near sqrt(d). The gradient goes through every step's whole
U-Net, so the steps are few: the request's, or where it leaves them open the model's own, at most FEW.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from maskunet.diffusion import trajectory
from maskunet.encoders.text_states import TextStates
from maskunet.methods.base import (
    Guidance,
    MethodSpec,
    Reporter,
    RewardWeights,
    decoder_part,
    finish,
    guidance_of,
    objective,
    recomputed,
    steps_of,
    weights_of,
)
from maskunet.models.base import DiffusionModel
from maskunet.plugins import setting
from maskunet.records import Request, StepEvent
from maskunet.rewards.base import WeightedRewards

FEW = 4  # steps
MOMENTUM = 0.9


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings(RewardWeights):
    """How long and how far the noise is moved; the published values are the defaults.

    Attributes:
        iterations: pictures that are made and scored, the first of the noise as it was drawn; the best is kept.
        learning_rate: of SGD, and `clip`, the longest gradient: both together are the longest move.
        regularization: lambda, of the noise's norm.
        tiny_decoder: the rewards look through the model's tiny decoder; the final picture is the full one's.
        low_memory: recompute in the backward pass what would be kept for it, with the same gradients.
    """

    iterations: int = setting(50, "pictures made and scored", low=1, high=500)
    learning_rate: float = setting(5.0, "learning rate of the noise", low=0.0, high=1000.0)
    clip: float = setting(0.1, "longest gradient, L2 norm", low=1e-6, high=1000.0)
    regularization: float = setting(0.01, "lambda, of the noise's norm", low=0.0, high=1000.0)
    tiny_decoder: bool = setting(False, "faster: look through the tiny decoder", cost=True)
    low_memory: bool = setting(False, "less memory: recompute instead of remembering", cost=True)


class Look(NamedTuple):
    """What one noise makes: the clean latents x0, the picture, its rewards, and what is made of them.

    Attributes:
        aim: the weighted sum of the rewards, and `loss`, what is minimized. gradient: of it by the noise, or None.
    """

    x0: Tensor
    image: Tensor
    scores: dict[str, Tensor]
    aim: float
    loss: float
    gradient: Tensor | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Eye:
    """What does not change while one picture's noise is moved."""

    model: DiffusionModel
    rewards: WeightedRewards
    request: Request
    settings: Settings
    text: TextStates
    guidance: Guidance
    weights: dict[str, float]

    def look(self, z: Tensor, *, moves: bool) -> Look:
        """Make the noise's picture and score it.

        Args:
            z: (1, C, H, W) float32. moves: whether the gradient is wanted.
        """
        model, settings = self.model, self.settings
        again = partial(checkpoint, use_reentrant=False) if settings.low_memory else lambda f, *given: f(*given)

        def predict_x0(x_t: Tensor, t: int) -> Tensor:
            return again(model.predict_x0, x_t, t, self.text, self.guidance.at(t))

        pairs, order = steps_of(model, self.request), settings.second_order
        with torch.set_grad_enabled(moves):
            *_, x0 = trajectory(model.schedule, pairs, z.to(model.dtype), predict_x0, second_order=order)
            image = model.decode(x0, tiny=settings.tiny_decoder)
            scores = again(self.rewards, image, [self.request.prompt])
            aim = objective(scores, self.weights).sum()
            loss = settings.regularization * norm_loss(z) - aim
        gradient = torch.autograd.grad(loss, z)[0] if moves else None
        scores = {name: each.detach() for name, each in scores.items()}
        return Look(x0.detach(), image.detach(), scores, float(aim.detach()), float(loss.detach()), gradient)


def norm_loss(z: Tensor) -> Tensor:
    """|z|^2 / 2 - (d - 1) log |z|, a scalar: least at |z| = sqrt(d - 1), where a normal draw's norm is likeliest."""
    norm = torch.linalg.vector_norm(z.float())
    return norm.square() / 2 - (z.numel() - 1) * norm.log()


def run(model: DiffusionModel, rewards: WeightedRewards, request: Request, settings: Settings) -> Iterator[StepEvent]:
    """Move the noise; an event per iteration and a final one, of the picture whose rewards were highest."""
    request = replace(request, steps=request.steps or min(model.steps, FEW))
    pairs, guidance = steps_of(model, request), guidance_of(model, request, settings)
    weights = weights_of(settings, rewards)
    report = Reporter(model, 1, request)  # an iteration makes all steps
    eye = Eye(
        model=model, rewards=rewards.optimizing(weights), request=request, settings=settings, weights=weights,
        text=model.encode(request.prompt, request.negative_prompt), guidance=guidance,
    )  # fmt: skip
    z = model.noise(request.seed).float().requires_grad_()  # in half precision a move would be lost
    sgd = torch.optim.SGD([z], lr=settings.learning_rate, momentum=MOMENTUM, nesterov=True)
    chosen, highest, note = None, -math.inf, ""
    with recomputed(model.vae, settings.low_memory):
        for update in range(settings.iterations):
            moves = update + 1 < settings.iterations
            look = eye.look(z, moves=moves)
            report.unet_calls += sum(guidance.calls(t) for t, _ in pairs)
            if not math.isfinite(look.aim):
                note = f"A reward was not a number at iteration {update + 1}; kept the best picture so far."
            best = look.aim > highest
            if best or chosen is None:
                chosen, highest = look.x0, look.aim
            yield report(
                0, pairs[-1][0], image=look.image if request.previews else None, rewards=look.scores, loss=look.loss,
                update=update, updates=settings.iterations - 1, best=best, note=note,
            )  # fmt: skip
            if note:
                break
            if moves:
                z.grad = look.gradient
                torch.nn.utils.clip_grad_norm_([z], settings.clip)
                sgd.step()
    yield finish(model, rewards, request, report, chosen)


SPEC = MethodSpec(
    name="reno",
    title="ReNO",
    kind="rival",
    summary="Moves the first noise, by the rewards' gradient through a few steps, and keeps the best picture.",
    source="ReNO (2406.04312): published with one step of a distilled model; its control is best_of_n/fifty at the "
    "same steps",
    raced=("/nine",),  # fifty take four times the usual budget
    presets={
        "published": Settings(),
        "nine": Settings(iterations=9),
        "fast": Settings(tiny_decoder=True),
    },
    run=run,
    parts=decoder_part,
    most_steps=FEW,
)
