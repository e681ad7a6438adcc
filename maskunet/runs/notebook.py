"""What a notebook does with a run: draw it, read it from its folder, save it; without torch."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskunet.plugins import named
from maskunet.records import Run
from maskunet.runs import run_folder

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot(name: str, *data: Any, **options: Any) -> "Figure":
    """Draw a plot.

    Args:
        name: in `visualize.SPECS`, such as "reward_curve".
        data: what it shows; a Run for most. options: of this plot, such as `site`.

    Raises:
        ValueError: there is no such plot; says which there are. Or the data hold nothing to draw.
    """
    from visualize import SPECS

    return named(SPECS, name, "plot").draw(*data, **options)


def read(folder: str | Path) -> Run:
    """Read a run's folder back, with its masks if it kept them.

    Raises:
        ValueError: the folder holds no complete run.
    """
    return replace(run_folder.read(Path(folder)), masks=run_folder.masks(Path(folder)))


def save(run: Run, folder: str | Path) -> Path:
    """Write a run as a folder, all or nothing; an earlier run there is replaced.

    Raises:
        ValueError: the disk is full, the place cannot be written, or the folder holds other files.
    """
    return run_folder.write(run, Path(folder))
