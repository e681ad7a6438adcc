"""Folders that are there whole or not at all, also when the program is killed while it writes or deletes them."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PART = ".part-"  # what is being written or deleted
EARLIER = ".earlier-"  # what stood in a folder's place while a new one takes it


@contextmanager
def part(place: Path) -> Iterator[Path]:
    """An empty folder in `place` for what is not whole yet; it is gone at the end, or with the next `tidy`."""
    folder = Path(tempfile.mkdtemp(dir=place, prefix=PART))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def written(folder: Path) -> Iterator[Path]:
    """An empty folder to fill, which takes the place of `folder` at the end; an error changes nothing.

    Raises:
        OSError: the disk is full, for example.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with part(folder.parent) as place:
        fresh = place / folder.name
        fresh.mkdir()
        yield fresh
        _put_in_place(fresh, folder)


def _put_in_place(fresh: Path, folder: Path) -> None:
    earlier = _earlier(folder)
    _settle(earlier)
    if folder.is_dir():
        folder.rename(earlier)
    try:
        fresh.rename(folder)
    finally:
        _settle(earlier)


def _earlier(folder: Path) -> Path:
    return folder.parent / (EARLIER + folder.name)


def _settle(earlier: Path) -> None:
    """Put back what was set aside for a successor that did not come; drop it if one did."""
    folder = earlier.with_name(earlier.name.removeprefix(EARLIER))
    if earlier.is_dir() and not folder.exists():
        earlier.rename(folder)
    shutil.rmtree(earlier, ignore_errors=True)


def standing(folder: Path) -> Path:
    """Where to read `folder`: itself, or what was set aside when the program was killed between two names."""
    earlier = _earlier(folder)
    return earlier if earlier.is_dir() and not folder.exists() else folder


def remove(folder: Path) -> None:
    """Delete a folder; nobody meets it half deleted.

    Raises:
        OSError: it is in use, or not ours.
    """
    with part(folder.parent) as place:
        folder.rename(place / folder.name)


def tidy(place: Path) -> None:
    """Put right what a killed program left in `place`, where no other program may be writing."""
    for earlier in place.glob(f"{EARLIER}*"):
        _settle(earlier)
    for left in place.glob(f"{PART}*"):
        shutil.rmtree(left, ignore_errors=True)
