"""A mask that is kept: which weights of one base model go, in their order of removal, and how it came about.

A list of weights in their order, the first to go first, is the smallest form that keeps an order: bits and ranks beside
them need more as soon as a mask removes less than half of all weights, and a dose is the list's beginning. Where a mask
came without an order, such as a run's, it goes in `mixed` order, which follows from the weights alone: the file holds
packed bits then, if they are smaller. No pickle; the header is checked before anything is read.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from maskunet.records import mask_set
from maskunet.records.disk import trained_file, untrusted, whole

FORMAT = "maskunet-mask-1"
FILE = "trained.safetensors"  # in trained/MODEL/NAME, where every trained part lies
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", re.ASCII)
MAX_HEADER = 2**20  # bytes
MAX_RECIPE = 2**18  # bytes of a recipe's JSON
MAX_BYTES = 2 * 2**30
MAX_WEIGHTS = 2**28  # of all sites; Stable Diffusion 1.5 has 49 million
MAX_REMOVED = 2**29  # weights of all steps together; 2 GB in memory
TIMESTEPS = 1000
ONES = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(1, dtype=np.int64)  # of each byte


@dataclass(frozen=True, kw_only=True, slots=True)
class HeldMask:
    """Which weights of a base model go.

    Attributes:
        model: name of the base model, and `weights`, the SHA-256 of its U-Net's files: it fits no other.
        sites: shape (O, I) of each site's weight, in the U-Net's order.
        steps: by timestep (0 to 999, ascending) the removed weights, the first to go first: uint32 places (n,) in all
            sites' weights one after the other, row-major. A timestep without an entry has the nearest one's, so that a
            mask of one entry is one for all steps.
        recipe: how it was made, plain JSON with a text "made".
    """

    model: str
    weights: Mapping[str, str]
    sites: Mapping[str, tuple[int, ...]]
    steps: Mapping[int, np.ndarray]
    recipe: Mapping[str, Any]

    @property
    def total(self) -> int:
        """How many weights may be masked."""
        return sum(math.prod(shape) for shape in self.sites.values())

    @property
    def static(self) -> bool:
        """Whether it is one mask for all steps."""
        return len(self.steps) == 1

    def nearest(self, timestep: int) -> int:
        """The timestep whose entry is used at another one; of two as near the smaller."""
        return min(self.steps, key=lambda t: (abs(t - timestep), t))

    def at(self, timestep: int) -> np.ndarray:
        """The removed weights at a timestep, the first to go first."""
        return self.steps[self.nearest(timestep)]


def mixed(places: np.ndarray) -> np.ndarray:
    """Removed weights without an order of their own, as if by chance and always the same: by a hash of their places.

    Each share of them is then spread evenly over sites, and doses are nested. Equal to sorting by the hash (murmur3's
    last step, Appleby 2016, which no two numbers share), but several times faster, as the hash is undone.
    """
    hashed = places.astype(np.uint32)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        hashed = (hashed ^ (hashed >> np.uint32(shift))) * np.uint32(factor)
    hashed = np.sort(hashed ^ (hashed >> np.uint32(16)))
    hashed ^= hashed >> np.uint32(16)
    for shift, factor in ((13, 0xC2B2AE35), (16, 0x85EBCA6B)):
        hashed *= np.uint32(pow(factor, -1, 2**32))
        hashed ^= (hashed >> np.uint32(shift)) ^ (hashed >> np.uint32(2 * shift) if 2 * shift < 32 else np.uint32(0))
    return hashed


def check_name(name: str) -> str:
    """The name, if a mask may be called so.

    Raises:
        ValueError: it may not; says what is allowed.
    """
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ValueError(
            f"A mask cannot be called {str(name)!r:.80}. Allowed are up to 64 letters, digits, “_”, “-” and “.”, the "
            "first a letter or digit."
        )
    return name


def place(trained: Path, model: str, name: str) -> Path:
    """Where the mask of that name of a model lies, in the folder of what was trained.

    Raises:
        ValueError: a mask cannot be called so.
    """
    return trained / model / check_name(name) / FILE


def named(files: Mapping[str, Path], name: str, model: str) -> Path:
    """The file of the mask of that name.

    Args:
        files: a model's masks by name. model: its name.

    Raises:
        ValueError: there is none; says which there are.
    """
    if name not in files:
        raise ValueError(f"There is no mask “{name:.80}” of {model}. There are: {', '.join(files) or 'none'}.")
    return files[name]


def save(mask: HeldMask, path: Path) -> None:
    """Write a mask, whole or not at all; the same mask always gives the same bytes.

    Raises:
        ValueError: its parts do not fit together, its recipe is no JSON or too long, or it cannot be written.
    """
    from safetensors.numpy import save

    _check(mask)
    tensors: dict[str, np.ndarray] = {}
    known: dict[bytes, str] = {}  # two steps of the same weights share one tensor
    steps = []
    for timestep in sorted(mask.steps):
        stored = _smaller(mask.steps[timestep], mask.total)
        number = known.setdefault(stored.dtype.char.encode() + stored.tobytes(), str(len(known)))
        tensors[number] = stored
        steps.append([int(timestep), int(number)])
    about = {
        "model": mask.model,
        "weights": trained_file.of_unet(mask.weights),
        "sites": [[name, [int(n) for n in shape]] for name, shape in mask.sites.items()],
        "steps": steps,
        "recipe": dict(mask.recipe),
    }
    if (removed := sum(map(_count, tensors.values()))) > MAX_REMOVED:
        raise ValueError(f"The mask removes {removed:,} weights over all its steps; allowed are {MAX_REMOVED:,}.")
    content = save(tensors, metadata={FORMAT: json.dumps(about, sort_keys=True)})
    with whole.telling("mask"):
        whole.write(path, content)


def load(path: Path) -> HeldMask:
    """Read a mask that `save` wrote; nothing is read into memory before the header is checked.

    Raises:
        ValueError: not such a file, damaged, too large, or its parts do not fit together.
    """
    from safetensors import safe_open

    try:
        header = untrusted.tensors(path, FORMAT, most=MAX_BYTES, most_header=MAX_HEADER)
        about = json.loads(header.pop("__metadata__")[FORMAT])
        numbers = {int(t): str(int(number)) for t, number in about["steps"]}
        mask = HeldMask(
            model=str(about["model"]),
            weights={str(k): str(v) for k, v in about["weights"].items()},
            sites={str(name): tuple(int(n) for n in shape) for name, shape in about["sites"]},
            steps=dict.fromkeys(sorted(numbers), np.empty(0, np.uint32)),
            recipe=dict(about["recipe"]),
        )
        _check(mask)
        _check_tensors(header, set(numbers.values()), mask.total)
        with safe_open(path, framework="np") as file:
            read = _unpacked(((number, file.get_tensor(number)) for number in header), mask.total)
        return replace(mask, steps={t: read[numbers[t]] for t in mask.steps})
    except MemoryError:
        raise
    except ValueError as error:
        raise ValueError(f"“{_called(path)}” holds no mask that can be used: {error}") from error
    except Exception as error:
        raise ValueError(f"“{_called(path)}” holds no mask that can be used: damaged.") from error


def recipe(path: Path) -> dict[str, Any]:
    """How a mask was made, from its header alone.

    Raises:
        ValueError: the file holds no mask.
    """
    try:
        header = untrusted.tensors(path, FORMAT, most=MAX_BYTES, most_header=MAX_HEADER)
        return dict(json.loads(header["__metadata__"][FORMAT])["recipe"])
    except Exception as error:  # whatever a stranger's file does to those who read it
        raise ValueError(f"“{_called(path)}” holds no mask that can be used.") from error


def check(
    mask: HeldMask, name: str, model: str, weights: Mapping[str, str], sites: Mapping[str, tuple[int, ...]]
) -> None:
    """Refuse a mask that was made for another model than this one.

    Args:
        name: the mask's. model, weights, sites: this model's name, its files' SHA-256, and its sites' shapes.

    Raises:
        ValueError: says for which model it was made, and what differs.
    """
    mask_set.check_sites(mask, model, sites)
    if not trained_file.fits(mask.weights, weights):
        raise ValueError(
            f"The mask “{name}” was made for other weights than these, of {mask.model}. To try it on {model} all the "
            f"same, carry it over: python -m maskunet mask combine {name} --operation carry --of {name} --from-model "
            f"{mask.model} --model {model}"
        )


def _called(path: Path) -> str:
    return path.parent.name if path.name == FILE else path.name


def _smaller(places: np.ndarray, total: int) -> np.ndarray:
    """As bits, if they are smaller and the order follows from them; else the places in their order."""
    places = np.ascontiguousarray(places, dtype=np.uint32)
    if places.nbytes <= -(-total // 8) or not np.array_equal(places, mixed(places)):
        return places
    bits = np.zeros(total, dtype=bool)
    bits[places] = True
    return np.packbits(bits)


def _unpacked(stored: Iterable[tuple[str, np.ndarray]], total: int) -> dict[str, np.ndarray]:
    """The places of each tensor, read one after the other: a file may hold far more than memory does."""
    read, removed = {}, 0
    for number, each in stored:
        removed += _count(each)
        if removed > MAX_REMOVED:
            raise ValueError(f"it removes more than {MAX_REMOVED:,} weights over all steps.")
        read[number] = mixed(np.flatnonzero(np.unpackbits(each, count=total))) if each.dtype == np.uint8 else each
        _check_places(read[number], total)
    return read


def _count(stored: np.ndarray) -> int:
    """How many weights a tensor of the file removes: bits, or places."""
    return int(np.bincount(stored, minlength=256) @ ONES) if stored.dtype == np.uint8 else stored.size


def _check(mask: HeldMask) -> None:
    """Names, shapes, timesteps, places and the recipe must be what they are said to be."""
    if not mask.sites or any(len(shape) != 2 or min(shape) < 1 for shape in mask.sites.values()):
        raise ValueError("a site has no size.")
    if mask.total > MAX_WEIGHTS:
        raise ValueError(f"its model has more than {MAX_WEIGHTS:,} weights to mask.")
    if not mask.steps or not all(0 <= t < TIMESTEPS for t in mask.steps):
        raise ValueError(f"its timesteps must be some of 0 to {TIMESTEPS - 1}.")
    if not isinstance(mask.recipe.get("made"), str):
        raise ValueError("its recipe does not say how it was made.")
    try:
        recipe = json.dumps(dict(mask.recipe), sort_keys=True, allow_nan=False)
    except (TypeError, RecursionError) as error:
        raise ValueError("its recipe must be plain JSON.") from error
    if len(recipe) > MAX_RECIPE:
        raise ValueError(f"its recipe is longer than {MAX_RECIPE:,} characters. Combine fewer masks.")
    for places in mask.steps.values():
        _check_places(places, mask.total)


def _check_places(places: np.ndarray, total: int) -> None:
    if places.ndim != 1 or places.dtype != np.uint32:
        raise ValueError("its weights must be a list of 32-bit numbers.")
    if not places.size:
        return
    there = np.zeros(total, dtype=bool)
    if int(places.max()) >= total:
        raise ValueError(f"it names a weight beyond the {total:,} that there are.")
    there[places] = True
    if np.count_nonzero(there) != places.size:
        raise ValueError("it names a weight twice.")


def _check_tensors(header: Mapping[str, Any], wanted: set[str], total: int) -> None:
    if header.keys() != wanted:
        raise ValueError("its tensors are not those that its steps name.")
    for about in header.values():
        kind, shape = about.get("dtype"), about.get("shape")
        listed = kind == "U32" and isinstance(shape, list) and len(shape) == 1 and 0 <= shape[0] <= total
        if not listed and not (kind == "U8" and shape == [-(-total // 8)]):
            raise ValueError("its steps are neither lists of weights nor packed bits.")
