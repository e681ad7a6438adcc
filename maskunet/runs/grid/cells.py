"""The cells of grids on the disk: each picture once, in a file named by everything that determines it."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from maskunet.machine import versions
from maskunet.models.base import DiffusionModel
from maskunet.records import Request, Run
from maskunet.records.disk import untrusted, whole
from maskunet.rewards.base import WeightedRewards
from maskunet.runs import replay, run_folder

MADE = "maskunet_made"  # text chunk of a PNG: what making it cost, which is another time another
LENGTH = 24  # hexadecimal digits of a name


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """A picture that was made, or why there is none.

    Attributes:
        key: of the picture, see `key`; with ".png" the name of its file.
        rewards: by name, with "total". keep_ratio: as of a `Run`. note: as of a `Run`.
        seconds, unet_calls: what it cost when it was made.
        failed: why it could not be made.
    """

    key: str
    rewards: Mapping[str, float]
    keep_ratio: float = 1.0
    seconds: float = 0.0
    unet_calls: int = 0
    note: str = ""
    failed: str = ""


def made_with(settings: Any, weights: Mapping[str, str], model: DiffusionModel, rewards: WeightedRewards) -> str:
    """What determines a picture besides its request: settings, weights, rewards, the device and the versions."""
    about = {
        "settings": asdict(settings),
        "weights": dict(weights),
        "rewards": {
            name: [weight, rewards.hashes.get(name, _made_by(reward))]
            for name, (reward, weight) in rewards.parts.items()
        },
        "device": model.device.type,
        "dtype": str(model.dtype),
        "versions": versions(),
    }
    return json.dumps(about, sort_keys=True, default=str)


def key(request: Request, with_what: str) -> str:
    """A picture's name: a hash of its request and of `made_with`.

    A preset's name is not in it, since its settings are. Pictures that share U-Net calls differ by rounding; they
    count as the same.
    """
    fields = ("prompt", "negative_prompt", "seed", "model", "method", "steps", "guidance")
    asked = json.dumps({name: getattr(request, name) for name in fields})
    return hashlib.sha256(f"{asked}\n{with_what}".encode()).hexdigest()[:LENGTH]


def _made_by(reward: Any) -> str:
    """The name of a reward's class, or of itself where it is a function."""
    return getattr(reward, "__qualname__", type(reward).__qualname__)


class CellFolder:
    """Pictures by their keys; several programs may use one folder.

    Args:
        folder: made when the first cell is kept.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def find(self, name: str) -> Cell | None:
        """The cell of that key, or None; one whose file is damaged anywhere is not there, so that it is made anew."""
        try:
            self.picture(name)  # a file that was cut off says how it was made, and cannot be shown
            with Image.open(self._path(name), formats=("PNG",)) as image:
                texts = {key: image.info.get(key, "") for key in (replay.KEY, MADE)}
            record, made = (json.loads(texts[key]) for key in (replay.KEY, MADE))
            return Cell(key=name, rewards=record["rewards"], keep_ratio=record["keep_ratio"], **made)
        except Exception:
            return None

    def keep(self, name: str, run: Run) -> Cell:
        """Write a run's result, whole or not at all.

        Raises:
            ValueError: the disk is full, or the folder cannot be written.
        """
        made = {"seconds": round(run.seconds, 4), "unet_calls": run.unet_calls, "note": run.note}
        with whole.telling("picture"), whole.file(self._path(name)) as fresh:
            record = run_folder.picture_record(run)
            run_folder.write_png(run.result_image, fresh, record, **{MADE: json.dumps(made)})
        return Cell(key=name, rewards=dict(run.rewards), keep_ratio=run.keep_ratio, **made)

    def picture(self, name: str) -> np.ndarray:
        """(H, W, 3) uint8.

        Raises:
            ValueError: it is gone or damaged.
        """
        try:
            return untrusted.pixels(self._path(name), "PNG")
        except Exception as error:
            raise ValueError("A picture of this grid is not here any more. Make the grid again.") from error

    def png(self, name: str) -> bytes:
        """The file of a cell."""
        return self._path(name).read_bytes()

    def sizes(self) -> Iterator[int]:
        """Bytes of each picture that is there."""
        for path in self.folder.glob("*.png"):
            with suppress(OSError):
                yield path.stat().st_size

    def used(self, name: str) -> None:
        """Note that a cell was asked for, so that `trim` takes others first."""
        with suppress(OSError):
            os.utime(self._path(name))

    def trim(self, most: int, but: Iterable[str] = ()) -> None:
        """Delete the pictures used longest ago until at most so many bytes are left.

        Args:
            but: keys that stay.
        """
        spared, found = {*but}, []
        for path in self.folder.glob("*.png"):
            with suppress(OSError):
                about = path.stat()
                found.append((about.st_mtime_ns, about.st_size, path))
        left = sum(size for _, size, _ in found)
        for _, size, path in sorted(found):
            if left <= most:
                return
            if path.stem not in spared:
                path.unlink(missing_ok=True)
                left -= size

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.png"
