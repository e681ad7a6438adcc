"""A place that threads and programs enter one after another."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NO_LOCKS = (errno.ENOTSUP, errno.ENOSYS, errno.ENOLCK)  # of some disks on a network


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Be alone with what an empty file at `path` stands for; another thread or program waits, also for a killed one.

    Where the disk has no locks, only one program may use the place, and keeps its threads apart itself.

    Raises:
        OSError: the file cannot be made.
    """
    with path.open("ab") as file:  # which gives the lock back when it is closed
        _wait(file)
        yield


def _wait(file: Any) -> None:
    try:
        import fcntl
    except ImportError:
        _wait_on_windows(file)
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise


def _wait_on_windows(file: Any) -> None:
    import msvcrt

    while True:
        try:
            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
            return
        except OSError as error:
            if error.errno != errno.EDEADLK:  # what it says after ten seconds
                raise
