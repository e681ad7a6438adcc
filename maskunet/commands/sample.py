"""python -m maskunet sample: a picture of every prompt of a file, in as many processes as there are GPUs."""

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

SHOWN = 3  # failures told at once; the folder holds all


def add(commands: Any, add_choices: Callable, request_of: Callable) -> None:
    """Add the command to an argparse object of subcommands.

    Args:
        add_choices: adds the options of a model and a method; request_of: makes a Request of them.
    """
    parser = commands.add_parser("sample", help="a picture per prompt of a file; run it again to go on")
    parser.add_argument(
        "--prompts", type=Path, required=True, metavar="FILE",
        help="COCO's captions_val2014.json, GenEval's evaluation_metadata.jsonl, or a .txt with one per line",
    )  # fmt: skip
    parser.add_argument(
        "--first", "--n", type=int, dest="n",
        help="only the first so many prompts; torchrun and accelerate launch take --n for one of theirs",
    )  # fmt: skip
    parser.add_argument("--images-per-prompt", type=int, default=1)
    add_choices(parser)
    parser.add_argument("--negative-prompt", default="", help="what to steer away from")
    parser.add_argument("--seed", type=int, default=0, help="each picture's own seed follows from it")
    parser.add_argument("--out", type=Path, required=True, help="folder for the pictures")
    parser.set_defaults(command=lambda args, parser: run(args, parser, request_of))


def run(args: argparse.Namespace, parser: argparse.ArgumentParser, request_of: Callable) -> int:
    """Make this process's share of what is missing; returns 2 if no picture could be made.

    Raises:
        ValueError: the prompts, a choice or the folder cannot be used; says what to do.
    """
    from maskunet import machine
    from maskunet.methods import method_of
    from maskunet.prompts import files

    for option, number in (("--first", args.n), ("--images-per-prompt", args.images_per_prompt)):
        if number is not None and number < 1:
            parser.error(f"{option} must be at least 1")
    prompts = files.read(args.prompts)[: args.n]
    request = request_of(args, "-", negative_prompt=args.negative_prompt)
    method_of(request.method).settings(request.preset, request.settings)
    rank, world = machine.place()
    # Mistakes so far were told at once; from here on it takes seconds.
    from maskunet.experiments.picture_folder import sample
    from maskunet.library.library import Library
    from maskunet.machine import interruptible

    library = Library(args.model, args.weights, machine.device_of(args.device))
    loaded = library.load(library.default)
    with interruptible() as should_stop:
        events = sample(
            loaded.model, loaded.rewards, request, prompts, args.out, seed=args.seed,
            images_per_prompt=args.images_per_prompt, rank=rank, world=world, should_stop=should_stop,
        )  # fmt: skip
        last = _follow(events, shown=rank == 0)
        stopped = should_stop()
    sys.stderr.writelines(f"{line}\n" for line in _the_end(last, stopped, rank))
    return 2 if last.total and len(last.failed) == last.total else 0


def _follow(events: Iterator[Any], shown: bool) -> Any:
    """The last progress, with a bar on the way that tells the time left of what was missing."""
    from contextlib import closing

    from tqdm import tqdm

    with closing(events):
        event = before = next(events)
        with tqdm(
            total=event.total, initial=event.found, unit="image", disable=not shown, file=sys.stderr
        ) as bar:
            for event in events:
                bar.update(event.done - before.done)
                if len(before.failed) < len(event.failed) <= SHOWN:
                    bar.write(f"{event.file} failed: {event.failed[event.file]}", file=sys.stderr)
                before = event
    return event


def _the_end(last: Any, stopped: str, rank: int) -> list[str]:
    """What to know of a share that is over."""
    lines = [stopped] if stopped else []
    made = last.done - len(last.failed)
    lines.append(
        f"Process {rank}: {made:,} of {last.total:,} pictures are there ({last.found:,} were before)."
    )
    if last.failed:
        lines.append(f"{len(last.failed):,} failed; failed/ in the folder says why.")
    if last.cut:
        lines.append(
            f"Prompts that are longer than the text encoder reads, so that their ends were cut off: {last.cut:,}."
        )
    if last.complete:
        lines.append("The folder is complete: metadata.jsonl lists the pictures with their captions.")
    elif not stopped and last.done == last.total:
        lines.append("Pictures of other processes are still missing.")
    return lines
