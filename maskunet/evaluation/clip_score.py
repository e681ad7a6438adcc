"""CLIP score: how well pictures fit their captions (Hessel et al. 2021).

100 max(cos, 0) between CLIP's embeddings of the picture and of the caption, the scale of torchmetrics; Hessel
et al. take 2.5 in place of 100, and papers often give the cosine. Numbers of different CLIPs do not compare.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from maskunet.encoders.pixels import from_uint8, standardized
from maskunet.encoders.pretrained import GET_AGAIN, from_folder, tokenizer_from
from maskunet.evaluation.extractors import fingerprint
from maskunet.evaluation.intervals import bootstrap
from maskunet.evaluation.metrics.base import Score
from maskunet.records.disk.hub import MissingWeights, snapshot
from maskunet.records.feature_set import FeatureSet

SCALE = 100
BATCH = 64  # captions
REPOS = ("openai/clip-vit-base-patch32", "openai/clip-vit-large-patch14")  # looked for in the cache
GET_CLIP = f"Give --clip a folder of a CLIP in transformers' format, such as that of {REPOS[0]} (0.61 GB)."
INTERVAL = "percentiles of the bootstrap's means over the pictures"


class Clip:
    """A CLIP with both sides, frozen, in float32; for pictures a `features.FeatureExtractor`.

    Args:
        folder: in transformers' format, with its tokenizer.

    Attributes:
        title: what tells it from other CLIPs.

    Raises:
        ValueError: the folder holds no CLIP that can be read; says what to do.
    """

    def __init__(self, folder: Path, device: torch.device):
        from transformers import CLIPModel

        try:
            self._network, self._tokenizer = from_folder(CLIPModel, folder, device), tokenizer_from(folder)
        except ValueError as error:
            raise ValueError(str(error).replace(GET_AGAIN, GET_CLIP)) from error
        words = len(self._tokenizer)
        if words > self._network.config.text_config.vocab_size:
            raise ValueError(f"The tokenizer of “{folder.name}” has {words:,} entries and does not fit. {GET_CLIP}")
        self._device, vision = device, self._network.config.vision_config
        self.name, self.weights, self.size = "clip-score", fingerprint(self._network), vision.image_size
        millions = sum(parameter.numel() for parameter in self._network.parameters()) / 1e6
        self.title = f"CLIP with {millions:.1f} M parameters, patches of {vision.patch_size} of {self.size} pixels"

    @torch.inference_mode()
    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Embeddings (B, D) float32 of pictures (B, size, size, 3) uint8."""
        pixels = standardized(from_uint8(images, self._device))
        return _embeddings(self._network.get_image_features(pixel_values=pixels))

    @torch.inference_mode()
    def texts(self, captions: Sequence[str]) -> np.ndarray:
        """Embeddings (B, D) float32 of captions, cut where they are longer than the network reads."""
        tokens = self._tokenizer(
            list(captions),
            padding=True,
            truncation=True,
            return_tensors="pt",
            max_length=self._network.config.text_config.max_position_embeddings,
        ).to(self._device)
        return _embeddings(self._network.get_text_features(tokens.input_ids, tokens.attention_mask))


def _embeddings(output: Any) -> np.ndarray:
    found: Tensor = getattr(output, "pooler_output", output)  # transformers 5 wraps them in an output
    return found.float().cpu().numpy()


def find(folder: Path | None = None) -> Path:
    """The folder of a CLIP on this machine: the given one, or the first of `REPOS` in Hugging Face's cache.

    Raises:
        MissingWeights: there is none; never downloads.
    """
    if folder is not None:
        if (folder / "config.json").is_file():
            return folder
        raise MissingWeights(f"“{folder.name}” holds no CLIP in transformers' format. {GET_CLIP}")
    for repo in REPOS:
        if found := snapshot(repo, file="model.safetensors"):
            return found
    raise MissingWeights(f"There is no CLIP on this machine. {GET_CLIP}")


def scores(pictures: FeatureSet, clip: Clip) -> Iterator[np.ndarray]:
    """The scores of the pictures that have captions, 0 to 100, 64 at a time and in their order.

    Args:
        pictures: embedded by the same CLIP.
    """
    told = [i for i, caption in enumerate(pictures.captions) if caption]
    for start in range(0, len(told), BATCH):
        batch = told[start : start + BATCH]
        seen = _directions(pictures.features[batch])
        read = _directions(clip.texts([pictures.captions[i] for i in batch]))
        yield SCALE * np.maximum((seen * read).sum(1), 0)


def _directions(rows: np.ndarray) -> np.ndarray:
    rows = rows.astype(np.float64)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def mean(values: Sequence[float], seed: int = 0, without: int = 0) -> Score:
    """The mean score with its 95 % bootstrap interval over the pictures.

    Args:
        without: how many pictures have no caption, for the note.
    """
    score = {"name": "clip_score", "title": "CLIP score", "n": len(values), "n_reference": 0}
    note = f"Pictures without a caption, left out: {without:,}." if without else ""
    if not len(values):
        return Score(**score, note="Needs captions: a metadata.jsonl, or COCO's captions beside the folder.")
    low, high = bootstrap(values, seed)
    return Score(**score, value=float(np.mean(values)), low=low, high=high, note=note)
