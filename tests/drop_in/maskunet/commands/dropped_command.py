"""A command in one file."""

import sys
from dataclasses import dataclass

from maskunet.commands import base
from maskunet.commands.base import CommandSpec, option


@dataclass(frozen=True, kw_only=True)
class Options(base.Options):
    word: str = option("", "what it says")


def run(options: Options) -> None:
    sys.stdout.write(f"The dropped command says {options.word}.\n")


SPEC = CommandSpec(name="dropped_command", title="a command in one file", options=Options, run=run)
