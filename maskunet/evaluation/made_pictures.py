"""Pictures that were made from prompts, found in the layouts in which programs leave them.

- `sample`'s: KEY.png, or KEY-0.png and KEY-1.png where a prompt has several.
- GenEval's: KEY/samples/0000.png, with KEY/metadata.jsonl.
- T2I-CompBench's: PROMPT_000000.png, in the folder or in samples/.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from maskunet.prompts import captions, rows
from maskunet.prompts.files import METADATA, Prompt
from maskunet.prompts.words import shortened
from maskunet.records.disk import pictures

SAMPLES = "samples"


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture's file, its prompt, and which of that prompt's pictures it is; `file` is the path in its folder."""

    path: Path
    prompt: Prompt
    image: int
    file: str


@dataclass(frozen=True, slots=True)
class _Found:
    """A picture with the place of its prompt and what the folder says it was made from, if anything."""

    place: int
    image: int
    path: Path
    text: str = ""


def pictures_of(folder: Path, prompts: Sequence[Prompt]) -> list[Picture]:
    """The pictures of a folder that were made from prompts, in the prompts' order.

    Raises:
        ValueError: no folder, no such picture in it, or one that was made from another text.
    """
    if not folder.is_dir():
        raise ValueError(f"“{folder.name}” is no folder on this machine. Give one that holds pictures.")
    keys = {prompt.key: i for i, prompt in enumerate(prompts)}
    texts = {_bare(prompt.text): i for i, prompt in reversed([*enumerate(prompts)])}
    found = [*_by_name(folder, keys, texts), *_in_folders(folder, keys)]
    found = found or [*_by_name(folder / SAMPLES, keys, texts)]
    for one in found:
        text = prompts[one.place].text
        if one.text and _bare(one.text) != _bare(text):
            raise ValueError(
                f"“{one.path.relative_to(folder)}” was made from “{shortened(one.text)}”, but the prompts have "
                f"“{shortened(text)}” there. Give the file that the pictures were made from."
            )
    if not found:
        raise ValueError(
            f"“{folder.name}” holds no picture that was made from these prompts: none is named after one, as "
            f"00000.png, 00000-0.png, 00000/{SAMPLES}/0000.png or PROMPT_000000.png. "
            "Make them with python -m maskunet sample."
        )
    found.sort(key=lambda one: (one.place, one.image, one.path))
    return [Picture(f.path, prompts[f.place], f.image, f.path.relative_to(folder).as_posix()) for f in found]


def left_out(folder: Path, found: Sequence[Picture]) -> str:
    """One sentence on files of a folder that are not among the pictures found in it, or empty."""
    names = sorted({path.name for path in pictures.listed(folder)} - {picture.file for picture in found})
    return " ".join(filter(None, (pictures.left_out(names, "that no prompt names"), pictures.others(folder))))


def _bare(text: str) -> str:
    return text.strip().rstrip(". ")


def _by_name(folder: Path, keys: dict[str, int], texts: dict[str, int]) -> Iterator[_Found]:
    """Those named after a prompt's key, or after its text."""
    paths = pictures.listed(folder) if folder.is_dir() else []
    told = captions.read(folder, [path.name for path in paths]).texts if paths else {}
    for path in paths:
        text = told.get(path.name, "")
        if path.stem in keys:
            yield _Found(keys[path.stem], 0, path, text)
        elif (numbered := re.fullmatch(r"(.+)-(\d+)", path.stem)) and numbered[1] in keys:
            yield _Found(keys[numbered[1]], int(numbered[2]), path, text)
        elif (numbered := re.fullmatch(r"(.+)_(\d+)", path.stem)) and _bare(numbered[1]) in texts:
            yield _Found(texts[_bare(numbered[1])], int(numbered[2]), path, text)


def _in_folders(folder: Path, keys: dict[str, int]) -> Iterator[_Found]:
    """Those of folders named after a prompt's key."""
    for inside in sorted(path for path in folder.iterdir() if path.name in keys and (path / SAMPLES).is_dir()):
        text, record = "", inside / METADATA
        if record.is_file():
            (first, *_) = rows.rows(rows.text_of(record), f"{inside.name}/{METADATA}") or [None]
            said = first and rows.first_text(first)
            text = said.text if said else ""
        for number, path in enumerate(pictures.listed(inside / SAMPLES)):
            yield _Found(keys[inside.name], int(path.stem) if path.stem.isdecimal() else number, path, text)
