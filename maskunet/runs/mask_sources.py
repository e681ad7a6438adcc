"""Kept masks made: from a run, a trained generator, by chance or value, or by hand; kept under a name, and removed."""

from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from maskunet import seeds
from maskunet.masks import algebra, counter_rng, generator_file, held
from maskunet.masks.generator import MaskGenerator
from maskunet.masks.mask import unpack
from maskunet.masks.masked_unet import Features
from maskunet.masks.selection import masks_by_step
from maskunet.masks.sites import find_sites
from maskunet.methods import SPECS
from maskunet.methods.base import filled, read_part, trained_part
from maskunet.methods.random_mask import KINDS
from maskunet.models.base import DiffusionModel
from maskunet.records import Request, StepEvent, held_mask, mask_set, seed_of
from maskunet.records.disk import hub_parts, whole
from maskunet.records.held_mask import HeldMask, mixed
from maskunet.records.selection import parse
from maskunet.rewards.base import WeightedRewards
from maskunet.runs import run_folder

RUNS = Path("runs")  # where the page keeps them


def of_words(
    model: DiffusionModel,
    *,
    run: str | Path | None = None,
    generator: str | None = None,
    random: str | None = None,
    select: str | None = None,
    removed: float = 0.01,
    step: int | None = None,
    prompt: str | None = None,
    seed: int = 0,
    steps: int | None = None,
    guidance: float | None = None,
) -> HeldMask:
    """A mask from whichever source is given: `of_run`, `of_generator`, `by_chance` or `by_hand`.

    Raises:
        ValueError: not exactly one source, or as that one.
    """
    if sum(source is not None for source in (run, generator, random, select)) != 1:
        raise ValueError("A mask is made from exactly one of run, generator, random and select.")
    if run is not None:
        return of_run(model, Path(run), step)
    if random is not None:
        return by_chance(model, random, removed, seed)
    if select is not None:
        return by_hand(model, select, steps)
    if prompt is None:
        raise ValueError("A generator's masks are those of a prompt. Give one.")
    asked = Request(prompt=prompt, seed=seed, model=model.name, steps=steps, guidance=guidance)
    return of_generator(model, generator, asked, step)


def of_run(model: DiffusionModel, run: Path, step: int | None = None) -> HeldMask:
    """The masks that a run used.

    Args:
        run: its folder, or its id among the page's runs.
        step: one of its denoising steps, from 1, for all steps; None for each step's own.

    Raises:
        ValueError: it is no whole run, kept no masks, is of another model, or has no such step.
    """
    folder = next((each for each in (run, RUNS / run.name) if each.is_dir()), run)
    made, masks = run_folder.read(folder), run_folder.masks(folder)
    if masks is None:
        raise ValueError(
            f"The run “{folder.name}” kept no masks. Make it again with them: python -m maskunet generate --replay "
            f"{folder.name}/run.json --keep-masks --out with-masks"
        )
    sites = held.shapes(model.unet)
    mask_set.check(masks, model.name, model.weights, sites)
    steps = {t: held.removed(_unpacked(packed, sites), sites) for t, packed in masks.steps.items()}
    recipe = {"made": "run", "run": made.id, **_asked(made.request, made.settings)}
    return _at(held.of_model(model, steps, recipe), step)


def of_events(model: DiffusionModel, events: Iterable[StepEvent], request: Request, settings: Any) -> HeldMask:
    """The masks of a picture that is made now, each step's own.

    Args:
        events: of a method, asked to keep its masks. request, settings: what they come from, for the recipe.

    Raises:
        ValueError: the method uses no masks.
    """
    sites = held.shapes(model.unet)
    steps = {e.timestep: held.removed(_unpacked(e.masks, sites), sites) for e in events if e.masks is not None}
    if not steps:
        raise ValueError(f"The method {request.method} uses no masks. Choose one that does.")
    return held.of_model(model, steps, {"made": "run", **_asked(request, asdict(settings))})


def _asked(request: Request, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What a picture was made from, for a recipe."""
    aside = ("previews", "statistics", "keep_masks")
    asked = {name: value for name, value in asdict(request).items() if name not in aside}
    return {"request": asked, "settings": dict(settings)}


def _unpacked(packed: Mapping[str, np.ndarray], sites: Mapping[str, tuple[int, int]]) -> dict[str, Tensor]:
    return {name: unpack(packed[name], shape) for name, shape in sites.items()}


def of_generator(model: DiffusionModel, name: str, request: Request, step: int | None = None) -> HeldMask:
    """What a trained generator removes for a prompt and seed, the weights it is surest of first.

    Args:
        name: the generator's; empty for the model's first. request: prompt, seed, steps and guidance.
        step: one of the denoising steps, from 1, for all steps; None for each step's own.

    Raises:
        ValueError: no such generator or step.
    """
    train = f"python -m maskunet train mask_generator --model {model.name} --out trained/{model.name}/mine"
    name, path = trained_part(model.trained.get("generator", {}), name, "mask generator", train)
    generator, spec = read_part(model, path, generator_file.load), SPECS["maskunet_trained"]
    asked = {**asdict(filled(request, spec, model)), "method": spec.name, "preset": "", "settings": {"generator": name}}
    asked |= {"previews": False, "statistics": False, "keep_masks": True}
    sites, seen, steps = held.shapes(model.unet), _Logits(generator), {}
    with (
        seen,
        closing(spec.run(model, WeightedRewards({}), Request(**asked), spec.settings("", asked["settings"]))) as run,
    ):
        for event in run:
            if event.final or (step is not None and event.step >= step):
                break
            masks = _unpacked(event.masks, sites)
            gone = held.removed(masks, sites)
            order = held.ordered(seen.logits(model.unet), sites)
            steps[event.timestep] = order[np.isin(order, gone)]
    recipe = {"made": "generator", "generator": name, **_asked(Request(**asked), {})}
    return _at(held.of_model(model, steps, recipe), step)


class _Logits:
    """The logits behind a generator's newest masks, of the last sample as it is the prompt's, while it is a context."""

    def __init__(self, generator: MaskGenerator):
        self._generator, self._seen = generator, {}

    def __enter__(self) -> "_Logits":
        self._hook = self._generator.register_forward_hook(self._see)
        return self

    def __exit__(self, *exception: object) -> None:
        self._hook.remove()

    def _see(self, generator: MaskGenerator, given: tuple, made: Any) -> None:
        self._seen |= {name: logits[-1] for name, logits in generator.logits(*given[:2]).items()}

    def logits(self, unet: torch.nn.Module) -> dict[str, Tensor]:
        """Of every site; a static generator is not asked at each step, so it is asked here."""
        if not self._seen:
            nothing = torch.zeros(1, 0, 1, 1)
            for block in self._generator.blocks:
                if any(site.block == int(block) for site in find_sites(unet)):
                    self._see(
                        self._generator,
                        (int(block), Features(nothing, nothing[:, :, 0, 0], nothing, (nothing,), False)),
                        None,
                    )
        return self._seen


def by_chance(model: DiffusionModel, kind: str, removed: float, seed: int = 0, center: float = 1.0) -> HeldMask:
    """A control: weights by chance or by their value, the same share as asked of all sites together.

    Args:
        kind: "iid", each weight by itself as the first step of the method `random_mask` with this seed, where a smaller
            share removes the first of a larger one; "window" of values around `center`, the nearest first;
            "magnitude", of each site the smallest first.
        removed: share of weights, 0 to 1. seed: see `seed_of`; the recipe has one that is drawn.
        center: in standard deviations of each site's weights.

    Raises:
        ValueError: an unknown kind, a share outside 0 to 1, or no seed.
    """
    if kind not in KINDS:
        raise ValueError(f"There is no random mask “{kind:.40}”. There are: {', '.join(KINDS)}.")
    if not 0 <= removed <= 1:
        raise ValueError(f"The removed ratio is {removed}; allowed is 0 to 1.")
    seed = seed_of(seed)
    sites = find_sites(model.unet)
    weights = {site.name: model.unet.get_submodule(site.name).weight.detach() for site in sites}
    scores = {"iid": _chances, "window": _distances, "magnitude": _sizes}[kind](weights, seed, center)
    shapes = held.shapes(model.unet)
    places = held.ordered(scores, shapes, round(removed * sum(site.weights for site in sites)))
    recipe = {"made": "random", "kind": kind, "removed": removed}
    recipe |= {"seed": seed} if kind == "iid" else {"center": center} if kind == "window" else {}
    return held.of_model(model, {0: places}, recipe)


def _chances(weights: Mapping[str, Tensor], seed: int, center: float) -> dict[str, Tensor]:
    stream = torch.Generator().manual_seed(seeds.of_masks(seed))
    drawn = counter_rng.draw(sum(weight.numel() for weight in weights.values()), stream)
    parts = drawn.split([weight.numel() for weight in weights.values()])
    return {name: part.view(weight.shape) for part, (name, weight) in zip(parts, weights.items(), strict=True)}


def _distances(weights: Mapping[str, Tensor], seed: int, center: float) -> dict[str, Tensor]:
    return {name: (weight.float() / weight.float().std() - center).abs() for name, weight in weights.items()}


def _sizes(weights: Mapping[str, Tensor], seed: int, center: float) -> dict[str, Tensor]:
    """Ranks within each site, as shares."""
    return {
        name: weight.abs().flatten().argsort(stable=True).argsort().view(weight.shape) / weight.numel()
        for name, weight in weights.items()
    }


def by_hand(model: DiffusionModel, selection: str, steps: int | None = None) -> HeldMask:
    """All weights of the places that a person names.

    Args:
        selection: see `records.selection`. steps: of the picture, which steps in the selection count; None for the
            model's own.

    Raises:
        ValueError: it is no selection, means nothing in this model, or weakens in place of removing.
    """
    steps = steps or model.steps
    places = parse(selection)
    inside = chosen(model, selection, steps)
    every = np.arange(len(next(iter(inside.values()))), dtype=np.uint32)
    found = {t: mixed(every[where]) for t, where in inside.items()}
    recipe = {"made": "by hand", "selection": selection}
    if any(place.steps for place in places):
        return held.of_model(model, found, {**recipe, "steps": steps})
    return held.of_model(model, {0: next(iter(found.values()))}, recipe)


def chosen(model: DiffusionModel, selection: str, steps: int) -> dict[int, np.ndarray]:
    """Whether a selection names each weight, bool (total,), by the timesteps of a picture of so many steps.

    Raises:
        ValueError: as `by_hand`.
    """
    if any(place.kept not in (0, 1) for place in parse(selection)):
        raise ValueError(
            f"“{selection:.60}” weakens weights, and a kept mask removes them or not. Leave the share out, or give it "
            "where the mask is applied: --only."
        )
    sites = held.shapes(model.unet)
    by_step = masks_by_step(parse(selection), model.unet, find_sites(model.unet), steps)
    times = [t for t, _ in model.schedule.pairs(steps)]
    return {t: held.flat(masks, sites) < 0.5 for t, masks in zip(times, by_step, strict=True)}


def restricted(model: DiffusionModel, name: str, made: HeldMask, selection: str, steps: int | None = None) -> HeldMask:
    """What a mask removes of the places, and at the steps, that a selection names.

    Args:
        name: the mask's. selection, steps: as of `by_hand`.

    Raises:
        ValueError: it is no selection, means nothing in this model, or the mask is of another one.
    """
    held_mask.check(made, name, model.name, model.weights, held.shapes(model.unet))
    inside = chosen(model, selection, steps or model.steps)
    recipe = {"selection": selection}
    if any(place.steps for place in parse(selection)):
        return algebra.restriction(made, inside, **recipe, steps=len(inside))
    return algebra.restriction(made, next(iter(inside.values())), **recipe)


def _at(made: HeldMask, step: int | None) -> HeldMask:
    """One denoising step's weights for all steps, or the whole."""
    if step is None:
        return made
    in_order = sorted(made.steps, reverse=True)
    if not 1 <= step <= len(in_order):
        raise ValueError(f"There is no step {step}; there are 1 to {len(in_order)}.")
    return algebra.at_step(made, in_order[step - 1])


def free_place(name: str, model: str, model_parts: Mapping[str, Path], trained: Path) -> Path:
    """Where a new mask of that name of a model goes, checked before work is spent on it.

    Args:
        model_parts: the masks that there are of the model. trained: folder of what was trained.

    Raises:
        ValueError: a mask cannot be called so, or something of that name is there.
    """
    path = held_mask.place(trained, model, name)
    if name in model_parts:
        raise ValueError(
            f"There is a mask “{name}” of {model} already. Give the new one another name, or remove it: python -m "
            f"maskunet mask remove {name} --model {model}"
        )
    if path.parent.exists() or (trained / model / f"{name}.safetensors").exists():
        raise ValueError(f"Something else of {model} is called “{name}”. Give the mask another name.")
    return path


def remove(name: str, model: str, model_parts: Mapping[str, Path], trained: Path) -> None:
    """Delete a mask.

    Raises:
        ValueError: there is none of that name, it came with the model, or other files lie with it.
    """
    path = held_mask.place(trained, model, name)
    held_mask.named(model_parts, name, model)
    if not path.is_file():
        raise ValueError(
            f"The mask “{name}” came with {model} and stays. Only masks in “{trained.name}” can be removed."
        )
    if not {each.name for each in path.parent.iterdir()} <= {held_mask.FILE, hub_parts.ORIGIN}:
        raise ValueError(f"The folder of the mask “{name}” holds other files, so it is left as it is.")
    with whole.telling("mask"):
        whole.remove(path.parent)
