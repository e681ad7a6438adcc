"""Pictures as networks take them: bytes to [0, 1]; as CLIP's towers do: resized, made square, normalized."""

from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


def from_uint8(pictures: np.ndarray, device: torch.device | str = "cpu") -> Tensor:
    """(B, H, W, 3), or one picture (H, W, 3), of uint8 to (B, 3, H, W) float32 in [0, 1]."""
    pixels = torch.tensor(np.ascontiguousarray(pictures), device=device)  # which may be mirrored
    # By its strides a convolution chooses its kernel, so one picture alone is not the same as a batch of one.
    pixels = pixels.permute(0, 3, 1, 2) if pictures.ndim == 4 else pixels.permute(2, 0, 1)[None]
    return pixels.float() / 255


def normalized(image: Tensor, size: int, *, whole: bool = False) -> Tensor:
    """Bicubic resize, made square, CLIP's mean and std: (B, 3, size, size), float32.

    Rounds as the published rewards do. Bicubic overshoot is left as it is: clamping would cut the
    gradient.

    Args:
        image: (B, 3, H, W) in [0, 1].
        size: of the network's picture, pixels.
        whole: fit the long side and pad with black, as HPSv2 does; else fit the short side and crop
            the center, as ImageReward does. Square pictures come out the same.
    """
    image = image.float()  # half precision would lose more here than in the networks
    sides = list(image.shape[-2:])
    scale = size / max(sides)
    shape = [round(side * scale) if whole else int(size * side / min(sides)) for side in sides]
    if shape != sides:
        image = F.interpolate(image, shape, mode="bicubic", antialias=True, align_corners=False)
    if whole:
        top, left = ((size - side) // 2 for side in shape)
        image = F.pad(image, (left, size - shape[1] - left, top, size - shape[0] - top))
    else:
        top, left = (round((side - size) / 2) for side in shape)
        image = image[..., top : top + size, left : left + size]
    return standardized(image)


def standardized(image: Tensor) -> Tensor:
    """Less CLIP's mean, over its standard deviation: (B, 3, H, W) in [0, 1] to the same shape."""
    mean, std = _clip_mean_std(image.device)
    return (image - mean) / std


@cache
def _clip_mean_std(device: torch.device) -> tuple[Tensor, Tensor]:
    """(3, 1, 1) float32 each, sent to the device once: sending waits for it."""
    # Whoever asks first may be without gradients for good, and whoever comes later want them.
    with torch.inference_mode(False):
        return tuple(torch.tensor(each, device=device).view(3, 1, 1) for each in (CLIP_MEAN, CLIP_STD))
