"""How a command tells what it does: a bar, Ctrl+C that keeps what is made, and a folder for it."""

import sys
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskunet.commands.base.options import UsageError

if TYPE_CHECKING:
    from tqdm import tqdm


def bar(unit: str, total: int | None = None, *, shown: bool = True, **more: Any) -> "tqdm":
    """A progress bar on standard error.

    Args:
        shown: of several processes only one shows its bar. more: see tqdm.
    """
    from tqdm import tqdm

    return tqdm(total=total, unit=unit, disable=not shown, file=sys.stderr, **more)


def follow(
    rows: Iterable[Mapping[str, Any]],
    key: Callable[[Mapping[str, Any]], tuple],
    before: Iterable[Hashable],
    *,
    unit: str,
    total: int,
    shown: bool,
) -> None:
    """Take rows to the end under a bar that counts their keys, each once, and names the first part of the last one.

    Args:
        before: the keys of rows that were there already. total: how many keys there will be.
    """
    seen = set(before)
    with bar(unit, total, shown=shown, initial=len(seen)) as line:
        for row in rows:
            found = key(row)
            line.set_description_str(found[0])
            if found not in seen:
                seen.add(found)
                line.update()


@contextmanager
def resumable() -> Iterator[Callable[[], str]]:
    """As `machine.interruptible`, and in the end it is said how to go on."""
    from maskunet.machine import interruptible

    with interruptible() as should_stop:
        yield should_stop
        if should_stop():
            sys.stderr.write("Stopped. Give the same command again to go on.\n")


def make_folder(path: Path) -> None:
    """Make a folder for what a command writes, where there is none.

    Raises:
        UsageError: there cannot be one of that name.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"“{path.name}” cannot be made a folder; give another --out") from error
