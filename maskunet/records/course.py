"""What two pictures looked like on the way: a sheet of step pictures and the feature maps, on disk."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from maskunet.records.disk import untrusted
from maskunet.records.disk.pictures import WEBP_EDGE
from maskunet.records.request import MAX_STEPS


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
    """Write one WebP with all step pictures, and the maps as arrays.

    A row of the base's pictures is above the result's; more steps than a WebP is wide go on in two rows below.
    """
    both = np.stack([course.base, course.result])
    _, steps, height, width, _ = both.shape
    bands = math.ceil(steps / (WEBP_EDGE // width))
    columns = math.ceil(steps / bands)
    both = np.pad(both, [(0, 0), (0, bands * columns - steps), (0, 0), (0, 0), (0, 0)])
    rows = both.reshape(2, bands, columns, height, width, 3).transpose(1, 0, 3, 2, 4, 5)
    sheet = rows.reshape(bands * 2 * height, columns * width, 3)
    Image.fromarray(sheet).save(frames, "webp", quality=90, method=4)
    arrays = {f"block_{block}": each for block, each in course.maps.items()}
    np.savez_compressed(maps, timesteps=np.array(course.timesteps), columns=np.array(columns), **arrays)


def load(frames: Path, maps: Path) -> Course | None:
    """Read what `save` wrote, or None if there is nothing.

    Raises:
        OSError, EOFError, zipfile.BadZipFile: one is missing or damaged.
        ValueError: the two files do not fit together, or hold something else.
    """
    if not maps.is_file():
        return None
    found = untrusted.arrays(maps)
    times = found.pop("timesteps")
    if times.ndim != 1 or times.dtype.kind not in "iu" or not 0 < len(np.unique(times)) == len(times) <= MAX_STEPS:
        raise ValueError("The timesteps must be whole numbers, each once.")
    columns = found.pop("columns", np.array(len(times)))  # earlier files have all steps beside each other
    if columns.ndim or columns.dtype.kind not in "iu" or not 0 < columns <= len(times):
        raise ValueError("A row must hold a whole number of steps.")
    blocks = {_block(name): each for name, each in found.items()}
    if any(m.dtype != np.uint8 or m.ndim != 5 or m.shape[::4] != (2, 3) or 0 in m.shape for m in blocks.values()):
        raise ValueError("The feature maps must be pictures of bytes.")
    if any(each.shape[1] != len(times) for each in blocks.values()):
        raise ValueError("Every step must have its feature maps.")
    sheet = untrusted.pixels(frames, "WEBP", untrusted.MAX_SHEET)
    columns = int(columns)
    bands = math.ceil(len(times) / columns)
    if sheet.shape[0] % (2 * bands) or sheet.shape[1] % columns:
        raise ValueError("The sheet must hold two pictures of every step.")
    height, width = sheet.shape[0] // (2 * bands), sheet.shape[1] // columns
    rows = sheet.reshape(bands, 2, height, columns, width, 3).transpose(1, 0, 3, 2, 4, 5)
    base, result = rows.reshape(2, bands * columns, height, width, 3)[:, : len(times)]
    return Course(timesteps=tuple(times.tolist()), base=base, result=result, maps=blocks)


def _block(name: str) -> int:
    if not re.fullmatch(r"block_\d{1,2}", name, re.ASCII):
        raise ValueError(f"“{name:.40}” is no block's feature maps.")
    return int(name.removeprefix("block_"))
