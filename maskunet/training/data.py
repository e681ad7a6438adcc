"""Pictures with captions for training: by number, so that any process draws the same ones."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from maskunet.prompts import captions, rows
from maskunet.records.disk import pictures

HELD_OUT = 64  # pairs, at most
KOHYA = re.compile(r"\d+_(.+)")  # kohya's folders: how often to repeat its pictures, and a name
TRIES = 100  # neighbors asked before a data set counts as broken


@dataclass(frozen=True, slots=True)
class Pair:
    """A caption with its picture (H, W, 3) uint8, or with the picture's latents (C, h, w), scaled.

    `worse`: latents of another picture of the caption that is liked less, where preferences are learned.
    `weight`: how much it counts in the mean over its batch. `cut`: how the square was cut from its file's picture: the
    height and width of that one, and top and left of the square after resizing, in pixels; empty where there is no file.
    """

    caption: str
    image: np.ndarray | None = None
    latents: np.ndarray | None = None
    worse: np.ndarray | None = None
    weight: float = 1.0
    cut: tuple[int, ...] = ()


class Pairs(Protocol):
    """A data set: `pairs(index, draw)` gives the same for the same numbers; `draw` fixes what is random.

    Raises ValueError with the reason, a few words, where a pair cannot be used. `notes` are sentences on what does not
    fit together, or is left out. A method `name(index)` may say what a pair is called.
    """

    notes: tuple[str, ...]

    def __len__(self) -> int: ...

    def __call__(self, index: int, draw: int) -> Pair: ...


@dataclass(frozen=True, slots=True)
class First:
    """The first `count` pairs of a data set."""

    pairs: Pairs
    count: int

    @property
    def notes(self) -> tuple[str, ...]:
        """Those of the whole data set."""
        return self.pairs.notes

    def __len__(self) -> int:
        return min(self.count, len(self.pairs))

    def __call__(self, index: int, draw: int) -> Pair:
        """See `Pairs`."""
        return self.pairs(index, draw)


@dataclass(slots=True)
class Feed:
    """The order of a data set: each epoch another permutation, and bad pairs replaced by the next good one.

    A tenth of the pairs, 64 at most, is held out of every training, the same whatever the seed.

    Attributes:
        bad: why a pair cannot be used, by its index.
    """

    pairs: Pairs
    seed: int
    bad: dict[int, str] = field(default_factory=dict)
    _order: tuple[int, np.ndarray] | None = None
    _all: np.ndarray = field(init=False)

    def __post_init__(self):
        self._all = np.random.default_rng(HELD_OUT).permutation(len(self.pairs))

    def __len__(self) -> int:
        """How many pairs an epoch has."""
        return len(self._all) - self._held

    @property
    def _held(self) -> int:
        held = len(self._all) // 10
        return min(HELD_OUT, held) if held > 1 else 0  # one tells nothing

    def check(self, batch: int) -> None:
        """Any batch will do."""

    def learn(self, bad: Mapping[int, str]) -> None:
        """What another process found to be bad."""
        self.bad |= bad

    def held_out(self) -> list[Pair]:
        """The pairs that no training sees; those that cannot be used are left out."""
        found = []
        for index in self._all[: self._held]:
            try:
                found.append(self.pairs(int(index), int(index)))
            except ValueError as reason:
                self.bad[int(index)] = str(reason)
        return found

    @property
    def skipped(self) -> Mapping[str, int]:
        """How many pairs met so far cannot be used, by reason."""
        return Counter(self.bad.values())

    @property
    def examples(self) -> Mapping[str, str]:
        """What one of them is called, by reason."""
        name = getattr(self.pairs, "name", "number {}".format)
        return {reason: name(index) for index, reason in reversed(self.bad.items())}

    def __call__(self, number: int) -> Pair:
        """The pair of the number-th sample of the training, counted from 0.

        Raises:
            ValueError: many in a row cannot be used.
        """
        count = len(self)
        if not count:
            raise ValueError("The data set has no pictures with captions.")
        for later in range(min(TRIES, count)):
            epoch, place = divmod(number, count)
            index = int(self._epoch(epoch)[(place + later) % count])
            if index in self.bad:
                continue
            try:
                return self.pairs(index, number)
            except ValueError as reason:
                self.bad[index] = str(reason)
        named = self.examples
        reasons = ", ".join(f"{n} times {reason}, such as {named[reason]}" for reason, n in self.skipped.items())
        raise ValueError(
            f"{min(TRIES, count)} pictures in a row cannot be used ({reasons}). Take them out, and give pictures that open "
            "in a viewer and show something."
        )

    def _epoch(self, epoch: int) -> np.ndarray:
        if self._order is None or self._order[0] != epoch:
            self._order = (
                epoch,
                np.random.default_rng((self.seed, epoch)).permutation(self._all[self._held :]),
            )
        return self._order[1]


@dataclass(frozen=True, slots=True)
class Alternating:
    """Two data sets in turn: even samples are of the first one, odd ones of the second, each in its own order.

    Only the first one holds pairs out.
    """

    first: Pairs
    second: Pairs


class AlternatingFeed:
    """The order of two data sets in turn; see `Feed`, which each of them has."""

    def __init__(self, pairs: Alternating, seed: int):
        self._feeds = Feed(pairs.first, seed), Feed(pairs.second, seed)

    def __len__(self) -> int:
        """As many samples as show every pair of the larger one."""
        return 2 * max(map(len, self._feeds))

    def __call__(self, number: int) -> Pair:
        """See `Feed`."""
        later, which = divmod(number, 2)
        return self._feeds[which](later)

    def check(self, batch: int) -> None:
        """Refuse a batch that would not hold as many of the one as of the other.

        Raises:
            ValueError: it is odd.
        """
        if batch % 2:
            raise ValueError(f"The batch is {batch}; half of it is of another kind of pictures, so it must be even.")

    def held_out(self) -> list[Pair]:
        """Those of the first one."""
        return self._feeds[0].held_out()

    @property
    def bad(self) -> dict[tuple[int, int], str]:
        """Why a pair cannot be used, by the place of its data set and its index."""
        return {(which, i): why for which, feed in enumerate(self._feeds) for i, why in feed.bad.items()}

    def learn(self, bad: Mapping[tuple[int, int], str]) -> None:
        """See `Feed.learn`."""
        for (which, index), why in bad.items():
            self._feeds[which].bad[index] = why

    @property
    def examples(self) -> Mapping[str, str]:
        """See `Feed.examples`."""
        return {**self._feeds[1].examples, **self._feeds[0].examples}


def feed_of(pairs: Pairs | Alternating, seed: int) -> Feed | AlternatingFeed:
    """The order in which a training sees them."""
    return AlternatingFeed(pairs, seed) if isinstance(pairs, Alternating) else Feed(pairs, seed)


class Folder:
    """A folder of pictures with captions, as Hugging Face's image folders, kohya's or COCO's.

    Args:
        size: side of the square that the model is trained on, in pixels.

    Attributes:
        notes: sentences on what does not fit together, or is left out.

    Raises:
        ValueError: there are no captions, or they cannot be read.
    """

    def __init__(self, folder: Path, size: int):
        self.folder, self.size = folder, size
        found, parts = captions.read(folder, [path.name for path in pictures.listed(folder)]), []
        if not found.entries:
            parts = kohya_folders(folder)
            found = of_kohya_folders(parts)
        inside = pictures.inside(folder, parts)
        if not found.entries:
            raise ValueError(
                f"“{folder.name}” has no metadata (.jsonl, .csv, .tsv or .parquet) with file_name and text, no .txt beside its "
                f"pictures and no captions of COCO's. {inside or 'Give a folder whose pictures have captions.'}"
            )
        self.entries = found.entries
        self.notes = tuple(filter(None, (*found.notes, pictures.others(folder), inside)))

    def __len__(self) -> int:
        return len(self.entries)

    def __call__(self, index: int, draw: int) -> Pair:
        """See `Pairs`; half of the pictures are mirrored."""
        entry, folder = self.entries[index], self.folder.absolute()
        path = folder / entry.file  # as it is written: a picture may be a link to wherever its owner keeps it
        if not entry.file or ".." in Path(entry.file).parts or not path.is_relative_to(folder):
            raise ValueError("no file name within the folder")
        if not entry.text:
            raise ValueError(entry.lacks)
        return pictured(entry.text, path, self.size, mirror=draw % 2 == 1)

    def name(self, index: int) -> str:
        """What a pair is called: its picture's file."""
        return self.entries[index].file or f"entry {index + 1}"


def kohya_folders(folder: Path) -> list[Path]:
    """The folders inside a folder whose names begin with a number of repeats."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and KOHYA.fullmatch(path.name))


def of_kohya_folders(folders: Sequence[Path]) -> captions.Captions:
    """The captions of kohya's folders, each picture once; one without a caption has its folder's name, as there."""
    entries, notes, named = [], [], 0
    for folder in folders:
        name = KOHYA.fullmatch(folder.name)[1].strip()
        files = [path.name for path in pictures.listed(folder)]
        found = captions.read(folder, files)
        for entry in found.entries or [captions.Entry(file, "") for file in files]:
            named += not entry.text
            entries.append(replace(entry, file=entry.file and f"{folder.name}/{entry.file}", text=entry.text or name))
        notes += found.notes
    if named:
        notes.append(f"Where a caption is missing the name of the folder is taken, for {named:,} of the pictures.")
    if entries:
        notes.append("The numbers in the folders' names ask for repeats; here every picture counts once.")
    return captions.Captions("the .txt beside each", tuple(entries), tuple(notes))


class Table:
    """A Parquet file with a column of pictures, as laion-art's, and one of captions; all of it is in memory.

    Raises:
        ValueError: the file cannot be read or lacks a column; or pyarrow is not installed.
    """

    notes = ()

    def __init__(self, path: Path, size: int):
        self.size = size
        file = rows.parquet(path)
        columns = file.schema_arrow.names
        if "image" not in columns or not set(rows.TEXTS) & {column.lower() for column in columns}:
            raise ValueError(f"“{path.name}” has the columns {', '.join(columns)}; needed are image and text.")
        known = ("image", *rows.TEXTS, *rows.LISTS)
        self.table = rows.read(file, path, [column for column in columns if column.lower() in known])

    def __len__(self) -> int:
        return self.table.num_rows

    def __call__(self, index: int, draw: int) -> Pair:
        """See `Pairs`; half of the pictures are mirrored."""
        import io

        row = self.table.slice(index, 1).to_pylist()[0]
        image = row["image"]
        stored = image.get("bytes") if isinstance(image, dict) else image
        if not isinstance(stored, bytes):
            raise ValueError("no picture")
        return pictured(_caption(row), io.BytesIO(stored), self.size, mirror=draw % 2 == 1)


def _caption(row: dict[str, Any]) -> str:
    found = rows.first_text(rows.Row(0, "", row))
    if found is None:
        raise ValueError(captions.NONE)
    return found.text


def pictured(caption: str, file: Any, size: int, *, mirror: bool = False) -> Pair:
    """A caption with the middle square of a file's picture, upright and resized to `size` pixels.

    Raises:
        ValueError: the picture cannot be read; the reason in a few words.
    """
    from PIL import Image, ImageOps

    try:
        pixels = pictures.read(file)
    except ValueError as error:
        reason = str(error)
        raise ValueError("damaged picture" if reason == pictures.DAMAGED else f"a picture that {reason}") from error
    height, width = pixels.shape[:2]
    scale = size / min(height, width)
    cut = (height, width, round((height * scale - size) / 2), round((width * scale - size) / 2))
    square = np.asarray(ImageOps.fit(Image.fromarray(pixels), (size, size), Image.Resampling.LANCZOS))
    return Pair(caption, square[:, ::-1] if mirror else square, cut=cut)
