"""What takes much is told first, and somebody must agree: by --yes, or at the terminal."""

import sys

from maskunet.commands.base.options import UsageError


def agree(said: str, verb: str, yes: bool) -> None:
    """Go on if somebody agrees.

    Args:
        said: what it takes. verb: what is done with that, such as "keep". yes: whether --yes was given.

    Raises:
        UsageError: nobody agrees.
    """
    told = f"{said[0].upper()}{said[1:]}."
    if yes:
        sys.stderr.write(f"{told}\n")
    elif not answered(f"{told} {verb.capitalize()} them?"):
        raise UsageError(f"{said}; give --yes to {verb} them")


def answered(question: str) -> bool:
    """Whether somebody is at the terminal and answers yes."""
    return sys.stdin.isatty() and input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
