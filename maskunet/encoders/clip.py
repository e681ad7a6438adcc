"""HPSv2's network: an open_clip model whose state dict needs no renaming.

HPSv2 (Wu et al. 2023) is ViT-H-14. To train one of another size, every parameter with a gradient:

    network = build(model_cfg, plain_attention=True)
    seen = network.encode_image(normalized(images, size), normalize=True)
    told = network.encode_text(tokenizer(context_length)(texts), normalize=True)
    hpsv2.save(folder, network, model_cfg)
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

FULL_SIZE = "ViT-H-14"


class PlainAttention(nn.MultiheadAttention):
    """Attention by matrix products and a softmax.

    The fused kernel's backward in bfloat16 on a CPU took 1.7 times as long as this one for a step of
    the small towers; in float32 and without gradients of the weights there was no difference.
    """

    def forward(self, *args: Any, **options: Any) -> tuple[Tensor, Tensor | None]:
        """As nn.MultiheadAttention; asking for the weights is what turns the fused kernel off."""
        return super().forward(*args, **{**options, "need_weights": True, "average_attn_weights": False})


def build(config: Mapping[str, Any] | None = None, *, plain_attention: bool = False) -> nn.Module:
    """The untrained network: ViT-H-14, or what an open_clip `model_cfg` describes.

    Args:
        plain_attention: the same numbers without the fused kernel; for training on a CPU.

    Raises:
        ValueError: open_clip cannot build it, or it names towers of other packages.
    """
    from open_clip import CLIP
    from open_clip.factory import get_model_config

    config = dict(config or get_model_config(FULL_SIZE))
    config.pop("custom_text", None)
    towers = [*config.get("vision_cfg", {}), *config.get("text_cfg", {})]
    for name in ("timm_model_name", "hf_model_name"):
        if name in towers:  # it would be fetched from a hub while being built
            raise ValueError(f"The CLIP network's configuration has `{name}`; only plain CLIP is supported.")
    try:
        network = CLIP(**config)
    except (TypeError, AssertionError) as error:
        raise ValueError(f"open_clip cannot build the configuration of the CLIP network: {error}.") from error
    for module in network.modules() if plain_attention else ():
        if type(module) is nn.MultiheadAttention:
            module.__class__ = PlainAttention  # open_clip offers no argument for it; the state is the same
    return network


def without_weights(config: Mapping[str, Any] | None) -> nn.Module:
    """The network with its parameters on the meta device, ready to be given a checkpoint's."""
    with torch.device("meta"):
        network = build(config)
    # A buffer that no checkpoint holds: each word sees the ones before it.
    network.attn_mask = torch.full(network.attn_mask.shape, float("-inf")).triu(1)
    return network


def tokenizer(context: int = 77) -> Any:
    """open_clip's tokenizer: texts to (B, context) token ids; its vocabulary ships with the package."""
    from open_clip import SimpleTokenizer

    return SimpleTokenizer(context_length=context)
