"""python -m maskunet doctor: what this machine has, what will work here, and how fast."""

import argparse
import sys
from pathlib import Path
from typing import Any


def add(commands: Any) -> None:
    """Add the command to an argparse object of subcommands."""
    parser = commands.add_parser("doctor", help="say what will work on this machine, and how fast")
    parser.add_argument("--model", default="auto", help="base model; auto takes the best one here")
    parser.add_argument("--weights", type=Path, metavar="DIR", help="a Stable Diffusion folder")
    parser.add_argument("--device", help="cuda, mps or cpu; the best one if left out")
    parser.add_argument("--port", type=int, default=7860, help="that the page would use")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where run folders would go")
    parser.set_defaults(command=run)


def run(args: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Print what was found as it is found; 0 if the lab can be started as it is, else 1."""
    from maskunet.library.library import Library
    from maskunet.studio import doctor

    lacking = 0
    library = Library(args.model, args.weights, args.device)
    for finding in doctor.examine(library, args.port, args.runs):
        lacking += not finding.good
        mark = " " if finding.good else "!"
        sys.stdout.write(f"{mark} {finding.name:9s} {finding.said}\n")
        sys.stdout.flush()
    if lacking:
        sys.stdout.write(f"\n{lacking} of these must be set right first, marked with “!”.\n")
        return 1
    sys.stdout.write("\nThe lab can be started: python app.py\n")
    return 0
