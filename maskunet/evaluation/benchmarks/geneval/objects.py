"""Find things in a picture with Mask2Former (Cheng et al. 2022), prepared as GenEval's detector is.

GenEval asks the Swin-S of MMDetection, which cannot be installed beside a recent torch; this is transformers'
port of the same architecture, trained by its authors on the same data. The picture's size, the scores and the
boxes follow MMDetection. The weights are others, so single verdicts differ.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from maskunet.encoders.pixels import from_uint8
from maskunet.encoders.pretrained import from_folder
from maskunet.evaluation.benchmarks.geneval.rules import Thing

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SHORT, LONG, STEP = 800, 1333, 32  # the short side in pixels, at most that long, padded to a multiple

# Names of COCO's things as GenEval's prompts have them; detectors spell some of them without a space.
NAMES = {
    "aeroplane": "airplane", "diningtable": "dining table", "hair dryer": "hair drier",
    "keyboard": "computer keyboard", "motorbike": "motorcycle", "mouse": "computer mouse",
    "pottedplant": "potted plant", "remote": "tv remote", "sofa": "couch", "tvmonitor": "tv",
}  # fmt: skip


class Detector:
    """Mask2Former of a folder in transformers' format.

    Args:
        short: side to which a picture is enlarged or shrunk, pixels.

    Attributes:
        names: what it can find, in its order.
    """

    def __init__(self, folder: Path, device: torch.device, short: int = SHORT):
        from transformers import Mask2FormerForUniversalSegmentation

        self._network = from_folder(Mask2FormerForUniversalSegmentation, folder, device)
        self._device, self._short = device, short
        labels = self._network.config.id2label
        self.names = tuple(NAMES.get(labels[i], labels[i]) for i in range(len(labels)))

    @torch.inference_mode()
    def __call__(self, pixels: np.ndarray) -> list[Thing]:
        """What is in a picture (H, W, 3) uint8, however unsure."""
        picture, (height, width) = _prepared(from_uint8(pixels, self._device), self._short)
        seen = torch.zeros(1, *picture.shape[-2:], device=self._device)
        seen[:, :height, :width] = 1
        output = self._network(pixel_values=picture, pixel_mask=seen)
        masks = F.interpolate(output.masks_queries_logits, picture.shape[-2:], mode="bilinear")
        masks = F.interpolate(masks[..., :height, :width], pixels.shape[:2], mode="bilinear")
        return things(output.class_queries_logits[0], masks[0], self.names)


def _prepared(picture: Tensor, short: int) -> tuple[Tensor, tuple[int, int]]:
    """The network's picture (1, 3, H, W), padded, and the size without the padding."""
    sides = picture.shape[-2:]
    scale = min(short / min(sides), LONG / SHORT * short / max(sides))
    height, width = (max(1, round(side * scale)) for side in sides)
    picture = F.interpolate(picture, (height, width), mode="bilinear")
    mean, std = (picture.new_tensor(numbers).view(3, 1, 1) for numbers in (MEAN, STD))
    return F.pad((picture - mean) / std, (0, -width % STEP, 0, -height % STEP)), (height, width)


def things(classes: Tensor, masks: Tensor, names: Sequence[str]) -> list[Thing]:
    """Things from the network's logits: as many as there are queries, of all pairs of a query and a name.

    A thing's score is the probability of its name times the mean probability within its mask; a query may
    count for several names.

    Args:
        classes: logits (Q, names + 1), the last for nothing.
        masks: logits (Q, H, W).
    """
    scores, pairs = classes.softmax(-1)[:, :-1].flatten().topk(len(classes))
    inside = masks > 0
    sums, areas = (masks.sigmoid() * inside).sum((1, 2)), inside.sum((1, 2))
    sureness = (sums / (areas + 1e-6)).tolist()
    found = []
    for score, pair in zip(scores.tolist(), pairs.tolist(), strict=True):
        query, name = divmod(pair, len(names))
        if areas[query]:
            mask = inside[query].cpu().numpy()
            found.append(Thing(names[name], score * sureness[query], _box(mask), mask))
    return found


def _box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of a mask that is not empty; the last two one beyond it."""
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
