"""Draw more seeds: N plain pictures, and the one that the rewards like best. What a mask has to beat."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from maskunet.diffusion import dpmpp_2m_step
from maskunet.methods.base import MethodSpec, Reporter, candidates, guidance_of, steps_of
from maskunet.models.base import DiffusionModel
from maskunet.plugins import setting
from maskunet.records import Request, StepEvent
from maskunet.rewards.base import WeightedRewards


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """How many pictures, and what chooses among them.

    Attributes:
        n: pictures; the first has the request's own seed, and the other seeds follow from it.
        at_once: pictures per U-Net call: faster on an accelerator, for more memory.
        image_reward, hpsv2: weights of the rewards.
        second_order: DPM-Solver++ 2M; otherwise its first order.
    """

    n: int = setting(4, "pictures to choose from", low=1, high=64)
    at_once: int = setting(1, "pictures per U-Net call", low=1, high=64)
    image_reward: float = setting(1.0, "weight of ImageReward", low=0.0, high=100.0)
    hpsv2: float = setting(5.0, "weight of HPSv2", low=0.0, high=100.0)
    second_order: bool = setting(True, "use the solver's second order")


def run(
    model: DiffusionModel, rewards: WeightedRewards, request: Request, settings: Settings
) -> Iterator[StepEvent]:
    """Sample all pictures side by side; one event per step, which shows the last, and a final one."""
    pairs, scale = steps_of(model, request), guidance_of(model, request)
    rewards = rewards.reweighted({"image_reward": settings.image_reward, "hpsv2": settings.hpsv2})
    report = Reporter(model, len(pairs), request)
    text = model.encode(request.prompt, request.negative_prompt)
    x_t = torch.cat([model.noise(seed) for seed in candidates.seeds(request.seed, settings.n)])
    history = None
    for step, (t, t_prev) in enumerate(pairs):
        with torch.no_grad():
            output = candidates.guided(model, x_t, t, text, scale, settings.at_once)
            x0, _ = model.schedule.x0_eps(output, x_t, t)
            x_t, history = dpmpp_2m_step(model.schedule, x_t, x0, history, t, t_prev)
            preview = model.decode(x0[-1:]) if request.previews and t_prev >= 0 else None
        history = history if settings.second_order else None
        report.unet_calls += settings.n
        yield report(step, t, image=preview, best=True)
    with torch.no_grad():
        images, scores = candidates.scored(model, rewards, request.prompt, x_t, settings.at_once)
    best = candidates.best(scores)
    scores = candidates.only(scores, best)
    yield report(step, t, image=images[best : best + 1], rewards=scores, best=True, final=True)


SPEC = MethodSpec(
    name="best_of_n",
    title="Best of N seeds",
    kind="control",
    summary="Makes several plain pictures from different noise and keeps the one that the rewards like best.",
    source="the control that needs no method; compared by FK steering (Singhal et al. 2025) and ReNO (2024)",
    raced=(),  # plain is it: everyone makes as many pictures as there is time for
    presets={"four": Settings(), "eight": Settings(n=8), "sixteen": Settings(n=16)},
    run=run,
)
