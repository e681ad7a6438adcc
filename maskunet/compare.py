"""One comparison: the plain picture and a method's picture from the same noise, and their Run."""

import math
import platform
import secrets
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

from maskunet import __version__
from maskunet.methods import SPECS
from maskunet.methods.base import MethodSpec
from maskunet.models.base import DiffusionModel
from maskunet.records import MaskSet, Request, Run, StepEvent
from maskunet.sites import find_sites

LIBRARIES = ("torch", "diffusers", "transformers", "open_clip_torch", "gradio")
DEFAULT_STEPS = 15


def compare(
    model: DiffusionModel,
    rewards: Any,
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
        model, rewards: on one device; the caller keeps everyone else off them meanwhile.
        request: what to make.
        with_base: also make the plain picture.
        bases: last events of plain pictures made before, by everything they depend on; read, and
            added to.
        should_stop: asked after every event; a sentence other than "" ends the work.
        run_id: 12 hexadecimal digits, or empty to draw them.
        methods: to choose from.

    Raises:
        ValueError: no such method, preset or setting, or nothing to keep: stopped before the
            method's first picture, or a reward that was no number from the start.
    """
    spec = method_of(request.method, methods)
    settings = spec.settings(request.preset, request.settings)
    request = filled(request, spec, settings, model)
    report = _Report(request, settings, model)
    base, bases = None, {} if bases is None else bases
    if with_base:
        for base in _base(model, rewards, base_request(request), methods["plain"], bases):
            yield "base", base
            if why := should_stop():
                raise Stopped(why)
    state, note = "done", ""
    # Closed before anything else happens, so that the model is given back even if saving fails.
    with closing(spec.run(model, rewards, request, settings)) as events:
        for event in events:
            if note := _not_a_number(event):
                state = "stopped"
                break
            report.add(event)
            yield "result", event
            if (note := should_stop()) and not event.final:
                state = "stopped"
                break
    yield state, report.run(run_id, state, note, base)


def _base(
    model: DiffusionModel,
    rewards: Any,
    request: Request,
    plain: MethodSpec,
    known: MutableMapping[tuple, StepEvent],
) -> Iterator[StepEvent]:
    """The plain picture's events, or only the last one if this very picture is known."""
    words = (request.prompt, request.negative_prompt, request.seed, request.steps, request.guidance)
    machine = (model.name, *sorted(model.weights.items()), str(model.device), str(model.dtype))
    key = (*words, *machine)
    if key in known:
        yield known[key]
        return
    with closing(plain.run(model, rewards, request, plain.settings())) as events:
        for event in events:
            yield event
            if event.final:
                known[key] = event


class Stopped(ValueError):
    """The work was stopped before there was a picture worth keeping."""


def method_of(name: str, methods: Mapping[str, MethodSpec] = SPECS) -> MethodSpec:
    """The method of that name.

    Raises:
        ValueError: there is none; says which there are.
    """
    if name not in methods:
        raise ValueError(f"There is no method “{name}”. There are: {', '.join(methods)}.")
    return methods[name]


def filled(request: Request, spec: MethodSpec, settings: Any, model: DiffusionModel) -> Request:
    """The request with every `None` and empty name replaced by the value that will be used."""
    steps, guidance = request.steps, request.guidance
    return replace(
        request,
        model=model.name,
        preset=request.preset or next(iter(spec.presets)),
        steps=steps or getattr(settings, "steps", None) or DEFAULT_STEPS,
        guidance=guidance or getattr(settings, "guidance", None) or model.guidance,
    )


def base_request(request: Request) -> Request:
    """What the plain picture of a filled request depends on, and nothing else of it."""
    return replace(request, method="plain", preset="", settings={}, keep_masks=False)


def versions() -> dict[str, str]:
    """Versions of Python, of this package and of the libraries that decide a picture."""
    found = {"python": platform.python_version(), "maskunet": __version__}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _finite(rewards: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in rewards.items() if math.isfinite(value)}


def _not_a_number(event: StepEvent) -> str:
    bad = [name for name, value in event.rewards.items() if not math.isfinite(value)]
    if not bad:
        return ""
    return (
        f"The reward {bad[0]} was no number in step {event.step + 1}; the best before it is kept."
    )


@dataclass(slots=True)
class _Report:
    """Collects a method's events into a Run."""

    request: Request
    settings: Any
    model: DiffusionModel
    events: list[StepEvent] = field(default_factory=list)  # without pictures and masks
    best: StepEvent | None = None
    masks: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    kept: dict[int, Mapping[str, float]] = field(default_factory=dict)

    def add(self, event: StepEvent) -> None:
        """Take note of an event: the newest step's best picture is the best so far."""
        self.events.append(replace(event, image=None, masks=None))
        newer = self.best is None or event.step > self.best.step
        if event.image is not None and (event.final or event.best or newer):
            self.best = event
        if event.keep_ratio and (event.best or event.step not in self.kept):
            self.kept[event.step] = event.keep_ratio
        if event.masks is not None and (event.best or event.timestep not in self.masks):
            self.masks[event.timestep] = event.masks

    def run(self, run_id: str, state: str, note: str, base: StepEvent | None) -> Run:
        """The Run of what happened so far; `base` is the plain picture's last event."""
        if self.best is None:
            raise Stopped(note or "The method ended without a picture.")
        shapes = self._shapes()
        last = self.events[-1]
        return Run(
            id=run_id or secrets.token_hex(6),
            request=self.request,
            settings=asdict(self.settings),
            state=state,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            device=self.model.device.type,
            dtype=str(self.model.dtype).removeprefix("torch."),
            versions=versions(),
            weights=dict(self.model.weights),
            base_rewards=_finite(base.rewards) if base else {},
            rewards=dict(self.best.rewards),
            keep_ratio=self._keep_ratio(shapes),
            unet_calls=last.unet_calls,
            base_unet_calls=base.unet_calls if base else 0,
            seconds=last.seconds,
            base_seconds=base.seconds if base else 0.0,
            rows=tuple(event.row() for event in self.events),
            result_image=self.best.image,
            base_image=base.image if base else None,
            site_keep_ratio={
                name: sum(step[name] for step in self.kept.values()) / len(self.kept)
                for name in shapes
            },
            note=note,
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
        return MaskSet(
            model=self.model.name, weights=self.model.weights, sites=shapes, steps=self.masks
        )
