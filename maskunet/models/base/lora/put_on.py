"""Add LoRA files to copies of a model's networks: W + s (alpha / rank) B A, summed over the files and added once.

LoRA (Hu et al. 2021). The model itself stays as it is: what is not changed is shared with it, what is is new.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from maskunet.encoders.beside import LinearBeside
from maskunet.encoders.reading import no_number
from maskunet.models.base.lora.names import layers, named
from maskunet.models.base.lora.read import About, about
from maskunet.prompts.words import shortened

BASES = {768: "Stable Diffusion 1.x", 1024: "Stable Diffusion 2.x", 2048: "SDXL"}  # by the width of their text states
DAMAGED = "it is damaged. Download it again."


class Place(NamedTuple):
    """A layer that a LoRA changes: its network and its path there."""

    network: str
    layer: str


@dataclass(slots=True)
class Addition:
    """One file's tensors for one layer, by their names in the file; alpha is a tensor's name or a number."""

    down: str = ""
    up: str = ""
    alpha: str | float = ""


class Factors(NamedTuple):
    """What is added to a layer: up (O, r) @ down (r, I), for a convolution over flattened kernels; the scale is in `up`."""

    down: Tensor
    up: Tensor


def put_on(
    networks: Mapping[str, nn.Module], files: Sequence[tuple[Path, float]], beside: Sequence[str] = ()
) -> dict[str, nn.Module]:
    """Copies of the networks that the files change, frozen.

    Args:
        networks: "unet" and "text_encoder". files: each with its weight; of weight 0 it is only checked.
        beside: layers of the U-Net where the addition stays beside the weight, so that a mask leaves it whole.

    Raises:
        ValueError: a file is no LoRA of such a model, or damaged; nothing has been changed. All headers are checked
            before a tensor is read.
    """
    headers = [about(path) for path, _ in files]
    plans = [_plan(header, networks) for header in headers]
    added: dict[Place, list[Factors]] = {}
    for (path, weight), header, plan in zip(files, headers, plans, strict=True):
        for place, factors in _factors(path, weight, header, plan).items():
            added.setdefault(place, []).append(factors)
    changed = {name: copied(networks[name]) for name in dict.fromkeys(place.network for place in added)}
    for place, all_factors in added.items():
        network = changed[place.network]
        layer = network.get_submodule(place.layer)
        if place.network == "unet" and place.layer in beside:
            network.set_submodule(place.layer, _beside(layer, all_factors))
        else:
            layer.weight = nn.Parameter(_sum(layer.weight, all_factors), requires_grad=False)
    names = ", ".join(header.file for header in headers)
    for network in changed.values():
        if broken := no_number(network.named_parameters()):
            raise ValueError(f"With {names} the weights {broken} are no numbers any more. Give a smaller weight.")
    return changed


def copied(network: nn.Module) -> nn.Module:
    """The same network with layers of its own, whose weights are the very tensors of the other's."""
    shared = {id(value): value for value in (*network.parameters(), *network.buffers())}
    found = copy.deepcopy(network, shared)
    for module in found.modules():
        module._forward_hooks.clear()  # of whoever is watching the other one just now
        vars(module).pop("_output_capturing_hooks_installed", None)  # transformers then hooks on its own anew
    return found.eval().requires_grad_(False)


def _plan(header: About, networks: Mapping[str, nn.Module]) -> dict[Place, Addition]:
    """Which tensors go where.

    Raises:
        ValueError: a layer is not there, or of another size, or a tensor lacks its partner.
    """
    found: dict[Place, Addition] = {}
    known: dict[str, dict[str, str]] = {}
    tensors = {key: named(key) for key in header.shapes}
    for network in networks:
        known[network] = layers(network, networks[network], [n.path for n in tensors.values() if n.network == network])
    lacking = [key for key, each in tensors.items() if each.path not in known.get(each.network, {})]
    _refuse_width(header, tensors, networks)
    if lacking:
        layers_lacking = {(tensors[key].network, tensors[key].path) for key in lacking}
        raise ValueError(
            f"{header.file} changes {len(layers_lacking)} layers that this model does not have, such as "
            f"{shortened(lacking[0], 80)}: it was made for another kind of model. Take one that was made for this one."
        )
    for key, each in tensors.items():
        place = Place(each.network, known[each.network][each.path])
        setattr(found.setdefault(place, Addition()), each.part, key)
    for place, addition in found.items():
        _check(header, place, addition, networks[place.network].get_submodule(place.layer).weight)
        if not addition.alpha:
            addition.alpha = _stated(header, place, header.shapes[addition.down][0])
    return found


def _stated(header: About, place: Place, rank: int) -> float:
    """The alpha of the header for this layer, else for all, else the rank: a scale of 1."""
    whole = f"{place.network}.{place.layer}"
    for name, alpha in header.alphas.items():
        network, _, layer = name.partition(".")
        if layer and network == place.network and f".{whole}".endswith(f".{layer}"):
            return alpha
    return header.alphas.get(place.network, float(rank))


def _refuse_width(header: About, tensors: Mapping[str, Any], networks: Mapping[str, nn.Module]) -> None:
    """Tell a LoRA of another base by the width of the text states that its cross-attention reads."""
    width = networks["unet"].config.cross_attention_dim
    for key, each in tensors.items():
        if each.network == "unet" and each.part == "down" and each.path.endswith(("attn2_to_k", "attn2_to_v")):
            theirs = (*header.shapes[key], 0, 0)[1]
            if theirs != width:
                made = f"{BASES[theirs]} ({theirs})" if theirs in BASES else f"a model of text width {theirs}"
                raise ValueError(f"{header.file} was made for {made}, this model has {width}. Take one of its kind.")
            return
    if "text_encoder_2" not in networks and any(each.network == "text_encoder_2" for each in tensors.values()):
        raise ValueError(
            f"{header.file} was made for SDXL, which has two text encoders. Take one of this model's kind."
        )


def _check(header: About, place: Place, addition: Addition, weight: Tensor) -> None:
    """Refuse factors whose product is not of the weight's shape."""
    if not addition.down or not addition.up:
        raise ValueError(f"{header.file} has only one of two factors for {place.layer}: {DAMAGED}")
    down, up = header.shapes[addition.down], header.shapes[addition.up]
    if isinstance(addition.alpha, str) and addition.alpha and header.shapes[addition.alpha] not in ((), (1,)):
        raise ValueError(f"{header.file} has an alpha for {place.layer} that is no single number: {DAMAGED}")
    outputs, inputs = weight.shape[0], tuple(weight.shape[1:])
    ones = (1,) * max(0, len(down) - 1 - len(inputs))  # a 1 x 1 convolution's, where the layer is linear now
    fits = len(down) >= 2 and len(up) >= 2 and down[0] == up[1] > 0 and up[0] == outputs and set(up[2:]) <= {1}
    if not fits or down[1:] not in (inputs + ones, inputs[:1] if set(inputs[1:]) <= {1} else inputs):
        shapes = " and ".join(" x ".join(map(str, shape)) for shape in (down, up))
        raise ValueError(
            f"{header.file} does not fit this model: for {place.layer}, {' x '.join(map(str, weight.shape))} here, it has "
            f"{shapes}. Take one that was made for this model's kind."
        )


def _factors(path: Path, weight: float, header: About, plan: Mapping[Place, Addition]) -> dict[Place, Factors]:
    """Read the tensors, float32 on the CPU, with the scale in the second factor."""
    from safetensors import safe_open

    found = {}
    with safe_open(path, framework="pt") as file:
        for place, addition in plan.items():
            down, up = (file.get_tensor(name).float().flatten(1) for name in (addition.down, addition.up))
            alpha = addition.alpha
            alpha = float(file.get_tensor(alpha)) if isinstance(alpha, str) else alpha
            factors = Factors(down, up * (weight * alpha / len(down)))
            if no_number([("down", factors.down), ("up", factors.up)]):
                raise ValueError(f"{header.file} holds values that are no numbers, for {place.layer}: {DAMAGED}")
            found[place] = factors
    return found if weight else {}


def _sum(weight: Tensor, factors: Sequence[Factors]) -> Tensor:
    """The weight with all that is added, rounded once."""
    total = weight.float()
    for down, up in factors:
        total = total + (up.to(weight.device) @ down.to(weight.device)).view(weight.shape)
    return total.to(weight.dtype)


def _beside(layer: nn.Linear, factors: Sequence[Factors]) -> LinearBeside:
    down, up = torch.cat([each.down for each in factors]), torch.cat([each.up for each in factors], 1)
    return LinearBeside(layer, down.to(layer.weight), up.to(layer.weight))
