"""Pictures to features: read image folders, extract in batches with a cache on disk."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from maskunet.prompts import captions
from maskunet.records.disk import pictures, whole
from maskunet.records.feature_set import THUMBNAIL, FeatureSet

BATCH = 32


class FeatureExtractor(Protocol):
    """A frozen network that describes a picture by D numbers.

    Attributes:
        name: "inception", for example, and `weights`, the SHA-256 of its parameters.
        size: edge of the square pictures it takes, pixels.
    """

    name: str
    weights: str
    size: int

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Features (B, D) float32 of pictures (B, size, size, 3) uint8."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Pictures:
    """A named set of pictures, not opened yet.

    Attributes:
        files: what each is called.
        sources: where each is, or its pixels (H, W, 3) uint8, any size.
        captions: one per picture, empty where unknown; `captions_from`, the file they are from.
        notes: sentences on what did not fit together, or is left out.
    """

    name: str
    files: tuple[str, ...]
    sources: tuple[Path | np.ndarray, ...]
    captions: tuple[str, ...]
    captions_from: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far an extraction is.

    Attributes:
        done, total: pictures looked at, and all; `cached`, those whose features were on disk.
        skipped: why, for each picture that could not be read.
        result: the set, with the last one only, and `notes`, sentences on what is not as the files have it.
    """

    done: int
    total: int
    cached: int = 0
    skipped: Mapping[str, str] = field(default_factory=dict)
    result: FeatureSet | None = None
    notes: tuple[str, ...] = ()


def read_folder(path: Path, name: str = "", annotations: Path | None = None) -> Pictures:
    """List the pictures of a folder, such as COCO's val2017, with their captions if there are any.

    Args:
        name: of the set; the folder's if left out.
        annotations: a JSON file in the format of COCO's captions; else see `maskunet.prompts.captions`.

    Raises:
        ValueError: no folder, no picture in it, or captions that cannot be read.
    """
    if not path.is_dir():
        raise ValueError(f"“{path.name}” is no folder on this machine. Give a folder that holds pictures.")
    sources = pictures.listed(path)
    if not sources:
        raise ValueError(
            f"The folder “{path.name}” holds no pictures ({', '.join(pictures.SUFFIXES)}). Give the folder that "
            "holds the files themselves; folders inside it are not searched."
        )
    files = tuple(p.name for p in sources)
    found = captions.read(path, files, annotations)
    return Pictures(
        name=name or path.resolve().name,
        files=files,
        sources=tuple(sources),
        captions=tuple(found.texts.get(file, "") for file in files),
        captions_from=found.source,
        notes=tuple(filter(None, (*found.notes, pictures.others(path), pictures.inside(path)))),
    )


def extract(images: Pictures, extractor: FeatureExtractor, cache: Path | None = None) -> Iterator[Progress]:
    """Compute the features of pictures, 32 at a time; close the iterator to stop.

    Pictures that cannot be read are skipped and named. What was computed is on disk at every yield, so
    an extraction that was stopped goes on where it was.

    Args:
        cache: folder for one .npy per picture, named by the SHA-256 of its pixels and of the extractor.

    Raises:
        ValueError: no picture could be read, or features are not finite.
    """
    total, cached, skipped = len(images.sources), 0, {}
    kept, rows, thumbnails, changed = [], [], [], {}
    for start in range(0, total, BATCH):
        batch = []
        for i in range(start, min(start + BATCH, total)):
            try:
                changes: list[str] = []
                batch.append(_pixels(images.sources[i], changes))
            except ValueError as error:
                skipped[images.files[i]] = str(error)
            else:
                kept.append(i)
                for change in changes:
                    changed.setdefault(change, []).append(images.files[i])
                thumbnails.append(squared(batch[-1], THUMBNAIL))
        found, hits = _features(batch, extractor, cache)
        rows, cached = rows + found, cached + hits
        yield Progress(done=min(start + BATCH, total), total=total, cached=cached, skipped=dict(skipped))
    if not kept:
        name, reason = next(iter(skipped.items()), ("", "the set is empty"))
        raise ValueError(f"No picture of “{images.name}” can be used: {name} {reason}.")
    result = FeatureSet(
        name=images.name,
        features=np.stack(rows),
        thumbnails=np.stack(thumbnails),
        extractor=extractor.name,
        weights=extractor.weights,
        files=tuple(images.files[i] for i in kept),
        captions=tuple(images.captions[i] for i in kept),
    )
    notes = tuple(
        f"{change}: {len(files):,} of the pictures of “{images.name}”, such as {files[0]}."
        for change, files in changed.items()
    )
    yield Progress(done=total, total=total, cached=cached, skipped=skipped, result=result, notes=notes)


def _pixels(source: Path | np.ndarray, changes: list[str] | None = None) -> np.ndarray:
    """(H, W, 3) uint8, see `pictures.read`."""
    return source if isinstance(source, np.ndarray) else pictures.read(source, changes)


def squared(pixels: np.ndarray, size: int) -> np.ndarray:
    """The central square at (size, size, 3), resized with antialiasing (Parmar et al. 2022)."""
    from PIL import Image

    edge = min(pixels.shape[:2])
    top, left = ((side - edge) // 2 for side in pixels.shape[:2])
    square = Image.fromarray(pixels[top : top + edge, left : left + edge])
    return np.asarray(square.resize((size, size), Image.Resampling.BICUBIC))


def _features(batch: list[np.ndarray], extractor: FeatureExtractor, cache: Path | None) -> tuple[list[np.ndarray], int]:
    """One row of features per picture, and how many of them were on disk."""
    paths = [_cache_path(pixels, extractor, cache) for pixels in batch] if cache else [None] * len(batch)
    rows = [_cached(path) if path else None for path in paths]
    missing = [i for i, row in enumerate(rows) if row is None]
    if missing:
        computed = extractor(np.stack([squared(batch[i], extractor.size) for i in missing]))
        for i, row in zip(missing, computed, strict=True):
            rows[i] = row
            if paths[i]:
                _keep(row, paths[i])
    return rows, len(batch) - len(missing)


def _cache_path(pixels: np.ndarray, extractor: FeatureExtractor, cache: Path) -> Path:
    digest = hashlib.sha256(f"{extractor.name} {extractor.weights} {pixels.shape} ".encode())
    digest.update(np.ascontiguousarray(pixels))
    return cache / extractor.name / f"{digest.hexdigest()}.npy"


def _cached(path: Path) -> np.ndarray | None:
    try:
        row = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):  # absent, or cut off: computed again
        return None
    return row if row.ndim == 1 and row.dtype == np.float32 else None


def _keep(row: np.ndarray, path: Path) -> None:
    with whole.file(path) as fresh:
        np.save(fresh, row)
