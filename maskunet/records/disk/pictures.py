"""Pictures of people's own folders: which files are some, and each as every part of the lab sees it."""

from collections import Counter
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import numpy as np

SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif", ".jp2", ".tga",
    ".ppm", ".pgm", ".pbm", ".pnm",
)  # fmt: skip
FORMATS = (
    "PNG",
    "JPEG",
    "WEBP",
    "BMP",
    "GIF",
    "TIFF",
    "AVIF",
    "JPEG2000",
    "TGA",
    "PPM",
)  # of others some start programs
TEXTS = (".txt", ".caption", ".json", ".jsonl", ".csv", ".tsv", ".parquet", ".md")  # may lie beside pictures
MAX_PIXELS = 100_000_000  # of one picture
WEBP_EDGE = 16_383  # pixels along an edge of a WebP, at most
DAMAGED = "is damaged or no picture"
WHITE = (255, 255, 255)  # what lies behind transparent parts
ON_WHITE = "Transparent parts lie on white"
SCALED = "Gray of 16 bits is scaled to 8"
FIRST = "Of several pictures in a file the first is read"


def listed(folder: Path) -> list[Path]:
    """The pictures of a folder by their names' endings, in order, without hidden ones."""
    return sorted(filter(_is_picture, folder.iterdir()))


def others(folder: Path) -> str:
    """One sentence on files of a folder that are neither pictures nor texts beside them, or empty."""
    found = [p for p in folder.iterdir() if p.name[0] != "." and p.suffix.lower() not in (*SUFFIXES, *TEXTS)]
    return left_out(sorted(p.name for p in found if p.is_file()), f"of other kinds in “{folder.name}”")


def inside(folder: Path, known: Collection[Path] = ()) -> str:
    """One sentence on folders of pictures inside a folder, which are not searched, but for the known ones; or empty."""
    folders = sorted(p for p in folder.iterdir() if p.is_dir() and p.name[0] != "." and p not in known)
    found = [p for p in folders if _holds_pictures(p)]
    if not found:
        return ""
    return f"Folders inside “{folder.name}” are not searched; there are pictures in {len(found):,} of them, such as “{found[0].name}”."


def _holds_pictures(folder: Path) -> bool:
    try:
        return any(map(_is_picture, folder.iterdir()))
    except OSError:  # it may not be read
        return False


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and path.name[0] != "."


def left_out(names: Iterable[str], what: str) -> str:
    """One sentence that counts files and names their kinds and the first, or empty."""
    if not (names := list(names)):
        return ""
    kinds = ", ".join(kind or "none" for kind, _ in Counter(Path(name).suffix.lower() for name in names).most_common(5))
    files = "1 file" if len(names) == 1 else f"{len(names):,} files"
    return f"Left out: {files} {what} (endings {kinds}), such as {names[0]}."


def read(file: Path | Any, changes: list[str] | None = None) -> np.ndarray:
    """A picture as (H, W, 3) uint8: upright as the camera noted, 16-bit gray scaled to 8, transparent parts on white.

    Of a file with several pictures the first is read.

    Args:
        file: its path, or the open file.
        changes: receives what is not as the file has it, as sentences without their end.

    Raises:
        ValueError: it cannot be read; the reason as the end of a sentence.
    """
    from PIL import Image

    try:
        with Image.open(file, formats=FORMATS) as image:
            if image.width * image.height <= MAX_PIXELS:
                rgb, told = _rgb(_upright(image), image.format)
                several = (FIRST,) if getattr(image, "n_frames", 1) > 1 else ()
                if changes is not None:
                    changes += (*several, *told)
                return np.array(rgb)
    except Image.DecompressionBombError:
        pass
    except FileNotFoundError as error:
        raise ValueError("is not there") from error
    except _Unclear as error:
        raise ValueError(str(error)) from error
    except Exception as error:  # each of the many formats breaks in its own way
        raise ValueError(DAMAGED) from error
    raise ValueError(f"has more than {MAX_PIXELS:,} pixels")


def of_image(image: Any) -> np.ndarray:
    """A PIL picture as `read` makes it of a file.

    Raises:
        ValueError: its pixels are damaged, or nobody knows what is white.
    """
    try:
        return np.array(_rgb(_upright(image), image.format)[0])
    except _Unclear as error:
        raise ValueError(f"The picture {error}.") from error
    except Exception as error:  # of a file that is read only now
        raise ValueError(f"The picture {DAMAGED}.") from error


class _Unclear(ValueError):
    """Pixels of which nobody knows what is white."""


def _upright(image: Any) -> Any:
    from PIL import ImageOps

    image.load()
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # notes of the camera that are damaged; the picture is not
        return image


def _rgb(image: Any, kind: str) -> tuple[Any, tuple[str, ...]]:
    """The picture in RGB, and what was changed on the way."""
    from PIL import Image

    if image.mode == "F" or (image.mode == "I" and kind not in ("PNG", "PPM")):
        raise _Unclear("has numbers of 32 bits in place of colors; save it with 8 or 16")
    if image.mode.startswith("I"):
        levels = np.asarray(image).astype(np.int64)
        return Image.fromarray(np.round(levels.clip(0, 65535) / 257).astype(np.uint8)).convert("RGB"), (SCALED,)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        on_white = Image.alpha_composite(Image.new("RGBA", image.size, (*WHITE, 255)), image).convert("RGB")
        return on_white, (ON_WHITE,) if image.getextrema()[3][0] < 255 else ()
    return image.convert("RGB"), ()
