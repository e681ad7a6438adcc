"""Collect a method's events into a Run: numbers, the best picture, frames, feature maps, statistics."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from maskunet.machine import versions
from maskunet.masks.sites import find_sites
from maskunet.models.base import DiffusionModel
from maskunet.records import MaskSet, Request, Run, StepEvent
from maskunet.records.course import Course
from maskunet.records.site_stats import SiteStats
from maskunet.runs.feature_maps import Components, stacked

FRAME = 256  # pixels along the edge of a step's picture, at most


class Stopped(ValueError):
    """The work was stopped before there was a picture worth keeping."""


@dataclass(slots=True)
class Trace:
    """What is seen on the way to one picture, by denoising step.

    Attributes:
        last: the newest event. newest: the one whose pictures are still to be drawn, with its features.
        timesteps: the training timestep of each step.
        frames: the predicted image. components: of each up block's features, and maps: their pictures.
        rewards: of the predicted image, of a plain picture whose method's steps are scored too.
    """

    last: StepEvent | None = None
    newest: tuple[StepEvent, dict[int, Tensor]] | None = None
    timesteps: dict[int, int] = field(default_factory=dict)
    frames: dict[int, np.ndarray] = field(default_factory=dict)
    components: dict[int, dict[int, Components]] = field(default_factory=dict)
    maps: dict[int, dict[int, np.ndarray]] = field(default_factory=dict)
    rewards: dict[int, Mapping[str, float]] = field(default_factory=dict)

    def see(self, event: StepEvent, features: Mapping[int, Tensor], base: "Trace | None" = None) -> None:
        """Take note of an event and of the up blocks' outputs; `base` lends its components."""
        if self.newest is not None and (event.final or event.step != self.newest[0].step):
            self.settle(base)
        self.last = event
        if event.final:  # plain makes no preview of its last step: the result is that picture
            self.frames.setdefault(event.step, _small(event.image))
        elif event.best or event.step not in self.timesteps:
            self.timesteps[event.step] = event.timestep
            # Copies, since where a GPU replays its work (`Replayed`) the next update writes into the same tensors.
            self.newest = event, {index: each.clone() for index, each in features.items()}

    def settle(self, base: "Trace | None" = None) -> None:
        """Draw the newest event; of a step's updates only the last one gets here, since drawing waits for the device."""
        if self.newest is None:
            return
        (event, features), self.newest = self.newest, None
        if event.image is not None:
            self.frames[event.step] = _small(event.image)
        if base is None:
            self.components[event.step] = {i: Components.of(x) for i, x in features.items()}
        through = (base or self).components.get(event.step, {})
        maps = {i: through[i].picture(x) for i, x in features.items() if i in through}
        if maps:
            self.maps[event.step] = maps


def _small(image: np.ndarray) -> np.ndarray:
    if max(image.shape[:2]) <= FRAME:
        return image
    picture = Image.fromarray(image)
    picture.thumbnail((FRAME, FRAME))
    return np.asarray(picture)


@dataclass(slots=True)
class Recorder:
    """Takes in what `compare` sees and makes the Run of it, also of what was stopped.

    Attributes:
        fine_print: sentences on how the prompts are read. note: on what happened since.
        scored_by: which published checkpoint a reward is, where there are several.
    """

    id: str
    request: Request
    settings: Any
    model: DiffusionModel
    weights: Mapping[str, str]
    state: str = "done"
    note: str = ""
    scored_by: Mapping[str, str] = field(default_factory=dict)
    fine_print: Sequence[str] = ()
    base: Trace | None = None
    base_settings: Any = None
    trace: Trace = field(default_factory=Trace)
    best: StepEvent | None = None
    rows: list[dict[str, Any]] = field(default_factory=list)
    stats: list[SiteStats] = field(default_factory=list)
    masks: dict[int, Mapping[str, Any]] = field(default_factory=dict)

    def add(self, event: StepEvent, features: Mapping[int, Tensor]) -> None:
        """Take note of an event; the best so far is the best picture of the newest step."""
        self.trace.see(event, features, self.base or Trace())
        self.rows.append(event.row())
        if event.stats is not None:
            self.stats.append(event.stats)
        if event.masks is not None:
            self.masks[event.timestep] = event.masks
        bad = [name for name, value in event.rewards.items() if not math.isfinite(value)]
        if bad and not event.note:
            self.note = f"The reward {bad[0]} was no number in step {event.step + 1}."
        self.note = event.note or self.note
        if bad and not event.final:
            return
        newer = self.best is None or event.step > self.best.step
        if event.image is not None and (event.final or event.best or newer):
            self.best = event

    def base_rewards(self, event: StepEvent) -> Mapping[str, float]:
        """The plain picture's rewards at an event's step, where they are known and the noise was the same."""
        alike = self.base is not None and self.base.timesteps.get(event.step) == event.timestep
        return self.base.rewards.get(event.step, {}) if alike else {}

    def ends(self, why: str) -> bool:
        """Whether to go no further: asked to, or a reward broke and the method said nothing."""
        last = self.trace.last
        broken = len(_finite(last.rewards)) < len(last.rewards) and not last.note
        if last.final or not (why or broken):
            return False
        self.state = "stopped"
        self.note = why or f"{self.note} Stopped; the best before it is kept."
        return True

    def run(self) -> Run:
        """The Run of what happened so far."""
        if self.best is None:
            raise Stopped(self.note or "The method ended without a picture.")
        self.trace.settle(self.base or Trace())
        base, last = self.base.last if self.base else None, self.trace.last
        stats = SiteStats.joined(self.stats) if self.stats else None
        return Run(
            id=self.id,
            request=self.request,
            settings=asdict(self.settings),
            state=self.state,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            device=self.model.device.type,
            dtype=str(self.model.dtype).removeprefix("torch."),
            versions={**versions(), **self.scored_by},
            weights=dict(self.weights),
            base_settings=asdict(self.base_settings) if base else {},
            base_rewards=_scored(base.rewards) if base else {},
            rewards=_scored(self.best.rewards),
            keep_ratio=_keep_ratio(stats, self.best),
            unet_calls=last.unet_calls,
            base_unet_calls=base.unet_calls if base else 0,
            seconds=last.seconds,
            base_seconds=base.seconds if base else 0.0,
            rows=tuple(self.rows),
            result_image=self.best.image,
            base_image=base.image if base else None,
            note=self._notes(),
            course=self._course(),
            stats=stats,
            masks=self._mask_set(),
        )

    def _notes(self) -> str:
        """All there is to know; what the method has said in more words is not said again."""
        others = [each for each in self.fine_print if each.removesuffix(".") not in self.note]
        return " ".join(filter(None, [self.note, *others]))

    def _course(self) -> Course | None:
        """The step pictures and feature maps of both, at the steps and timesteps that both have."""
        base, trace = self.base or Trace(), self.trace
        steps = sorted(base.frames.keys() & trace.frames.keys())
        shared = [step for step in steps if base.timesteps.get(step) == trace.timesteps.get(step)]
        if not shared or not self.request.previews:  # without previews there is the result alone
            return None
        return Course(
            timesteps=tuple(trace.timesteps[step] for step in shared),
            base=np.stack([base.frames[step] for step in shared]),
            result=np.stack([trace.frames[step] for step in shared]),
            maps=stacked({step: base.maps[step] for step in shared if step in base.maps}, trace.maps),
        )

    def _mask_set(self) -> MaskSet | None:
        if not self.masks:
            return None
        sites = {site.name: site.shape for site in find_sites(self.model.unet)}
        return MaskSet(model=self.model.name, weights=self.model.weights, sites=sites, steps=self.masks)


def _finite(rewards: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in rewards.items() if math.isfinite(value)}


def _scored(rewards: Mapping[str, float]) -> dict[str, float]:
    """The rewards that are numbers; none where their sum is not, as then nothing was scored."""
    finite = _finite(rewards)
    return finite if "total" in finite else {}


def _keep_ratio(stats: SiteStats | None, best: StepEvent) -> float:
    """Share of all the sites' weights that were kept, mean over steps; a large site counts for more."""
    if stats is not None:
        return 1 - float(stats.removed.sum() / (stats.weights.sum() * len(stats.timesteps)))
    return 1.0 if best.kept is None else best.kept  # stopped within the first step
