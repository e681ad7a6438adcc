"""python -m maskunet COMMAND: one parser for all commands, and every mistake in one sentence."""

import argparse
import logging
import os
import sys
from pathlib import Path
from typing import NoReturn

from maskunet import __version__
from maskunet.commands import SPECS
from maskunet.commands.base import UsageError
from maskunet.commands.base.options import add_options, from_words, with_parts
from maskunet.machine import prepare


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One sentence instead of the whole usage, and not all of a value that fills the screen."""
        self.exit(2, f"{self.prog}: {message:.400} (--help shows what is allowed)\n")


def main(argv: list[str] | None = None) -> int:
    """Run a command; returns the exit code: 0, 1 for what doctor found, 2 for what the user can set right, or a signal's."""
    prepare()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    parser = _parser()
    parsed = vars(parser.parse_args(argv))
    spec = SPECS[parsed.pop("COMMAND")]
    try:
        code = spec.run(with_parts(from_words(spec.options, parsed))) or 0
        sys.stdout.flush()
        return code
    except UsageError as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        sys.stderr.write("Stopped.\n")
        return 130
    except BrokenPipeError:  # whoever reads has read enough, such as `head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it ends
        return 141
    except Exception as error:
        from maskunet.failures import foreseen

        if not (message := foreseen(error) or _of_a_file(error)):
            raise
        sys.stderr.write(f"{message}\n")
        return 2


def _of_a_file(error: Exception) -> str:
    """What the file system refused, with the file's name and not its place; empty for other errors."""
    if not isinstance(error, OSError) or not isinstance(error.filename, str):
        return ""
    return f"“{Path(error.filename).name:.80}” cannot be read or written: {error.strerror}. Give another one."


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="maskunet", description="Masked diffusion U-Nets (MaskUNet).")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="COMMAND")
    for spec in SPECS.values():
        own = commands.add_parser(spec.name, help=spec.title, description=spec.about)
        own.formatter_class = argparse.RawDescriptionHelpFormatter  # which leaves an action to its line
        add_options(own, spec.options)
    return parser
