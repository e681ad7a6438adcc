"""Which layer of a network each tensor of a LoRA file belongs to, under whichever name its program gives it.

kohya joins the layer's path by "_" (lora_unet_…, lora_te_…, .alpha), with diffusers' names or with the original ones of
single files; diffusers and peft keep its dots. So each layer is found by its path with all dots made "_".
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from torch import nn

from maskunet.models.base.single_file.kinds import UNET
from maskunet.models.base.single_file.names import originals

PREFIXES = (  # what a name begins with, and the network that it is of
    ("lora_unet_", "unet"), ("lora_te1_", "text_encoder"), ("lora_te2_", "text_encoder_2"), ("lora_te_", "text_encoder"),
    ("unet.", "unet"), ("text_encoder_2.", "text_encoder_2"), ("text_encoder.", "text_encoder"),
)  # fmt: skip
PARTS = {"lora_down": "down", "lora_A": "down", "down": "down", "lora_up": "up", "lora_B": "up", "up": "up"}
TENSOR = re.compile(r"[._](?:lora(?:_linear_layer)?\.(down|up)|(lora_down|lora_up|lora_A|lora_B))(?:\.\w+)?\.weight")
ORIGINAL = re.compile(r"(input|output)_blocks_|middle_block_|time_embed_\d|out_\d")


class Named(NamedTuple):
    """A tensor's place: the network, the layer's path with "_", and whether it is "down", "up" or "alpha"."""

    network: str
    path: str
    part: str


def named(key: str) -> Named | None:
    """The place that a tensor's name says; None if it is no LoRA's."""
    stem, part = key.removesuffix(".alpha"), "alpha"
    if stem == key:
        found = TENSOR.search(key)
        if found is None or found.end() != len(key):
            return None
        stem, part = key[: found.start()], PARTS[found[1] or found[2]]
    stem = stem.removeprefix("base_model.model.")
    network, path = next(
        ((net, stem.removeprefix(begin)) for begin, net in PREFIXES if stem.startswith(begin)), ("unet", stem)
    )
    path = path.replace(".processor.", ".").replace(".", "_").removeprefix("text_model_")
    return Named(network, f"{path}_0" if path.endswith("_to_out") else path, part)


def layers(network: str, module: nn.Module, paths: Iterable[str]) -> dict[str, str]:
    """The path in a network of every layer that a LoRA may change, by the paths of `named`.

    Args:
        network: "unet" or another. paths: those in the file; original names are made only for files that have some.
    """
    changeable = [name for name, layer in module.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    found = {name.removeprefix("text_model.").replace(".", "_"): name for name in changeable}
    if network == "unet" and any(ORIGINAL.match(path) for path in paths):
        found |= _by_original(changeable, module.config)
    return found


def _by_original(names: Iterable[str], config: Mapping[str, Any]) -> dict[str, str]:
    places = originals("unet", "sd1", [f"{name}.weight" for name in names], config)
    return {
        place.name.removeprefix(UNET).removesuffix(".weight").replace(".", "_"): name.removesuffix(".weight")
        for name, place in places.items()
    }
