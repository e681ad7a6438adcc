"""python -m maskunet sample: a picture of every prompt of a file, in as many processes as there are GPUs."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from maskunet.commands.base import BatchOptions, CommandSpec, bar, option, seed_option

if TYPE_CHECKING:
    from maskunet.experiments.picture_folder import Progress

SHOWN = 3  # failures told at once; the folder holds all
PROMPTS = "one per line, or .jsonl, .json, .csv or .tsv, as COCO's, GenEval's and PartiPrompts' are"
FIRST = "only the first so many prompts; torchrun and accelerate launch take --n for one of theirs"


@dataclass(frozen=True, kw_only=True)
class Options(BatchOptions):
    prompts: Path = option(help=PROMPTS, metavar="FILE")
    first: int | None = option(None, FIRST, low=1, also="n", metavar="N")
    images_per_prompt: int = option(1, "pictures of each prompt", low=1)
    negative_prompt: str = option("", "what to steer away from")
    seed: int = seed_option(0, "each picture's own seed follows from it")
    batch: int = option(0, "pictures that share U-Net calls, where the method can; 0 for as many as fit", low=0)
    out: Path = option(writes="folder", help="folder for the pictures")


def run(options: Options) -> int:
    """Make this process's share of what is missing; returns 2 if no picture could be made.

    Raises:
        ValueError: the prompts, a choice or the folder cannot be used; says what to do.
    """
    from maskunet import machine
    from maskunet.methods import method_of
    from maskunet.prompts import files

    prompts = files.read(options.prompts)[: options.first]
    if note := files.several(prompts):
        sys.stderr.write(f"{note}\n")
    request = options.request("-", negative_prompt=options.negative_prompt)
    spec = method_of(request.method)
    spec.settings(request.preset, request.settings)
    rank, world = machine.place()
    # Mistakes so far were told at once; from here on it takes seconds.
    from maskunet.experiments.picture_folder import sample
    from maskunet.library.library import Library
    from maskunet.machine import interruptible

    library = Library(options.model, options.weights, machine.device_of(options.device), **options.added)
    if spec.needs_rewards:
        library.find(library.default)
    loaded = library.load(library.default, with_rewards=spec.needs_rewards)
    with interruptible() as should_stop:
        events = sample(
            loaded.model, loaded.rewards, request, prompts, options.out, seed=options.seed,
            images_per_prompt=options.images_per_prompt, batch=options.batch,
            rank=rank, world=world, should_stop=should_stop,
        )  # fmt: skip
        last = _follow(events, shown=rank == 0)
        stopped = should_stop()
    sys.stderr.writelines(f"{line}\n" for line in _the_end(last, stopped, rank))
    return 2 if last.total and len(last.failed) == last.total else 0


def _follow(events: "Iterator[Progress]", shown: bool) -> "Progress":
    """The last progress, with a bar on the way that tells the time left of what was missing."""
    from contextlib import closing

    with closing(events):
        event = before = next(events)
        with bar("image", event.total, shown=shown, initial=event.found) as line:
            for event in events:
                line.update(event.done - before.done)
                if len(before.failed) < len(event.failed) <= SHOWN:
                    line.write(f"{event.file} failed: {event.failed[event.file]}", file=sys.stderr)
                before = event
    return event


def _the_end(last: "Progress", stopped: str, rank: int) -> list[str]:
    """What to know of a share that is over."""
    lines = [stopped] if stopped else []
    made = last.done - len(last.failed)
    lines.append(f"Process {rank}: {made:,} of {last.total:,} pictures are there ({last.found:,} were before).")
    if last.failed:
        lines.append(f"{len(last.failed):,} failed; failed/ in the folder says why.")
    if last.cut:
        lines.append(
            f"Prompts that are longer than the text encoder reads, so that their ends were cut off: {last.cut:,}."
        )
    lines += last.notes
    if last.complete:
        lines.append("The folder is complete: metadata.jsonl lists the pictures with their captions.")
    elif not stopped and last.done == last.total:
        lines.append("Pictures of other processes are still missing.")
    return lines


SPEC = CommandSpec(
    name="sample", title="a picture per prompt of a file; run it again to go on", options=Options, run=run
)
