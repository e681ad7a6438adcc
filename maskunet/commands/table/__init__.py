"""python -m maskunet table 1 to 4, dreambooth, inversion, reversion or video, figure 9b: make a table of the paper anew."""

from dataclasses import replace

from maskunet.commands.base import CommandSpec, UsageError
from maskunet.commands.table import binding, dreambooth, inversion, reversion, trained, video
from maskunet.commands.table.options import (
    BINDING,
    DREAMBOOTH,
    INVERSION,
    LEAST,
    NUMBERS,
    PICTURES,
    REVERSION,
    VIDEO,
    Options,
)

__all__ = ["SPEC", "Options", "run"]

RUNS = {
    **dict.fromkeys(BINDING, binding.run), DREAMBOOTH: dreambooth.run, INVERSION: inversion.run,
    REVERSION: reversion.run, VIDEO: video.run,
}  # fmt: skip


def run(options: Options) -> None:
    """Make the table, or go on with it; Ctrl+C keeps what is done.

    Raises:
        ValueError: data are missing, or the folder was begun otherwise; says what to do.
    """
    least = LEAST.get(options.number, 1)
    if options.pictures is not None and options.pictures < least:
        raise UsageError(f"--pictures must be at least {least}")
    made = RUNS.get(options.number, trained.run)
    made(replace(options, pictures=options.pictures or PICTURES[options.number]))


SPEC = CommandSpec(
    name="table",
    title=f"make one of the tables {', '.join(NUMBERS)}; numbers are the paper's",
    options=Options,
    run=run,
)
