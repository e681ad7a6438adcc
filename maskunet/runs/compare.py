"""One comparison: the plain picture and a method's picture from the same noise, and their Run."""

import secrets
from collections.abc import Callable, Generator, Iterator, Mapping, MutableMapping
from contextlib import closing
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from maskunet.encoders.text_states import TextStates
from maskunet.masks.masked_unet import MaskedUNet
from maskunet.methods import SPECS, method_of
from maskunet.methods.base import MethodSpec
from maskunet.methods.base.report import numbers
from maskunet.methods.base.spec import filled
from maskunet.models.base import DiffusionModel
from maskunet.records import Request, Run, StepEvent
from maskunet.rewards.base import WeightedRewards, required
from maskunet.runs.draft import Draft
from maskunet.runs.feature_maps import UpBlocks
from maskunet.runs.fine_print import borrowed, notes
from maskunet.runs.recorder import Recorder, Stopped, Trace


def compare(
    model: DiffusionModel,
    rewards: WeightedRewards,
    request: Request,
    *,
    with_base: bool = True,
    bases: MutableMapping[tuple, Trace] | None = None,
    should_stop: Callable[[], str] = str,
    run_id: str = "",
    draft: Draft | None = None,
    methods: Mapping[str, MethodSpec] = SPECS,
) -> Iterator[tuple[str, StepEvent | Run]]:
    """Make the plain picture, then the method's from the same seed, steps and guidance.

    Yields ("base", event) and ("result", event) as they happen and at the end ("done", run) or,
    with the best so far, ("stopped", run). Closing it leaves the model as it was.

    Args:
        rewards: score both pictures; without any nothing is scored, and the run's note says so.
        with_base: also make the plain picture.
        bases: plain pictures' traces by what they depend on; read, and added to.
        should_stop: asked after every event; a sentence other than "" ends the work.
        run_id: 12 hexadecimal digits, or empty to draw them.
        draft: offered the best so far after every event, for the case that the program is killed.

    Raises:
        ValueError: no such method, preset or setting, or one that rewards steer and there are none.
        Stopped: stopped before the method's first picture, or its rewards were never a number.
    """
    spec = method_of(request.method, methods)
    settings = spec.settings(request.preset, request.settings)
    if spec.needs_rewards:
        required(rewards)  # before the plain picture is made
    run_id = run_id or secrets.token_hex(6)
    weights = spec.weights(model, settings, rewards)
    record = recorder(run_id, filled(request, spec, model), spec, settings, weights, model, rewards)
    with UpBlocks(model.unet, watched=record.request.previews) as blocks:
        if with_base:
            alike = methods["plain"].settings("", methods["plain"].taking_over(settings))
            plain = replace(methods["plain"], presets={"same": alike})
            record.base_settings = plain.settings()
            known = {} if bases is None else bases
            with closing(_base(model, rewards, record, plain, known, blocks, spec.needs_rewards)) as events:
                for event in events:
                    yield "base", event
                    if why := should_stop():
                        raise Stopped(why)
        blocks.outputs.clear()  # what another U-Net computes is not seen, and must not pass for the base's
        # Closed before anything else happens: the model is given back even if saving fails.
        with closing(spec.run(model, rewards, record.request, settings)) as events:
            for event in events:
                event = replace(event, base_rewards=record.base_rewards(event))
                record.add(event, blocks.outputs)
                if draft is not None:
                    draft.offer(record)
                yield "result", event
                if record.ends(should_stop()):
                    break
    yield record.state, judged(record.run(), model)


def recorder(
    run_id: str,
    request: Request,
    spec: MethodSpec,
    settings: Any,
    weights: Mapping[str, str],
    model: DiffusionModel,
    rewards: WeightedRewards,
) -> Recorder:
    """What takes in a run, and knows who scores it and what there is to say of its prompts."""
    record = Recorder(run_id, request, settings, model, weights)
    record.scored_by = rewards.versions if isinstance(rewards, WeightedRewards) else {}
    record.fine_print = [*model.notes, *borrowed(model, spec, settings), *notes(model, rewards, request)]
    return record


def judged(run: Run, model: DiffusionModel) -> Run:
    """The run with what is said of its pictures, where the model's can be told right from wrong."""
    if model.judge is None:
        return run
    both = [picture for picture in (run.base_image, run.result_image) if picture is not None]
    *base, result = model.judge(run.request.prompt, both)
    return replace(run, base_verdict=base[0] if base else {}, verdict=result)


def null_mask(model: DiffusionModel, request: Request, plain: MethodSpec) -> Iterator[StepEvent | float]:
    """Make the plain picture under masks of ones, and without; nothing is scored.

    Yields the events of both, and at the end the largest pixel difference, 0 to 255. Closing it leaves the model as it
    was.
    """

    def picture(model: DiffusionModel) -> Generator[StepEvent, None, np.ndarray]:
        with closing(plain.run(model, WeightedRewards({}), request, plain.settings())) as events:
            for event in events:
                yield event
        return event.image.astype(int)

    request = replace(filled(request, plain, model), previews=False)
    with MaskedUNet(model.unet) as masked:
        ones = {site.name: torch.ones(site.shape, dtype=model.dtype, device=model.device) for site in masked.sites}

        def unet(x_t: Tensor, t: int, **text: Any) -> SimpleNamespace:
            return SimpleNamespace(sample=masked.decode(masked.encode(x_t, t, TextStates.told(text)), ones))

        under_ones = yield from picture(replace(model, unet=unet))
    alone = yield from picture(model)
    yield float(np.abs(alone - under_ones).max())


def _base(
    model: DiffusionModel,
    rewards: WeightedRewards,
    record: Recorder,
    plain: MethodSpec,
    known: MutableMapping[tuple, Trace],
    blocks: UpBlocks,
    steered: bool,
) -> Iterator[StepEvent]:
    """The plain picture's events, or only the last one if this very picture is known.

    Args:
        steered: whether rewards look at every step of the method, so that they look at those of plain too.
    """
    asked = record.request
    words = (asked.prompt, asked.negative_prompt, asked.seed, asked.steps, asked.guidance, asked.previews)
    machine = (model.name, *sorted(model.weights.items()), str(model.device), str(model.dtype))
    key = (*words, *machine, plain.settings(), bool(rewards))
    if key in known and (known[key].rewards or not steered):
        record.base = known[key]
        yield record.base.last
        return
    trace, looks = Trace(), {}
    request = replace(asked, method="plain", preset="", settings={}, keep_masks=False)
    with closing(plain.run(model, rewards, request, plain.settings())) as events:
        for event in events:
            trace.see(event, blocks.outputs)
            if event.image is not None and not event.final:
                looks[event.step] = event.image
            yield event
    if steered:  # when its clock has stopped
        scored = {step: _score(model, rewards, asked.prompt, image) for step, image in looks.items()}
        trace.rewards = {**scored, trace.last.step: trace.last.rewards}
    record.base = known[key] = trace


@torch.no_grad()
def _score(model: DiffusionModel, rewards: WeightedRewards, prompt: str, image: np.ndarray) -> dict[str, float]:
    """The rewards of a picture (H, W, 3) uint8."""
    picture = torch.from_numpy(image.copy()).to(model.device).permute(2, 0, 1)[None]
    return numbers(rewards(picture.to(model.dtype) / 255, [prompt]))
