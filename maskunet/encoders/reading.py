"""Read a checkpoint: its tensors and nothing else, into a frozen network that they must fit."""

import json
import pickle
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from maskunet.encoders import patches

GET_AGAIN = "Get it again (the public ones: python -m maskunet download rewards)."


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


def no_number(tensors: Iterable[tuple[str, Tensor]]) -> str:
    """The name of the first tensor that holds NaN or an infinity, or nothing."""
    return next((name for name, value in tensors if not _all_numbers(value)), "")


def _all_numbers(value: Tensor) -> bool:
    # Both ends are NaN where anything is. For the 860 million half-precision weights of Stable Diffusion's U-Net this
    # takes a seventh of a second of a CPU's core, and isfinite, which writes as many numbers, seven.
    return not value.is_floating_point() or not value.numel() or bool(torch.stack(value.aminmax()).isfinite().all())


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object.

    Raises:
        ValueError: the file is no JSON object.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"“{path.name}” is no valid JSON ({error!s:.80}). Correct it or get it again.") from error
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
        ValueError: a key or shape does not fit; says how many and gives one. Or a value is no number.
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
    if broken := no_number(state.items()):
        raise ValueError(f"“{name}” holds values that are no numbers, in `{broken}`. {GET_AGAIN}")
    kinds = {k: torch.float32 if exact and k.startswith(exact) else dtype for k in state}
    network.load_state_dict({k: v.to(device, kinds[k]) for k, v in state.items()}, assign=True)
    if torch.device(device).type == "cpu":
        patches.as_products(network)
    return network.to(device).eval().requires_grad_(False)
