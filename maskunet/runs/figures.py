"""Every plot of a finished run as files, and the numbers behind each."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskunet.records import Run
from maskunet.records.disk import whole
from maskunet.records.table import csv_text
from maskunet.runs import animation

if TYPE_CHECKING:
    from visualize.base import PlotSpec

FORMATS = ("png", "svg", "pdf")
MAX_KEPT = 20  # zips
DPI = 300  # of the PNGs: sharp at the printed size


def write(run: Run, out: Path, *, other: Run | None = None, site: str | None = None) -> Iterator[str]:
    """Write NAME.png, .svg and .pdf, NAME-dark.png and .svg and NAME.csv of every plot of a run, and its animation.

    Args:
        other: a second run for the plots that show two. site: for those that show one.

    Yields:
        One line per plot: its title and file, or why it cannot be drawn.

    Raises:
        ValueError: no such site in this run.
    """
    from maskunet import rewards

    if site is not None and run.stats is not None:
        run.stats.at(site)  # a name that is no site is told before anything is drawn
    out.mkdir(parents=True, exist_ok=True)
    given = {
        "other": other,
        "site": site,
        "titles": {spec.name: spec.title for spec in rewards.SPECS.values()},
    }
    for spec in plots():
        try:
            _write_one(run, spec, out, {name: value for name, value in given.items() if value is not None})
        except ValueError as error:
            yield f"{spec.title}: not drawn. {error}"
        else:
            yield f"{spec.title}: {spec.name}.png, .svg, .pdf, .csv"
    yield from animation.write(run, out)


def plots() -> list["PlotSpec"]:
    """Those that are drawn of a run."""
    from visualize import SPECS

    return [spec for spec in SPECS.values() if spec.of_run]


def zip_of(run_id: str, folder: Path) -> Path:
    """Where `archive` puts the figures of a run."""
    return folder / f"maskunet-{run_id}-figures.zip"


def archive(run: Run, folder: Path, drawn: Callable[[Run, Path], Iterator[str]] = write) -> Iterator[str]:
    """All of `write` in one zip, see `zip_of`, made once per run; the newest 20 under `folder` are kept.

    Args:
        drawn: a generator that writes the files and yields the lines, as `write` does; an empty one says nothing.

    Yields:
        What `drawn` does. Closed before the last of it, it leaves nothing behind.

    Raises:
        ValueError: the disk is full, or may only be read.
    """
    target = zip_of(run.id, folder)
    with whole.telling("figures"):
        if not target.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            with whole.part(folder.parent) as place, whole.file(target, place) as packed:
                said = []
                with closing(drawn(run, place / "figures")) as lines:  # what draws ends before its folder goes
                    for line in lines:
                        yield line
                        said += [line] if line else []
                (place / "figures" / "figures.txt").write_text("\n".join(said) + "\n", encoding="utf-8")
                shutil.make_archive(str(packed.with_suffix("")), "zip", place / "figures")
        others = (path for path in folder.glob("*.zip") if path != target)  # whatever the clock says of it
        for old in sorted(others, key=lambda p: p.stat().st_mtime)[: 1 - MAX_KEPT]:
            old.unlink(missing_ok=True)


def _write_one(run: Run, spec: Any, out: Path, given: dict[str, Any]) -> None:
    from visualize.base import darkened, save

    options = {name: value for name, value in given.items() if name in _arguments(spec.draw)}
    figure = spec.draw(run, **options)
    save(figure, out / spec.name, FORMATS, DPI)
    save(darkened(figure), out / f"{spec.name}-dark", FORMATS[:2], DPI)
    rows = spec.table(run, **{n: v for n, v in options.items() if n in _arguments(spec.table)})
    whole.write(out / f"{spec.name}.csv", csv_text(rows))


def _arguments(function: Any) -> set[str]:
    import inspect

    return set(inspect.signature(function).parameters)
