"""The captions of a folder's pictures, wherever they are written: the same ones for every command.

Looked for in this order: metadata.jsonl, .csv, .tsv or .parquet in the folder, COCO's captions*.json in it or in
annotations/ beside it, a .txt or .caption beside each picture, and ReVersion's text.json.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from maskunet.prompts import coco, rows
from maskunet.prompts.words import shortened

TABLES = ("metadata.jsonl", "metadata.csv", "metadata.tsv", "metadata.parquet")
FILES = ("file_name", "filename", "file", "image")  # what a row may call the picture's file
BESIDE = (".txt", ".caption")
LISTED = "text.json"  # ReVersion's: a list of captions for each file, among which its training draws
NONE = "no caption"


@dataclass(frozen=True, slots=True)
class Entry:
    """A picture and its caption.

    Attributes:
        file: within the folder; empty if its row names none.
        text: the first, if there are several; empty if there is none, and `lacks` says why.
        others: how many more there are. more: those that a training may draw in its place.
    """

    file: str
    text: str
    lacks: str = ""
    others: int = 0
    more: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Captions:
    """What is known of a folder's captions.

    Attributes:
        source: the file they are from, "the .txt beside each", or empty if there are none.
        notes: sentences on what does not fit together.
    """

    source: str = ""
    entries: tuple[Entry, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def texts(self) -> dict[str, str]:
        """The captions by file."""
        return {entry.file: entry.text for entry in self.entries if entry.file and entry.text}


def read(folder: Path, files: Sequence[str], annotations: Path | None = None) -> Captions:
    """The captions of a folder's pictures.

    Args:
        files: the names of its pictures.
        annotations: COCO's captions to take, in place of what the folder has.

    Raises:
        ValueError: there are captions, but they cannot be read; says what is wrong.
    """
    table = next((folder / name for name in TABLES if (folder / name).is_file()), None)
    if annotations is None and table is not None:
        return _of_table(table, files)
    if annotations := annotations or _annotations_of(folder):
        return _of_coco(annotations, files)
    entries = tuple(_beside(folder, files))
    if not any(entry.text for entry in entries):
        return _listed(folder / LISTED, files)
    return Captions("the .txt beside each", entries, _several("the .txt beside them", entries))


def _of_table(path: Path, files: Sequence[str]) -> Captions:
    entries = []
    in_parquet = path.suffix == ".parquet"
    for row in rows.of_parquet(path, FILES) if in_parquet else rows.rows(rows.text_of(path), path.name):
        found, file = rows.first_text(row), rows.first_of(row, FILES)
        if found:
            entries.append(Entry(file, found.text, others=found.others))
        else:
            entries.append(Entry(file, "", f"{NONE} {rows.unnamed(row)}".strip().removesuffix(".")))
    notes = _several(f"“{path.name}”", entries)
    listed = {entry.file for entry in entries}
    if lost := [file for file in files if file not in listed]:
        notes += (f"“{path.name}” does not list {len(lost):,} of the pictures, such as {lost[0]}.",)
    return Captions(path.name, tuple(entries), notes)


def _several(where: str, entries: Sequence[Entry]) -> tuple[str, ...]:
    count = sum(entry.others > 0 for entry in entries)
    return (f"Of several captions in {where} the first is taken, for {count:,} of the pictures.",) if count else ()


def _beside(folder: Path, files: Sequence[str]) -> Iterator[Entry]:
    """The first line of each picture's text file."""
    for file in files:
        path = next((p for kind in BESIDE if (p := (folder / file).with_suffix(kind)).is_file()), None)
        found = [line.strip() for _, line in rows.lines(rows.text_of(path))] if path else []
        yield Entry(file, found[0], others=len(found) - 1) if found else Entry(file, "", NONE)


def _listed(path: Path, files: Sequence[str]) -> Captions:
    """Those of a text.json; none, if there is no such file or it is about other things than the pictures."""
    found = rows.loaded(rows.text_of(path)) if path.is_file() else None
    if not isinstance(found, dict) or not found.keys() & set(files):
        return Captions()
    entries = []
    for file in files:
        said = [found.get(file, [])] if isinstance(found.get(file), str) else found.get(file, [])
        if not (isinstance(said, list) and all(isinstance(text, str) for text in said)):
            raise ValueError(
                f'“{path.name}” must give each picture a list of captions, as {{"0.jpg": ["a cat {{}} a box"]}}; that of '
                f"{shortened(file)} is none."
            )
        first, *more = [text.strip() for text in said if text.strip()] or [""]
        entries.append(Entry(file, first, "" if first else NONE, more=tuple(more)))
    return Captions(path.name, tuple(entries))


def _annotations_of(folder: Path) -> Path | None:
    folder = folder.resolve()
    beside = folder.parent / "annotations" / f"captions_{folder.name}.json"
    return next(iter([*sorted(folder.glob("captions*.json")), *([beside] if beside.is_file() else [])]), None)


def _of_coco(path: Path, files: Sequence[str]) -> Captions:
    found = rows.loaded(rows.text_of(path))
    try:
        if not coco.is_coco(found):
            raise ValueError("no annotations")
        names, first = coco.file_names(found), coco.first_captions(found, path.name)
    except ValueError as error:
        raise ValueError(
            f"“{path.name}” is not in the format of COCO's captions: a JSON object with images (id, file_name) "
            "and annotations (image_id, caption). Give such a file, or none."
        ) from error
    here = {names[image]: one for image, one in first.items() if names.get(image) in set(files)}
    entries = tuple(
        Entry(file, here[file].text, others=here[file].others) if file in here else Entry(file, "", NONE)
        for file in files
    )
    several = ", the first of several by id" if any(entry.others for entry in entries) else ""
    lost = [image for image in first if names.get(image) not in here]
    notes = []
    if lost:
        notes.append(
            f"{len(lost):,} of {len(first):,} image ids in “{path.name}” match no file of the folder, such as "
            f"{lost[0]}. Check that the annotations are this folder's."
        )
    if bare := len(files) - len(here):
        notes.append(f"“{path.name}” has no caption for {bare:,} of {len(files):,} pictures.")
    return Captions(f"{shortened(path.name)}{several}", entries, tuple(notes))
