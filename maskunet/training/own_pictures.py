"""A few pictures of the user's own, with or without captions, and what is said of each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from maskunet.prompts import captions
from maskunet.records.disk import pictures
from maskunet.training.data import Pair, Pairs, kohya_folders, of_kohya_folders, pictured

FEW = 20  # pairs, of which none can be spared; see `Feed`
BLANK = 3  # levels of 255 by which the pixels of a picture differ at least, as a standard deviation


class OwnPictures:
    """A folder of pictures; the caption of one without its own is empty. They are turned upright and never mirrored.

    Endings of pictures in any case count; hidden files, folders and whatever else lies there do not. A folder of
    kohya's folders, such as “10_sks dog”, is read with those names as captions.

    Args:
        size: side of the square that the model is trained on, in pixels.

    Attributes:
        notes: sentences on what is left out or will not work well.

    Raises:
        ValueError: there is no picture, or captions that cannot be read.
    """

    def __init__(self, folder: Path, size: int):
        self.size = size
        self.files = [path for path in pictures.listed(folder) if path.is_file()]
        of_kohya = kohya_folders(folder) if not self.files else []
        inside = pictures.inside(folder, of_kohya)
        self.files += [path for part in of_kohya for path in pictures.listed(part) if path.is_file()]
        others = pictures.others(folder)
        if not self.files:
            todo = inside or f"{others} Put 3 to 10 pictures of one subject into it: PNG or JPEG.".lstrip()
            raise ValueError(f"The folder “{folder.name}” holds no pictures. {todo}")
        found = of_kohya_folders(of_kohya) if of_kohya else captions.read(folder, [path.name for path in self.files])
        self.texts = {folder / each.file: (each.text, *each.more) for each in found.entries if each.file and each.text}
        count = len(self.files)
        of = "one picture" if count == 1 else f"{count} pictures"
        self.notes = tuple(
            filter(
                None,
                (
                    *found.notes,
                    others,
                    inside,
                    count < FEW and f"Nothing is held out of {of}; judge by the samples.",
                    count == 1 and "One picture: the background will be learned with the subject.",
                ),
            )
        )

    def __len__(self) -> int:
        return len(self.files)

    def __call__(self, index: int, draw: int) -> Pair:
        """See `maskunet.training.data.Pairs`."""
        path, said = self.files[index], self.said(index)
        which = np.random.default_rng((12, draw)).integers(len(said)) if len(said) > 1 else 0
        pair = pictured(said[which], path, self.size)
        if pair.image.std((0, 1)).max() < BLANK:
            raise ValueError("a picture of one color")
        return pair

    def said(self, index: int) -> tuple[str, ...]:
        """The captions of a picture, of which each draw takes one; an empty one if it has none."""
        return self.texts.get(self.files[index], ("",))

    def name(self, index: int) -> str:
        """What a pair is called: its picture's file."""
        return self.files[index].name


@dataclass(frozen=True, slots=True)
class Worded:
    """Pictures with other captions, and, where asked, every other one mirrored at random.

    Attributes:
        caption: of a pair's own caption, which may be empty, and a stream of random numbers.
        mirror: half of the draws. weight: of each sample.
    """

    pairs: Pairs
    caption: Callable[[str, np.random.Generator], str]
    mirror: bool = False
    weight: float = 1.0

    @property
    def notes(self) -> Sequence[str]:
        """Those of the pictures."""
        return self.pairs.notes

    def __len__(self) -> int:
        return len(self.pairs)

    def __call__(self, index: int, draw: int) -> Pair:
        """See `maskunet.training.data.Pairs`."""
        pair, rng = self.pairs(index, draw), np.random.default_rng((11, draw))
        caption, turned = self.caption(pair.caption, rng), self.mirror and rng.random() < 0.5
        if turned and pair.image is not None:
            pair = replace(pair, image=pair.image[:, ::-1])
        return replace(pair, caption=caption, weight=self.weight)

    def name(self, index: int) -> str:
        """What a pair is called."""
        return getattr(self.pairs, "name", "number {}".format)(index)
