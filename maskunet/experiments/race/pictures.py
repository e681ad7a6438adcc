"""The pictures that a race keeps on the disk: one of each entrant, of the prompts that are shown."""

from pathlib import Path

import numpy as np

from maskunet.records.disk import whole


def picture_path(folder: Path, entrant: str, number: int) -> Path:
    """Where an entrant's chosen picture of a prompt is kept."""
    return folder / "pictures" / entrant.replace("/", "-").replace(":", ".") / f"{number:04d}.png"


def save_picture(folder: Path, entrant: str, number: int, image: np.ndarray) -> None:
    """Write (H, W, 3) uint8 so that no half-written file is ever read."""
    from PIL import Image

    path = picture_path(folder, entrant, number)
    with whole.file(path) as fresh:
        Image.fromarray(image).save(fresh)
