"""What the original Stable Diffusion layout calls each weight of diffusers' networks, for reading and for writing.

The original U-Net numbers its layers through (input_blocks, middle_block, output_blocks); its autoencoder counts the
decoder's levels from the other end and has 1 x 1 convolutions where diffusers has linear layers; OpenCLIP keeps the three
projections of an attention in one matrix.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple

from maskunet.models.base.single_file.kinds import TEXT, UNET, VAE

RESNET = {
    "norm1": "in_layers.0", "conv1": "in_layers.2", "norm2": "out_layers.0", "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1", "conv_shortcut": "skip_connection",
}  # fmt: skip
EDGES = {
    "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2", "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0", "conv_out": "out.2",
    "add_embedding.linear_1": "label_emb.0.0", "add_embedding.linear_2": "label_emb.0.2",
}  # fmt: skip
ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
OPENCLIP = {
    "embeddings.token_embedding.weight": "token_embedding.weight",
    "embeddings.position_embedding.weight": "positional_embedding",
    "final_layer_norm.weight": "ln_final.weight",
    "final_layer_norm.bias": "ln_final.bias",
    "text_projection.weight": "text_projection",
}
TURNED = ("text_projection.weight",)  # rows and columns the other way round
OPENCLIP_LAYER = {
    "layer_norm1": "ln_1", "layer_norm2": "ln_2", "self_attn.out_proj": "attn.out_proj", "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}  # fmt: skip
THIRDS = ("q_proj", "k_proj", "v_proj")


class Original(NamedTuple):
    """Where a weight is in the original layout: its name, which third of it, if it is one of three; or transposed."""

    name: str
    third: int | None = None
    turned: bool = False


def originals(part: str, kind: str, names: Iterable[str], config: Mapping[str, Any]) -> dict[str, Original]:
    """Where each weight of a network is in a single file, by diffusers' name.

    Args:
        part: "unet", "vae", "text_encoder" or "text_encoder_2". kind: see `kinds.TEXT`. names: of the network's weights.
        config: the network's.
    """
    ways: Mapping[str, Callable[[str], Original]] = {
        "unet": lambda name: Original(UNET + _of_unet(name, config)),
        "vae": lambda name: Original(VAE + _of_vae(name, len(config["block_out_channels"]))),
    }
    of_text = partial(_of_text, TEXT[kind].get(part, ""))
    return {name: ways.get(part, of_text)(name) for name in names}


def _of_unet(name: str, config: Mapping[str, Any]) -> str:
    for mine, theirs in EDGES.items():
        if name.startswith(f"{mine}."):
            return theirs + name.removeprefix(mine)
    if name.startswith("mid_block."):
        _, what, index, rest = name.split(".", 3)
        return f"middle_block.{1 if what == 'attentions' else 2 * int(index)}.{_inside(what, rest)}"
    side, block, what, index, rest = name.split(".", 4)
    first = int(block) * (config["layers_per_block"] + 1)  # each block ends in a layer that changes the size
    if what == "downsamplers":
        return f"input_blocks.{first + config['layers_per_block'] + 1}.0.op.{rest.removeprefix('conv.')}"
    if what == "upsamplers":
        after = 1 + ("CrossAttn" in config["up_block_types"][int(block)])
        return f"output_blocks.{first + config['layers_per_block']}.{after}.{rest}"
    place = f"output_blocks.{first + int(index)}" if side == "up_blocks" else f"input_blocks.{1 + first + int(index)}"
    return f"{place}.{int(what == 'attentions')}.{_inside(what, rest)}"


def _inside(what: str, rest: str) -> str:
    if what == "attentions":
        return rest
    layer, _, value = rest.partition(".")
    return f"{RESNET[layer]}.{value}"


def _of_vae(name: str, levels: int) -> str:
    if found := re.fullmatch(r"(encoder|decoder)\.mid_block\.(resnets|attentions)\.(\d)\.(.+)", name):
        side, what, index, rest = found.groups()
        if what == "resnets":
            return f"{side}.mid.block_{int(index) + 1}.{rest.replace('conv_shortcut', 'nin_shortcut')}"
        layer, _, value = rest.rpartition(".")
        return f"{side}.mid.attn_1.{ATTENTION[layer]}.{value}"
    if found := re.fullmatch(r"(encoder|decoder)\.(down|up)_blocks\.(\d+)\.(\w+)\.(\d+)\.(.+)", name):
        side, way, level, what, index, rest = found.groups()
        level = int(level) if way == "down" else levels - 1 - int(level)
        if what == "resnets":
            return f"{side}.{way}.{level}.block.{index}.{rest.replace('conv_shortcut', 'nin_shortcut')}"
        return f"{side}.{way}.{level}.{what.removesuffix('rs')}.{rest}"
    return name.replace("conv_norm_out", "norm_out")


def _of_text(prefix: str, name: str) -> Original:
    name = name.removeprefix("text_model.")
    if prefix.endswith(".transformer."):  # CLIP's, as transformers has it
        return Original(f"{prefix}text_model.{name}")
    if name in OPENCLIP:
        return Original(prefix + OPENCLIP[name], turned=name in TURNED)
    _, _, number, rest = name.split(".", 3)  # encoder.layers.N.
    layer = f"{prefix}transformer.resblocks.{number}"
    module, _, value = rest.rpartition(".")
    if module in OPENCLIP_LAYER:
        return Original(f"{layer}.{OPENCLIP_LAYER[module]}.{value}")
    third = THIRDS.index(module.removeprefix("self_attn."))
    return Original(f"{layer}.attn.in_proj_{value}", third)
