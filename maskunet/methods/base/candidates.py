"""Several pictures of one prompt at once: their guided outputs, their scores, the best of them."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from maskunet.encoders.text_states import TextStates
from maskunet.methods.base.report import Reporter, to_uint8
from maskunet.methods.base.settings import objective
from maskunet.models.base import DiffusionModel
from maskunet.records import Request, StepEvent
from maskunet.rewards.base import WeightedRewards

CHOOSERS = ("sum", "ranks")


def predict_x0(model: DiffusionModel, x_t: Tensor, t: int, text: TextStates, scale: float, at_once: int) -> Tensor:
    """x0 (N, C, H, W) as the plain U-Net predicts it for N latents of one prompt.

    Args:
        at_once: latents per U-Net call; memory.
    """
    outputs = [model.predict(part, t, text, scale) for part in x_t.split(at_once)]
    return model.schedule.x0_eps(torch.cat(outputs), x_t, t)[0]


def scored(
    model: DiffusionModel, rewards: WeightedRewards, prompt: str, x0: Tensor, at_once: int, *, tiny: bool = False
) -> tuple[Tensor, dict[str, Tensor]]:
    """The pictures (N, 3, H, W) of clean latents and their rewards by name, (N,) each.

    Args:
        tiny: decode by the tiny decoder.
    """
    images, scores = [], []
    for part in x0.split(at_once):
        images.append(model.decode(part, tiny=tiny))
        scores.append(rewards(images[-1], [prompt] * len(part)))
    return torch.cat(images), {name: torch.cat([each[name] for each in scores]) for name in scores[0]}


def order(scores: Mapping[str, Tensor], weights: Mapping[str, float], choose: str = "sum") -> Tensor:
    """The candidates' indices (N,), the one to choose first; of equals the first, and one that is not a number last.

    Args:
        choose: one of CHOOSERS: by the weighted sum of the rewards, or by the sum of their ranks, in which every reward
            counts alike whatever its weight; of equal ranks the weighted sum decides.
    """
    total = objective(scores, weights).nan_to_num(nan=-torch.inf)
    by_sum = total.argsort(descending=True, stable=True)
    if choose == "sum":
        return by_sum
    ranks = torch.stack([rank(scores[name]) for name in weights]).sum(0).where(total > -torch.inf, -torch.inf)
    return by_sum[ranks[by_sum].argsort(descending=True, stable=True)]


def rank(values: Tensor) -> Tensor:
    """How many of the values (N,) each one is above, (N,); an equal one counts half."""
    values = values.nan_to_num(nan=-torch.inf)
    return (values[:, None] > values).double().sum(1) + (values[:, None] == values).double().sum(1) / 2


def best(scores: Mapping[str, Tensor], weights: Mapping[str, float], choose: str = "sum") -> int:
    """Which candidate to choose, see `order`."""
    return int(order(scores, weights, choose)[0])


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
    choose: str = "sum",
) -> StepEvent:
    """Decode and score the candidates' final latents (N, C, H, W): the last event, of the best one."""
    images, scores = scored(model, rewards, request.prompt, x0, at_once)
    chosen = best(scores, weights, choose)
    return told(report.last(images[chosen : chosen + 1], only(scores, chosen)), images)


def told(last: StepEvent, images: Tensor) -> StepEvent:
    """The last event with all pictures (N, 3, H, W) that its own was chosen from; its clock has stopped already."""
    return replace(last, candidates=to_uint8(images))
