"""Where the pictures come from: a source known by its name, or a folder or a file of the user's."""

from pathlib import Path

from maskunet.training.data import Folder, Pairs, Table
from maskunet.training.own_pictures import OwnPictures


def find(name: str, size: int, latents: Path | None = None, *, own_pictures: bool = False) -> tuple[Pairs, dict]:
    """The pictures of a source, and what a resumed training must find again.

    Args:
        name: in `SOURCES`, or the path of a folder of pictures with captions or of a Parquet file.
        size: side of the model's pictures in pixels.
        latents: folder of cached latents, for a source that has them.
        own_pictures: a few, whose folder needs no captions; see `RecipeSpec`.

    Raises:
        ValueError: there is no such source, or it cannot be read; says what is allowed.
    """
    if own_pictures:
        pairs = _own(name, size)
        return pairs, {"data": Path(name).name, "examples": len(pairs)}
    pairs = SOURCES[name](size, latents) if name in SOURCES else _of_path(Path(name), size, latents)
    about = {"data": name if name in SOURCES else Path(name).name, "examples": len(pairs)}
    return pairs, {**about, "latents": latents is not None}


def _of_path(path: Path, size: int, latents: Path | None) -> Pairs:
    if latents is not None:
        raise ValueError(f"Cached latents go with {', '.join(SOURCES)} only. Leave --latents out.")
    if path.is_dir():
        return Folder(path, size)
    if path.is_file():
        return Table(path, size)
    raise ValueError(
        f"“{path.name}” is not there: it is neither {', '.join(SOURCES)}, nor a folder, nor a Parquet file."
    )


def _own(name: str, size: int) -> Pairs:
    if name in SOURCES or not Path(name).is_dir():
        raise ValueError(
            f"This recipe learns from a folder of your own pictures, and “{Path(name).name}” is none. Put 3 to 10 pictures "
            "of one subject into a folder and name it with --data."
        )
    return OwnPictures(Path(name), size)


def _tabletop(size: int, latents: Path | None) -> Pairs:
    from maskunet.training.tabletop import PIXELS, Tabletop

    if size != PIXELS:
        raise ValueError(
            f"The tabletop's pictures have {PIXELS} x {PIXELS} pixels and this base model's {size} x {size}. "
            "Give a folder of pictures with captions, or train the model tabletop."
        )
    try:
        return Tabletop(latents=latents)
    except FileNotFoundError as error:
        raise ValueError(
            f"“{latents.name}” lacks cached latents. Make them with: python -m maskunet tabletop latents."
        ) from error


SOURCES = {"tabletop": _tabletop}
"""What makes the pairs of a source, from the picture's size and its folder of cached latents or None, by name."""
