"""One comparison: the plain picture and a method's picture from the same noise, and their Run."""

import math
import platform
import secrets
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import closing
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from importlib import metadata
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from maskunet import __version__
from maskunet.masked_unet import MaskedUNet
from maskunet.methods import SPECS
from maskunet.methods.base import DEFAULT_STEPS, MethodSpec
from maskunet.models.base import DiffusionModel
from maskunet.records import MaskSet, Request, Run, StepEvent
from maskunet.rewards.base import WeightedRewards
from maskunet.sites import find_sites

LIBRARIES = ("torch", "diffusers", "transformers", "open_clip_torch", "gradio")


class Stopped(ValueError):
    """The work was stopped before there was a picture worth keeping."""


def compare(
    model: DiffusionModel,
    rewards: WeightedRewards,
    request: Request,
    *,
    with_base: bool = True,
    bases: MutableMapping[tuple, StepEvent] | None = None,
    should_stop: Callable[[], str] = str,
    run_id: str = "",
    methods: Mapping[str, MethodSpec] = SPECS,
) -> Iterator[tuple[str, StepEvent | Run]]:
    """Make the plain picture, then the method's from the same seed, steps and guidance.

    Yields ("base", event) and ("result", event) as they happen and at the end ("done", run) or,
    with the best so far, ("stopped", run). Closing it leaves the model as it was.

    Args:
        with_base: also make the plain picture.
        bases: plain pictures' last events by what they depend on; read, and added to.
        should_stop: asked after every event; a sentence other than "" ends the work.
        run_id: 12 hexadecimal digits, or empty to draw them.

    Raises:
        ValueError: no such method, preset or setting.
        Stopped: stopped before the method's first picture, or its rewards were never a number.
    """
    spec = method_of(request.method, methods)
    settings = spec.settings(request.preset, request.settings)
    report = _Report(filled(request, spec, model), settings, model)
    if with_base:
        plain = replace(methods["plain"], presets={"same": _shared(methods["plain"], settings)})
        known = {} if bases is None else bases
        with closing(_base(model, rewards, report.request, plain, known)) as events:
            for event in events:
                yield "base", event
                report.begin(plain.settings(), event, should_stop())
    # Closed before anything else happens: the model is given back even if saving fails.
    with closing(spec.run(model, rewards, report.request, settings)) as events:
        for event in events:
            report.add(event)
            yield "result", event
            if report.ends(should_stop()):
                break
    yield report.state, report.run(run_id)


def null_mask(model: DiffusionModel, rewards: WeightedRewards, request: Request, plain: MethodSpec) -> float:
    """Largest pixel difference, 0 to 255, of the plain picture with and without masks of ones."""

    def picture(model: DiffusionModel) -> np.ndarray:
        *_, last = plain.run(model, rewards, request, plain.settings())
        return last.image.astype(int)

    request = replace(filled(request, plain, model), previews=False)
    with MaskedUNet(model.unet) as masked:
        ones = {
            site.name: torch.ones(site.shape, dtype=model.dtype, device=model.device) for site in masked.sites
        }

        def unet(x_t: torch.Tensor, t: int, text: torch.Tensor) -> SimpleNamespace:
            return SimpleNamespace(sample=masked.decode(masked.encode(x_t, t, text), ones))

        under_ones = picture(replace(model, unet=unet))
    return float(np.abs(picture(model) - under_ones).max())


def method_of(name: str, methods: Mapping[str, MethodSpec] = SPECS) -> MethodSpec:
    """The method of that name.

    Raises:
        ValueError: there is none; says which there are.
    """
    if name not in methods:
        raise ValueError(f"There is no method “{name}”. There are: {', '.join(methods)}.")
    return methods[name]


def filled(request: Request, spec: MethodSpec, model: DiffusionModel) -> Request:
    """The request with every `None` and empty name replaced by the value that will be used."""
    return replace(
        request,
        model=model.name,
        preset=request.preset or next(iter(spec.presets)),
        steps=request.steps or DEFAULT_STEPS,
        guidance=model.guidance if request.guidance is None else request.guidance,
    )


def versions() -> dict[str, str]:
    """Versions of Python, of this package and of the libraries that decide a picture."""
    found = {"python": platform.python_version(), "maskunet": __version__}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _shared(plain: MethodSpec, settings: Any) -> Any:
    """Plain's settings with the method's values, so that the masks are the only difference."""
    default = plain.settings()
    shared = {f.name for f in fields(default)} & {f.name for f in fields(settings)}
    return replace(default, **{name: getattr(settings, name) for name in shared})


def _base(
    model: DiffusionModel,
    rewards: WeightedRewards,
    request: Request,
    plain: MethodSpec,
    known: MutableMapping[tuple, StepEvent],
) -> Iterator[StepEvent]:
    """The plain picture's events, or only the last one if this very picture is known."""
    words = (request.prompt, request.negative_prompt, request.seed, request.steps, request.guidance)
    machine = (model.name, *sorted(model.weights.items()), str(model.device), str(model.dtype))
    key = (*words, *machine, plain.settings())
    if key in known:
        yield known[key]
        return
    request = replace(request, method="plain", preset="", settings={}, keep_masks=False)
    with closing(plain.run(model, rewards, request, plain.settings())) as events:
        for event in events:
            yield event
            if event.final:
                known[key] = event


def _finite(rewards: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in rewards.items() if math.isfinite(value)}


@dataclass(slots=True)
class _Report:
    """Collects a method's events into a Run."""

    request: Request
    settings: Any
    model: DiffusionModel
    state: str = "done"
    note: str = ""
    base: StepEvent | None = None
    base_settings: Any = None
    best: StepEvent | None = None
    last: StepEvent | None = None
    rows: list[dict[str, Any]] = field(default_factory=list)
    kept: dict[int, Mapping[str, float]] = field(default_factory=dict)
    masks: dict[int, Mapping[str, Any]] = field(default_factory=dict)

    def begin(self, settings: Any, event: StepEvent, why: str) -> None:
        """Take note of the plain picture's newest event; the last one is kept."""
        if why:
            raise Stopped(why)
        self.base, self.base_settings = event, settings

    def add(self, event: StepEvent) -> None:
        """Take note of an event; the best so far is the best picture of the newest step."""
        self.last = event
        self.rows.append(event.row())
        bad = [name for name, value in event.rewards.items() if not math.isfinite(value)]
        if bad and not event.note:
            self.note = f"The reward {bad[0]} was no number in step {event.step + 1}."
        self.note = event.note or self.note
        if bad and not event.final:
            return
        newer = self.best is None or event.step > self.best.step
        if event.image is not None and (event.final or event.best or newer):
            self.best = event
        if event.keep_ratio and (event.best or event.step not in self.kept):
            self.kept[event.step] = event.keep_ratio
        if event.masks is not None and (event.best or event.timestep not in self.masks):
            self.masks[event.timestep] = event.masks

    def ends(self, why: str) -> bool:
        """Whether to go no further: asked to, or a reward broke and the method said nothing."""
        broken = len(_finite(self.last.rewards)) < len(self.last.rewards) and not self.last.note
        if self.last.final or not (why or broken):
            return False
        self.state = "stopped"
        self.note = why or f"{self.note} Stopped; the best before it is kept."
        return True

    def run(self, run_id: str) -> Run:
        """The Run of what happened so far."""
        if self.best is None:
            raise Stopped(self.note or "The method ended without a picture.")
        shapes, base = self._shapes(), self.base
        return Run(
            id=run_id or secrets.token_hex(6),
            request=self.request,
            settings=asdict(self.settings),
            state=self.state,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            device=self.model.device.type,
            dtype=str(self.model.dtype).removeprefix("torch."),
            versions=versions(),
            weights=dict(self.model.weights),
            base_settings=asdict(self.base_settings) if base else {},
            base_rewards=_finite(base.rewards) if base else {},
            rewards=_finite(self.best.rewards),
            keep_ratio=self._keep_ratio(shapes),
            unet_calls=self.last.unet_calls,
            base_unet_calls=base.unet_calls if base else 0,
            seconds=self.last.seconds,
            base_seconds=base.seconds if base else 0.0,
            rows=tuple(self.rows),
            result_image=self.best.image,
            base_image=base.image if base else None,
            site_keep_ratio={
                name: sum(step[name] for step in self.kept.values()) / len(self.kept) for name in shapes
            },
            note=self.note,
            masks=self._mask_set(shapes),
        )

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every site that was masked."""
        named = {name for step in self.kept.values() for name in step}
        sites = find_sites(self.model.unet) if named else []
        return {site.name: tuple(site.shape) for site in sites if site.name in named}

    def _keep_ratio(self, shapes: Mapping[str, tuple[int, ...]]) -> float:
        """Share of all the sites' weights that were kept, so a large site counts for more."""
        sizes = {name: math.prod(shape) for name, shape in shapes.items()}
        if not sizes:
            return 1.0
        steps = [sum(step[n] * size for n, size in sizes.items()) for step in self.kept.values()]
        return sum(steps) / (len(steps) * sum(sizes.values()))

    def _mask_set(self, shapes: Mapping[str, tuple[int, ...]]) -> MaskSet | None:
        if not self.masks:
            return None
        return MaskSet(model=self.model.name, weights=self.model.weights, sites=shapes, steps=self.masks)
