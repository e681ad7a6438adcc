"""python -m maskunet mask ACTION NAME: masks that are kept, combined and put on.

make NAME      from one of --run, --generator with --prompt, --random, --select
combine NAME   from the masks --of, by --operation
show NAME      what it removes, and how it was made
apply NAME     a picture under it, and the plain one: generate with the method held_mask
list           the masks of the model
remove NAME    one of your own

A mask is one for all steps, or each step's own. It is kept in trained/MODEL/NAME.
"""

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskunet.commands import generate
from maskunet.commands.base import CommandSpec, SamplingOptions, UsageError, option, seed_option

if TYPE_CHECKING:
    from maskunet.library.library import Library
    from maskunet.records.held_mask import HeldMask

SOURCES = ("run", "generator", "random", "select")
OPERATIONS = ("union", "intersection", "difference", "complement", "dose", "restriction", "step", "shift", "carry")
SEVERAL = ("union", "intersection", "difference")
MAKE, COMBINE = {"action": ("make",)}, {"action": ("combine",)}
KINDS = ("iid", "window", "magnitude")  # of `random_mask`, which would bring torch; a test compares them


def _make(options: "Options") -> None:
    """Make a mask from one source, and keep it."""
    from maskunet.runs import mask_sources

    given = [name for name in SOURCES if getattr(options, name) is not None]
    if len(given) != 1:
        raise UsageError(f"make takes exactly one of {', '.join(f'--{name}' for name in SOURCES)}")
    library = _library(options)
    path = _place(library, options)
    model = library.load(library.default, with_rewards=False).model
    _keep(mask_sources.of_words(model, **options.source()), path)


def _combine(options: "Options") -> None:
    """Make a mask from others, and keep it."""
    if not options.operation or not options.of:
        raise UsageError("combine takes --operation and, once for each mask, --of")
    if options.operation not in SEVERAL and len(options.of) > 1:
        raise UsageError(f"--operation {options.operation} takes one mask, not {len(options.of)}")
    library = _library(options)
    path = _place(library, options)
    masks = [_read(library, name, options.from_model or library.default) for name in options.of]
    _keep(COMBINED[options.operation](masks, options, library), path)


def _restricted(masks: "list[HeldMask]", options: "Options", library: "Library") -> "HeldMask":
    from maskunet.runs import mask_sources

    model = library.load(library.default, with_rewards=False).model
    return mask_sources.restricted(model, options.of[0], masks[0], options.only, options.steps)


def _carried(masks: "list[HeldMask]", options: "Options", library: "Library") -> "HeldMask":
    from maskunet.masks import algebra, held

    model = library.load(library.default, with_rewards=False).model
    return algebra.carried(masks[0], model.name, model.weights, held.shapes(model.unet))


def _operation(name: str, *of: str) -> "Callable[[list[HeldMask], Options, Library], HeldMask]":
    """An operation of `masks.algebra` on all masks, with these options."""

    def combined(masks: "list[HeldMask]", options: "Options", library: "Library") -> "HeldMask":
        from maskunet.masks import algebra

        return getattr(algebra, name)(*masks, *(getattr(options, each) for each in of))

    return combined


COMBINED: "Mapping[str, Callable[[list[HeldMask], Options, Library], HeldMask]]" = {
    "union": _operation("union"),
    "intersection": _operation("intersection"),
    "difference": _operation("difference"),
    "complement": _operation("complement"),
    "dose": _operation("dose", "dose"),
    "restriction": _restricted,
    "step": _operation("at_step", "timestep"),
    "shift": _operation("shifted", "by"),
    "carry": _carried,
}


def _show(options: "Options") -> None:
    """Tell what a mask removes, and how it was made."""
    from maskunet.runs import mask_report

    library = _library(options)
    mask = _read(library, options.name, library.default)
    if options.json:
        sys.stdout.write(json.dumps(mask_report.about(options.name, mask), indent=1) + "\n")
    else:
        sys.stdout.write(mask_report.text(options.name, mask))


def _apply(options: "Options") -> None:
    """Make a picture under a mask, and the plain one beside it."""
    if options.prompt is None or options.out is None:
        raise UsageError("apply takes --prompt and --out")
    settings = {"mask": options.name, "dose": options.dose, "only": options.only}
    shared = (
        "model",
        "weights",
        "lora",
        "lora_masks",
        "embedding",
        "device",
        "steps",
        "guidance",
        "prompt",
        "seed",
        "out",
    )
    given = {name: getattr(options, name) for name in shared}
    generate.run(generate.Options(**given, method="held_mask", set=settings))


def _list(options: "Options") -> None:
    """Tell the masks of the model, each in a line."""
    from maskunet.records import held_mask
    from maskunet.runs import mask_report

    library = _library(options)
    there = library.parts(library.default).get("mask", {})
    if options.json:
        masks = [mask_report.about(name, held_mask.load(path)) for name, path in there.items()]
        sys.stdout.write(json.dumps(masks, indent=1) + "\n")
        return
    lines = mask_report.lines(there)
    none = f"There is no kept mask for {library.default} here. python -m maskunet mask --help says how to make one."
    sys.stdout.writelines(f"{line}\n" for line in lines or [none])


def _remove(options: "Options") -> None:
    """Delete a mask of the user's own."""
    from maskunet.runs import mask_sources

    library = _library(options)
    there = library.parts(library.default).get("mask", {})
    mask_sources.remove(options.name, library.default, there, library.trained)
    sys.stdout.write(f"Removed: {options.name}\n")


ACTIONS = {"make": _make, "combine": _combine, "show": _show, "apply": _apply, "list": _list, "remove": _remove}


@dataclass(frozen=True, kw_only=True)
class Options(SamplingOptions):
    action: str = option(choices=tuple(ACTIONS), positional=True)
    name: str = option("", "of the mask", positional=True, trained=True)
    run: str | None = option(None, "a run's folder, or its id; it must have been made with --keep-masks", only_for=MAKE)
    generator: str | None = option(None, "a trained generator, for --prompt and --seed", trained=True, only_for=MAKE)
    random: str | None = option(None, "chosen by chance or by value", choices=KINDS, only_for=MAKE)
    removed: float = option(0.01, "share of weights of --random", low=0.0, high=1.0, only_for=MAKE)
    select: str | None = option(None, "places in the network, such as block2.cross.v", only_for=MAKE)
    step: int | None = option(
        None, "of --run or --generator, for all steps; each step's own if left out", low=1, only_for=MAKE
    )
    prompt: str | None = option(None, "of --generator, or of the picture", only_for={"action": ("make", "apply")})
    seed: int = seed_option(0, "of --generator, --random, or the picture")
    operation: str | None = option(None, "how", choices=OPERATIONS, only_for=COMBINE)
    of: tuple[str, ...] = option((), "a mask; once for each", read=str, repeat=tuple, trained=True, only_for=COMBINE)
    from_model: str | None = option(None, "the base model whose mask it is", only_for={"operation": ("carry",)})
    timestep: int = option(
        0, "whose weights are taken for all steps", low=0, high=999, only_for={"operation": ("step",)}
    )
    by: int = option(0, "timesteps later or, below 0, earlier", low=-999, high=999, only_for={"operation": ("shift",)})
    dose: float = option(
        1.0,
        "share of the mask, the first to go first",
        low=0.0,
        high=1.0,
        only_for={"operation": ("dose",), "action": ("apply",)},
    )
    only: str = option(
        "", "where and when, such as block2.cross@1-5", only_for={"operation": ("restriction",), "action": ("apply",)}
    )
    json: bool = option(False, "as JSON", only_for={"action": ("show", "list")})
    out: Path | None = option(None, "folder for the run", writes="folder", only_for={"action": ("apply",)})

    @property
    def bases(self) -> tuple[tuple[str, Path | None], ...]:
        """A mask that is carried is the other base model's."""
        return ((self.from_model, None),) if self.from_model else super().bases

    def source(self) -> dict[str, Any]:
        """What `make` makes it of."""
        names = (*SOURCES, "removed", "step", "prompt", "seed", "steps", "guidance")
        return {name: getattr(self, name) for name in names}


def run(options: Options) -> None:
    """Do one of the actions.

    Raises:
        ValueError: what is asked for is not there or cannot be done; says what to do.
    """
    if not options.name and options.action != "list":
        raise UsageError(f"{options.action} takes the name of a mask")
    ACTIONS[options.action](options)


def _library(options: Options) -> "Library":
    from maskunet.library.library import Library

    return Library(options.model, options.weights, options.device, **options.added)


def _read(library: "Library", name: str, model: str) -> "HeldMask":
    from maskunet.records import held_mask

    return held_mask.load(held_mask.named(library.parts(model).get("mask", {}), name, model))


def _place(library: "Library", options: Options) -> Path:
    from maskunet.runs import mask_sources

    there = library.parts(library.default).get("mask", {})
    return mask_sources.free_place(options.name, library.default, there, library.trained)


def _keep(mask: "HeldMask", path: Path) -> None:
    from maskunet.records import held_mask
    from maskunet.runs import mask_report

    held_mask.save(mask, path)
    sys.stdout.write(f"{mask_report.line(path.parent.name, mask)}\n")


SPEC = CommandSpec(
    name="mask",
    title="make, combine, show and apply masks that are kept",
    about=__doc__,
    options=Options,
    run=run,
)
