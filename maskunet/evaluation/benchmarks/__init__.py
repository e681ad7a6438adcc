"""One benchmark per file or package: from pictures and their prompts to scores with intervals."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from maskunet.evaluation.benchmarks.base import BenchmarkSpec, Judge, Network, Row
from maskunet.evaluation.made_pictures import Picture, left_out, pictures_of
from maskunet.plugins import discover
from maskunet.records.disk import pictures
from maskunet.records.disk.hub import MissingWeights, snapshot

__all__ = ["SPECS", "Picture", "find", "judge", "left_out", "pictures_of", "protocol"]

SPECS = discover(__name__)


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


def judge(spec: BenchmarkSpec, by: Judge, made: Sequence[Picture], stem: str) -> Iterator[Row]:
    """Judge pictures one after the other.

    Args:
        stem: name of the prompts' file without its ending, which may say the task.

    Raises:
        ValueError: a picture cannot be read; names it.
    """
    for picture in made:
        judgment = by(_pixels(picture), picture.prompt)
        yield Row(
            file=picture.file, key=picture.prompt.key, image=picture.image, prompt=picture.prompt.text,
            task=spec.task_of(picture.prompt, stem), value=judgment.value, reason=judgment.reason,
        )  # fmt: skip


def _pixels(picture: Picture) -> np.ndarray:
    try:
        return pictures.read(picture.path)
    except ValueError as error:
        raise ValueError(f"“{picture.file}” {error}. Delete it and make it again.") from error


def protocol(found: Sequence[Picture], made: Mapping[str, object]) -> dict[str, str]:
    """How pictures were made, in the words of the published protocols.

    Args:
        made: what the folder's sample.json says; empty where there is none.
    """
    counts: dict[str, int] = {}
    for picture in found:
        counts[picture.prompt.key] = counts.get(picture.prompt.key, 0) + 1
    fewest, most = min(counts.values()), max(counts.values())
    names = ("steps", "guidance", "method", "preset", "model")
    told = {name: str(made.get(name) or "not stated") for name in names}
    seed = f"one per picture, from {made['seed']}" if "seed" in made else "not stated"
    each = f"{most}" if fewest == most else f"{fewest} to {most}"
    return {"prompts": f"{len(counts)}", "images per prompt": each, "seed": seed, **told}
