"""What comes with the project besides its code: precomputed runs, feature sets, results."""

from pathlib import Path

PACKAGE = Path(__file__).parents[2]
INSTALLED = PACKAGE / "shipped"  # in a wheel, see pyproject.toml
PLACE = INSTALLED if INSTALLED.is_dir() else PACKAGE.parent  # else the repository


def shipped(name: str) -> Path:
    """The folder of that name in the repository, such as "examples/gallery", wherever it lies in this installation."""
    return PLACE / name
