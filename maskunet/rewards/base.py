"""What every reward shares: the SPEC, the preprocessing, reading checkpoints, and the weighted sum."""

import json
import pickle
import zipfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from maskunet.encoders import patches

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
CACHED_PROMPTS = 64  # text sides kept per reward
GET_AGAIN = "Get it again (the public ones: python -m maskunet download rewards)."


class Reward(Protocol):
    """One number per picture, higher is better, with a gradient to the picture."""

    def __call__(self, image: Tensor, prompts: list[str]) -> Tensor:
        """Score (B, 3, H, W) in [0, 1] against B prompts; returns (B,) in float32."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class RewardSpec:
    """A reward's name, where its checkpoint is from, and how to load it.

    Attributes:
        weight: omega of Eq. 10 in the paper.
        repo: Hugging Face repository of the checkpoint, `files` what is needed from it.
        download_gb: size of that download, 10^9 bytes.
        load: (folder, device, dtype) -> Reward.
    """

    name: str
    title: str
    summary: str
    license: str
    source: str
    weight: float
    repo: str
    files: tuple[str, ...]
    download_gb: float
    load: Callable[[Path, torch.device, torch.dtype], Reward]


class WeightedRewards:
    """Several rewards and their weighted sum (Eq. 10).

    Args:
        parts: (reward, weight) by name.
    """

    def __init__(self, parts: Mapping[str, tuple[Reward, float]]):
        self._parts = dict(parts)

    @property
    def parts(self) -> dict[str, tuple[Reward, float]]:
        """Each reward and its weight."""
        return dict(self._parts)

    @property
    def weights(self) -> dict[str, float]:
        """The weight of each reward."""
        return {name: weight for name, (_, weight) in self._parts.items()}

    def reweighted(self, weights: Mapping[str, float]) -> "WeightedRewards":
        """The same networks with other weights; rewards that are not named keep theirs."""
        return WeightedRewards({n: (r, weights.get(n, w)) for n, (r, w) in self._parts.items()})

    def only(self, name: str) -> "WeightedRewards":
        """One of them alone; the other networks do not run.

        Raises:
            ValueError: there is no reward of that name.
        """
        if name not in self._parts:
            raise ValueError(f"There is no reward “{name}”. There are: {', '.join(self._parts)}.")
        return WeightedRewards({name: self._parts[name]})

    def text_towers(self, prompt: str) -> list[nn.Module]:
        """Networks that have read this prompt now and are of no more use for it, in the rewards that have such."""
        towers = (getattr(reward, "text_tower", None) for reward, _ in self._parts.values())
        return [network for tower in towers if tower is not None for network in tower(prompt)]

    def __call__(self, image: Tensor, prompts: list[str]) -> dict[str, Tensor]:
        """Score (B, 3, H, W) in [0, 1]: each reward by name, unweighted, and "total", (B,) each.

        A reward whose weight is 0, beside others, is looked at without a gradient: it would be one of zeros.

        Raises:
            ValueError: not one prompt per picture.
        """
        if len(image) != len(prompts):
            raise ValueError(
                f"{len(image)} pictures and {len(prompts)} prompts were given. Give one prompt per picture."
            )
        scores, weighted = {}, any(self.weights.values())
        for name, (reward, weight) in self._parts.items():
            with nullcontext() if weight or not weighted else torch.no_grad():
                scores[name] = reward(image, prompts)
        scores["total"] = sum(weight * scores[name] for name, (_, weight) in self._parts.items())
        return scores


class Shift(NamedTuple):
    """How one view differs from its picture: rows (H,) and columns (W,) in their new order, noise (1, 3, H, W)."""

    rows: Tensor
    columns: Tensor
    noise: Tensor


def shifts(
    shape: tuple[int, ...], generator: torch.Generator, count: int, device: torch.device, dtype: torch.dtype
) -> tuple[Shift, ...]:
    """Draw small shifts and noise for so many views of a picture (1, 3, H, W).

    Args:
        generator: on the CPU.
    """
    drawn, reach = [], max(1, shape[-1] // 32)
    for _ in range(count):
        moved = torch.randint(-reach, reach + 1, (2,), generator=generator).tolist()
        order = (torch.arange(n).roll(by).to(device) for n, by in zip(shape[-2:], moved, strict=True))
        drawn.append(Shift(*order, torch.randn(shape, generator=generator).to(device, dtype)))
    return tuple(drawn)


def shifted_views(image: Tensor, drawn: Sequence[Shift]) -> Tensor:
    """The image (1, 3, H, W) and shifted, slightly noisy copies, (V, 3, H, W): harder to please by accident."""
    moved = (
        image.index_select(-2, one.rows).index_select(-1, one.columns) + 0.02 * one.noise for one in drawn
    )
    return torch.cat((image, *moved))


def normalized(image: Tensor, size: int, *, whole: bool = False) -> Tensor:
    """Bicubic resize, made square, CLIP's mean and std: (B, 3, size, size), float32.

    Rounds as the published rewards do. Bicubic overshoot is left as it is: clamping would cut the
    gradient.

    Args:
        image: (B, 3, H, W) in [0, 1].
        size: of the network's picture, pixels.
        whole: fit the long side and pad with black, as HPSv2 does; else fit the short side and crop
            the center, as ImageReward does. Square pictures come out the same.
    """
    image = image.float()  # half precision would lose more here than in the networks
    sides = list(image.shape[-2:])
    scale = size / max(sides)
    shape = [round(side * scale) if whole else int(size * side / min(sides)) for side in sides]
    if shape != sides:
        image = F.interpolate(image, shape, mode="bicubic", antialias=True, align_corners=False)
    if whole:
        top, left = ((size - side) // 2 for side in shape)
        image = F.pad(image, (left, size - shape[1] - left, top, size - shape[0] - top))
    else:
        top, left = (round((side - size) / 2) for side in shape)
        image = image[..., top : top + size, left : left + size]
    mean, std = _clip_mean_std(image.device)
    return (image - mean) / std


@cache
def _clip_mean_std(device: torch.device) -> tuple[Tensor, Tensor]:
    """(3, 1, 1) float32 each, sent to the device once: sending waits for it."""
    return tuple(torch.tensor(each, device=device).view(3, 1, 1) for each in (CLIP_MEAN, CLIP_STD))


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors or .pt file; pickled objects are never run.

    Raises:
        ValueError: the file is missing, cut off or holds more than tensors; names the file only.
    """
    if not path.is_file():
        raise ValueError(f"“{path.name}” is missing. {GET_AGAIN}")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        whole = zipfile.is_zipfile(path)
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=whole)
    except Exception as error:
        if isinstance(error, pickle.UnpicklingError) and whole:
            raise ValueError(
                f"“{path.name}” holds Python objects besides tensors, which could run code, so it was not "
                "loaded. Take the file from its own repository, or save its tensors alone."
            ) from error
        raise ValueError(
            f"“{path.name}” is cut off or no checkpoint: its {path.stat().st_size:,} bytes cannot be read. "
            f"Delete it. {GET_AGAIN}"
        ) from error
    state = state.get("state_dict", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise ValueError(f"“{path.name}” is no state dict: tensors by name were expected. {GET_AGAIN}")
    return state


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object.

    Raises:
        ValueError: the file is no JSON object.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"“{path.name}” is no valid JSON ({error}). Correct it or get it again.") from error
    if not isinstance(found, dict):
        raise ValueError(f"“{path.name}” is no JSON object with names and values. Get it again.")
    return found


def load_frozen(
    network: nn.Module,
    state: Mapping[str, Tensor],
    name: str,
    *,
    device: torch.device,
    dtype: torch.dtype,
    exact: str = "",
) -> nn.Module:
    """Give a network built without weights those of a state dict, and freeze it.

    Args:
        network: parameters on the meta device, so that no second copy of them is ever made.
        state: every key and shape must fit.
        name: the checkpoint's, for the error.
        exact: parameters whose names begin so are kept in float32.

    Raises:
        ValueError: a key or shape does not fit; says how many and gives one.
    """
    own = {k: tuple(v.shape) for k, v in network.state_dict().items()}
    given = {k: tuple(v.shape) for k, v in state.items()}
    wrong = sorted(k for k in own.keys() | given.keys() if own.get(k) != given.get(k))
    if wrong:
        key = wrong[0]
        raise ValueError(
            f"“{name}” does not fit its network in {len(wrong)} entries; `{key}` is "
            f"{given.get(key, 'absent')} there and {own.get(key, 'unknown')} here. Check that it is the "
            "right checkpoint."
        )
    kinds = {k: torch.float32 if exact and k.startswith(exact) else dtype for k in state}
    network.load_state_dict({k: v.to(device, kinds[k]) for k, v in state.items()}, assign=True)
    if torch.device(device).type == "cpu":
        patches.as_products(network)
    return network.to(device).eval().requires_grad_(False)


class PromptCache:
    """Remembers the text side of the last prompts, so that the loop computes it once."""

    def __init__(self, compute: Callable[[str], Tensor]):
        self._compute, self._kept = compute, {}

    def __call__(self, prompt: str) -> Tensor:
        """The text side of a prompt."""
        if prompt not in self._kept:
            if len(self._kept) >= CACHED_PROMPTS:
                self._kept.pop(next(iter(self._kept)))
            self._kept[prompt] = self._compute(prompt)
        return self._kept[prompt]
