"""Make the cells of a grid that are not there yet, those that can share U-Net calls together."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from maskunet.methods import SPECS, method_of
from maskunet.methods.base import MethodSpec, filled
from maskunet.methods.base.batches import fitting, halved, together
from maskunet.models.base import DiffusionModel
from maskunet.records import Request, Run
from maskunet.rewards.base import WeightedRewards, required
from maskunet.runs.compare import recorder
from maskunet.runs.grid.axes import Grid
from maskunet.runs.grid.cells import Cell, CellFolder, key, made_with

Load = Callable[[str], tuple[DiffusionModel, WeightedRewards]]
"""A base model by its name, and the rewards that score its pictures."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A picture: its key, its request with everything filled in, and the numbers of the cells that show it."""

    key: str
    request: Request
    numbers: list[int]


def make(
    grid: Grid,
    folder: CellFolder,
    load: Load,
    *,
    batch: int = 0,
    methods: Mapping[str, MethodSpec] = SPECS,
    should_stop: Callable[[], str] = str,
) -> Iterator[tuple[list[int], Cell]]:
    """Find or make every cell: first those that are there, then the others, each kept as soon as it is made.

    Closing the iterator, or killing it, loses the batch that is being made and nothing else.

    Args:
        load: is asked once for every model.
        batch: pictures that share U-Net calls, where the method can; 0 for as many as fit.
        should_stop: asked after every event of a method; a sentence other than "" ends the work.

    Yields:
        The numbers of the cells that show a picture, and what is known of it. A picture that cannot be made says why.

    Raises:
        ValueError: a model or a trained part is not here, or rewards that a method needs; says what to do.
    """
    for name in dict.fromkeys(cell.model for cell in grid.cells):
        model, rewards = load(name)
        groups = _groups(grid, name, methods, model, rewards)
        how = {"model": model, "rewards": rewards, "should_stop": should_stop}
        missing = []
        for spec, settings, wanted in groups:
            if spec.needs_rewards:
                required(rewards)
            there = {each.key: folder.find(each.key) for each in wanted}
            yield from ((each.numbers, there[each.key]) for each in wanted if there[each.key])
            missing.append((spec, settings, [each for each in wanted if not there[each.key]]))
        for spec, settings, wanted in missing:
            size = (batch or fitting(model)) if spec.shares(settings) else 1
            for start in range(0, len(wanted), size):
                some = wanted[start : start + size]
                for each, run in halved(partial(_runs, spec=spec, settings=settings, **how), some):
                    if run is None:
                        return
                    if isinstance(run, str):
                        yield each.numbers, Cell(key=each.key, rewards={}, failed=run)
                    else:
                        yield each.numbers, folder.keep(each.key, run)


def _groups(
    grid: Grid, name: str, methods: Mapping[str, MethodSpec], model: DiffusionModel, rewards: WeightedRewards
) -> list[tuple[MethodSpec, Any, list[_Wanted]]]:
    """The pictures of a model; those that differ in prompt and seed alone together."""
    chosen: dict[tuple, Any] = {}  # settings, which take longer to check than all else here
    groups: dict[tuple, tuple[MethodSpec, Any, str, dict[str, _Wanted]]] = {}
    for number, cell in enumerate(grid.cells):
        if cell.model != name:
            continue
        spec = method_of(cell.method, methods)
        request = filled(cell, spec, model)
        asked = request.method, request.preset, *sorted(request.settings.items())
        if asked not in chosen:
            chosen[asked] = spec.settings(request.preset, request.settings)
        settings = chosen[asked]
        place = request.method, settings, request.negative_prompt, request.steps, request.guidance
        if place not in groups:
            weights = spec.weights(model, settings, rewards)
            groups[place] = spec, settings, made_with(settings, weights, model, rewards), {}
        *_, with_what, wanted = groups[place]
        found = key(request, with_what)
        wanted.setdefault(found, _Wanted(found, request, [])).numbers.append(number)
    return [(spec, settings, [*wanted.values()]) for spec, settings, _, wanted in groups.values()]


def _runs(
    wanted: Sequence[_Wanted],
    *,
    spec: MethodSpec,
    settings: Any,
    model: DiffusionModel,
    rewards: WeightedRewards,
    should_stop: Callable[[], str],
) -> list[Run] | None:
    """The runs of pictures that are made together, or None if they were stopped."""
    asked = [replace(each.request, previews=False, keep_masks=False) for each in wanted]
    weights = spec.weights(model, settings, rewards)
    records = [recorder("", request, spec, settings, weights, model, rewards) for request in asked]
    with closing(together(spec, model, rewards, asked, settings)) as events:
        for number, event in events:
            records[number].add(event, {})
            if not event.final and should_stop():
                return None
    if not all(record.trace.last is not None and record.trace.last.final for record in records):
        raise ValueError("The method ended without a picture.")
    return [record.run() for record in records]
