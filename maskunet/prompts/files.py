"""Files of prompts as they are published: COCO's captions, T2I-CompBench's lists, GenEval's and image folders'."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TEXTS = ("prompt", "text", "caption")  # what a line of JSON may call it
METADATA = "metadata.jsonl"
MADE = "sample.json"


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt of a file.

    Attributes:
        key: what its pictures are named after: COCO's image id in 12 digits, elsewhere the place of its
            line, counted from 0 as GenEval does, in 5 digits.
        more: the rest of its record, such as GenEval's tag and include.
    """

    key: str
    text: str
    more: Mapping[str, Any] = field(default_factory=dict)


def read(path: Path) -> list[Prompt]:
    """The prompts of a file, in its order; COCO's by image id.

    COCO's captions are JSON with `annotations`, of which each image's first by id is taken. Lines of JSON
    have prompt, text or caption. A .txt, and what does not begin as JSON, has one prompt per line; blank
    lines are skipped.

    Raises:
        ValueError: the file cannot be read, holds no prompt, or a line is malformed; names its number,
            counted from 1.
    """
    text = _text(path)
    if path.suffix.lower() == ".txt" or not text.lstrip().startswith(("{", "[")):
        prompts = [Prompt(f"{i:05d}", line.strip()) for i, line in _lines(text)]
    elif (annotations := _annotations(text)) is not None:
        prompts = _coco(annotations, path.name)
    else:
        prompts = [_record(line, i, path.name) for i, line in _lines(text)]
    if not prompts:
        raise ValueError(f"“{path.name}” holds no prompt. It must have one per line, or be COCO's captions.")
    return prompts


def captions(folder: Path) -> dict[str, str]:
    """The captions of a folder's pictures by file name, as its metadata.jsonl tells them; empty without one.

    Raises:
        ValueError: as `read`.
    """
    path = folder / METADATA
    found = read(path) if path.is_file() else []
    return {str(prompt.more["file_name"]): prompt.text for prompt in found if "file_name" in prompt.more}


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


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"“{path.name}” cannot be read. Give a file of prompts.") from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = content[: error.start].count(b"\n") + 1
        raise ValueError(f"Line {number} of “{path.name}” is no UTF-8 text. Save the file as UTF-8.") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, with their place; str.splitlines would also cut at rarer characters."""
    return ((i, line) for i, line in enumerate(text.split("\n")) if line.strip())


def _annotations(text: str) -> Sequence[Any] | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    annotations = found.get("annotations") if isinstance(found, dict) else None
    return annotations if isinstance(annotations, list) else None


def _coco(annotations: Sequence[Any], name: str) -> list[Prompt]:
    first: dict[int, tuple[int, str]] = {}
    for number, entry in enumerate(annotations, 1):
        try:
            image, own, caption = (entry[key] for key in ("image_id", "id", "caption"))
            found = (int(own), caption.strip())
            image = int(image)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(
                f"Annotation {number} of “{name}” is none of COCO's: it needs id, image_id and caption."
            ) from error
        first[image] = min(first.get(image, found), found)
    return [
        Prompt(f"{image:012d}", caption, {"image_id": image, "id": own})
        for image, (own, caption) in sorted(first.items())
    ]


def _record(line: str, place: int, name: str) -> Prompt:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        row = None
    if not isinstance(row, dict):
        raise ValueError(f"Line {place + 1} of “{name}” is no JSON object. Each line must be one.")
    key = next((key for key in TEXTS if isinstance(row.get(key), str) and row[key].strip()), None)
    if key is None:
        raise ValueError(f"Line {place + 1} of “{name}” has no {', '.join(TEXTS[:-1])} or {TEXTS[-1]}.")
    return Prompt(f"{place:05d}", row[key].strip(), {k: v for k, v in row.items() if k != key})
