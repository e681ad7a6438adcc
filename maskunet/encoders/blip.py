"""ImageReward's network from transformers' BLIP parts: ViT, BERT with cross-attention, five linear layers.

ImageReward (Xu et al. 2023). The published checkpoint uses BLIP's original key names; they become
transformers' by renaming alone. Wrong settings do not raise but change the scores, so everything
that the shapes cannot tell is stated here: the heads (transformers' default is 8), layer norm eps 1e-6
in the vision tower (default 1e-5), plain attention (the fused one adds a boolean mask as a number).

To train one of another size, every parameter with a gradient:

    network = ImageRewardNetwork(config)
    states = network.patches(normalized(images, config["image_size"]))
    raw = network.match(states, tokens, attended)
    image_reward.save(folder, network, config, vocabulary)
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

FULL_SIZE: Mapping[str, Any] = MappingProxyType({
    "image_size": 224, "patch_size": 16, "vision_width": 1024, "vision_layers": 24, "vision_heads": 16,
    "text_width": 768, "text_layers": 12, "text_heads": 12, "text_intermediate": 3072,
    "vocabulary": 30524, "max_positions": 512, "head_widths": (1024, 128, 64, 16),
})  # fmt: skip
RENAMES = (  # (published, here); applied in this order, all of them, both ways
    ("blip.visual_encoder.cls_token", "vision_model.embeddings.class_embedding"),
    ("blip.visual_encoder.pos_embed", "vision_model.embeddings.position_embedding"),
    ("blip.visual_encoder.patch_embed.proj.", "vision_model.embeddings.patch_embedding."),
    ("blip.visual_encoder.blocks.", "vision_model.encoder.layers."),
    ("blip.visual_encoder.norm.", "vision_model.post_layernorm."),
    ("blip.text_encoder.", "text_encoder."),
    (".attn.qkv.", ".self_attn.qkv."),
    (".attn.proj.", ".self_attn.projection."),
    (".norm1.", ".layer_norm1."),
    (".norm2.", ".layer_norm2."),
    # The published head counts its dropouts.
    *((f"mlp.layers.{there}.", f"mlp.{here}.") for here, there in enumerate((0, 2, 4, 6, 7))),
)
UNUSED = re.compile(r"^blip\.(vision_proj|text_proj)\.|position_ids$")  # the score does not use them


class ImageRewardNetwork(nn.Module):
    """Pixels and tokens to one raw number per pair, before the score's normalization.

    Args:
        config: sizes by the names of `FULL_SIZE`, all of them.

    Raises:
        ValueError: a size is missing, or the heads do not divide a width.
    """

    def __init__(self, config: Mapping[str, Any] = FULL_SIZE):
        super().__init__()
        from transformers import BlipTextConfig, BlipVisionConfig
        from transformers.models.blip.modeling_blip import BlipVisionModel
        from transformers.models.blip.modeling_blip_text import BlipTextModel

        c = _checked(config)
        vision = BlipVisionConfig(
            hidden_size=c["vision_width"], intermediate_size=4 * c["vision_width"],
            num_hidden_layers=c["vision_layers"], num_attention_heads=c["vision_heads"],
            image_size=c["image_size"], patch_size=c["patch_size"], layer_norm_eps=1e-6, hidden_act="gelu",
            attn_implementation="eager",
            initializer_range=0.02,  # transformers' default of 1e-10 sends no signal to train on
        )  # fmt: skip
        text = BlipTextConfig(
            vocab_size=c["vocabulary"], hidden_size=c["text_width"], encoder_hidden_size=c["vision_width"],
            intermediate_size=c["text_intermediate"], num_hidden_layers=c["text_layers"],
            num_attention_heads=c["text_heads"], max_position_embeddings=c["max_positions"],
            layer_norm_eps=1e-12, hidden_act="gelu", hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0, is_decoder=True, attn_implementation="eager",
            # Unused here; transformers wants them within the vocabulary.
            bos_token_id=c["vocabulary"] - 2, eos_token_id=2, pad_token_id=0, sep_token_id=3,
        )  # fmt: skip
        self.vision_model = BlipVisionModel(vision)
        self.text_encoder = BlipTextModel(text, add_pooling_layer=False)
        widths = (c["text_width"], *c["head_widths"], 1)
        # No activations between them: so it was published.
        self.mlp = nn.Sequential(*(nn.Linear(a, b) for a, b in zip(widths, widths[1:], strict=False)))

    def forward(self, pixels: Tensor, tokens: Tensor, attended: Tensor | None) -> Tensor:
        """One number per pair (B,); see `patches` and `match`."""
        return self.match(self.patches(pixels), tokens, attended)

    def patches(self, pixels: Tensor) -> Tensor:
        """Vision states (B, 1 + P, W) of normalized pictures (B, 3, S, S), the class state first."""
        return self.vision_model(pixel_values=pixels).last_hidden_state

    def match(self, states: Tensor, tokens: Tensor, attended: Tensor | None) -> Tensor:
        """One number per pair (B,) from vision states and tokens (B, N).

        Args:
            attended: (B, N) 1 where not padding; None without any.
        """
        # What is added to the attention, ready made: transformers waits for the device to make it.
        added = states.new_zeros((len(tokens), 1, 1, tokens.shape[1]))
        if attended is not None:
            added = added.masked_fill(attended[:, None, None] == 0, torch.finfo(added.dtype).min)
        text = self.text_encoder(
            input_ids=tokens, attention_mask=added, encoder_hidden_states=states, is_decoder=False, return_dict=True
        )
        return self.mlp(text.last_hidden_state[:, 0].to(self.mlp[0].weight.dtype)).squeeze(-1)


def without_weights(config: Mapping[str, Any]) -> ImageRewardNetwork:
    """The network with its parameters on the meta device, ready to be given a checkpoint's."""
    with torch.device("meta"):
        network = ImageRewardNetwork(config)
    # A buffer that no checkpoint holds.
    network.text_encoder.embeddings.position_ids = torch.arange(config["max_positions"])[None]
    return network


def from_published(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename an ImageReward.pt state dict for `ImageRewardNetwork`; drops the five unused entries."""
    return {_renamed(key, RENAMES): value for key, value in state.items() if not UNUSED.search(key)}


def to_published(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `from_published`."""
    backward = [(here, published) for published, here in RENAMES]
    return {_renamed(key, backward): value for key, value in state.items()}


def _renamed(key: str, pairs: Any) -> str:
    for old, new in pairs:
        key = key.replace(old, new)
    return key


def _checked(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The config itself; a default for what is missing would load, and score wrongly."""
    missing = [name for name in FULL_SIZE if name not in config]
    if missing:
        raise ValueError(
            f"The configuration of ImageReward's network lacks {', '.join(f'`{name}`' for name in missing)}. "
            "It must state every size, as the checkpoint does not."
        )
    for part in ("vision", "text"):
        heads, width = config[f"{part}_heads"], config[f"{part}_width"]
        if heads < 1 or width % heads:
            raise ValueError(
                f"`{part}_heads` is {heads}, but it must divide `{part}_width`, {width}. "
                "Take the number that the checkpoint was trained with."
            )
    return config
