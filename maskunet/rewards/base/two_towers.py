"""Rewards that are a CLIP in transformers' format: the scaled cosine of its picture and its text."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from maskunet.encoders.pixels import normalized
from maskunet.encoders.pretrained import from_folder, tokenizer_from
from maskunet.prompts.tokens import unread
from maskunet.records.disk.hub import MissingWeights, file_hash, snapshot
from maskunet.rewards.base.reward import PromptCache

WEIGHTS, WORDS = "model.safetensors", "vocab.json"
TOKENIZER = (WORDS, "merges.txt", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


class TwoTowers:
    """transformers' `logits_per_image` of each picture and its own prompt: a cosine times the network's scale.

    The picture is made as CLIP's processor makes it: the short side fitted, the center cut out.

    Attributes:
        sha256: of the file of its weights; empty of a network that was in none.
    """

    sha256 = ""

    def __init__(self, network: nn.Module, tokenizer: Any, device: torch.device, dtype: torch.dtype):
        scale = network.logit_scale.float().exp()  # before the cast: bfloat16 makes 99 of 100
        self.network, self.tokenizer, self.device, self.dtype = network.to(dtype), tokenizer, device, dtype
        self.size = network.config.vision_config.image_size
        self.length = network.config.text_config.max_position_embeddings
        self.scale = scale
        self._text = PromptCache(self._encode)

    def __call__(self, image: Tensor, prompts: list[str]) -> Tensor:
        """See `Reward`."""
        seen = self.network.get_image_features(pixel_values=normalized(image, self.size).to(self.dtype))
        told = torch.stack([self._text(prompt) for prompt in prompts])
        return self.scale * F.cosine_similarity(_plain(seen), told, dim=-1)

    def unread(self, prompt: str) -> str:
        """What of a prompt lies beyond its `length` tokens."""
        return unread(prompt, self.tokenizer, self.length)

    @torch.no_grad()
    def _encode(self, prompt: str) -> Tensor:
        tokens = self.tokenizer([prompt], truncation=True, max_length=self.length, return_tensors="pt").to(self.device)
        return _plain(self.network.get_text_features(tokens.input_ids, tokens.attention_mask))[0]


def _plain(output: Any) -> Tensor:
    return getattr(output, "pooler_output", output).float()  # transformers 5 wraps them in an output


def load(name: str, folder: Path, device: torch.device, dtype: torch.dtype, words: str = "") -> TwoTowers:
    """Read the network and its tokenizer, frozen.

    Args:
        folder: the network's own, or one of rewards that holds it under its name.
        words: the repository whose tokenizer it takes where the folder has none.

    Raises:
        ValueError: a file is missing or damaged, or the tokenizer does not fit.
    """
    from transformers import CLIPModel

    own = folder / name if (folder / name).is_dir() else folder
    weights = own / WEIGHTS
    again = f"Get it again: python -m maskunet download {name} --yes"
    if not weights.is_file():  # transformers would look for a pickle
        raise MissingWeights(f"“{WEIGHTS}” of {name} is missing. {again}")
    network = from_folder(CLIPModel, own, device)
    if not any((own / file).is_file() for file in (WORDS, "tokenizer.json")):
        own = snapshot(words, file=WORDS) if words else None
        if own is None:
            raise MissingWeights(f"The tokenizer of {name} is missing. {again}")
    tokenizer = tokenizer_from(own)
    if len(tokenizer) > network.config.text_config.vocab_size:
        raise ValueError(f"The tokenizer of {name} has {len(tokenizer):,} entries and does not fit it. {again}")
    reward = TwoTowers(network, tokenizer, device, dtype)
    reward.sha256 = file_hash(weights)
    return reward
