"""Trained U-Nets on disk: a LoRA in diffusers' format or all weights, with a header; checked before use.

And those of others, without one (`unet_of_others`).
"""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from maskunet.encoders.reading import no_number
from maskunet.models.base import unet_of_others
from maskunet.models.base.reading import WEIGHT_FILES, refuse_no_numbers
from maskunet.records.disk import trained_file

FORMAT = "maskunet-unet-1"
WHAT = "fine-tuned U-Net"
KINDS = ("lora", "full")


def save(path: Path, tensors: Mapping[str, Any], kind: str, base: Mapping[str, Any], **more: str) -> None:
    """Write the weights that were trained.

    Args:
        tensors: of "full", the U-Net's state; of "lora", diffusers' names below "unet.".
        kind: one of KINDS. base: see `trained_file.header`. more: other entries of the header.
    """
    trained_file.write(path, tensors, {**more, **trained_file.header(base, {"kind": kind}, FORMAT)})


def about(path: Path) -> dict[str, Any]:
    """What the file says of itself: "kind", "model", "weights".

    Raises:
        ValueError: it holds no fine-tuned U-Net, or is damaged.
    """
    return trained_file.about(path, FORMAT, WHAT)


def load(path: Path, unet: nn.Module, weights: Mapping[str, str] | None = None) -> nn.Module:
    """A copy of the U-Net with the trained weights in it, frozen; a LoRA is merged, so it costs nothing.

    Args:
        unet: the base model's; it is left as it is.
        weights: as in `generator_file.load`.

    Raises:
        ValueError: the file is damaged, or was made for another base model.
    """
    others = unet_of_others.is_one(path)
    bare = {name: value for name, value in (weights or {}).items() if not name.startswith(trained_file.LORA)}
    known = {"kind": "full", "weights": trained_file.of_unet(bare)} if others else about(path)
    if weights is not None:
        if not others:
            trained_file.check_base(path, known, weights, WHAT)
        if known["kind"] == "full" and trained_file.of_unet(weights) != known["weights"]:
            raise ValueError(
                f"The {WHAT} “{trained_file.called(path)}” is a whole U-Net and would take the LoRA's place. Leave the LoRA out, or take a "
                "fine-tuned LoRA."
            )
    if others:
        return _of_others(path, unet)
    try:
        tuned = _copied(unet)
        {"lora": _merge, "full": _replace}[known["kind"]](tuned, path)
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        raise ValueError(
            f"The {WHAT} “{trained_file.called(path)}” does not fit this U-Net: it was made for another one, or it is damaged. "
            "Train it for this model."
        ) from error
    if no_number(tuned.state_dict().items()):
        raise ValueError(f"The {WHAT} “{trained_file.called(path)}” holds values that are no numbers. Train it again.")
    return tuned.eval().requires_grad_(False)


def _copied(unet: nn.Module) -> nn.Module:
    copied = copy.deepcopy(unet)
    for module in copied.modules():
        module._forward_hooks.clear()  # of whoever is watching the base model just now
    return copied


def _of_others(path: Path, unet: nn.Module) -> nn.Module:
    """With the weights of somebody else's; of which base model's they are can only be told by their shapes."""
    stem, tuned = WEIGHT_FILES["unet"], _copied(unet)
    folder = path.parent.parent if path.parent.name == "unet" else path.parent
    name = folder.name if path.name.startswith(stem) else path.stem
    unet_of_others.fill(tuned, path, name)
    refuse_no_numbers(f"U-Net “{name}”", tuned)
    return tuned.eval().requires_grad_(False)


def _merge(unet: nn.Module, path: Path) -> None:
    unet.load_lora_adapter(path.parent, weight_name=path.name, prefix="unet", local_files_only=True)
    unet.fuse_lora()
    unet.unload_lora()


def _replace(unet: nn.Module, path: Path) -> None:
    from safetensors.torch import load_file

    unet.load_state_dict(load_file(path))
