"""How much generated pictures are like a subject's: DINO, CLIP-I, CLIP-T and their diversity (DreamBooth, section 4.2).

Cosines over all pairs of a generated picture and a real one. A method that copies its pictures gets the highest ones, so
diversity stands beside them. Different networks give different numbers: DINO, DINOv2 and their sizes do not compare.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from maskunet.encoders.pixels import from_uint8
from maskunet.encoders.pretrained import GET_AGAIN, from_folder
from maskunet.evaluation.extractors import fingerprint
from maskunet.evaluation.intervals import bootstrap, clustered, student
from maskunet.evaluation.metrics.base import Score
from maskunet.records.feature_set import FeatureSet

KINDS = {"dinov2": "Dinov2Model", "vit": "ViTModel"}  # of DINO's checkpoints in transformers' format
RESIZED, CROPPED = 256, 224  # pixels, as DreamBooth's figures were made
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's
GET_DINO = "Give --dino a folder of facebook/dinov2-small (0.09 GB) or facebook/dino-vits16 in transformers' format."


class Dino:
    """The class token of a DINO or DINOv2, frozen, in float32; a `features.FeatureExtractor`.

    Args:
        folder: in transformers' format.

    Attributes:
        title: what tells it from others.

    Raises:
        ValueError: the folder holds none that can be read; says what to do.
    """

    def __init__(self, folder: Path, device: torch.device):
        import transformers

        try:
            kind = json.loads((folder / "config.json").read_text(encoding="utf-8"))["model_type"]
            self._network = from_folder(getattr(transformers, KINDS[kind]), folder, device)
        except (OSError, ValueError, KeyError, TypeError) as error:
            said = str(error).replace(GET_AGAIN, "") if "holds no" in str(error) or "lacks" in str(error) else ""
            raise ValueError(
                f"{said.strip() or f'“{folder.name}” holds no DINO that can be read.'} {GET_DINO}"
            ) from error
        config = self._network.config
        self._device, self.name, self.weights, self.size = device, "dino", fingerprint(self._network), RESIZED
        version = "DINOv2" if kind == "dinov2" else "ViT"
        self.title = (
            f"{version}, {config.num_hidden_layers} layers of {config.hidden_size}, patches of {config.patch_size}"
        )

    @torch.inference_mode()
    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Embeddings (B, D) float32 of pictures (B, 256, 256, 3) uint8, of their middle 224 pixels."""
        return (
            self._network(pixel_values=_pixels(from_uint8(images, self._device))).last_hidden_state[:, 0].cpu().numpy()
        )


def _pixels(image: Tensor) -> Tensor:
    edge = (RESIZED - CROPPED) // 2
    image = image[..., edge : edge + CROPPED, edge : edge + CROPPED]
    mean, std = (torch.tensor(each, device=image.device).view(3, 1, 1) for each in (MEAN, STD))
    return (image - mean) / std


def likeness(made: FeatureSet, real: FeatureSet, name: str, network: str) -> Score:
    """The mean cosine over all (generated, real) pairs, with the bootstrap's interval over the generated ones."""
    cosines = (_directions(made.features) @ _directions(real.features).T).mean(1)
    return _mean(name, cosines, len(real.files), network)


def ceiling(real: FeatureSet, name: str, network: str) -> Score:
    """The mean cosine among the real pictures, with the interval over them: what is above it copies them."""
    cosines = _others(real.features)
    return _mean(f"{name}, real pictures", cosines, len(real.files), network, _of_pairs)


def diversity(made: FeatureSet, network: str) -> Score:
    """The mean of 1 less the cosine among generated pictures of one prompt; every picture against the others of it.

    The interval is over prompts, where all are of one over its pictures.
    """
    apart, of = [], []
    for caption in filter(None, dict.fromkeys(made.captions)):  # without one it is of no prompt that is known
        same = made.features[[i for i, each in enumerate(made.captions) if each == caption]]
        apart += list(1 - _others(same))
        of += [caption] * (len(apart) - len(of))
    several = len(set(of)) > 1
    return _mean("Diversity", apart, 0, network, partial(clustered, of=of) if several else _of_pairs)


def drift(before: FeatureSet, after: FeatureSet, network: str) -> Score:
    """The mean of 1 less the cosine between class pictures of one name before and after a training; 0 for no drift."""
    common = [name for name in before.files if name in set(after.files)]
    of_class = [_directions(each.features[[each.files.index(name) for name in common]]) for each in (before, after)]
    return _mean("Drift of the class", 1 - (of_class[0] * of_class[1]).sum(1), len(common), network)


def without(pictures: FeatureSet, rare: str) -> FeatureSet:
    """The same set, its captions without the rare name, as CLIP-T takes them."""
    words = [" ".join(word for word in caption.split() if word != rare) for caption in pictures.captions]
    return replace(pictures, captions=tuple(words))


def _others(rows: np.ndarray) -> np.ndarray:
    """Each row's mean cosine to the other rows, (N,); nothing of fewer than two."""
    if len(rows) < 2:
        return np.zeros(0)
    cosines = _directions(rows) @ _directions(rows).T
    return (cosines.sum(1) - cosines.diagonal()) / (len(rows) - 1)


def _directions(rows: np.ndarray) -> np.ndarray:
    return F.normalize(torch.from_numpy(rows).double(), dim=1).numpy()


def _of_pairs(means: Sequence[float]) -> tuple[float | None, float | None]:
    """The 95 % interval of a mean over all pairs of pictures, from each one's mean with the others; None for one pair.

    A picture is in many pairs, so their means depend on each other: the jackknife leaves out one picture at a time, and its
    pseudo-values have Student's interval.
    """
    n = len(means)
    if n < 3:
        return None, None
    return student((2 * (n - 1) * np.asarray(means) - n * np.mean(means)) / (n - 2))


def _mean(
    title: str, values: Sequence[float], reference: int, network: str,
    interval: Callable[[Sequence[float]], tuple[float | None, float | None]] = bootstrap,
) -> Score:  # fmt: skip
    score = {"name": title.lower(), "title": title, "n": len(values), "n_reference": reference}
    if not len(values):
        return Score(**score, note=f"Needs two pictures of a set or a prompt, or of one name. {network}.")
    low, high = interval(values)
    return Score(**score, value=float(np.mean(values)), low=low, high=high, note=f"{network}.")
