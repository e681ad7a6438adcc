"""Files of texts as people save them, as rows: lines of JSON, a list in JSON, CSV and TSV with a header."""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maskunet.prompts.words import shortened

TEXTS = ("prompt", "text", "caption")  # what a row may call it, in capitals or not
LISTS = ("captions",)  # or where it has several
WHOLE = ("prompts", "captions", "texts", "data")  # what an object may call the list that is all of a file
TABLES = (".csv", ".tsv")
SAVE = "Save the file as UTF-8."


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a file.

    Attributes:
        place: of its line or entry, counted from 0. where: that for a message, such as "Line 8".
    """

    place: int
    where: str
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Text:
    """The text of a row: under which key, and how many more were there of which it is the first."""

    key: str
    text: str
    others: int = 0


def text_of(path: Path) -> str:
    r"""A file's text, without a byte order mark, its lines ended by \n.

    Raises:
        ValueError: no such file, or it is no UTF-8 text; names the line.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise ValueError(
            f"“{path.name}” cannot be read. Give a file of prompts; there is none of this name."
        ) from error
    except OSError as error:
        what = "is a folder" if path.is_dir() else "cannot be read"
        raise ValueError(f"“{path.name}” {what}. Give a file of prompts.") from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = content[: error.start].count(b"\n") + 1
        raise ValueError(f"Line {number} of “{path.name}” is no UTF-8 text. {SAVE}") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, with their place; str.splitlines would also cut at rarer characters."""
    return ((i, line) for i, line in enumerate(text.split("\n")) if line.strip())


def loaded(text: str) -> Any:
    """What a text says as one piece of JSON, or None."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def rows(text: str, name: str) -> list[Row]:
    """The rows of JSON, JSON lines, CSV or TSV; a bare text counts as a prompt.

    Args:
        name: of the file; its ending tells tables from JSON.

    Raises:
        ValueError: a row is malformed; names it.
    """
    kind = Path(name).suffix.lower()
    if kind in TABLES:
        return _table(text, name, kind)
    found = loaded(text)
    if isinstance(found, dict) and len(found) == 1:
        found = next((found[key] for key in WHOLE if isinstance(found.get(key), list)), found)
    if isinstance(found, list):
        return [_row(value, i, "Entry", name) for i, value in enumerate(found)]
    if isinstance(found, dict):
        return [_row(found, 0, "Line", name)]
    if kind == ".json" and text.lstrip().startswith("["):
        raise ValueError(f"“{name}” is no valid JSON. Give a list of texts or objects, or one object per line.")
    return [_row(loaded(line), i, "Line", name) for i, line in lines(text)]


def parquet(path: Path) -> Any:
    """A Parquet file as pyarrow opens it; what is read of it is decoded into memory.

    Raises:
        ValueError: it cannot be read; or pyarrow is not installed.
    """
    try:
        from pyarrow import parquet as reader
    except ImportError as error:
        raise ValueError("Reading Parquet needs pyarrow: pip install pyarrow.") from error
    try:
        return reader.ParquetFile(path, memory_map=True)
    except Exception as error:
        raise ValueError(f"“{path.name}” cannot be read as Parquet.") from error


def of_parquet(path: Path, names: Sequence[str]) -> list[Row]:
    """The rows of a Parquet file, of its columns of these names and of a text's those that hold no pictures.

    Raises:
        ValueError: as `parquet`.
    """
    from pyarrow import types

    file = parquet(path)
    pictures = (types.is_struct, types.is_binary, types.is_large_binary)
    texts = [field.name for field in file.schema_arrow if not any(is_one(field.type) for is_one in pictures)]
    wanted = read(file, path, _named(texts, (*names, *TEXTS, *LISTS)))
    return [Row(place, f"Row {place + 1}", values) for place, values in enumerate(wanted.to_pylist())]


def read(file: Any, path: Path, columns: Sequence[str]) -> Any:
    """These columns of what `parquet` opened, as a table; the others, such as pictures, are not decoded.

    Raises:
        ValueError: they cannot be read.
    """
    try:
        return file.read(columns=list(columns))
    except Exception as error:
        raise ValueError(f"“{path.name}” cannot be read as Parquet.") from error


def _row(value: Any, place: int, where: str, name: str) -> Row:
    if isinstance(value, str):
        value = {TEXTS[0]: value}
    if not isinstance(value, dict):
        each = "Each line must be one" if where == "Line" else "Each must be one, or a text"
        raise ValueError(f"{where} {place + 1} of “{name}” is no JSON object. {each}.")
    return Row(place, f"{where} {place + 1}", value)


def _table(text: str, name: str, kind: str) -> list[Row]:
    first = next((line for _, line in lines(text)), "")
    delimiter = "\t" if kind == ".tsv" else max(",;\t", key=first.count)
    try:
        found = _cells(text, delimiter, csv.QUOTE_MINIMAL)
    except csv.Error as error:
        if max(map(len, text.splitlines())) > csv.field_size_limit():
            raise ValueError(
                f"“{name}” has a cell of over {csv.field_size_limit():,} characters. Shorten it."
            ) from error
        if delimiter != "\t":
            raise ValueError(f"The quotation marks of “{name}” do not pair. Save it as CSV again.") from error
        found = _cells(text, delimiter, csv.QUOTE_NONE)  # PartiPrompts begin with quotation marks of their own
    header = found[0][1] if found else []
    if not _named(header, (*TEXTS, *LISTS)):
        raise ValueError(f"“{name}” {_keys('columns', header)} Its first line must name {_either(TEXTS)}.")
    for number, cells in found:
        if len(cells) > len(header):
            raise ValueError(
                f"Line {number} of “{name}” has {len(cells)} cells, but the header {len(header)}. "
                "Put texts that hold commas into quotation marks."
            )
    rows = enumerate(found[1:])
    return [Row(place, f"Line {number}", dict(zip(header, cells, strict=False))) for place, (number, cells) in rows]


def _cells(text: str, delimiter: str, quoting: int) -> list[tuple[int, list[str]]]:
    """The rows that are not blank, each with the number of its last line."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quoting=quoting, strict=True)
    return [(reader.line_num, cells) for cells in reader if any(map(str.strip, cells))]


def first_text(row: Row) -> Text | None:
    """The text of a row, the first where there are several; None if it has none."""
    for key in _named(row.values, (*TEXTS, *LISTS)):
        value = row.values[key]
        found = [one.strip() for one in (value if isinstance(value, list) else [value]) if isinstance(one, str)]
        if found := [one for one in found if one]:
            return Text(key, found[0], len(found) - 1)
    return None


def first_of(row: Row, names: Sequence[str]) -> str:
    """The text under the first of these keys that has one, or nothing."""
    found = (row.values[key] for key in _named(row.values, names))
    return next((one.strip() for one in found if isinstance(one, str) and one.strip()), "")


def lacking(row: Row, name: str) -> str:
    """Which text a row lacks, one sentence."""
    return f"{row.where} of “{name}” has no {_either(TEXTS)}. It {_keys('keys', row.values)}"


def unnamed(row: Row) -> str:
    """What is said where none of a row's keys is one of a text's; else nothing."""
    return "" if _named(row.values, (*TEXTS, *LISTS)) else f"under {_either(TEXTS)}: it {_keys('keys', row.values)}"


def _named(keys: Sequence[str] | Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """The keys that are among the names, in the order of the names."""
    return [key for name in names for key in keys if str(key).strip().lower() == name]


def _either(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"


def _keys(what: str, keys: Sequence[str] | Mapping[str, Any]) -> str:
    return f"has the {what} {shortened(', '.join(map(str, keys)), 100)}." if keys else f"has no {what}."
