"""Files that a stranger may have made: how large they get is known before anything is unpacked."""

import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

MAX_PIXELS = 2**26  # of one picture; 200 MB as RGB
MAX_ARRAYS = 2**26  # bytes of all arrays of one file together


def pixels(path: Path, kind: str) -> np.ndarray:
    """A picture as (H, W, 3) uint8.

    Args:
        kind: the only format that is read, such as "PNG".

    Raises:
        OSError: no such picture, or it is damaged.
        ValueError: it is too large.
    """
    try:
        with Image.open(path, formats=(kind,)) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ValueError(f"{image.width:,} x {image.height:,} pixels are too many.")
            return np.array(image.convert("RGB"))
    except Image.DecompressionBombError as error:
        raise ValueError("The picture has too many pixels.") from error


def arrays(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an .npz by name; objects, which would be pickled, are refused.

    Raises:
        OSError, EOFError, zipfile.BadZipFile: no such file, or it is damaged.
        ValueError: it is too large, or no array.
    """
    with zipfile.ZipFile(path) as archive:  # no more than the size said here is ever unpacked
        if (size := sum(entry.file_size for entry in archive.infolist())) > MAX_ARRAYS:
            raise ValueError(f"{size:,} bytes of arrays are too many.")
    with np.load(path, allow_pickle=False) as file:
        return dict(file)
