"""How latents are moved within the picture, and noised back: pure functions (Text2Video-Zero, Khachatryan et al. 2023)."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from maskunet.diffusion import Schedule


def moved(latents: Tensor, shifts: Sequence[tuple[float, float]]) -> Tensor:
    """The same latents (1, C, H, W) moved by each of F shifts, (F, C, H, W).

    Values are taken from the nearest place, so that noise stays noise, and mirrored at the border.

    Args:
        shifts: to the right and down, as shares of the width and height.
    """
    height, width = latents.shape[-2:]
    # Centers of the cells as published: the middle of each cell's share of a grid of 512 x 512 corners.
    rows, columns = ((torch.arange(n) + 0.5) / n - 0.5 / GRID for n in (height, width))
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    places = torch.stack([torch.stack((x - right, y - down), -1) for right, down in shifts])
    places = (2 * places - 1).to(latents.device, latents.dtype)
    several = latents.expand(len(shifts), -1, -1, -1)
    return F.grid_sample(several, places, mode="nearest", padding_mode="reflection", align_corners=False)


GRID = 512  # of the published field of motion, whatever the picture's size


def noised(schedule: Schedule, x_t0: Tensor, t0: int, t1: int, noise: Tensor, *, published: bool = False) -> Tensor:
    """Latents at t0 taken forward to t1 > t0: sqrt(a) x_t0 + sqrt(1 - a) noise with a = alpha_bar_t1 / alpha_bar_t0.

    Args:
        published: the product of the schedule's alphas from t0 to t1 - 1 instead, as the published code has it.
    """
    shift = 1 if published else 0
    kept = schedule.alpha_bar(t1 - shift) / schedule.alpha_bar(t0 - shift)
    return math.sqrt(kept) * x_t0 + math.sqrt(1 - kept) * noise
