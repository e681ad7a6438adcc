"""Pictures that a visitor gives to a training: checked, and kept in a folder of their own until it is over."""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from maskunet.prompts.words import shortened
from maskunet.records.disk import pictures

MOST = 20  # pictures
MAX_BYTES = 30_000_000  # of one
EDGE = 1024  # pixels of the longer side that are kept


def kept(files: Sequence[str]) -> Path:
    """Copies in a new folder, upright, without what cameras note, and no larger than a training needs.

    Raises:
        ValueError: none are given, too many, or one is too large or no picture; says which.
    """
    if not files:
        raise ValueError("This recipe learns from your own pictures. Give 3 to 10 of one subject: PNG or JPEG.")
    if len(files) > MOST:
        raise ValueError(f"There are {len(files)} pictures; at most {MOST} are taken, and 3 to 10 are enough.")
    folder = Path(tempfile.mkdtemp(prefix="maskunet-pictures-"))
    try:
        for number, file in enumerate(files):
            _keep(Path(file), folder / f"{number:02d}.png")
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


def _keep(file: Path, copy: Path) -> None:
    from PIL import Image

    name = f"The picture “{shortened(file.name, 60)}”"
    if file.suffix.lower() not in pictures.SUFFIXES:
        raise ValueError(f"{name} has an ending that is not known. Give PNG or JPEG.")
    try:
        size = file.stat().st_size
        if size > MAX_BYTES:
            raise ValueError(f"has {size / 1e6:.0f} MB; at most {MAX_BYTES / 1e6:.0f} are taken")
        picture = Image.fromarray(pictures.read(file))
    except (OSError, ValueError) as error:
        reason = str(error) if isinstance(error, ValueError) else "is not there"
        raise ValueError(f"{name} {reason}. Take it out, or give another.") from error
    picture.thumbnail((EDGE, EDGE), Image.Resampling.LANCZOS)
    picture.save(copy)
