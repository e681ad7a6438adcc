"""python -m maskunet COMMAND: one parser for all commands; imports wait for the command."""

import argparse
import logging
import sys
from pathlib import Path
from typing import NoReturn

from maskunet import __version__
from maskunet.commands import (
    bench,
    benchmark,
    doctor,
    features,
    figures,
    race,
    sample,
    score,
    study,
    table,
    train,
)
from maskunet.commands.base import add_choices, request_of, setting
from maskunet.commands.download import run as run_download
from maskunet.commands.evaluate import run as run_evaluate
from maskunet.commands.generate import run as run_generate
from maskunet.machine import prepare


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One sentence instead of the whole usage, and not all of a value that fills the screen."""
        self.exit(2, f"{self.prog}: {message:.400} (--help shows what is allowed)\n")


def main(argv: list[str] | None = None) -> int:
    """Run a command; returns the exit code: 0, 1 for what doctor found, or 2 for what the user can set right."""
    argv = sys.argv[1:] if argv is None else argv
    prepare()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    if argv[:1] == ["tabletop"]:
        from maskunet.commands import tabletop as commands

        return commands.main(argv[1:]) or 0
    parser = _parser()
    args = parser.parse_args(argv)
    try:
        return args.command(args, parser) or 0
    except KeyboardInterrupt:
        sys.stderr.write("Stopped.\n")
        return 130
    except Exception as error:
        from maskunet.failures import foreseen

        if not (message := foreseen(error)):
            raise
        sys.stderr.write(f"{message}\n")
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="maskunet", description="Masked diffusion U-Nets (MaskUNet).")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    generate = commands.add_parser("generate", help="make a picture, and the plain one beside it")
    source = generate.add_mutually_exclusive_group(required=True)
    source.add_argument("--prompt", help="what the picture should show")
    source.add_argument("--replay", type=Path, metavar="FILE", help="a run.json or a run's PNG")
    add_choices(generate)
    generate.add_argument("--negative-prompt", default="", help="what to steer away from")
    generate.add_argument("--seed", type=int, default=0)
    generate.add_argument("--keep-masks", action="store_true", help="save masks.safetensors too")
    generate.add_argument("--no-base", action="store_true", help="do not make the plain picture")
    generate.add_argument("--out", type=Path, required=True, help="folder for the run")
    generate.set_defaults(command=run_generate)

    evaluate = commands.add_parser("evaluate", help="run the tabletop tasks with the checker")
    add_choices(evaluate)
    evaluate.add_argument("--tasks", default="all", help="task names with commas, or all")
    evaluate.add_argument("--n", type=int, default=100, help="images per task")
    evaluate.add_argument("--seed", type=int, default=1)
    evaluate.add_argument(
        "--against", type=Path, action="append", default=[], metavar="DIR",
        help="an earlier evaluation to compare with, image by image",
    )  # fmt: skip
    evaluate.add_argument("--split", choices=("test", "train"), default="test")
    evaluate.add_argument("--out", type=Path, required=True, help="folder for the tables")
    evaluate.set_defaults(command=run_evaluate)

    bench.add(commands)
    benchmark.add(commands)
    doctor.add(commands)
    features.add(commands)
    figures.add(commands)
    race.add(commands)
    sample.add(commands, add_choices, request_of)
    score.add(commands)
    study.add(commands)
    table.add(commands, setting)
    train.add(commands, setting)
    download = commands.add_parser("download", help="get weights that are not embedded")
    download.add_argument("name", help="a base model, rewards, tiny_decoder, or a benchmark")
    download.add_argument("--yes", action="store_true", help="agree to the download's size")
    download.set_defaults(command=run_download)

    commands.add_parser("tabletop", help="make and train the embedded world (tabletop --help)")
    return parser
