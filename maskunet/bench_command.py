"""python -m maskunet bench: what a part of the work costs, on this machine."""

import argparse
import json
import platform
import sys
from pathlib import Path
from typing import Any


def add(commands: Any) -> None:
    """Add the command to an argparse object of subcommands."""
    parser = commands.add_parser("bench", help="what a part costs, as ratios from one run")
    parser.add_argument(
        "part", choices=("statistics", "masks"),
        help="statistics: counting the masks during a run; masks: trained and random ones beside none",
    )  # fmt: skip
    parser.add_argument(
        "--size", choices=("tabletop", "sd15"), default="tabletop",
        help="sd15 takes random weights of that size, 5 GB of memory",
    )  # fmt: skip
    parser.add_argument("--rounds", type=int, default=9, help="how often each is timed, in turn")
    parser.add_argument("--device", help="cuda, mps or cpu; the best one if left out")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the figures as JSON")
    parser.set_defaults(command=run)


def run(args: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Time the part and print its figures; also write them, if asked to."""
    if args.rounds < 1:
        parser.error("--rounds must be at least 1")
    if (args.part, args.size) == ("masks", "sd15"):
        parser.error("masks are timed on tabletop only: there is no trained generator of the other size")
    import torch

    from maskunet import bench
    from maskunet.library import Library
    from maskunet.recorder import versions

    library = Library("tabletop", device=args.device)
    if args.part == "masks":
        loaded = library.load("tabletop")
        figures = bench.mask_overhead(loaded.model, loaded.rewards, args.rounds)
    elif args.size == "sd15":
        figures = bench.statistics_overhead(bench.sd15_unet().to(library.device), args.rounds)
    else:
        figures = bench.statistics_overhead(library.load("tabletop").model.unet, args.rounds)
    record = {
        "command": f"python -m maskunet bench {args.part} --size {args.size} --rounds {args.rounds}",
        **figures,
        "device": library.device.type,
        "threads": torch.get_num_threads(),
        "processor": platform.machine(),
        "versions": versions(),
    }
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(record, indent=1) + "\n")
    sys.stdout.write("".join(f"{name:20s} {value:.5g}\n" for name, value in figures.items()))
