"""Pictures that a training makes to learn from: a few to a file, so that a stop loses no more than one file."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from torch import Tensor

from maskunet import machine
from maskunet.records.disk import whole
from maskunet.records.training import Preparing

SHELF = 8  # things that share a file


def files(folder: Path, count: int) -> list[Path]:
    """The files of so many things, each named by the number of its first one."""
    return [folder / f"{start:06d}.safetensors" for start in range(0, count, SHELF)]


def numbers(shelf: Path, count: int) -> range:
    """Which of `count` things are in a file."""
    start = int(shelf.stem)
    return range(start, min(start + SHELF, count))


def fill(
    shelves: Sequence[Path], count: int, make: Callable[[range], dict[str, Tensor]], what: str
) -> Iterator[Preparing]:
    """Write the files that are missing; of several processes each its own.

    Args:
        count: of things in all. make: the tensors of some of them. what: they are, for `Preparing`.
    """
    from safetensors.torch import save_file

    rank, world = machine.place()
    missing = [shelf for shelf in shelves if not shelf.exists()]
    _wait(world)  # all have the same list before the first of them writes
    for shelf in missing[rank::world]:
        yield Preparing(done=int(shelf.stem), total=count, what=what)
        made = make(numbers(shelf, count))
        with whole.telling("pictures"), whole.file(shelf) as fresh:
            save_file(made, fresh)
    _wait(world)


def read(shelf: Path) -> dict[str, Tensor]:
    """The tensors of a file.

    Raises:
        ValueError: it is damaged; says what to do.
    """
    from safetensors.torch import load_file

    try:
        return load_file(shelf)
    except Exception as error:
        raise ValueError(
            f"The pictures in “{shelf.parent.parent.name}/{shelf.parent.name}” are damaged. Delete that folder; "
            "they are made anew."
        ) from error


def _wait(world: int) -> None:
    """Until every process has come here."""
    if world > 1:
        from accelerate.utils import wait_for_everyone

        wait_for_everyone()
