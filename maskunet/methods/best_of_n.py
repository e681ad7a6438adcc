"""Draw more seeds: N plain pictures, and the one that the rewards like best. What a mask has to beat."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from maskunet import seeds
from maskunet.diffusion import History, Schedule, denoise, dpmpp_2m_step
from maskunet.methods.base import (
    MethodSpec,
    RewardWeights,
    candidates,
    decoder_part,
    start,
)
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
        dropped: share of the pictures that are given up early, those whose predicted picture the rewards like least; at
            least one stays. drop_at: when, in shares of the steps; after the first step and before the last.
        choose: see `candidates.order`.
        tiny_decoder: look early through the model's tiny decoder; the final pictures are the full one's.
    """

    n: int = setting(4, "pictures to choose from", low=1, high=64)
    at_once: int = setting(1, "pictures per U-Net call", low=1, high=64)
    dropped: float = setting(0.0, "share of the pictures given up early", low=0.0, high=1.0)
    drop_at: float = setting(0.33, "share of the steps before that", low=0.0, high=1.0)
    choose: str = setting(
        "sum", "by the rewards' sum or ranks; a weight of 0 leaves none out of ranks", choices=candidates.CHOOSERS
    )
    tiny_decoder: bool = setting(False, "faster: look early through the tiny decoder", cost=True)


def run(model: DiffusionModel, rewards: WeightedRewards, request: Request, settings: Settings) -> Iterator[StepEvent]:
    """Sample all pictures side by side; one event per step, which shows the last, and a final one."""
    pairs, guidance, weights, report, text = start(model, rewards, request, settings)
    early, staying = drop_step(len(pairs), settings), max(1, settings.n - int(settings.dropped * settings.n + 1e-9))
    stay = None  # indices of those that go on, once some were dropped

    def look(step: int, t: int, x_t: Tensor) -> Generator[StepEvent, None, tuple[Tensor, Tensor]]:
        nonlocal stay
        scores = {}
        report.unet_calls += len(x_t) * guidance.calls(t)
        with torch.no_grad():
            x0 = candidates.predict_x0(model, x_t, t, text, guidance.at(t), settings.at_once)
            if step == early and staying < settings.n:
                tiny = settings.tiny_decoder
                _, scores = candidates.scored(model, rewards, request.prompt, x0, settings.at_once, tiny=tiny)
                stay = candidates.order(scores, weights, settings.choose)[:staying].sort().values
                x_t, x0, scores = x_t[stay], x0[stay], candidates.only(scores, int(stay[-1]))
            shown = request.previews and step + 1 < len(pairs)
            preview = model.decode(x0[-1:]) if shown else None
        yield report(step, t, image=preview, rewards=scores, best=True)
        return x_t, x0

    def advance(
        schedule: Schedule, x_t: Tensor, x0: Tensor, history: History, t: int, t_prev: int
    ) -> tuple[Tensor, History]:
        if history is not None and len(history[0]) > len(x0):
            history = history[0][stay], history[1]
        return dpmpp_2m_step(schedule, x_t, x0, history, t, t_prev)

    noise = torch.cat([model.noise(seed) for seed in seeds.of_candidates(request.seed, settings.n)])
    order = settings.second_order
    x0 = yield from denoise(model.schedule, pairs, noise, look, second_order=order, advance=advance)
    yield candidates.finish(
        model, rewards, request, report, x0, weights=weights, at_once=settings.at_once, choose=settings.choose
    )


def drop_step(steps: int, settings: Settings) -> int:
    """The denoising step, from 0 on, whose predicted pictures tell which ones are given up."""
    return max(0, min(round(settings.drop_at * steps), steps - 1) - 1)


SPEC = MethodSpec(
    name="best_of_n",
    title="Best of N seeds",
    kind="control",
    summary="Makes several plain pictures from different noise and keeps the one that the rewards like best.",
    source="the control that needs no method; compared by FK steering (Singhal et al. 2025) and ReNO (2024); dropping "
    "seeds early as in TTSnap (2511.22242), without its fine-tuned reward",
    raced=("/halving", "/ranks"),  # without them plain is it: everyone makes as many pictures as there is time for
    presets={
        "four": Settings(),
        "eight": Settings(n=8),
        "sixteen": Settings(n=16),
        "fifty": Settings(n=50),
        "halving": Settings(n=12, dropped=0.75),
        "halving_fast": Settings(n=12, dropped=0.75, tiny_decoder=True),
        "ranks": Settings(n=6, choose="ranks"),
    },
    run=run,
    parts=decoder_part,
)
