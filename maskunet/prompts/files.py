"""Files of prompts as they are published: COCO's captions, T2I-CompBench's, GenEval's and PartiPrompts' lists."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from maskunet.prompts import coco, rows

METADATA = "metadata.jsonl"
MADE = "sample.json"


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt of a file.

    Attributes:
        key: what its pictures are named after: COCO's image id in 12 digits, elsewhere the place of its
            line, counted from 0 as GenEval does, in 5 digits.
        more: the rest of its record, such as GenEval's tag and include.
        others: how many more texts its record has, of which this is the first.
        where: its line or entry for a message, such as "Line 8"; empty where it stands in none.
    """

    key: str
    text: str
    more: Mapping[str, Any] = field(default_factory=dict)
    others: int = field(default=0, compare=False)
    where: str = field(default="", compare=False)


def read(path: Path) -> list[Prompt]:
    """The prompts of a file, in its order; COCO's by image id.

    COCO's captions are JSON with `annotations`, of which each image's first by id is taken. Lines of JSON, the
    entries of a list in JSON, and the rows of a .csv or .tsv with a header, as PartiPrompts', have prompt, text
    or caption; an entry may also be a text, or have several of which the first is taken. A .txt, and what does
    not begin as JSON, has one prompt per line; blank lines are skipped.

    Raises:
        ValueError: the file cannot be read, holds no prompt, or a line is malformed; names its number,
            counted from 1.
    """
    text, kind = rows.text_of(path), path.suffix.lower()
    begin = ("{", "[", '"') if kind in (".json", ".jsonl") else ("{", "[")
    if kind == ".txt" or (kind not in rows.TABLES and not text.lstrip().startswith(begin)):
        prompts = [Prompt(f"{i:05d}", line.strip()) for i, line in rows.lines(text)]
    elif kind not in rows.TABLES and coco.is_coco(found := rows.loaded(text)):
        prompts = _coco(found, path.name)
    else:
        prompts = [_prompt(row, path.name) for row in rows.rows(text, path.name)]
    if not prompts:
        raise ValueError(f"“{path.name}” holds no prompt. It must have one per line or row, or be COCO's captions.")
    return prompts


def several(prompts: Sequence[Prompt]) -> str:
    """One sentence on prompts of which there were several to choose from, or empty."""
    count = sum(prompt.others > 0 for prompt in prompts)
    return f"{count:,} entries have several texts; the first of each is taken." if count else ""


def made(folder: Path) -> dict[str, Any]:
    """How a folder's pictures were made, as its sample.json tells; empty without one.

    Raises:
        ValueError: it is no JSON object.
    """
    path = folder / MADE
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"“{MADE}” is no valid JSON. Take it out, or make the pictures again.") from error
    if not isinstance(found, dict):
        raise ValueError(f"“{MADE}” is no JSON object. Take it out, or make the pictures again.")
    return found


def _coco(found: Mapping[str, Any], name: str) -> list[Prompt]:
    return [
        Prompt(f"{image:012d}", one.text, {"image_id": image, "id": one.id}, one.others)
        for image, one in coco.first_captions(found, name).items()
    ]


def _prompt(row: rows.Row, name: str) -> Prompt:
    found = rows.first_text(row)
    if found is None:
        raise ValueError(rows.lacking(row, name))
    more = {key: value for key, value in row.values.items() if key != found.key}
    return Prompt(f"{row.place:05d}", found.text, more, found.others, row.where)
