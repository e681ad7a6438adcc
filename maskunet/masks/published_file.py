"""Read the mask generator of the published training from the two files that it saves; no program in them runs.

It keeps its networks and the layers that stretch their grids apart, each a state that torch.save wrote. Both together
are a `MaskGenerator` of the variant “official”.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from maskunet.masks.generator import GeneratorSettings, MaskGenerator

NETWORKS, STRETCHES = "mask_generators.pth", "adapters.pth"  # as the published training calls them
# The published names of a block's layers and of a site's, by ours.
LAYERS = {"hidden": "conv_kernel_mask.0", "last": "conv_kernel_mask.2", "time": "proj_temb"}
SITES = {"rows": "conv_in", "columns": "conv_out"}
IN = {NETWORKS: tuple(LAYERS.values()), STRETCHES: tuple(SITES.values())}


def read(networks: Path, stretches: Path, unet: nn.Module) -> MaskGenerator:
    """The published pair as one generator, on the CPU in float32 and in evaluation mode.

    Args:
        networks: `mask_generators.pth`. stretches: `adapters.pth`. unet: whose sites it is for.

    Raises:
        ValueError: a file is no such state, holds more than numbers, is the other one, or was made for another U-Net;
            says which and what to do.
    """
    generator = MaskGenerator(unet, GeneratorSettings(variant="official"))
    names = {ours: published_name(ours, generator) for ours in generator.state_dict()}
    shapes = {names[ours]: _published_shape(ours, value) for ours, value in generator.state_dict().items()}
    states = {NETWORKS: (networks, _state(networks)), STRETCHES: (stretches, _state(stretches))}
    if all(_is(other, states[kind][1]) for kind, other in ((NETWORKS, STRETCHES), (STRETCHES, NETWORKS))):
        raise ValueError(f"The two files are swapped. Give {NETWORKS} first and {STRETCHES} second.")
    tensors: dict[str, Tensor] = {}
    for kind, (path, state) in states.items():
        _check(path, kind, state, {name: shape for name, shape in shapes.items() if _is(kind, [name])})
        tensors |= state
    ours = {mine: tensors[name].reshape(generator.get_parameter(mine).shape).float() for mine, name in names.items()}
    generator.load_state_dict(ours)
    return generator.eval()


def published_name(ours: str, generator: MaskGenerator) -> str:
    """What the published files call a parameter, such as 1.attentions_0_transformer_blocks_0_attn1_to_q.conv_in.bias."""
    _, block, part, *rest = ours.split(".")
    if part in LAYERS:
        return ".".join((block, LAYERS[part], *rest))
    site = generator.blocks[block].names[int(rest[0])].removeprefix(f"up_blocks.{block}.")
    return ".".join((block, site.replace(".", "_"), SITES[part], *rest[1:]))


def _published_shape(ours: str, value: Tensor) -> tuple[int, ...]:
    """Their layers are convolutions of 1 x 1, but for the time embedding's."""
    matrix = ours.endswith(".weight") and ".time." not in ours
    return (*value.shape, 1, 1) if matrix else tuple(value.shape)


def _state(path: Path) -> Mapping[str, Tensor]:
    """The tensors of a file by their names; only numbers are read, so that nothing in it can run."""
    if not path.is_file():
        raise ValueError(f"“{path.name}” is not there. Give the published training's {NETWORKS} and {STRETCHES}.")
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except PermissionError:
        raise
    except Exception as error:  # torch has as many kinds of them as a file has ways to be damaged
        if "GLOBAL" in str(error):  # as it says of a class or a function, which would have to run
            raise ValueError(
                f"“{path.name}” holds more than numbers, which could run a program, so it is not read. If you trust "
                "it, load it in Python and save its state_dict() alone."
            ) from error
        raise ValueError(
            f"“{path.name}” was not written by torch.save, or it was cut off. Copy or download it again."
        ) from error
    if not isinstance(found, dict) or not all(isinstance(key, str) and _is_plain(v) for key, v in found.items()):
        raise ValueError(f"“{path.name}” holds no state of a network. Give {NETWORKS} and {STRETCHES}.")
    return found


def _is_plain(value: Any) -> bool:
    return (
        isinstance(value, Tensor)
        and value.is_floating_point()
        and value.layout == torch.strided
        and value.device.type == "cpu"
    )


def _is(kind: str, names: Iterable[str]) -> bool:
    """Whether these are the names of that file's entries."""
    return any(f".{layer}." in name for name in names for layer in IN[kind])


def _check(path: Path, kind: str, state: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse what is not that file of this U-Net's generator, or no numbers."""
    if not _is(kind, state):
        raise ValueError(f"“{path.name}” is not what the published training calls {kind}. Give that file in its place.")
    lacking, more = sorted(shapes.keys() - state.keys()), sorted(state.keys() - shapes.keys())
    wrong = [name for name in shapes if name in state and tuple(state[name].shape) != shapes[name]]
    if lacking or more or wrong:
        what = (
            f"it lacks {lacking[0]}"
            if lacking
            else f"it has {more[0]}, too"
            if more
            else _sizes(wrong[0], state, shapes)
        )
        raise ValueError(
            f"“{path.name}” was made for another U-Net than this, or it is not whole: {what}. Choose the base model that "
            "it was trained on."
        )
    broken = next((name for name, value in state.items() if not value.isfinite().all()), "")
    if broken:
        raise ValueError(
            f"“{path.name}” holds values that are no numbers, such as in {broken}. Take an earlier checkpoint."
        )


def _sizes(name: str, state: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]]) -> str:
    has, needed = (" x ".join(map(str, shape)) for shape in (state[name].shape, shapes[name]))
    return f"{name} is {has} and not {needed}"
