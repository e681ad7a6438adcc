"""python -m maskunet COMMAND: one command per file; each ends in a SPEC and is found by its presence.

In a notebook: `race.run(race.Options(prompts=10, out=Path("r")))`. Listing them brings nothing heavy, so imports
wait until a command runs.
"""

from maskunet.plugins import discover

SPECS = discover(__name__)
