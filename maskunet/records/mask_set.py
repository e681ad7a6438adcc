"""The masks of one run, and their file: packed bits as safetensors with a JSON header, checked before use; no pickle."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from maskunet.records.disk import untrusted


@dataclass(frozen=True, kw_only=True, slots=True)
class MaskSet:
    """The masks of one run, packed eight weights to a byte.

    Attributes:
        model: name of the base model, and `weights`, the SHA-256 of its files: masks fit no other.
        sites: shape (O, I) of each site's weight.
        steps: for each timestep, in sampling order, the packed bits (uint8) of each site.
    """

    model: str
    weights: Mapping[str, str]
    sites: Mapping[str, tuple[int, ...]]
    steps: Mapping[int, Mapping[str, np.ndarray]]


MAX_HEADER = 4 * 2**20  # bytes; 100 steps of 72 sites need about one
MAX_BYTES = 2 * 2**30
FORMAT = "maskunet-masks-1"


def save(masks: MaskSet, path: Path) -> None:
    """Write masks; the same masks always give the same bytes.

    Raises:
        OSError: the file cannot be written.
    """
    from safetensors.numpy import save

    about = {
        "model": masks.model,
        "weights": dict(masks.weights),
        "sites": {name: list(shape) for name, shape in masks.sites.items()},
        "timesteps": list(masks.steps),
    }
    tensors = {
        f"{timestep}/{site}": np.ascontiguousarray(bits, dtype=np.uint8)
        for timestep, sites in masks.steps.items()
        for site, bits in sites.items()
    }
    # One entry only: safetensors does not keep the order of several, and bytes should repeat.
    path.write_bytes(save(tensors, metadata={FORMAT: json.dumps(about, sort_keys=True)}))


def load(path: Path) -> MaskSet:
    """Read masks that `save` wrote; nothing is read into memory before the header is checked.

    Raises:
        ValueError: not such a file, truncated, or its parts do not fit together.
    """
    from safetensors import safe_open

    try:
        header = untrusted.tensors(path, FORMAT, most=MAX_BYTES, most_header=MAX_HEADER)
        about = json.loads(header.pop("__metadata__")[FORMAT])
        masks = MaskSet(
            model=str(about["model"]),
            weights={str(k): str(v) for k, v in about["weights"].items()},
            sites={str(k): tuple(int(n) for n in v) for k, v in about["sites"].items()},
            steps={int(t): {} for t in about["timesteps"]},
        )
        _check_header(header, masks)
        with safe_open(path, framework="np") as file:
            steps = {
                timestep: {site: file.get_tensor(f"{timestep}/{site}") for site in masks.sites}
                for timestep in masks.steps
            }
    except ValueError as error:
        raise ValueError(f"“{path.name}” holds no masks that can be used: {error}") from error
    except Exception as error:
        raise ValueError(f"“{path.name}” holds no masks that can be used: damaged.") from error
    return MaskSet(model=masks.model, weights=masks.weights, sites=masks.sites, steps=steps)


def check(masks: MaskSet, model: str, weights: Mapping[str, str], sites: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse masks that were made for another model than this one.

    Args:
        masks: as loaded.
        model, weights, sites: this model's name, its files' SHA-256, and its sites' shapes.

    Raises:
        ValueError: says for which model they were made, and what differs.
    """
    check_sites(masks, model, sites)
    if dict(masks.weights) != dict(weights):
        raise ValueError(
            f"{_made_for(masks, model)}the sites fit, but the weights are others, so the masks mean nothing here. "
            f"Make new masks with this {model}."
        )


class Made(Protocol):
    """Masks of a model, with the shapes of its sites."""

    model: str
    sites: Mapping[str, tuple[int, ...]]


def check_sites(masks: Made, model: str, sites: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse masks whose sites are not this model's.

    Args:
        masks: one run's, or one that is kept. model, sites: as of `check`.

    Raises:
        ValueError: says for which model they were made, and what differs.
    """
    remedy = f"Make new masks with {model}, or choose the model they were made for."
    if masks.sites.keys() != sites.keys():
        raise ValueError(
            f"{_made_for(masks, model)}they have {len(masks.sites)} sites, this model has {len(sites)}. {remedy}"
        )
    for name, shape in sites.items():
        if tuple(masks.sites[name]) != tuple(shape):
            raise ValueError(
                f"{_made_for(masks, model)}{name} is {_by(masks.sites[name])} there and {_by(shape)} here. {remedy}"
            )


def _made_for(masks: Made, model: str) -> str:
    return f"These masks were made for {masks.model or 'another model'}, not for {model}: "


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(str(n) for n in shape)


def _check_header(header: Mapping[str, Any], masks: MaskSet) -> None:
    """Names, dtype and sizes of all tensors must be what the sites and timesteps announce."""
    if any(min(shape, default=0) < 1 for shape in masks.sites.values()):
        raise ValueError("a site has no size.")
    # Before they are multiplied out: a small header can name many.
    if len(header) != len(masks.steps) * len(masks.sites):
        raise ValueError("its tensors are not the sites and timesteps that its header names.")
    wanted = {f"{timestep}/{site}": site for timestep in masks.steps for site in masks.sites}
    if header.keys() != wanted.keys():
        raise ValueError("its tensors are not the sites and timesteps that its header names.")
    for name, site in wanted.items():
        packed = -(-math.prod(masks.sites[site]) // 8)
        if header[name].get("dtype") != "U8" or header[name].get("shape") != [packed]:
            raise ValueError(f"{site} must be {packed:,} bytes of packed bits.")
