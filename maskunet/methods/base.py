"""What every method shares: its SPEC, its settings from preset and overrides, and its reports."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from maskunet import mask as masks_
from maskunet import settings
from maskunet.collect import Collector
from maskunet.models.base import DiffusionModel, file_hash
from maskunet.prompts.words import shortened
from maskunet.records import Request, StepEvent
from maskunet.rewards.base import WeightedRewards
from maskunet.site_stats import SiteStats
from maskunet.sites import find_sites

KINDS = ("masks", "control", "rival")  # in the order in which methods are offered
DEFAULT_STEPS = 15  # the paper's, for the training-free comparisons


class Run(Protocol):
    """A method: closing the iterator stops the work and leaves the model as it was."""

    def __call__(
        self, model: DiffusionModel, rewards: WeightedRewards, request: Request, settings: Any
    ) -> Iterator[StepEvent]: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class MethodSpec:
    """A method's name, its settings (a frozen dataclass), its presets, and how to run it.

    The first preset is the default. `source` names the paper or code it follows. `parts` names the trained
    files that a model and settings make it use: they belong to what a run was made with; `part` is the setting
    that names one, or empty. `kind` is one of KINDS: masks that are learned, what any claim for them must beat, or what a user might take instead.
    """

    name: str
    title: str
    kind: str
    summary: str
    source: str
    presets: Mapping[str, Any]
    run: Run
    parts: Callable[[DiffusionModel, Any], Mapping[str, Path]] = lambda model, settings: {}
    part: str = ""

    def weights(self, model: DiffusionModel, settings: Any) -> dict[str, str]:
        """SHA-256 of the model's weight files and of the trained ones that go with them."""
        parts = self.parts(model, settings)
        return {**model.weights, **{f"trained/{name}": file_hash(path) for name, path in parts.items()}}

    def settings(self, preset: str = "", overrides: Mapping[str, Any] | None = None) -> Any:
        """The preset's settings with single values replaced.

        Raises:
            ValueError: no such preset or setting, or a value out of the range in its metadata.
        """
        return settings.chosen(self.presets, self.name, preset, overrides)


def trained_part(files: Mapping[str, Path], name: str, what: str, train: str) -> tuple[str, Path]:
    """The trained file of that name, or the first one, with its name.

    Args:
        what: what the files hold. train: the command that makes one.

    Raises:
        ValueError: there is none, or it is gone; says what to do.
    """
    if not files:
        raise ValueError(f"There is no trained {what} for this model here. Train one with “{train}”.")
    name = name or next(iter(files))
    if name not in files:
        raise ValueError(f"There is no {what} “{shortened(name)}”. There are: {', '.join(files)}.")
    if not files[name].is_file():
        raise ValueError(f"The file of the {what} “{name}” is gone. Choose another one.")
    return name, files[name]


def read_part(
    model: DiffusionModel, path: Path, read: Callable[[Path, nn.Module, Mapping[str, str]], nn.Module]
) -> nn.Module:
    """What a trained file holds, on the model's device, read once per file."""
    key = path, path.stat().st_mtime_ns  # a training may have written it anew
    if key not in model.parts:
        model.parts[key] = read(path, model.unet, model.weights).to(model.device)
    return model.parts[key]


class Reporter:
    """Turns tensors into StepEvents: one clock, one count of U-Net calls, one transfer per event."""

    def __init__(self, model: DiffusionModel, steps: int, request: Request):
        self.model, self.steps = model, steps
        self.keep_masks, self.statistics = request.keep_masks, request.statistics
        self.began, self.unet_calls = time.perf_counter(), 0
        self._collector: Collector | None = None

    def __call__(
        self,
        step: int,
        timestep: int,
        *,
        image: Tensor | None = None,
        rewards: Mapping[str, Tensor | float] | None = None,
        masks: Mapping[str, Tensor] | None = None,
        kept: Mapping[str, float] | None = None,
        used: Mapping[str, Tensor] | None = None,
        logits: Mapping[str, Tensor] | None = None,
        **plain: Any,
    ) -> StepEvent:
        """Report an update or a step.

        Args:
            image: (1, 3, H, W) in [0, 1]. rewards: (1,) each, or numbers.
            masks: this update's, by site name, or `kept`, what share of the weights each keeps.
            used: with a step's last event, the masks its solver step uses, and `logits`, what they
                came from: these are counted.
            plain: further attributes of the event, as they are.
        """
        masks = masks if self.statistics else None
        cuda = self.model.device.type == "cuda"
        stats = self._count(timestep, used, logits) if used else None
        if kept is None:  # where these masks are the ones that were counted, without another look
            counted = stats is not None and masks is used
            kept = _kept(stats) if counted else masks_.keep_ratio(masks or {})
        return StepEvent(
            step=step,
            steps=self.steps,
            timestep=int(timestep),
            image=None if image is None else to_uint8(image)[0],
            rewards=numbers(rewards or {}),
            keep_ratio=dict(kept),
            stats=stats,
            masks={n: masks_.pack(m) for n, m in used.items()} if used and self.keep_masks else None,
            seconds=time.perf_counter() - self.began,
            unet_calls=self.unet_calls,
            peak_bytes=torch.cuda.max_memory_allocated(self.model.device) if cuda else None,
            **plain,
        )

    def _count(
        self, timestep: int, used: Mapping[str, Tensor], logits: Mapping[str, Tensor] | None
    ) -> SiteStats | None:
        if not self.statistics:
            return None
        if self._collector is None:
            self._collector = Collector(self.model.unet, find_sites(self.model.unet))
        return self._collector(int(timestep), used, logits)


def _kept(stats: SiteStats) -> dict[str, float]:
    """The share of weights that one step's masks keep, by site."""
    return dict(zip(stats.sites, (1 - stats.removed[0] / stats.weights).tolist(), strict=True))


def numbers(values: Mapping[str, Tensor | float]) -> dict[str, float]:
    """One-element tensors as numbers, in one transfer from the device; numbers as they are."""
    tensors = [v.detach().float().view(1) for v in values.values() if isinstance(v, Tensor)]
    read = iter(torch.cat(tensors).tolist() if tensors else ())
    return {name: next(read) if isinstance(v, Tensor) else v for name, v in values.items()}


def rest(*networks: nn.Module) -> None:
    """Move networks that are not needed for a while to the CPU's memory; whoever needs one takes it back."""
    for network in networks:
        nn.Module.to(network, "cpu")


@contextmanager
def recomputed(vae: nn.Module, wanted: bool) -> Iterator[None]:
    """Within it a backward pass recomputes the decoder's blocks, if `wanted`: less memory, more time.

    And while it recomputes one of them, each of the residual blocks in it: at the picture's full size even one
    block's states are large.
    """
    from diffusers.models.resnet import ResnetBlock2D

    inner = [block for block in vae.decoder.modules() if isinstance(block, ResnetBlock2D)] if wanted else []
    if wanted:
        vae.enable_gradient_checkpointing()
    for block in inner:
        block.forward = partial(checkpoint, block.forward, use_reentrant=False)
    try:
        yield
    finally:
        for block in inner:
            del block.forward  # the class's is back
        if wanted:
            vae.disable_gradient_checkpointing()


def to_uint8(image: Tensor) -> np.ndarray:
    """(B, 3, H, W) in [0, 1] to (B, H, W, 3) uint8 on the CPU."""
    return (image.detach().float().clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()


def steps_of(model: DiffusionModel, request: Request) -> list[tuple[int, int]]:
    """The (t, t_prev) pairs of a request, in sampling order."""
    return model.schedule.linspace_pairs(request.steps or DEFAULT_STEPS)


def guidance_of(model: DiffusionModel, request: Request) -> float:
    """The guidance scale of a request: its own, else the model's default."""
    return model.guidance if request.guidance is None else request.guidance


@torch.no_grad()
def finish(
    model: DiffusionModel, rewards: WeightedRewards, request: Request, report: Reporter, x0: Tensor
) -> StepEvent:
    """Decode and score the final latents: the last event of every method."""
    image = model.decode(x0)
    scores = rewards(image, [request.prompt])
    last = report.steps - 1
    return report(last, steps_of(model, request)[last][0], image=image, rewards=scores, best=True, final=True)


def mask_generator(request: Request) -> torch.Generator:
    """The stream masks are drawn from: fixed by the seed, apart from the one of the first noise."""
    return torch.Generator().manual_seed((request.seed << 8) + 1)
