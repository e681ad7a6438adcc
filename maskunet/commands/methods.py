"""python -m maskunet methods: which methods there are, and what can be set of one."""

import sys
from dataclasses import dataclass

from maskunet.commands import base
from maskunet.commands.base import CommandSpec, option
from maskunet.commands.base.listing import described, listed


@dataclass(frozen=True, kw_only=True)
class Options(base.Options):
    name: str = option("", "of a method, for its settings; all of them if left out", positional=True)
    preset: str = option("", "whose values are shown; the first one's if left out")


def run(options: Options) -> None:
    """Print the methods with their presets, or the settings of one.

    Raises:
        ValueError: no such method or preset; says which there are.
    """
    from maskunet.methods import SPECS, method_of
    from maskunet.methods.base import KINDS

    in_order = sorted(SPECS.values(), key=lambda spec: KINDS.index(spec.kind))
    lines = described(method_of(options.name), options.preset) if options.name else listed(in_order)
    sys.stdout.writelines(f"{line}\n" for line in lines)


SPEC = CommandSpec(
    name="methods",
    title="list the methods with their presets, and the settings of one",
    options=Options,
    run=run,
)
