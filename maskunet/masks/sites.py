"""Which frozen weights may be masked: the attention projections of the U-Net's up blocks."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from torch import nn

ATTENTION = {"attn1": "self", "attn2": "cross"}
ROLES = {"to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "out"}


@dataclass(frozen=True, slots=True)
class MaskSite:
    """One maskable weight matrix; holds no tensor.

    Attributes:
        name: dotted path of the linear layer in the U-Net.
        block: index of its up block. attention: "self" or "cross". role: "q", "k", "v" or "out".
        shape: (O, I), output and input features.
    """

    name: str
    block: int
    attention: str
    role: str
    shape: tuple[int, int]

    @property
    def weights(self) -> int:
        """How many weights the matrix has."""
        return self.shape[0] * self.shape[1]


def find_sites(unet: nn.Module) -> list[MaskSite]:
    """List the sites in module order; Stable Diffusion 1.5 has 72 with 49,029,120 weights.

    A projection wrapped by LoRA is resolved to its frozen `base_layer`; the adapters' own matrices
    are never sites.

    Raises:
        ValueError: no up block has attention.
    """
    sites = [
        site
        for index, block in enumerate(unet.up_blocks)
        for path, module in block.named_modules()
        if (site := _site(f"up_blocks.{index}.{path}", index, module)) is not None
    ]
    if not sites:
        kinds = ", ".join(type(block).__name__ for block in unet.up_blocks)
        raise ValueError(
            f"No up block of this U-Net has attention layers to mask; its up blocks are {kinds}. "
            "At least one must be a CrossAttnUpBlock2D."
        )
    return sites


def listed(config: Mapping[str, Any]) -> list[MaskSite]:
    """The sites of a U-Net from its configuration alone, in the order of `find_sites`."""
    widths, each = [*reversed(config["block_out_channels"])], config["layers_per_block"] + 1
    depth = config.get("transformer_layers_per_block", 1)
    depths = [depth] * len(widths) if isinstance(depth, int) else [*reversed(depth)]
    found = []
    for block, (width, kind) in enumerate(zip(widths, config["up_block_types"], strict=True)):
        if "CrossAttn" not in kind:
            continue
        for layer, inner, (attention, text) in product(range(each), range(depths[block]), ATTENTION.items()):
            path = f"up_blocks.{block}.attentions.{layer}.transformer_blocks.{inner}.{attention}"
            read = config["cross_attention_dim"] if text == "cross" else width
            inputs = {"to_k": read, "to_v": read}
            found += [
                MaskSite(f"{path}.{role}", block, text, ROLES[role], (width, inputs.get(role, width))) for role in ROLES
            ]
    return found


def _site(path: str, block: int, module: nn.Module) -> MaskSite | None:
    owner, _, role = path.removesuffix(".base_layer").rpartition(".to_")
    role, attention = f"to_{role}", owner.rpartition(".")[2]
    wrapped = not path.endswith(".base_layer") and hasattr(module, "base_layer")
    if role not in ROLES or attention not in ATTENTION or not isinstance(module, nn.Linear) or wrapped:
        return None
    return MaskSite(path, block, ATTENTION[attention], ROLES[role], tuple(module.weight.shape))
