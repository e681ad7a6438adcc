"""Read the mask generator of the published training from the two files that it saves; no program in them runs.

It keeps its networks and the layers that stretch their grids apart, each a state that torch.save wrote. Both together
are a `MaskGenerator` of the variant “official”.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from maskunet.encoders.reading import GET_AGAIN, no_number, read_checkpoint
from maskunet.masks.generator import GeneratorSettings, MaskGenerator

NETWORKS, STRETCHES = "mask_generators.pth", "adapters.pth"  # as the published training calls them
# The published names of a block's layers and of a site's, by ours.
LAYERS = {"hidden": "conv_kernel_mask.0", "last": "conv_kernel_mask.2", "time": "proj_temb"}
SITES = {"rows": "conv_in", "columns": "conv_out"}
GIVE = f"Give the published training's {NETWORKS} and {STRETCHES}."
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
    """The tensors of a file by their names; nothing in it can run."""
    try:
        state = read_checkpoint(path)
    except ValueError as error:
        raise ValueError(str(error).replace(f"Delete it. {GET_AGAIN}", GIVE).replace(GET_AGAIN, GIVE)) from error
    plain = (v.is_floating_point() and v.layout == torch.strided and v.device.type == "cpu" for v in state.values())
    if not all(plain):
        raise ValueError(f"“{path.name}” holds other numbers than a network's weights. {GIVE}")
    return state


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
    if broken := no_number(state.items()):
        raise ValueError(
            f"“{path.name}” holds values that are no numbers, such as in {broken}. Take an earlier checkpoint."
        )


def _sizes(name: str, state: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]]) -> str:
    has, needed = (" x ".join(map(str, shape)) for shape in (state[name].shape, shapes[name]))
    return f"{name} is {has} and not {needed}"
