"""HPSv2's network: an open_clip model whose state dict needs no renaming."""

from collections.abc import Mapping
from typing import Any

from torch import nn

FULL_SIZE = "ViT-H-14"


def build(config: Mapping[str, Any] | None = None) -> nn.Module:
    """The untrained network: ViT-H-14, or what an open_clip `model_cfg` describes."""
    from open_clip import CLIP
    from open_clip.factory import get_model_config

    config = dict(config or get_model_config(FULL_SIZE))
    config.pop("custom_text", None)
    return CLIP(**config)


def tokenizer(context: int = 77) -> Any:
    """open_clip's tokenizer: texts to (B, context) token ids; its vocabulary ships with the package."""
    from open_clip import SimpleTokenizer

    return SimpleTokenizer(context_length=context)
