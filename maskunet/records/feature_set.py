"""A named set of pictures as features, and such sets on disk: one .npz without pickle, checked before use."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from maskunet.records.disk import untrusted, whole

THUMBNAIL = 48  # pixels
MAX_BYTES = 2**30  # of a file, unpacked
FORMAT = "maskunet-features-1"


@dataclass(frozen=True, kw_only=True, slots=True)
class FeatureSet:
    """A named set of pictures as features.

    Attributes:
        features: (N, D) float32, finite.
        thumbnails: (N, 48, 48, 3) uint8.
        extractor: its name, and `weights`, the SHA-256 of its parameters: only features of the same
            extractor and weights compare.
        files, captions: N each.

    Raises:
        ValueError: the parts do not fit together, or a feature is not a number.
    """

    name: str
    features: np.ndarray
    thumbnails: np.ndarray
    extractor: str
    weights: str
    files: tuple[str, ...]
    captions: tuple[str, ...]

    def __post_init__(self) -> None:
        n = len(self.files)
        sizes = (len(self.features), len(self.thumbnails), len(self.captions))
        if n < 1 or sizes != (n, n, n):
            raise ValueError(
                f"The set “{self.name}” has {n} files and {sizes[0]} features, {sizes[1]} thumbnails and "
                f"{sizes[2]} captions; it needs as many of each, at least one."
            )
        if self.features.ndim != 2 or self.features.dtype != np.float32:
            raise ValueError(f"The features of “{self.name}” must be a table (N, D) of float32.")
        if self.thumbnails.shape[1:] != (THUMBNAIL, THUMBNAIL, 3) or self.thumbnails.dtype != np.uint8:
            raise ValueError(f"The thumbnails of “{self.name}” must be 48 x 48 pixels of RGB bytes.")
        if broken := int((~np.isfinite(self.features).all(1)).sum()):
            raise ValueError(
                f"The features of {broken} of {n} pictures in “{self.name}” are not finite numbers. Take other "
                "weights for the extractor, or leave those pictures out."
            )


def check_alike(sets: Sequence[FeatureSet]) -> None:
    """Refuse to compare sets whose features come from different networks, or that share a name.

    Raises:
        ValueError: says which two and what differs.
    """
    first, names = sets[0], [one.name for one in sets]
    for one in sets[1:]:
        if names.count(one.name) > 1:
            raise ValueError(f"Two sets are called “{one.name}”. Give every set a name of its own.")
        if (one.extractor, one.weights) != (first.extractor, first.weights):
            what = "the extractor" if one.extractor != first.extractor else f"the weights of {one.extractor}"
            raise ValueError(
                f"“{first.name}” and “{one.name}” differ in {what}, so their features mean different things. "
                "Extract both again with the same one."
            )


def save(sets: Sequence[FeatureSet], path: Path) -> None:
    """Write sets as one .npz: per set its features and thumbnails, and `about`, the rest as JSON.

    Raises:
        ValueError: as `check_alike`.
        OSError: the file cannot be written.
    """
    check_alike(sets)
    names = ("name", "extractor", "weights", "files", "captions")
    about = {"format": FORMAT, "sets": [{name: getattr(one, name) for name in names} for one in sets]}
    arrays = {f"features_{i}": one.features for i, one in enumerate(sets)}
    arrays |= {f"thumbnails_{i}": one.thumbnails for i, one in enumerate(sets)}
    text = np.frombuffer(json.dumps(about).encode(), np.uint8)
    with (
        whole.file(path) as fresh,
        fresh.open("wb") as file,
    ):  # NumPy would append ".npz" to a name without it
        np.savez_compressed(file, about=text, **arrays)


def load(path: Path) -> tuple[FeatureSet, ...]:
    """Read sets that `save` wrote; its unpacked size is checked before anything is read.

    Raises:
        ValueError: not such a file, damaged, larger than 1 GB, or its parts do not fit together.
    """
    try:
        arrays = untrusted.arrays(path, MAX_BYTES)
        about = json.loads(bytes(arrays["about"]))
        if about["format"] != FORMAT:
            raise ValueError(f"its format is not {FORMAT}.")
        sets = tuple(_set(i, one, arrays) for i, one in enumerate(about["sets"]))
        check_alike(sets)
        return sets
    except ValueError as error:
        raise ValueError(f"“{path.name}” holds no feature sets that can be used: {error}") from error
    except Exception as error:
        raise ValueError(f"“{path.name}” holds no feature sets that can be used: damaged.") from error


def _set(i: int, about: dict, arrays: Mapping[str, np.ndarray]) -> FeatureSet:
    return FeatureSet(
        name=str(about["name"]),
        features=arrays[f"features_{i}"],
        thumbnails=arrays[f"thumbnails_{i}"],
        extractor=str(about["extractor"]),
        weights=str(about["weights"]),
        files=tuple(map(str, about["files"])),
        captions=tuple(map(str, about["captions"])),
    )
