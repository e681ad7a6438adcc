"""What comes with the project besides its code: precomputed runs, feature sets, results."""

from pathlib import Path

PROJECT = Path(__file__).parents[3]


def shipped(name: str) -> Path:
    """The folder of that name, such as "examples/gallery", where this copy of the project has it."""
    return PROJECT / name
