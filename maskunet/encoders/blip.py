"""ImageReward's network from transformers' BLIP parts: ViT, BERT with cross-attention, five linear layers.

ImageReward (Xu et al. 2023). The published checkpoint uses BLIP's original key names; they become
transformers' by renaming alone. Wrong settings do not raise but change the scores, so everything
that the shapes cannot tell is stated here: 12 heads (transformers' default is 8), layer norm eps 1e-6
in the vision tower (default 1e-5), plain attention (the fused one adds a boolean mask as a number).
"""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

FULL_SIZE = {
    "image_size": 224, "patch_size": 16, "vision_width": 1024, "vision_layers": 24, "vision_heads": 16,
    "text_width": 768, "text_layers": 12, "text_heads": 12, "text_intermediate": 3072,
    "vocabulary": 30524, "max_positions": 512, "head_widths": (1024, 128, 64, 16),
}  # fmt: skip
RENAMES = (  # transformers' name, BLIP's name
    ("vision_model.embeddings.class_embedding", "visual_encoder.cls_token"),
    ("vision_model.embeddings.position_embedding", "visual_encoder.pos_embed"),
    ("vision_model.embeddings.patch_embedding", "visual_encoder.patch_embed.proj"),
    ("vision_model.post_layernorm", "visual_encoder.norm"),
    ("vision_model.encoder.layers", "visual_encoder.blocks"),
)
LAYER_RENAMES = (
    (".self_attn.qkv", ".attn.qkv"),
    (".self_attn.projection", ".attn.proj"),
    (".layer_norm1", ".norm1"),
    (".layer_norm2", ".norm2"),
)
UNUSED = re.compile(r"^blip\.(vision_proj|text_proj)\.|position_ids$")  # the score does not use them


class ImageRewardNetwork(nn.Module):
    """Pixels and tokens to one raw number per pair, before the score's normalization.

    Args:
        config: sizes as in `FULL_SIZE`; what is left out has its value there.
    """

    def __init__(self, config: Mapping[str, Any] = FULL_SIZE):
        super().__init__()
        from transformers import BlipTextConfig, BlipVisionConfig
        from transformers.models.blip.modeling_blip import BlipVisionModel
        from transformers.models.blip.modeling_blip_text import BlipTextModel

        c = {**FULL_SIZE, **config}
        vision = BlipVisionConfig(
            hidden_size=c["vision_width"], intermediate_size=4 * c["vision_width"],
            num_hidden_layers=c["vision_layers"], num_attention_heads=c["vision_heads"],
            image_size=c["image_size"], patch_size=c["patch_size"], layer_norm_eps=1e-6, hidden_act="gelu",
        )  # fmt: skip
        text = BlipTextConfig(
            vocab_size=c["vocabulary"], hidden_size=c["text_width"], encoder_hidden_size=c["vision_width"],
            intermediate_size=c["text_intermediate"], num_hidden_layers=c["text_layers"],
            num_attention_heads=c["text_heads"], max_position_embeddings=c["max_positions"],
            layer_norm_eps=1e-12, hidden_act="gelu", hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0, is_decoder=True,
            bos_token_id=c["vocabulary"] - 2, eos_token_id=2, pad_token_id=0, sep_token_id=3,
        )  # fmt: skip
        vision._attn_implementation = text._attn_implementation = "eager"
        self.vision_model = BlipVisionModel(vision)
        self.text_encoder = BlipTextModel(text, add_pooling_layer=False)
        widths = (c["text_width"], *c["head_widths"], 1)
        self.mlp = nn.Sequential(*(nn.Linear(a, b) for a, b in zip(widths, widths[1:], strict=False)))

    def patches(self, pixels: Tensor) -> Tensor:
        """Vision states (B, 1 + P, W) of normalized pictures (B, 3, S, S), the class state first."""
        return self.vision_model(pixel_values=pixels).last_hidden_state

    def match(self, states: Tensor, tokens: Tensor, attended: Tensor) -> Tensor:
        """One number per pair (B,) from vision states and tokens (B, N), `attended` 1 where not padding."""
        seen = torch.ones(states.shape[:2], dtype=torch.long, device=states.device)
        text = self.text_encoder(
            input_ids=tokens, attention_mask=attended, encoder_hidden_states=states,
            encoder_attention_mask=seen, is_decoder=False, return_dict=True,
        )  # fmt: skip
        return self.mlp(text.last_hidden_state[:, 0]).squeeze(-1)


def from_published(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename an ImageReward.pt state dict for `ImageRewardNetwork`; drops the five unused entries."""
    renamed = {}
    for key, value in state.items():
        if UNUSED.search(key):
            continue
        name = key.removeprefix("blip.")
        for new, old in RENAMES:
            name = new + name.removeprefix(old) if name.startswith(old) else name
        if name.startswith("vision_model.encoder"):
            for new, old in LAYER_RENAMES:
                name = name.replace(old, new)
        renamed[_head(name, published=True)] = value
    return renamed


def to_published(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `from_published`."""
    renamed = {}
    for key, value in state.items():
        name = key
        if name.startswith("vision_model.encoder"):
            for new, old in LAYER_RENAMES:
                name = name.replace(new, old)
        for new, old in RENAMES:
            name = old + name.removeprefix(new) if name.startswith(new) else name
        prefix = "" if key.startswith("mlp.") else "blip."
        renamed[prefix + _head(name, published=False)] = value
    return renamed


def _head(name: str, published: bool) -> str:
    """The head's linear layers: 0 to 4 here, 0, 2, 4, 6, 7 with dropouts between in the published file."""
    if not name.startswith("mlp."):
        return name
    if published:
        number, rest = name.removeprefix("mlp.layers.").split(".", 1)
        return f"mlp.{ {0: 0, 2: 1, 4: 2, 6: 3, 7: 4}[int(number)] }.{rest}"
    number, rest = name.removeprefix("mlp.").split(".", 1)
    return f"mlp.layers.{ {0: 0, 1: 2, 2: 4, 3: 6, 4: 7}[int(number)] }.{rest}"
