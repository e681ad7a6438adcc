"""Pictures as files for gradio to offer. Its own way writes a file anew each time, also while a browser fetches it."""

import os
from contextlib import suppress
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import numpy as np
from gradio.utils import get_upload_folder
from PIL import Image

from maskunet.records.disk import whole


def cached(image: np.ndarray | None) -> str | None:
    """Where a picture lies as a PNG among gradio's files; written once, whole or not at all.

    Args:
        image: (height, width, 3), uint8; or None.

    Raises:
        ValueError: the disk is full, for example.
    """
    if image is None:
        return None
    png = BytesIO()
    Image.fromarray(image).save(png, "PNG")
    path = Path(get_upload_folder()) / sha256(png.getvalue()).hexdigest() / "image.png"
    with suppress(FileNotFoundError):
        os.utime(path)  # gradio deletes files by their age
        return str(path)
    with whole.telling("picture"):
        whole.write(path, png.getvalue())
    return str(path)
