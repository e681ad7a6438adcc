"""python -m maskunet figures: every plot of a finished run as files, and the numbers behind each."""

import argparse
import sys
from pathlib import Path
from typing import Any

from maskunet.runs.figures import write


def add(commands: Any) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser("figures", help="draw every plot of a finished run")
    parser.add_argument("run", type=Path, help="the folder of a run")
    parser.add_argument("--against", type=Path, metavar="RUN", help="a second run, where a plot shows two")
    parser.add_argument("--site", help="one site's name, where a plot can show a single one; all by default")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the figures")
    parser.set_defaults(command=_figures)


def _figures(args: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    from maskunet.runs import run_folder

    other = run_folder.read(args.against) if args.against else None
    for line in write(run_folder.read(args.run), args.out, other=other, site=args.site):
        sys.stdout.write(f"{line}\n")
