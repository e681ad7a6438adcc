"""From requests to events: the sampling loop (`diffusion.denoise`) around what a method looks at in each step."""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from maskunet import seeds
from maskunet.diffusion import denoise
from maskunet.encoders.text_states import TextStates
from maskunet.methods.base.guidance import Guidance, guidance_of, steps_of
from maskunet.methods.base.report import Reporter, finish
from maskunet.methods.base.settings import Solver, weights_of
from maskunet.models.base import DiffusionModel
from maskunet.records import Request, StepEvent
from maskunet.rewards.base import WeightedRewards


class Prediction(NamedTuple):
    """What a method makes of one step, for the B latents (B, C, H, W) on their way.

    Attributes:
        x_t: the latents to go on from. x0: the clean ones predicted from them.
        told: what each picture's event says besides, or the same for all. calls: of the U-Net, per picture, at a guided
            step.
    """

    x_t: Tensor
    x0: Tensor
    told: Sequence[Mapping[str, Any]] = ({},)
    calls: float = 1


Predict = Callable[[int, int, Tensor], Prediction]  # (step, t, x_t)


class Sampling:
    """Requests whose pictures are made together: they differ in prompt and seed alone.

    Attributes:
        pairs: (t, t_prev) in sampling order. guidance: of each step. text: both guidance halves.
        reports: one for each request.
    """

    def __init__(self, model: DiffusionModel, requests: Sequence[Request], settings: Solver):
        self.model, self.requests, self.settings = model, requests, settings
        self.pairs, self.guidance = steps_of(model, requests[0]), guidance_of(model, requests[0], settings)
        self.reports = [Reporter(model, len(self.pairs), request) for request in requests]  # whose clocks run from here
        texts = [model.encode(request.prompt, request.negative_prompt) for request in requests]
        self.text = TextStates.cat([*(t.unconditional for t in texts), *(t.conditional for t in texts)])

    @property
    def scale(self) -> float:
        """The request's guidance scale; a step's is `guidance.at(t)`."""
        return self.guidance.scale

    def plain(self, x_t: Tensor, t: int) -> Tensor:
        """x0 (B, C, H, W) as the unmasked model predicts it."""
        return self.model.predict_x0(x_t, t, self.text, self.guidance.at(t))

    def events(self, rewards: WeightedRewards, predict: Predict) -> Iterator[tuple[int, StepEvent]]:
        """Sample; of every picture, by its request's number, an event per step and the final one."""
        previews = any(request.previews for request in self.requests)

        def look(step: int, t: int, x_t: Tensor) -> Generator[tuple[int, StepEvent], None, tuple[Tensor, Tensor]]:
            with torch.no_grad():
                seen = predict(step, t, x_t)
                shown = previews and step + 1 < len(self.pairs)  # the last step's x0 is the result
                images = self.model.decode(seen.x0) if shown else None
            for number, report in enumerate(self.reports):
                report.unet_calls += seen.calls - 1 + self.guidance.calls(t)
                told = seen.told[number % len(seen.told)]
                image = None if images is None else images[number : number + 1]
                yield number, report(step, t, image=image, best=True, **told)
            return seen.x_t, seen.x0

        noise = torch.cat([self.model.noise(request.seed) for request in self.requests])
        order = self.settings.second_order
        x0 = yield from denoise(self.model.schedule, self.pairs, noise, look, second_order=order)
        ends = [
            finish(self.model, rewards, request, report, clean)
            for request, report, clean in zip(self.requests, self.reports, x0.split(1), strict=True)
        ]
        for number, end in enumerate(ends):
            yield number, replace(end, seconds=ends[-1].seconds)  # what they took together


class Sampled:
    """The `run` of a method that is nothing but what it looks at in each step; it can make pictures together.

    Args:
        looking: (model, sampling, settings) -> a context in which the model is as the method wants it and
            which gives what predicts a step's x0.
        shares: whether several requests may share their U-Net calls under these settings.
    """

    def __init__(
        self,
        looking: Callable[[DiffusionModel, Sampling, Any], AbstractContextManager[Predict]],
        *,
        shares: Callable[[Any], bool] = lambda settings: True,
    ):
        self.looking, self.shares = looking, shares

    def __call__(
        self, model: DiffusionModel, rewards: WeightedRewards, request: Request, settings: Any
    ) -> Iterator[StepEvent]:
        """One picture: an event per step and a final one."""
        for _, event in self.together(model, rewards, [request], settings):
            yield event

    def together(
        self, model: DiffusionModel, rewards: WeightedRewards, requests: Sequence[Request], settings: Any
    ) -> Iterator[tuple[int, StepEvent]]:
        """Pictures of requests that differ in prompt and seed alone, events by the request's number.

        A batch is computed in another order than its pictures one by one, so they differ by rounding.
        """
        sampling = Sampling(model, requests, settings)
        with self.looking(model, sampling, settings) as predict:
            yield from sampling.events(rewards, predict)


class Start(NamedTuple):
    """What a method that rewards steer has before its first step.

    Attributes:
        pairs: (t, t_prev) in sampling order. guidance: of each step. weights: of each reward in what is optimized.
        report: of the picture; its clock runs. text: both guidance halves.
    """

    pairs: list[tuple[int, int]]
    guidance: Guidance
    weights: dict[str, float]
    report: Reporter
    text: TextStates


def start(model: DiffusionModel, rewards: WeightedRewards, request: Request, settings: Solver) -> Start:
    """Read the request.

    Raises:
        ValueError: as `guidance_of` and `weights_of`.
    """
    pairs, guidance = steps_of(model, request), guidance_of(model, request, settings)
    weights = weights_of(settings, rewards)
    report = Reporter(model, len(pairs), request)
    return Start(pairs, guidance, weights, report, model.encode(request.prompt, request.negative_prompt))


def mask_generator(request: Request, index: int = 0) -> torch.Generator:
    """The stream masks are drawn from: fixed by the seed, apart from the one of the first noise."""
    return torch.Generator().manual_seed(seeds.of_masks(request.seed, index))
