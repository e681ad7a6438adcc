"""python -m maskunet grid: pictures over up to three axes, each made once, as a sheet with labels and as a table."""

import shutil
import sys
from argparse import ArgumentTypeError
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskunet.commands.base import (
    BatchOptions,
    CommandSpec,
    MethodOptions,
    UsageError,
    agree,
    bar,
    command_line,
    make_folder,
    option,
    resumable,
    seed_option,
)
from maskunet.commands.base.usual import METHODS

if TYPE_CHECKING:
    from maskunet.library.library import Library
    from maskunet.runs.entrant import Entrant
    from maskunet.runs.grid.made import MadeGrid

ASK = 500  # cells above which time and disk are told first, and somebody must agree
ABOUT = """An axis is NAME=VALUES.

NAME     prompt, negative_prompt, seed, model, method, preset, steps, guidance or a setting of the method
VALUES   1,2,5 or 1..8 or 2.5:10:2.5 (from, to, step), or @FILE with one on each line; prompts have | between them;
         methods are written method/preset:part@guidance

Give the same folder again to go on, or for another grid: cells that are there are not made twice.
"""


def axis(text: str) -> str:
    """NAME=VALUES, as it was given."""
    if "=" not in text:
        raise ArgumentTypeError(f"“{text:.60}” is not NAME=VALUES, such as seed=1..8")
    return text


@dataclass(frozen=True, kw_only=True)
class Options(BatchOptions):
    x: str = option(help="from left to right, such as seed=1..8", metavar="NAME=VALUES", read=axis, trained=True)
    y: str | None = option(None, "from top to bottom", metavar="NAME=VALUES", read=axis, trained=True)
    z: str | None = option(None, "a panel each", metavar="NAME=VALUES", read=axis, trained=True)
    prompt: str | None = option(None, "of all cells, where no axis has it")
    negative_prompt: str = option("", "what to steer away from")
    # Without a default, so that one that is given beside an axis is told from none.
    method: str | None = option(None, f"{METHODS}; {MethodOptions.method} if left out")
    seed: int | None = seed_option(None, f"{MethodOptions.seed} if left out")
    batch: int = option(0, "pictures that share U-Net calls, where the method can; 0 for as many as fit", low=0)
    yes: bool = option(False, f"agree to the time and the disk that more than {ASK} cells take")
    out: Path = option(writes="folder", help="folder for cells/, the sheet and the tables")


def run(options: Options) -> int:
    """Make what is missing, then write the sheet and the tables of what is there; returns 2 if no cell could be made.

    Raises:
        ValueError: an axis or a value that is not allowed, or a model or rewards that are not here; says what to do.
    """
    from maskunet.methods import SPECS
    from maskunet.records.grid import GridRequest
    from maskunet.runs.grid.axes import grid

    axes = tuple((each.partition("=")[0], each.partition("=")[2]) for each in (options.x, options.y, options.z) if each)
    varied = {name.strip() for name, _ in axes}
    if options.prompt is None and "prompt" not in varied:
        raise UsageError("give --prompt, or prompts on one axis")
    _check_once(options, varied)
    usual = {name: getattr(MethodOptions, name) for name in ("method", "seed") if getattr(options, name) is None}
    options = replace(options, **usual)
    request = options.request(
        "-" if options.prompt is None else options.prompt, negative_prompt=options.negative_prompt
    )
    asked = GridRequest(request=request, axes=axes)
    for axis_ in grid(asked, may_read=True).axes:
        if axis_.name == "method":
            _check_entrants(options, axis_.values)
    # Mistakes so far were told at once; from here on it takes seconds.
    from maskunet.library.library import Library
    from maskunet.runs.grid.cells import CellFolder
    from maskunet.runs.grid.made import MadeGrid

    library = Library(options.model, options.weights, options.device, **options.added)
    asked = replace(asked, request=replace(request, model=library.default))
    planned = grid(asked, may_read=True)
    for model, method in {(cell.model, cell.method) for cell in planned.cells}:
        library.find(model, SPECS[method].needs_rewards)
    make_folder(options.out)
    made = MadeGrid(planned, CellFolder(options.out / "cells"), lambda name: library.spec(name).judge)
    _go(options, library, made)
    command = command_line("grid", options, without=usual.keys() & varied, model=library.default)
    lacking = made.write(options.out, asked, command=command)
    sys.stdout.writelines(f"{line}\n" for line in _the_end(options, made, lacking))
    return 2 if made.lines and made.failed == len(made.lines) else 0


def _check_once(options: Options, varied: Collection[str]) -> None:
    """Refuse an option that says what an axis varies: it would count for no cell.

    `--model` may stand beside an axis of models, as it also says whose `--weights` and `--lora` are.
    """
    from maskunet.records.grid import FIELDS

    given = [name for name in FIELDS if name != "model" and getattr(options, name) not in (None, "")]
    flags = {name: f"--{name.replace('_', '-')}" for name in given} | {name: f"--set {name}" for name in options.set}
    for flag in (flag for name, flag in flags.items() if name in varied):
        raise UsageError(f"{flag} is given twice, also on an axis; leave one of them out")
    if options.preset and "method" in varied:
        raise UsageError("--preset is of one method, and an axis has methods; write it there, method/preset")


def _check_entrants(options: Options, entrants: "Iterable[Entrant]") -> None:
    """Refuse an option where each method of an axis that could take it says the same thing itself."""
    from maskunet.plugins import cards

    own = [({card.name for card in cards(each.spec.settings())}, each.named(), each) for each in entrants]
    if options.guidance is not None and all(each.guidance is not None for *_, each in own):
        raise UsageError("--guidance is given twice, also with each method of an axis; leave one of them out")
    for name in options.set:
        takers = [name in parts for settings, parts, _ in own if name in settings]
        if takers and all(takers):
            raise UsageError(f"--set {name} is given twice, also with each method of an axis; leave one of them out")


def _go(options: Options, library: "Library", made: "MadeGrid") -> None:
    """Find and make cells until all are there, Ctrl+C is pressed, or nobody agrees to what they take."""
    from maskunet.runs.grid.made import Paces
    from maskunet.runs.grid.make import make

    paces, pixels, told = Paces(), 0, False

    def load(name: str) -> tuple[Any, Any]:
        nonlocal pixels
        loaded = library.load(name)
        paces.steps[name], pixels = loaded.model.steps, max(pixels, loaded.model.pixels)
        return loaded.model, loaded.rewards

    total = len(made.grid.cells)
    with resumable() as should_stop, bar("image", total) as line:
        events = make(made.grid, made.cells, load, batch=options.batch, should_stop=should_stop)
        for numbers, cell in events:
            made.take(numbers, cell)
            line.update(len(numbers))
            if not cell.failed:
                first = made.grid.cells[numbers[0]]
                paces.learn(first.model, first.method, first.steps or paces.steps[first.model], cell.seconds)
            if not told and total > ASK:
                told = True
                _agree(options, made, paces, pixels)


def _agree(options: Options, made: "MadeGrid", paces: Any, pixels: int) -> None:
    """Tell what the rest takes.

    Raises:
        UsageError: nobody agrees, or the disk has no room for it.
    """
    from maskunet.records.grid import cost

    room, free = made.bytes_left(pixels), shutil.disk_usage(options.out).free
    left = len(made.grid.cells) - len(made.lines)
    takes = cost(made.seconds_left(paces), room, least=made.may_take_longer(paces))
    said = f"{left:,} cells are missing, which take {takes} of {free / 1e9:.1f} GB free"
    if room > free:
        raise UsageError(f"{said}; give fewer values, or another --out")
    agree(said, "make", options.yes)


def _the_end(options: Options, made: "MadeGrid", lacking: str) -> list[str]:
    grid = made.grid
    there = len(made.lines) - made.failed
    lines = [*grid.notes, f"{there:,} of {len(grid.cells):,} cells are there."]
    if made.failed:
        reasons = {line["note"] for line in made.lines.values() if line["failed"]}
        lines.append(f"{made.failed:,} could not be made: {' '.join(sorted(reasons)[:3])}")
    lines.append(lacking or f"{options.out.name} has grid.png, grid.csv and grid.json.")
    return lines


SPEC = CommandSpec(
    name="grid",
    title="pictures over up to three axes; run it again to go on",
    options=Options,
    run=run,
    about=ABOUT,
)
