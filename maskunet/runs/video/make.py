"""Text2Video-Zero (Khachatryan et al. 2023), Algorithm 1, with the masks of any method on its frames.

The first frame is made as a picture is. At t0 its latents are moved for each further frame and noised back to t1; from
there all frames are made together, and each one's self-attention looks at the first.
"""

import math
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from maskunet import seeds
from maskunet.diffusion import History, Schedule, classifier_free, doubled, dpmpp_2m_step
from maskunet.machine import free_memory
from maskunet.masks.mask import unpack
from maskunet.masks.masked_unet import MaskedUNet
from maskunet.methods import method_of
from maskunet.methods.base import Guidance, MethodSpec, Predict, Prediction, Sampled, Sampling, filled, to_uint8
from maskunet.methods.base.batches import memory
from maskunet.methods.base.report import no_number
from maskunet.models.base import DiffusionModel
from maskunet.records import Request
from maskunet.records.video import Motion, Video, VideoEvent
from maskunet.rewards.base import WeightedRewards
from maskunet.runs.video.cross_frame import CrossFrame
from maskunet.runs.video.motion import moved, noised

DECODED = 4  # frames at once
BySite = Mapping[str, Tensor]  # (O, I), or (B, O, I)
MasksAt = Callable[[int], BySite]  # of a step; empty where nothing is masked


def make(
    model: DiffusionModel, rewards: WeightedRewards, request: Request, motion: Motion
) -> Iterator[VideoEvent | Video]:
    """Make a video; the last that comes is the `Video`.

    Closing the iterator stops the work and leaves the model as it was.

    Args:
        rewards: of a method that rewards steer; they look at the picture of the first frame.

    Raises:
        ValueError: what is asked for is not there or cannot be, or a network gave no number; says what to do.
    """
    began = time.perf_counter()
    spec = method_of(request.method)
    settings = spec.settings(request.preset, request.settings)
    check(spec, motion)
    _check_memory(model, motion.frames)
    request, motion = completed(model, request, motion)
    plan = _Plan.of(model, motion, request.steps, second_order=settings.second_order)

    searched = yield from _searched(model, rewards, spec, request, settings)
    first = yield from _first(model, plan, spec, request, settings, searched, motion.mask_per == "video")
    latents, kept = yield from _frames(model, plan, spec, request, settings, motion, first)
    frames = _decoded(model, latents)
    calls = (searched.calls if searched else 0) + first.calls + motion.frames * (len(plan.pairs) - plan.at_t1)
    yield Video(
        request=request,
        motion=motion,
        frames=frames,
        keep_ratio=kept,
        weights=spec.weights(model, settings, rewards),
        settings=asdict(settings),
        seconds=time.perf_counter() - began,
        unet_calls=calls,
        verdict=model.judge(request.prompt, list(frames)) if model.judge else (),
    )


def completed(model: DiffusionModel, request: Request, motion: Motion) -> tuple[Request, Motion]:
    """Both with what they leave to the model and the method, as the `Video` has them.

    Raises:
        ValueError: what is asked for cannot be; says what to do.
    """
    spec = method_of(request.method)
    settings = spec.settings(request.preset, request.settings)
    request = replace(filled(request, spec, model), previews=False)
    plan = _Plan.of(model, motion, request.steps, second_order=settings.second_order)
    return request, replace(motion, t0=plan.pairs[plan.at_t0][0], t1=plan.pairs[plan.at_t1][0])


def check(spec: MethodSpec, motion: Motion) -> None:
    """Refuse a method that cannot draw such a video.

    Raises:
        ValueError: it makes no masks, or looks at one picture only; says what to do.
    """
    if isinstance(spec.run, Sampled):
        return
    if spec.kind != "masks":
        raise ValueError(
            f"{spec.title} works on one picture and makes no masks that other frames could have. Take "
            "plain, or a method that makes masks, such as maskunet_trained."
        )
    if motion.mask_per == "frame":
        raise ValueError(f"{spec.title} looks at one picture only. Set mask_per to video: its masks serve all frames.")


def _check_memory(model: DiffusionModel, frames: int) -> None:
    """Refuse more frames than fit into the free memory, before any work; a single one is as a picture.

    Raises:
        ValueError: says how many fit.
    """
    each, free = memory(model), free_memory(model.device)
    if frames > 1 and frames * each > free:
        raise ValueError(
            f"{frames} frames take about {frames * each / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free. "
            f"Give at most {max(1, int(free / each))}."
        )


@dataclass(frozen=True, slots=True)
class _Plan:
    """The steps of a video.

    Attributes:
        pairs: (t, t_prev) in sampling order. at_t1, at_t0: the steps that begin at t1 and at t0, at_t1 < at_t0.
    """

    schedule: Schedule
    pairs: Sequence[tuple[int, int]]
    at_t1: int
    at_t0: int
    second_order: bool
    ddim: bool

    @classmethod
    def of(cls, model: DiffusionModel, motion: Motion, steps: int, *, second_order: bool) -> "_Plan":
        schedule, ddim = model.schedule, motion.solver == "ddim"
        pairs = schedule.leading_pairs(steps) if ddim else schedule.pairs(steps)
        times = np.array([t for t, _ in pairs])
        t0, t1 = (motion.t0, motion.t1) if motion.t1 else model.video_times
        at_t1, at_t0 = (int(np.abs(times - t).argmin()) for t in (t1, t0))
        if not motion.t1:  # the model's own were chosen for its own number of steps
            at_t0 = min(max(at_t0, at_t1 + 1), len(pairs) - 1)
        if at_t0 <= at_t1:
            raise ValueError(
                f"With steps={steps}, t0 ({t0}) and t1 ({t1}) are the same step. Give more steps, or t0 and t1 further apart."
            )
        return cls(schedule, pairs, at_t1, at_t0, second_order and not (ddim or schedule.few_steps), ddim)

    def advance(self, x_t: Tensor, x0: Tensor, history: History, step: int) -> tuple[Tensor, History]:
        """One step of the solver: the latents at the next timestep."""
        t, t_prev = self.pairs[step]
        if self.ddim:
            alpha, sigma = self.schedule.alpha_sigma(t)
            alpha_bar = self.schedule.alpha_bar(max(t_prev, 0))  # as `ddim_step`, from x0
            return math.sqrt(alpha_bar) * x0 + math.sqrt(1 - alpha_bar) * (x_t - alpha * x0) / sigma, None
        x_t, history = dpmpp_2m_step(self.schedule, x_t, x0, history, t, t_prev)
        return x_t, history if self.second_order else None

    def sampling(self, model: DiffusionModel, requests: Sequence[Request], settings: Any) -> Sampling:
        """Requests at these steps."""
        sampling = Sampling(model, requests, settings)
        inside = [t in sampling.guidance.guided for t, _ in sampling.pairs]
        sampling.guidance = Guidance(
            sampling.scale, frozenset(t for (t, _), g in zip(self.pairs, inside, strict=True) if g)
        )
        sampling.pairs = self.pairs
        return sampling


@dataclass(frozen=True, slots=True)
class _Searched:
    """The masks of each step that a search for the first frame's picture found, and the U-Net calls it took."""

    masks: MasksAt
    calls: int


def _searched(
    model: DiffusionModel, rewards: WeightedRewards, spec: MethodSpec, request: Request, settings: Any
) -> Generator[VideoEvent, None, _Searched | None]:
    """Let a method that searches for masks make the first frame's picture; nothing where it only looks at each step."""
    if isinstance(spec.run, Sampled):
        return None
    found: dict[int, Mapping[str, np.ndarray]] = {}
    calls = 0
    for event in spec.run(model, rewards, replace(request, keep_masks=True, statistics=False), settings):
        calls = event.unet_calls
        if event.masks:
            found[event.step] = event.masks
        yield VideoEvent(phase="search", step=event.step, steps=event.steps)
    shapes = {name: tuple(model.unet.get_submodule(name).weight.shape) for name in next(iter(found.values()), {})}

    def at(step: int) -> BySite:  # as tensors only when they are needed: those of all steps may be gigabytes
        packed = found.get(step, {})
        return {name: unpack(bits, shapes[name]).to(model.device, model.dtype) for name, bits in packed.items()}

    return _Searched(at, calls)


@dataclass(frozen=True, slots=True)
class _First:
    """The first frame's latents, (1, C, H, W).

    Attributes:
        at: before the steps that begin at t1 and at t0, with the solver's history.
        masks: of each step; None where the method makes none. calls: of the U-Net.
    """

    at: Mapping[int, tuple[Tensor, History]]
    masks: MasksAt | None
    calls: int


def _first(
    model: DiffusionModel,
    plan: _Plan,
    spec: MethodSpec,
    request: Request,
    settings: Any,
    searched: _Searched | None,
    shared: bool,
) -> Generator[VideoEvent, None, _First]:
    """Make the first frame as far as the others need it; where its masks are `shared`, to the end."""
    sampling = plan.sampling(model, [request], settings)
    made: dict[int, BySite] = {}
    at, calls = {}, 0
    with _looking(model, spec, sampling, settings, searched and searched.masks) as predict:
        x_t, history = model.schedule.first(model.noise(request.seed)), None
        for step in range(len(plan.pairs)):
            if step in (plan.at_t1, plan.at_t0):
                at[step] = x_t, history
            if step == plan.at_t0 and (searched or not shared or not any(made.values())):
                break  # the rest would only bring masks
            x_t, history, told = _step(plan, predict, step, x_t, history)
            calls += 1
            if not searched and step >= plan.at_t1:  # where other frames can have them
                made[step] = told[0].get("masks") or {}
            yield VideoEvent(phase="first", step=step, steps=len(plan.pairs))
    masks = made.__getitem__ if any(made.values()) else None
    return _First(at, searched.masks if searched else masks, calls)


def _frames(
    model: DiffusionModel, plan: _Plan, spec: MethodSpec, request: Request, settings: Any, motion: Motion, first: _First
) -> Generator[VideoEvent, None, tuple[Tensor, float]]:
    """Make all frames from t1 on; their clean latents and the share of weights kept."""
    steps = range(plan.at_t1, len(plan.pairs))
    (x_t1, history), (x_t0, _) = first.at[plan.at_t1], first.at[plan.at_t0]
    shifts = [(number * motion.right, number * motion.down) for number in range(1, motion.frames)]
    x_t = x_t1
    if shifts:
        noise = _noise(model, request.seed, len(shifts))
        others = noised(plan.schedule, moved(x_t0, shifts), motion.t0, motion.t1, noise, published=motion.published)
        x_t = torch.cat((x_t1, others))
        if history is not None:  # what the solver remembers of the first frame moves along
            history = torch.cat((history[0], moved(history[0], shifts))), history[1]
    draws = seeds.of_candidates(request.seed, motion.frames)
    sampling = plan.sampling(model, [replace(request, seed=seed) for seed in draws], settings)
    masks = first.masks if motion.mask_per == "video" else None
    look = CrossFrame(model.unet, motion.frames) if motion.cross_frame else nullcontext()
    kept: list[Tensor] = []
    with look, _looking(model, spec, sampling, settings, masks) as predict:
        for step in steps:
            x_t, history, told = _step(plan, predict, step, x_t, history)
            kept += [share for each in told if (share := _kept(each.get("masks"))) is not None]
            yield VideoEvent(phase="frames", step=step - plan.at_t1, steps=len(steps))
    return x_t, float(torch.stack(kept).mean()) if kept else 1.0


def _noise(model: DiffusionModel, seed: int, count: int) -> Tensor:
    """(count, C, H, W), drawn on the CPU: a seed means one video."""
    generator = torch.Generator().manual_seed(seeds.of_frames(seed))
    return torch.randn((count, *model.latent_shape), generator=generator).to(model.device, model.dtype)


def _looking(
    model: DiffusionModel, spec: MethodSpec, sampling: Sampling, settings: Any, masks: MasksAt | None
) -> AbstractContextManager[Predict]:
    """The method's own look at each step, or the U-Net under masks that are there already."""
    return spec.run.looking(model, sampling, settings) if masks is None else _masked(model, sampling, masks)


@contextmanager
def _masked(model: DiffusionModel, sampling: Sampling, masks_at: MasksAt) -> Iterator[Predict]:
    """All frames under the same masks."""
    with MaskedUNet(model.unet) as masked:

        def predict(step: int, t: int, x_t: Tensor) -> Prediction:
            masks, scale = masks_at(step), sampling.guidance.at(t)
            features = masked.encode(doubled(x_t, scale), t, sampling.text.guided(scale))
            output = classifier_free(masked.decode(features, masks), scale)
            return Prediction(x_t, model.schedule.x0_eps(output, x_t, t)[0], [{"masks": masks}])

        yield predict


@torch.no_grad()
def _step(
    plan: _Plan, predict: Predict, step: int, x_t: Tensor, history: History
) -> tuple[Tensor, History, Sequence[Mapping[str, Any]]]:
    """The latents at the next timestep, the solver's history, and what the method tells of this one."""
    seen = predict(step, plan.pairs[step][0], x_t)
    return (*plan.advance(seen.x_t, seen.x0, history, step), seen.told)


def _kept(masks: BySite | None) -> Tensor | None:
    """The share of the weights that masks keep; None where there are none."""
    if not masks:
        return None
    kept = sum((mask > 0).sum() for mask in masks.values())
    return kept / sum(mask.numel() for mask in masks.values())


@torch.no_grad()
def _decoded(model: DiffusionModel, latents: Tensor) -> np.ndarray:
    """(F, H, W, 3) uint8.

    Raises:
        ValueError: a picture is not a number.
    """
    images = [model.decode(some) for some in latents.split(DECODED)]
    for image, some in zip(images, latents.split(DECODED), strict=True):
        if not image.isfinite().all():
            raise ValueError(no_number(model, some))
    return np.concatenate([to_uint8(image) for image in images])
