"""What a method tells: tensors as StepEvents, and the scored picture at the end."""

import math
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from maskunet.masks.counting import Collector
from maskunet.masks.mask import keep_ratio, pack
from maskunet.masks.sites import find_sites
from maskunet.models.base import DiffusionModel
from maskunet.records import Request, StepEvent
from maskunet.records.site_stats import SiteStats
from maskunet.rewards.base import WeightedRewards


class Reporter:
    """Turns tensors into StepEvents: one clock, one count of U-Net calls, one transfer per event.

    Attributes:
        said: a sentence that the next event tells, unless it has its own.
    """

    def __init__(self, model: DiffusionModel, steps: int, request: Request):
        self.model, self.steps = model, steps
        self.keep_masks, self.statistics = request.keep_masks, request.statistics
        self.began, self.unet_calls = time.perf_counter(), 0
        self.step, self.timestep = 0, 0  # of the newest event
        self.said = ""
        self._collector: Collector | None = None
        self._sizes: dict[str, int] = {}  # weights of each site

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
        self.step, self.timestep = step, int(timestep)
        if self.said and not plain.get("note"):
            plain["note"], self.said = self.said, ""
        masks = masks if self.statistics else None
        cuda = self.model.device.type == "cuda"
        stats = self._count(timestep, used, logits) if used else None
        if kept is None:  # where these masks are the ones that were counted, without another look
            counted = stats is not None and masks is used
            kept = _kept(stats) if counted else keep_ratio(masks or {})
        return StepEvent(
            step=step,
            steps=self.steps,
            timestep=int(timestep),
            image=None if image is None else to_uint8(image)[0],
            rewards=numbers(rewards or {}),
            keep_ratio=dict(kept),
            kept=self._together(kept),
            stats=stats,
            masks=self._packed(used) if used and self.keep_masks else None,
            seconds=time.perf_counter() - self.began,
            unet_calls=math.ceil(self.unet_calls),  # a part of a guided call may count for less than one
            peak_bytes=torch.cuda.max_memory_allocated(self.model.device) if cuda else None,
            **plain,
        )

    def last(self, image: Tensor, rewards: Mapping[str, Tensor], x0: Tensor | None = None) -> StepEvent:
        """Report the result: the last event of every method.

        Args:
            x0: the latents it was decoded from, to tell which network failed.

        Raises:
            ValueError: the picture is not a number; a black one would pass for a result.
        """
        if not image.isfinite().all():
            raise ValueError(no_number(self.model, x0))
        return self(self.step, self.timestep, image=image, rewards=rewards, best=True, final=True)

    def _count(
        self, timestep: int, used: Mapping[str, Tensor], logits: Mapping[str, Tensor] | None
    ) -> SiteStats | None:
        if not self.statistics:
            return None
        if self._collector is None:
            sites = [site for site in find_sites(self.model.unet) if site.name in used]
            self._collector = Collector(self.model.unet, sites)
        return self._collector(int(timestep), used, logits)

    def _together(self, kept: Mapping[str, float]) -> float | None:
        """The share of all these sites' weights together; None if there are none."""
        if not kept:
            return None
        self._sizes = self._sizes or {site.name: site.weights for site in find_sites(self.model.unet)}
        sizes = [self._sizes[name] for name in kept]
        return sum(share * size for share, size in zip(kept.values(), sizes, strict=True)) / sum(sizes)

    def _packed(self, used: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
        """The masks of every site in bits; one that was left out keeps all of its weights."""
        sites = find_sites(self.model.unet)
        return {s.name: pack(used[s.name] if s.name in used else torch.ones(s.shape)) for s in sites}


def mask_bytes(model: DiffusionModel, request: Request) -> float:
    """What a run's kept masks take: eight weights to a byte at every step."""
    return sum(site.weights for site in find_sites(model.unet)) / 8 * (request.steps or model.steps)


def no_number(model: DiffusionModel, x0: Tensor | None) -> str:
    """Which network failed, and what to do."""
    latents = x0 is not None and bool(x0.isfinite().all())
    network = "The decoder (VAE)" if latents else "The U-Net"
    if model.added.loras or model.added.embeddings:
        advice = "What was put on the model, a LoRA or an embedding, may be damaged; try without it"
    elif model.dtype == torch.float16:
        advice = "It may overflow in half precision; use weights made for float16"
    else:
        advice = "Its weights may be damaged; use others"
    return f"{network} gave NaN or infinity, so there is no picture. {advice}."


def _kept(stats: SiteStats) -> dict[str, float]:
    """The share of weights that one step's masks keep, by site."""
    return dict(zip(stats.sites, (1 - stats.removed[0] / stats.weights).tolist(), strict=True))


def numbers(values: Mapping[str, Tensor | float]) -> dict[str, float]:
    """One-element tensors as numbers, in one transfer from the device; numbers as they are."""
    tensors = [v.detach().float().view(1) for v in values.values() if isinstance(v, Tensor)]
    read = iter(torch.cat(tensors).tolist() if tensors else ())
    return {name: next(read) if isinstance(v, Tensor) else v for name, v in values.items()}


def to_uint8(image: Tensor) -> np.ndarray:
    """(B, 3, H, W) in [0, 1] to (B, H, W, 3) uint8 on the CPU."""
    return (image.detach().float().clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()


@torch.no_grad()
def finish(
    model: DiffusionModel, rewards: WeightedRewards, request: Request, report: Reporter, x0: Tensor
) -> StepEvent:
    """Decode and score the final latents: the last event of every method."""
    image = model.decode(x0)
    return report.last(image, rewards(image, [request.prompt]), x0)
