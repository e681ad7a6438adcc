"""What every benchmark shares: the SPEC, the networks it asks, what it says of a picture, and scores."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from maskunet.prompts.files import Prompt


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgment:
    """What a benchmark says of one picture.

    Attributes:
        value: 0 to 1, higher is better.
        reason: why it is not 1, or what it is made of; may be empty.
    """

    value: float
    reason: str = ""


class Judge(Protocol):
    """A benchmark with its networks loaded."""

    def __call__(self, pixels: np.ndarray, prompt: Prompt) -> Judgment:
        """Judge a picture (H, W, 3) uint8."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Network:
    """A frozen network that a benchmark asks, in transformers' format.

    Attributes:
        name: of its folder below --weights.
        repo: Hugging Face repository, and `files`, patterns of what is needed from it.
        download_gb: size of that download, 10^9 bytes.
    """

    name: str
    title: str
    license: str
    repo: str
    files: tuple[str, ...]
    download_gb: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One picture's judgment.

    Attributes:
        key: of its prompt, and `image`, which of that prompt's pictures it is.
    """

    file: str
    key: str
    image: int
    prompt: str
    task: str
    value: float
    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """One number of a benchmark.

    Attributes:
        value, low, high: the number, 0 to 1, and its 95 % interval.
        n, prompts: pictures and prompts it is made of.
        note: what a reader must know, one sentence, or empty.
    """

    name: str
    value: float
    low: float
    high: float
    n: int
    prompts: int
    note: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchmarkSpec:
    """A benchmark's name, its networks, how it judges, and what others published.

    Attributes:
        interval: where the intervals come from, one sentence.
        networks: what must be on this machine.
        task_of: (prompt, stem of the prompts' file) -> the task it counts for.
        check: refuses prompts of another format with a ValueError that names the line.
        load: (folder by network name, device, prompts) -> Judge; the prompts, as a network may not know
            what one asks for.
        summarize: rows -> scores.
        protocols: by whose they are, how pictures were made for published figures.
        published: by method, the figures by score name; `published_note`, how to read them.
    """

    name: str
    title: str
    summary: str
    source: str
    interval: str
    networks: tuple[Network, ...]
    task_of: Callable[[Prompt, str], str]
    check: Callable[[Sequence[Prompt]], None]
    load: Callable[[Mapping[str, Path], torch.device, Sequence[Prompt]], Judge]
    summarize: Callable[[Sequence[Row]], list[Score]]
    protocols: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    published: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    published_note: str = ""


def place(prompt: Prompt) -> str:
    """Where a prompt stands in its file, such as "Line 8"; COCO's are not in lines."""
    return prompt.where or (f"Line {int(prompt.key) + 1}" if len(prompt.key) == 5 else f"Prompt {prompt.key}")


def by_prompt(rows: Sequence[Row]) -> list[float]:
    """The mean value of each prompt's pictures, in the rows' order."""
    values: dict[str, list[float]] = {}
    for row in rows:
        values.setdefault(row.key, []).append(row.value)
    return [sum(of_prompt) / len(of_prompt) for of_prompt in values.values()]
