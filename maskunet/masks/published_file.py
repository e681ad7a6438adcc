"""Read the mask generator of the published training from the two files that it saves; no program in them runs.

It keeps its networks and the layers that stretch their grids apart, each a state that torch.save wrote. Both together
are a `MaskGenerator` of the variant “official”.
"""

from collections.abc import Iterable, Mapping, Sequence
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


def read(networks: Path, stretches: Path) -> dict[str, Tensor]:
    """Both files' tensors by their published names.

    Args:
        networks: `mask_generators.pth`. stretches: `adapters.pth`.

    Raises:
        ValueError: a file is no such state, holds more than a network's numbers, or is the other one; says which.
    """
    states = {NETWORKS: _state(networks), STRETCHES: _state(stretches)}
    if _is(STRETCHES, states[NETWORKS]) and _is(NETWORKS, states[STRETCHES]):
        raise ValueError(f"The two files are swapped. Give {NETWORKS} first and {STRETCHES} second.")
    for path, (kind, state) in zip((networks, stretches), states.items(), strict=True):
        if not _is(kind, state):
            raise ValueError(f"“{path.name}” is not what the published training calls {kind}. Give that one instead.")
        if broken := no_number(state.items()):
            raise ValueError(
                f"“{path.name}” holds values that are no numbers, in {broken}. Take an earlier checkpoint."
            )
    return states[NETWORKS] | states[STRETCHES]


def generator_of(tensors: Mapping[str, Tensor], unet: nn.Module) -> MaskGenerator:
    """What `read` returned as a generator, on the CPU in float32 and in evaluation mode.

    Args:
        unet: whose sites it is for.

    Raises:
        ValueError: it is not whole, or was made for another U-Net; says what differs.
    """
    generator = MaskGenerator(unet, GeneratorSettings(variant="official"))
    names = {mine: published_name(mine, generator) for mine in generator.state_dict()}
    shapes = {names[mine]: _published_shape(mine, value) for mine, value in generator.state_dict().items()}
    lacking, more = sorted(shapes.keys() - tensors.keys()), sorted(tensors.keys() - shapes.keys())
    wrong = [name for name in shapes if name in tensors and tuple(tensors[name].shape) != shapes[name]]
    if lacking or more or wrong:
        lacks = f"it lacks {lacking[0]}" if lacking else f"it has {more[0]} besides" if more else ""
        raise ValueError(
            "The published mask generator was made for another U-Net than this, or it is not whole: "
            f"{lacks or _sizes(wrong[0], tensors[wrong[0]].shape, shapes[wrong[0]])}. Choose the base model that it was "
            "trained on."
        )
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


def _sizes(name: str, has: Sequence[int], needed: Sequence[int]) -> str:
    has, needed = (" x ".join(map(str, shape)) for shape in (has, needed))
    return f"{name} is {has} and not {needed}"
