"""Several pictures of one prompt at once: their guided outputs, their scores, the best of them."""

from collections.abc import Mapping

import torch
from torch import Tensor

from maskunet.encoders.text_states import TextStates
from maskunet.methods.base.report import Reporter
from maskunet.methods.base.settings import objective
from maskunet.models.base import DiffusionModel
from maskunet.records import Request, StepEvent
from maskunet.rewards.base import WeightedRewards


def predict_x0(model: DiffusionModel, x_t: Tensor, t: int, text: TextStates, scale: float, at_once: int) -> Tensor:
    """x0 (N, C, H, W) as the plain U-Net predicts it for N latents of one prompt.

    Args:
        at_once: latents per U-Net call; memory.
    """
    outputs = [model.predict(part, t, text, scale) for part in x_t.split(at_once)]
    return model.schedule.x0_eps(torch.cat(outputs), x_t, t)[0]


def scored(
    model: DiffusionModel, rewards: WeightedRewards, prompt: str, x0: Tensor, at_once: int
) -> tuple[Tensor, dict[str, Tensor]]:
    """The pictures (N, 3, H, W) of clean latents and their rewards by name, (N,) each."""
    images, scores = [], []
    for part in x0.split(at_once):
        images.append(model.decode(part))
        scores.append(rewards(images[-1], [prompt] * len(part)))
    return torch.cat(images), {name: torch.cat([each[name] for each in scores]) for name in scores[0]}


def best(scores: Mapping[str, Tensor], weights: Mapping[str, float]) -> int:
    """Which candidate has the largest weighted sum of the rewards; one that is not a number never has it."""
    return int(objective(scores, weights).nan_to_num(nan=-torch.inf).argmax())


def only(scores: Mapping[str, Tensor], index: int) -> dict[str, Tensor]:
    """One candidate's rewards, (1,) each."""
    return {name: values[index : index + 1] for name, values in scores.items()}


@torch.no_grad()
def finish(
    model: DiffusionModel,
    rewards: WeightedRewards,
    request: Request,
    report: Reporter,
    x0: Tensor,
    *,
    weights: Mapping[str, float],
    at_once: int,
) -> StepEvent:
    """Decode and score the candidates' final latents (N, C, H, W): the last event, of the best one."""
    images, scores = scored(model, rewards, request.prompt, x0, at_once)
    chosen = best(scores, weights)
    return report.last(images[chosen : chosen + 1], only(scores, chosen))
