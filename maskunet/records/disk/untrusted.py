"""Files that a stranger may have made: what they become is known before anything is unpacked."""

import csv
import json
import math
import re
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

MAX_PIXELS = 2**22  # of one picture, such as 2048 x 2048
MAX_SHEET = 2**24  # pixels of all step pictures together
MAX_ARRAYS = 2**26  # bytes of all arrays of one file together
MAX_DIRECTORY = 2**16  # bytes of a zip's list of files: some hundred entries
MAX_TABLE = 2**23  # bytes of a table
MAX_ROWS = 2**14  # 100 steps of 100 updates need 10,100
MAX_COLUMNS = 64
MAX_NUMBER = 1e15  # of any number in a table
NAME = re.compile(r"[\w.-]{1,64}", re.ASCII)  # of a column, as plots and tables have it for a heading
_LARGE = b"PK\x06\x07"  # what stands before the last one, 20 bytes, where another record counts instead
_END = b"PK\x05\x06"  # a zip's last record, 22 bytes without a comment
_PLAIN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # others may take gigabytes to unpack a byte
_NUMBERS = "biufU"  # NumPy's kinds of arrays that hold numbers or text


def pixels(path: Path, kind: str, most: int = MAX_PIXELS) -> np.ndarray:
    """A picture as (H, W, 3) uint8.

    Args:
        kind: the only format that is read, such as "PNG".
        most: its pixels at most.

    Raises:
        OSError: no such picture, or it is damaged.
        ValueError: it is too large.
    """
    try:
        with Image.open(path, formats=(kind,)) as image:
            if image.width * image.height > most:
                raise ValueError(f"{image.width:,} x {image.height:,} pixels are too many.")
            return np.array(image.convert("RGB"))
    except Image.DecompressionBombError as error:
        raise ValueError("The picture has too many pixels.") from error


@contextmanager
def archive(path: Path, most: int) -> Iterator[zipfile.ZipFile]:
    """A zip whose list of files is measured before it is read, and its files before they are unpacked.

    Args:
        most: bytes that its files may have together, unpacked.

    Raises:
        OSError, zipfile.BadZipFile: no such file, or it is damaged.
        ValueError: it lists too many files, they are too large, or packed in an unusual way.
    """
    with path.open("rb") as file:
        file.seek(-min(42, path.stat().st_size), 2)
        before, end = (tail := file.read())[:-22], tail[-22:]
        # Ours end in a record without a comment, and never need the form for more than 4 GB, whose own record would count.
        if not end.startswith(_END) or end[-2:] != b"\0\0" or before.startswith(_LARGE):
            raise zipfile.BadZipFile("no plain end of a zip")
        if int.from_bytes(end[12:16], "little") > MAX_DIRECTORY:
            raise ValueError("The zip lists too many files.")
    with zipfile.ZipFile(path) as opened:
        entries = opened.infolist()
        if any(entry.compress_type not in _PLAIN or entry.flag_bits & 1 for entry in entries):
            raise ValueError("The zip is packed in an unusual way.")
        if (size := sum(entry.file_size for entry in entries)) > most:  # no more than this is ever unpacked
            raise ValueError(f"The zip unpacks to {size:,} bytes; allowed are {most:,}.")
        yield opened


def arrays(path: Path, most: int = MAX_ARRAYS) -> dict[str, np.ndarray]:
    """All arrays of an .npz by name; objects, which would be pickled, are refused.

    Args:
        most: bytes of all together.

    Raises:
        OSError, EOFError, zipfile.BadZipFile: no such file, or it is damaged.
        ValueError: it is too large, or holds something else than arrays of numbers or text.
    """
    with archive(path, most) as opened:
        return {entry.filename.removesuffix(".npy"): _array(opened, entry) for entry in opened.infolist()}


def _array(opened: zipfile.ZipFile, entry: zipfile.ZipInfo) -> np.ndarray:
    """One array, whose header is compared with the bytes behind it before NumPy makes room."""
    form = np.lib.format
    with opened.open(entry) as file:
        read = {(1, 0): form.read_array_header_1_0, (2, 0): form.read_array_header_2_0}.get(form.read_magic(file))
        if read is None:
            raise ValueError(f"{entry.filename:.40} is of another version.")
        shape, _, dtype = read(file)
    size = dtype.itemsize  # 0 of empty texts, of which any number would fit
    if dtype.kind not in _NUMBERS or not size or math.prod(shape) * size > entry.file_size:
        raise ValueError(f"{entry.filename:.40} is no array of numbers, or cut off.")
    with opened.open(entry) as file:
        return form.read_array(file, allow_pickle=False)


def tensors(path: Path, form: str, *, most: int, most_header: int) -> dict[str, Any]:
    """The header of a safetensors file: of every tensor its type and shape, and "__metadata__" with its entry `form`.

    Args:
        form: an entry that must be there. most, most_header: bytes that the file and its header may have.

    Raises:
        OSError: no such file.
        ValueError: it is too large, no such file, or cut off.
    """
    size = path.stat().st_size
    if size > most:
        raise ValueError(f"it is larger than {most / 2**30:.0f} GB.")
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= length <= min(most_header, size - 8):
            raise ValueError("it is no safetensors file, or it was cut off.")
        try:
            header = json.loads(file.read(length))
        except (ValueError, RecursionError):
            raise ValueError("it is no safetensors file, or it was cut off.") from None
    if not isinstance(header, dict) or form not in (header.get("__metadata__") or {}):
        raise ValueError(f"its header does not say “{form}”.")
    return header


def rows(path: Path) -> tuple[dict[str, Any], ...]:
    """The rows of a CSV with a header: numbers, True, False, and None where a cell is empty.

    Raises:
        OSError, csv.Error: no such file, or it is damaged.
        ValueError: too many rows or columns, or a cell that is none of these.
    """
    if path.stat().st_size > MAX_TABLE:
        raise ValueError("The table is too large.")
    found = []
    with path.open(newline="", encoding="utf-8") as file:
        table = csv.DictReader(file, strict=True)
        names = table.fieldnames or ()
        if len(names) > MAX_COLUMNS or len(set(names)) < len(names):
            raise ValueError("The table has too many columns, or two of one name.")
        if not all(NAME.fullmatch(name) for name in names):
            raise ValueError("A column of the table has an unusual name.")
        for row in table:
            if None in row or len(found) == MAX_ROWS:
                raise ValueError("The table has too many rows, or a row of too many cells.")
            found.append({name: _value(text) for name, text in row.items()})
    return tuple(found)


def _value(text: str | None) -> Any:
    if text in ("True", "False"):
        return text == "True"
    if not text:
        return None
    number = float(text)
    if not abs(number) <= MAX_NUMBER:  # also where it is none
        raise ValueError("A cell of the table is no number, or too large.")
    return int(number) if re.fullmatch(r"-?\d+", text, re.ASCII) else number
