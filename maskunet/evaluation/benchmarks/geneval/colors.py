"""Name the color of a thing with CLIP (Radford et al. 2021), without training, as GenEval does."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from maskunet.encoders.pixels import from_uint8, normalized
from maskunet.encoders.pretrained import from_folder, tokenizer_from
from maskunet.evaluation.benchmarks.geneval.rules import COLORS, Thing

GRAY = 0x99  # of what is not the thing


class ColorNamer:
    """CLIP of a folder in transformers' format."""

    def __init__(self, folder: Path, device: torch.device):
        from transformers import CLIPModel

        self._network, self._device = from_folder(CLIPModel, folder, device), device
        self._tokenizer, self._size = tokenizer_from(folder), self._network.config.vision_config.image_size
        self._colors_of = cache(self._text)

    @torch.inference_mode()
    def __call__(self, pixels: np.ndarray, things: Sequence[Thing]) -> list[str]:
        """The color of each of some things of one name, in a picture (H, W, 3) uint8."""
        shown = torch.cat([self._shown(cut_out(pixels, thing)) for thing in things])
        pictures = F.normalize(_features(self._network.get_image_features(pixel_values=shown)), dim=1)
        likeness = pictures @ self._colors_of(things[0].name).T
        return [COLORS[i] for i in likeness.argmax(1).tolist()]

    def _shown(self, pixels: np.ndarray) -> Tensor:
        return normalized(from_uint8(pixels, self._device), self._size)

    def _text(self, name: str) -> Tensor:
        """A direction for each color (10, D): the mean of three sentences' directions."""
        sentences = [
            sentence
            for color in COLORS
            for sentence in (
                f"a photo of a {color} {name}",
                f"a photo of a {color}-colored {name}",
                f"a photo of a {color} object",
            )
        ]
        tokens = self._tokenizer(sentences, padding=True, return_tensors="pt").to(self._device)
        found = _features(self._network.get_text_features(tokens.input_ids, tokens.attention_mask))
        return F.normalize(F.normalize(found, dim=1).view(len(COLORS), 3, -1).mean(1), dim=1)


def _features(output: Any) -> Tensor:
    """(B, D); transformers 5 wraps them in an output."""
    return getattr(output, "pooler_output", output)


def cut_out(pixels: np.ndarray, thing: Thing) -> np.ndarray:
    """The thing's box of a picture, gray where the thing is not."""
    left, top, right, bottom = (round(side) for side in thing.box)
    alone = np.where(thing.mask[..., None], pixels, np.uint8(GRAY))
    return np.ascontiguousarray(alone[top:bottom, left:right])
