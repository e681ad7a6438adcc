"""Folders and files that are there whole or not at all, also when the program is killed while it writes or deletes."""

import errno
import os
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
    made = Path(tempfile.mkdtemp(dir=place, prefix=PART))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


@contextmanager
def folder(path: Path) -> Iterator[Path]:
    """An empty folder to fill, which takes the place of `path` at the end; an error changes nothing.

    Where `path` is a link, it takes the place of the folder that the link names.

    Raises:
        ValueError: no other folder can take its place, see `check`.
        OSError: the disk is full, for example.
    """
    check(path)
    path = _real(path)
    with _fresh(path, path.parent) as fresh:
        fresh.mkdir()
        yield fresh
        _put_in_place(fresh, path)


def check(path: Path) -> None:
    """Refuse a folder whose place no other can take, before hours of work are spent.

    Raises:
        ValueError: the program was started in it, or a disk of its own is mounted there.
    """
    real = _real(path)
    if real.is_dir() and (real == _real(Path()) or real.is_mount()):
        what = "a disk of its own" if real.is_mount() else "where the program runs"
        raise ValueError(f"The folder “{real.name}” is {what} and cannot be replaced. Give a new one inside it.")


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


@contextmanager
def file(path: Path, place: Path | None = None) -> Iterator[Path]:
    """Where to write a file of that name, which becomes `path` at the end; an error changes nothing.

    Several programs may write the same file at once: the last one's stays.

    Args:
        place: folder on the same disk for what is not whole yet; None for the file's own.

    Raises:
        OSError: the disk is full, for example.
    """
    with _fresh(path, place or path.parent) as fresh:
        yield fresh
        os.replace(fresh, path)


def write(path: Path, content: str | bytes) -> None:
    """Write a `file` of bytes, or of text as UTF-8."""
    with file(path) as fresh:
        fresh.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def _fresh(path: Path, place: Path) -> Iterator[Path]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with part(place) as made:
        yield made / path.name


def _put_in_place(fresh: Path, path: Path) -> None:
    earlier = _earlier(path)
    _settle(earlier)
    if path.is_dir():
        path.rename(earlier)
    try:
        fresh.rename(path)
    finally:
        _settle(earlier)


def _earlier(path: Path) -> Path:
    return path.parent / (EARLIER + path.name)


def _settle(earlier: Path) -> None:
    """Put back what was set aside for a successor that did not come; drop it if one did."""
    path = earlier.with_name(earlier.name.removeprefix(EARLIER))
    if earlier.is_dir() and not path.exists():
        earlier.rename(path)
    shutil.rmtree(earlier, ignore_errors=True)


def standing(path: Path) -> Path:
    """Where to read a folder: itself, or what was set aside when the program was killed between two names."""
    path = _real(path)
    earlier = _earlier(path)
    return earlier if earlier.is_dir() and not path.exists() else path


def remove(path: Path) -> None:
    """Delete a folder; nobody meets it half deleted.

    Raises:
        OSError: it is in use, or not ours.
    """
    with part(path.parent) as place:
        path.rename(place / path.name)


def tidy(place: Path) -> None:
    """Put right what a killed program left in `place`, where no other program may be writing."""
    for earlier in place.glob(f"{EARLIER}*"):
        _settle(earlier)
    for left in place.glob(f"{PART}*"):
        shutil.rmtree(left, ignore_errors=True)


@contextmanager
def telling(what: str) -> Iterator[None]:
    """Turn what the disk can do to us into one sentence without a path.

    Args:
        what: is written, such as "run".

    Raises:
        ValueError: the disk is full, or read-only, for example.
    """
    try:
        yield
    except OSError as error:
        if is_full(error):
            raise ValueError(f"The disk is full: the {what} was not saved. Free some space.") from error
        if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise ValueError(
                f"The {what} cannot be written: its folder may only be read. Give another place."
            ) from error
        raise ValueError(f"The {what} cannot be written to its folder. Give another place.") from error


def is_full(error: BaseException) -> bool:
    """Whether there was no space left."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
