"""The masks of one run, and their file: packed bits as safetensors with a JSON header, checked before use; no pickle."""

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


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
        header = _header(path)
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
    made_for = f"These masks were made for {masks.model or 'another model'}, not for {model}: "
    if masks.sites.keys() != sites.keys():
        raise ValueError(
            f"{made_for}they have {len(masks.sites)} sites, this model has {len(sites)}. "
            f"Make new masks with {model}, or choose the model they were made for."
        )
    for name, shape in sites.items():
        if tuple(masks.sites[name]) != tuple(shape):
            raise ValueError(
                f"{made_for}{name} is {_by(masks.sites[name])} there and {_by(shape)} here. "
                f"Make new masks with {model}, or choose the model they were made for."
            )
    if dict(masks.weights) != dict(weights):
        raise ValueError(
            f"{made_for}the sites fit, but the weights are others, so the masks mean nothing here. "
            f"Make new masks with this {model}."
        )


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(str(n) for n in shape)


def _header(path: Path) -> dict[str, Any]:
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise ValueError(f"it is larger than {MAX_BYTES / 2**30:.0f} GB.")
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= length <= min(MAX_HEADER, size - 8):
            raise ValueError("it is no safetensors file, or it was cut off.")
        try:
            header = json.loads(file.read(length))
        except (ValueError, RecursionError):
            raise ValueError("it is no safetensors file, or it was cut off.") from None
    if not isinstance(header, dict) or FORMAT not in (header.get("__metadata__") or {}):
        raise ValueError(f"its header does not say “{FORMAT}”.")
    return header


def _check_header(header: Mapping[str, Any], masks: MaskSet) -> None:
    """Names, dtype and sizes of all tensors must be what the sites and timesteps announce."""
    if any(min(shape, default=0) < 1 for shape in masks.sites.values()):
        raise ValueError("a site has no size.")
    wanted = {f"{timestep}/{site}": site for timestep in masks.steps for site in masks.sites}
    if header.keys() != wanted.keys():
        raise ValueError("its tensors are not the sites and timesteps that its header names.")
    for name, site in wanted.items():
        packed = -(-math.prod(masks.sites[site]) // 8)
        if header[name].get("dtype") != "U8" or header[name].get("shape") != [packed]:
            raise ValueError(f"{site} must be {packed:,} bytes of packed bits.")
