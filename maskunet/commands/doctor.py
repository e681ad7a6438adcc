"""python -m maskunet doctor: what this machine has, what will work here, and how fast."""

import sys
from dataclasses import dataclass
from pathlib import Path

from maskunet.commands.base import CommandSpec, ModelOptions, UsageError, option


@dataclass(frozen=True, kw_only=True)
class Options(ModelOptions):
    host: str | None = option(None, "where the page would listen, as that of the page")
    port: int | None = option(None, "that the page would use, as that of the page", low=1, high=65535)
    runs: Path = option(Path("runs"), "where run folders would go")


def run(options: Options) -> int:
    """Print what was found as it is found; 0 if the lab can be started as it is, else 1.

    Raises:
        ValueError: no such model or device.
    """
    from maskunet import machine
    from maskunet.library.library import Library
    from maskunet.studio import doctor

    host, port = machine.address()
    try:
        host, port = options.host or host, options.port or machine.port_of(port)
    except ValueError as error:
        raise UsageError(str(error)) from None
    lacking = 0
    library = Library(options.model, options.weights, options.device, **options.added)
    for finding in doctor.examine(library, port, options.runs, host):
        lacking += not finding.good
        mark = " " if finding.good else "!"
        sys.stdout.write(f"{mark} {finding.name:9s} {finding.said}\n")
        sys.stdout.flush()
    if lacking:
        sys.stdout.write(f"\n{lacking} of these must be set right first, marked with “!”.\n")
        return 1
    sys.stdout.write("\nThe lab can be started: maskunet-lab if pip installed it, else python app.py\n")
    return 0


SPEC = CommandSpec(name="doctor", title="say what will work on this machine, and how fast", options=Options, run=run)
