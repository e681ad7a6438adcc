"""One benchmark per file or package: from pictures and their prompts to scores with intervals."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from maskunet.evaluation.benchmarks.base import BenchmarkSpec, Judge, Network, Row
from maskunet.plugins import discover
from maskunet.prompts.files import Prompt, captions
from maskunet.prompts.words import shortened
from maskunet.records.disk.hub import MissingWeights, snapshot

SPECS = discover(__name__)


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture's file, its prompt, and which of that prompt's pictures it is."""

    path: Path
    prompt: Prompt
    image: int


def pictures_of(folder: Path, prompts: Sequence[Prompt]) -> list[Picture]:
    """The PNGs of a folder that were made from prompts, in the prompts' order.

    They are named after the prompt's key, with the picture's number behind a hyphen where a prompt has
    several: 00007.png, or 00007-0.png and 00007-1.png.

    Raises:
        ValueError: no folder, no such picture in it, or one that its metadata.jsonl says another text of.
    """
    if not folder.is_dir():
        raise ValueError(f"“{folder.name}” is no folder on this machine. Give one that holds pictures.")
    places, texts = {prompt.key: i for i, prompt in enumerate(prompts)}, captions(folder)
    found = []
    for path in sorted(folder.glob("*.png")):
        key, image = path.stem, 0
        if key not in places and (numbered := re.fullmatch(r"(.+)-(\d+)", key)):
            key, image = numbered[1], int(numbered[2])
        if key not in places:
            continue
        text = prompts[places[key]].text
        if texts.get(path.name, text) != text:
            raise ValueError(
                f"“{path.name}” was made from “{shortened(texts[path.name])}”, but the prompts have “{shortened(text)}” "
                "there. Give the file that the pictures were made from."
            )
        found.append((places[key], image, path))
    if not found:
        raise ValueError(
            f"“{folder.name}” holds no picture that was made from these prompts: none is named after the key "
            "of one, such as 00000-0.png. Make them with python -m maskunet sample."
        )
    return [Picture(path, prompts[place], image) for place, image, path in sorted(found)]


def find(spec: BenchmarkSpec, weights: Path | None = None) -> dict[str, Path]:
    """The folder of each of a benchmark's networks on this machine; never downloads.

    Args:
        weights: look here first, for folders with the networks' names.

    Raises:
        MissingWeights: some are not here; says which, how large they are, and how to get them.
    """
    found = {network.name: _folder(network, weights) for network in spec.networks}
    lacking = [network for network in spec.networks if found[network.name] is None]
    if lacking:
        names = " and ".join(f"{network.title} ({network.download_gb:.2f} GB)" for network in lacking)
        folders = " and ".join(f"“{network.name}”" for network in lacking)
        raise MissingWeights(
            f"{spec.title} needs {names}, not on this machine. To download: python -m maskunet download "
            f"{spec.name}; or give --weights a folder that holds {folders} in transformers' format."
        )
    return {name: folder for name, folder in found.items() if folder is not None}


def _folder(network: Network, weights: Path | None) -> Path | None:
    if weights is not None and (weights / network.name / "config.json").is_file():
        return weights / network.name
    return snapshot(network.repo, file="model.safetensors")


def judge(spec: BenchmarkSpec, by: Judge, pictures: Sequence[Picture], stem: str) -> Iterator[Row]:
    """Judge pictures one after the other.

    Args:
        stem: name of the prompts' file without its ending, which may say the task.

    Raises:
        ValueError: a picture cannot be read; names it.
    """
    for picture in pictures:
        judgment = by(_pixels(picture.path), picture.prompt)
        yield Row(
            file=picture.path.name, key=picture.prompt.key, image=picture.image, prompt=picture.prompt.text,
            task=spec.task_of(picture.prompt, stem), value=judgment.value, reason=judgment.reason,
        )  # fmt: skip


def _pixels(path: Path) -> np.ndarray:
    from PIL import Image

    try:
        with Image.open(path) as picture:
            return np.array(picture.convert("RGB"))
    except Exception as error:  # a damaged file raises what its decoder likes
        raise ValueError(f"“{path.name}” is damaged or no picture. Delete it and make it again.") from error


def protocol(pictures: Sequence[Picture], made: Mapping[str, object]) -> dict[str, str]:
    """How pictures were made, in the words of the published protocols.

    Args:
        made: what the folder's sample.json says; empty where there is none.
    """
    counts: dict[str, int] = {}
    for picture in pictures:
        counts[picture.prompt.key] = counts.get(picture.prompt.key, 0) + 1
    fewest, most = min(counts.values()), max(counts.values())
    names = ("steps", "guidance", "method", "preset", "model")
    told = {name: str(made.get(name) or "not stated") for name in names}
    seed = f"one per picture, from {made['seed']}" if "seed" in made else "not stated"
    each = f"{most}" if fewest == most else f"{fewest} to {most}"
    return {"prompts": f"{len(counts)}", "images per prompt": each, "seed": seed, **told}
