"""A CLIP in the rewards' place: how near a picture is to a caption, where no reward is at hand."""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from maskunet.encoders.pixels import normalized
from maskunet.encoders.pretrained import from_folder, tokenizer_from
from maskunet.rewards.base import PromptCache, WeightedRewards

SCALE = 100  # of the cosine, as CLIP's own; a margin of 1 is then clear


class ClipReward:
    """100 times the cosine of a picture and a caption in a CLIP (Radford et al. 2021), a `Reward`."""

    def __init__(self, network: nn.Module, tokenizer, device: torch.device):
        self._network, self._tokenizer, self._device = network, tokenizer, device
        self._size = network.config.vision_config.image_size
        self._text = PromptCache(self._read)

    def __call__(self, image: Tensor, prompts: list[str]) -> Tensor:
        """See `Reward`."""
        seen = self._network.get_image_features(pixel_values=normalized(image, self._size))
        told = torch.stack([self._text(prompt) for prompt in prompts])
        return SCALE * F.cosine_similarity(_features(seen), told, dim=-1)

    @torch.no_grad()
    def _read(self, prompt: str) -> Tensor:
        longest = self._network.config.text_config.max_position_embeddings
        tokens = self._tokenizer([prompt], truncation=True, max_length=longest, return_tensors="pt").to(self._device)
        return _features(self._network.get_text_features(tokens.input_ids, tokens.attention_mask))[0]


def _features(output) -> Tensor:
    return getattr(output, "pooler_output", output).float()  # transformers 5 wraps them in an output


def load(folder: Path, device: torch.device) -> WeightedRewards:
    """The CLIP of a folder in transformers' format, alone among the rewards.

    Raises:
        ValueError: the folder holds no CLIP that can be read.
    """
    from transformers import CLIPModel

    network, tokenizer = from_folder(CLIPModel, folder, device), tokenizer_from(folder)
    return WeightedRewards({"clip": (ClipReward(network, tokenizer, device), 1.0)})
