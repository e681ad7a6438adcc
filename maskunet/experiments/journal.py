"""Rows that are kept as they come: a file with a line of JSON each, from which a later run goes on."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from maskunet.records.disk import whole

try:
    import fcntl
except ImportError:  # Windows, where nobody is kept out
    fcntl = None

METHODS = "methods.json"
_held: dict[tuple[int, int], IO[bytes]] = {}  # files that this program adds rows to, by device and inode


def resume(path: Path, about: Mapping[str, Any], what: str) -> list[dict[str, Any]]:
    """The rows of an earlier run, or none and a file to which they can be added.

    The first line says what all rows share. A last line that was cut off while it was written is dropped.

    Args:
        about: what all rows share, in plain values. what: such as "study", for the errors.

    Raises:
        ValueError: the file holds no such rows, or those of other models or settings, or another program adds to it.
    """
    if not path.exists():
        whole.write(path, json.dumps({"about": about}) + "\n")
        _hold(path)
        return []
    _hold(path)
    rows, text = read(path, about, what), path.read_bytes()
    os.truncate(path, text.rfind(b"\n") + 1)
    return rows


def _hold(path: Path) -> None:
    """Keep other programs out as long as this one lives: together they would write every row twice."""
    file = path.open("rb")
    about = os.fstat(file.fileno())
    key = about.st_dev, about.st_ino
    if key in _held or fcntl is None:
        file.close()
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise ValueError(
            f"Another program is adding to “{path.parent.name}”. Wait for it, or give another --out."
        ) from error
    except OSError:  # a disk that cannot lock
        file.close()
        return
    _held[key] = file


def read(path: Path, about: Mapping[str, Any], what: str) -> list[dict[str, Any]]:
    """The whole rows of a file that another process may be adding to; arguments and errors as in `resume`."""
    about = json.loads(json.dumps(about))
    try:
        text = path.read_text(encoding="utf-8")
        first, *rows = [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
        before = first["about"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"“{path.name}” holds no {what}; give another --out.") from error
    if before != about:
        other = [name for name in {**before, **about} if before.get(name) != about.get(name)]
        raise ValueError(f"The {what} in this folder was made with another {', '.join(other)}; give another --out.")
    return rows


def check_methods(folder: Path, ways: Mapping[str, Any]) -> None:
    """Write down in methods.json how each method makes its pictures; methods may join later, and none may change.

    Args:
        ways: by name what decides a method's pictures, in plain values, see `Entrant.way`.

    Raises:
        ValueError: one made the folder's rows otherwise, such as with another trained part.
    """
    path, now = folder / METHODS, json.loads(json.dumps(ways))
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for name in now.keys() & before.keys():
        other = [part for part in now[name] if now[name][part] != before[name].get(part)]
        if other:
            raise ValueError(
                f"The pictures of {name} in this folder were made with other {' and '.join(other)}; give another --out."
            )
    whole.write(path, json.dumps({**before, **now}, indent=1) + "\n")


def kept(rows: Iterable[Mapping[str, Any]], path: Path) -> Iterator[Mapping[str, Any]]:
    """The same rows, each written down before it is passed on."""
    with path.open("a", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row) + "\n")
            file.flush()
            yield row
