"""python -m maskunet recipes: what can be trained, and what can be set of a training."""

import sys
from dataclasses import dataclass

from maskunet.commands import base
from maskunet.commands.base import CommandSpec, UsageError, option
from maskunet.commands.base.listing import described, listed


@dataclass(frozen=True, kw_only=True)
class Options(base.Options):
    name: str = option("", "of a recipe, for its settings; all of them if left out", positional=True)
    preset: str = option("", "whose values are shown; the first one's if left out")


def run(options: Options) -> None:
    """Print the recipes with their presets, or the settings of one.

    Raises:
        ValueError: no such recipe or preset; says which there are.
    """
    from maskunet.training.recipes import SPECS

    if options.name and options.name not in SPECS:
        raise UsageError(f"there is no recipe “{options.name}”; there are {', '.join(SPECS)}")
    lines = described(SPECS[options.name], options.preset) if options.name else listed(SPECS.values())
    sys.stdout.writelines(f"{line}\n" for line in lines)


SPEC = CommandSpec(
    name="recipes",
    title="list what can be trained, with its presets, and the settings of one",
    options=Options,
    run=run,
)
