"""python -m maskunet bench: what a part of the work costs, on this machine."""

import argparse
import json
import logging
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

NAMES = (
    "batches",
    "loop",
    "masks",
    "memory",
    "operations",
    "statistics",
)  # a test compares them with the room's


def add(commands: Any) -> None:
    """Add the command to an argparse object of subcommands."""
    parser = commands.add_parser("bench", help="what a part costs, as ratios from one run")
    parser.add_argument(
        "part", nargs="?", default="loop", choices=NAMES,
        help="loop, if left out: the training-free loop beside the published one's shape; masks: trained and random ones "
        "beside none; memory and operations: of the loop at Stable Diffusion's size, counted; statistics: counting the masks "
        "during a run",
    )  # fmt: skip
    parser.add_argument(
        "--size", choices=("tabletop", "sd15"),
        help="of the model, by default the smallest; sd15 takes random weights: 5 GB of memory for statistics "
        "and masks, 16 GB for loop, next to none for memory and operations",
    )  # fmt: skip
    parser.add_argument("--rounds", type=int, default=9, help="how often each is timed, in turn")
    parser.add_argument("--device", help="cuda, mps or cpu; the best one if left out")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the figures as JSON")
    parser.set_defaults(command=run)


def run(args: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Time the part and print its figures; also write them, if asked to."""
    if args.rounds < 1:
        parser.error("--rounds must be at least 1")
    import torch

    from maskunet import bench
    from maskunet.library.library import Library
    from maskunet.machine import versions

    spec = bench.SPECS[args.part]
    size = args.size or spec.sizes[0]
    if size not in spec.sizes:
        parser.error(f"{spec.name} takes the size {' or '.join(spec.sizes)}, not {size}")
    logging.getLogger("maskunet.bench").setLevel(logging.INFO)  # its rounds, which may take minutes
    library = Library("tabletop", device=args.device)
    figures = spec.run(library, size, args.rounds)
    record = {
        "command": f"python -m maskunet bench {args.part} --size {size} --rounds {args.rounds}",
        **figures,
        "device": library.device.type,
        "threads": torch.get_num_threads(),
        "machine": machine(library.device),
        "versions": versions(),
    }
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    sys.stdout.writelines(f"{line}\n" for line in lines(figures))


def machine(device: Any) -> str:
    """The machine in words: the device with its cores or memory, and the processor's name."""
    from maskunet.machine import device_name

    about = Path("/proc/cpuinfo")
    names = about.read_text().splitlines() if about.is_file() else []
    named = (line.partition(":")[2].strip() for line in names if line.startswith("model name"))
    return f"{device_name(device)}; {next(named, platform.processor() or platform.machine())}"


def lines(figures: Mapping[str, Any]) -> Iterator[str]:
    """The figures as text: one line each, and rows as a table below."""
    for name, value in figures.items():
        if isinstance(value, list):
            yield from ("", *_table(value))
        else:
            yield f"{name:32s} {_cell(value)}"


def _table(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    cells = [list(rows[0]), *([_cell(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _cell(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, float) else "-" if value is None else str(value)
