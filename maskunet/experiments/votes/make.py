"""Make a study: pictures of one prompt and seed beside each other, copied without anything that tells them apart."""

import hashlib
import io
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np

from maskunet.experiments.votes.sources import Made
from maskunet.records.disk import pictures, whole
from maskunet.records.votes.study import FILE, MAX_PAIRS, NOISE, PICTURE, PICTURES, Pair, Study

PLAIN = "plain"  # stands second in its pairs, so that shares are of what it is compared with
CHECKS = 2


def make(made: Sequence[Made], out: Path, *, per_voter: int, against: str | None = None) -> tuple[Study, list[str]]:
    """Write a study as a new folder, whole or not at all.

    Args:
        made: the pictures. against: a method that every pair must have.

    Returns:
        The study, and sentences on what was left out.

    Raises:
        ValueError: there is nothing to compare, or `out` holds something; says what to do.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        kind = "a study" if (out / FILE).exists() else "other files"
        raise ValueError(f"“{out.name}” holds {kind}. Give another --out.")
    found, alone = pairs_of(made, against)
    with whole.telling("study"), whole.folder(out) as folder:
        (folder / PICTURES).mkdir()
        copies = _Copies(folder / PICTURES)
        copied, notes = [], [alone] if alone else []
        for first, second in found:
            try:
                names = copies.pair(first.path, second.path)
            except ValueError as error:
                notes.append(f"A pair is left out: {error}")
                continue
            copied.append(Pair(first.prompt, first.seed, (first.method, second.method), names))
        if not copied:
            raise ValueError(f"None of the pictures can be read. {notes[-1]}")
        checks = tuple(copies.check(copied, k) for k in range(CHECKS))
        here = {name for pair in copied for name in pair.methods}
        methods = tuple(name for name in _methods(made) if name in here)
        study = Study(
            methods=methods, pairs=tuple(copied), checks=checks, per_voter=per_voter, files=dict(sorted(copies.files.items()))
        )  # fmt: skip
        study.write(folder)
    return study, notes


def pairs_of(made: Sequence[Made], against: str | None = None) -> tuple[list[tuple[Made, Made]], str]:
    """Every two pictures of one prompt and seed by different methods, and a sentence on pictures without another.

    Raises:
        ValueError: there are none, or no such method; says why.
    """
    methods = _methods(made)
    if against is not None and against not in methods:
        raise ValueError(f"There are no pictures by “{against}”. There are: {', '.join(methods)}.")
    if len(methods) < 2:
        only = f"only “{methods[0]}” has some" if methods else "there are none"
        raise ValueError(
            f"A study needs pictures by two methods; {only}. Put those of another one, with the same file names, into a "
            "folder beside it."
        )
    groups: dict[tuple, dict[str, Made]] = {}
    for each in made:
        groups.setdefault((each.prompt, each.seed, each.same), {}).setdefault(each.method, each)
    found = [
        (group[one], group[other])
        for group in groups.values()
        for one, other in combinations([name for name in methods if name in group], 2)
        if against in (None, one, other)
    ]
    if not found:
        raise ValueError(
            "No two pictures are of the same prompt and seed by different methods, so there is nothing to compare."
        )
    if len(found) > MAX_PAIRS:
        raise ValueError(
            f"{len(found):,} pairs are too many; a study has {MAX_PAIRS:,} at most. Take --against METHOD."
        )
    alone = sum(len(group) < 2 for group in groups.values())
    said = f"{alone:,} pictures have no other one of the same prompt and seed, and are left out." if alone else ""
    return found, said


def _methods(made: Sequence[Made]) -> list[str]:
    """In the order in which they come, the plain one last."""
    return sorted(dict.fromkeys(each.method for each in made), key=lambda name: name == PLAIN)


class _Copies:
    """Pictures as PNG without any text in them, named by what they show.

    Attributes:
        files: SHA-256 by name.
    """

    def __init__(self, folder: Path):
        self._folder, self.files = folder, {}

    def pair(self, *paths: Path) -> tuple[str, str]:
        """Copy two pictures; the larger one gets no larger than the other, or its sharpness would tell which it is."""
        images = [*_read(paths)]
        width, height = (min(image.shape[side] for image in images) for side in (1, 0))
        first, second = (self._keep(_within(image, width, height)) for image in images)
        return first, second

    def check(self, pairs: Sequence[Pair], k: int) -> Pair:
        """A picture of the study beside noise of its size; another picture for each k."""
        pair = pairs[k * len(pairs) // CHECKS]
        picture = pair.pictures[k % 2]
        height, width, _ = pictures.read(self._folder / picture).shape
        noise = np.random.default_rng(k).integers(0, 256, (height, width, 3), dtype=np.uint8)
        return Pair(pair.prompt, "", (PICTURE, NOISE), (picture, self._keep(noise)))

    def _keep(self, image: np.ndarray) -> str:
        from PIL import Image

        out = io.BytesIO()
        Image.fromarray(image).save(out, "PNG")
        known = hashlib.sha256(out.getvalue()).hexdigest()
        name = f"{known[:20]}.png"
        if name not in self.files:
            self.files[name] = known
            (self._folder / name).write_bytes(out.getvalue())
        return name


def _read(paths: Sequence[Path]) -> Iterator[np.ndarray]:
    for path in paths:
        try:
            yield pictures.read(path)
        except ValueError as error:
            raise ValueError(f"“{path.parent.name}/{path.name}” {error}.") from error


def _within(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """The picture in this size, or smaller if its shape is another one."""
    if image.shape[:2] == (height, width):
        return image
    from PIL import Image

    made = Image.fromarray(image)
    scale = min(width / made.width, height / made.height)
    size = (max(1, round(made.width * scale)), max(1, round(made.height * scale)))
    return np.asarray(made.resize(size, Image.Resampling.LANCZOS))
