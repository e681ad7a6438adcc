"""python -m maskunet figure: make a figure of the paper anew, as a table is."""

from dataclasses import dataclass
from typing import ClassVar

from maskunet.commands import table
from maskunet.commands.base import CommandSpec, option

NUMBERS = ("9b",)


@dataclass(frozen=True, kw_only=True)
class Options(table.Options):
    kind: ClassVar[str] = "figure"

    number: str = option(choices=NUMBERS, positional=True)


SPEC = CommandSpec(
    name="figure", title=f"make the paper's figure {', '.join(NUMBERS)} anew", options=Options, run=table.run
)
