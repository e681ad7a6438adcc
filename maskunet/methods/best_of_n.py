"""Draw more seeds: N plain pictures, and the one that the rewards like best. What a mask has to beat."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from maskunet import seeds
from maskunet.diffusion import denoise
from maskunet.methods.base import MethodSpec, Reporter, RewardWeights, candidates, guidance_of, steps_of, weights_of
from maskunet.models.base import DiffusionModel
from maskunet.plugins import setting
from maskunet.records import Request, StepEvent
from maskunet.rewards.base import WeightedRewards


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings(RewardWeights):
    """How many pictures, and what chooses among them.

    Attributes:
        n: pictures; the first has the request's own seed, and the other seeds follow from it.
        at_once: pictures per U-Net call: faster on an accelerator, for more memory.
    """

    n: int = setting(4, "pictures to choose from", low=1, high=64)
    at_once: int = setting(1, "pictures per U-Net call", low=1, high=64)


def run(model: DiffusionModel, rewards: WeightedRewards, request: Request, settings: Settings) -> Iterator[StepEvent]:
    """Sample all pictures side by side; one event per step, which shows the last, and a final one."""
    pairs, scale = steps_of(model, request), guidance_of(model, request)
    weights = weights_of(settings, rewards)
    report = Reporter(model, len(pairs), request)
    text = model.encode(request.prompt, request.negative_prompt)

    def look(step: int, t: int, x_t: Tensor) -> Generator[StepEvent, None, tuple[Tensor, Tensor]]:
        with torch.no_grad():
            x0 = candidates.predict_x0(model, x_t, t, text, scale, settings.at_once)
            shown = request.previews and step + 1 < len(pairs)
            preview = model.decode(x0[-1:]) if shown else None
        report.unet_calls += settings.n
        yield report(step, t, image=preview, best=True)
        return x_t, x0

    x_t = torch.cat([model.noise(seed) for seed in seeds.of_candidates(request.seed, settings.n)])
    x0 = yield from denoise(model.schedule, pairs, x_t, look, second_order=settings.second_order)
    yield candidates.finish(model, rewards, request, report, x0, weights=weights, at_once=settings.at_once)


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
