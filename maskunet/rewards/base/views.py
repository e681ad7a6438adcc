"""Shifted, noisy views of a picture: harder to please by accident."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Shift(NamedTuple):
    """How one view differs from its picture: rows (H,) and columns (W,) in their new order, noise (1, 3, H, W)."""

    rows: Tensor
    columns: Tensor
    noise: Tensor


def shifts(
    shape: tuple[int, ...], generator: torch.Generator, count: int, device: torch.device, dtype: torch.dtype
) -> tuple[Shift, ...]:
    """Draw small shifts and noise for so many views of a picture (1, 3, H, W).

    Args:
        generator: on the CPU.
    """
    drawn, reach = [], max(1, min(shape[-2:]) // 32)
    for _ in range(count):
        moved = torch.randint(-reach, reach + 1, (2,), generator=generator).tolist()
        order = (torch.arange(n).roll(by).to(device) for n, by in zip(shape[-2:], moved, strict=True))
        drawn.append(Shift(*order, torch.randn(shape, generator=generator).to(device, dtype)))
    return tuple(drawn)


def shifted_views(image: Tensor, drawn: Sequence[Shift]) -> Tensor:
    """The image (1, 3, H, W) and shifted, slightly noisy copies, (V, 3, H, W): harder to please by accident."""
    moved = (image.index_select(-2, one.rows).index_select(-1, one.columns) + 0.02 * one.noise for one in drawn)
    return torch.cat((image, *moved))
