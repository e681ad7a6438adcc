"""python -m maskunet figures: every plot of a finished run as files, and the numbers behind each."""

import sys
from dataclasses import dataclass
from pathlib import Path

from maskunet.commands import base
from maskunet.commands.base import CommandSpec, option


@dataclass(frozen=True, kw_only=True)
class Options(base.Options):
    run: Path = option(help="the folder of a run", positional=True)
    against: Path | None = option(None, "a second run, where a plot shows two", metavar="RUN")
    site: str | None = option(None, "one site's name, where a plot can show a single one; all by default")
    out: Path = option(writes="folder", help="folder for the figures", metavar="DIR")


def run(options: Options) -> None:
    """Draw the plots and tell each file.

    Raises:
        ValueError: a folder holds no whole run, or the run has no such site.
    """
    from maskunet.runs import figures, run_folder

    other = run_folder.read(options.against) if options.against else None
    for line in figures.write(run_folder.read(options.run), options.out, other=other, site=options.site):
        sys.stdout.write(f"{line}\n")


SPEC = CommandSpec(name="figures", title="draw every plot of a finished run", options=Options, run=run)
