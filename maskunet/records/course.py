"""What two pictures looked like on the way: a sheet of step pictures and the feature maps, on disk."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from maskunet.records.disk import untrusted


@dataclass(frozen=True, kw_only=True, slots=True)
class Course:
    """What both pictures of a run looked like on the way.

    Attributes:
        timesteps: (T,) in sampling order.
        base, result: (T, H, W, 3) uint8, the image predicted at each step, at most 256 pixels wide.
        maps: by up block, (2, T, h, w, 3) uint8: features of base and result seen through the base's
            three principal components at that step.
    """

    timesteps: tuple[int, ...]
    base: np.ndarray
    result: np.ndarray
    maps: Mapping[int, np.ndarray]


def save(course: Course, frames: Path, maps: Path) -> None:
    """Write one WebP with all step pictures, the base's in the upper row, and the maps as arrays."""
    rows = [np.concatenate(list(row), axis=1) for row in (course.base, course.result)]
    Image.fromarray(np.concatenate(rows)).save(frames, "webp", quality=90, method=4)
    arrays = {f"block_{block}": each for block, each in course.maps.items()}
    np.savez_compressed(maps, timesteps=np.array(course.timesteps), **arrays)


def load(frames: Path, maps: Path) -> Course | None:
    """Read what `save` wrote, or None if there is nothing.

    Raises:
        ValueError: the two files do not fit together or are damaged.
    """
    if not maps.is_file():
        return None
    found = untrusted.arrays(maps)
    timesteps = tuple(int(t) for t in found["timesteps"])
    blocks = {int(n.removeprefix("block_")): each for n, each in found.items() if n.startswith("block_")}
    sheet = untrusted.pixels(frames, "WEBP")
    height, width = sheet.shape[0] // 2, sheet.shape[1] // len(timesteps)
    rows = sheet.reshape(2, height, len(timesteps), width, 3).swapaxes(1, 2)
    return Course(timesteps=timesteps, base=rows[0], result=rows[1], maps=blocks)
