"""A reward for everybody: pictures as people have them, and their prompts, to scores."""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor

from maskunet.encoders.pixels import from_uint8
from maskunet.rewards.base.reward import Reward

BELOW, ABOVE = -0.5, 2.0  # no picture in [0, 1] has a value beyond them, whatever a resize or a decoder has added


class Scorer:
    """A loaded reward.

    Attributes:
        name: it was loaded by. reward: the network's own interface, see `Reward`.
        batch: pictures at once.
    """

    def __init__(self, name: str, reward: Reward, device: torch.device, batch: int):
        self.name, self.reward, self.device, self.batch = name, reward, device, batch

    def __repr__(self) -> str:
        return f"<{self.name} on {self.device}>"

    def __call__(self, pictures: Any, prompts: str | Sequence[str]) -> Tensor:
        """Score pictures against their prompts; higher is better.

        Args:
            pictures: a float tensor (B, 3, H, W) or (3, H, W) in [0, 1], which gets a gradient; or PIL pictures or uint8
                arrays (H, W, 3), one or a list of any sizes, which get none. A PIL picture is taken upright and on white.
            prompts: one for each, or one for all.

        Returns:
            (B,) float32 on the reward's device.

        Raises:
            ValueError: pictures of another form or range, or not one prompt for each.
        """
        known = isinstance(pictures, Tensor)
        groups = [_checked(pictures).to(self.device)] if known else self._same_sized(pictures)
        count = sum(map(len, groups))
        prompts = [prompts] * count if isinstance(prompts, str) else list(prompts)
        if len(prompts) != count or not count:
            raise ValueError(f"{count} pictures and {len(prompts)} prompts were given. Give one prompt per picture.")
        scores, waiting = [], iter(prompts)
        with nullcontext() if known else torch.no_grad():
            for group in groups:
                for some in group.split(self.batch):
                    scores.append(self.reward(some, [next(waiting) for _ in some]))
        return torch.cat(scores)

    def _same_sized(self, pictures: Any) -> list[Tensor]:
        """Neighbors of the same size together, in their order, no more than go in at once."""
        several = isinstance(pictures, Sequence) or (isinstance(pictures, np.ndarray) and pictures.ndim == 4)
        groups: list[list[np.ndarray]] = []
        for picture in map(_pixels, pictures if several else [pictures]):
            if not groups or groups[-1][0].shape != picture.shape or len(groups[-1]) == self.batch:
                groups.append([])
            groups[-1].append(picture)
        return [from_uint8(np.stack(group), self.device) for group in groups]


def _checked(pictures: Tensor) -> Tensor:
    pictures = pictures[None] if pictures.ndim == 3 else pictures
    if pictures.ndim != 4 or pictures.shape[1] != 3 or not pictures.is_floating_point() or not pictures.numel():
        raise ValueError(
            f"A tensor of pictures must be (B, 3, H, W) of floats in [0, 1], not {tuple(pictures.shape)} of "
            f"{str(pictures.dtype).removeprefix('torch.')}."
        )
    low, high = torch.stack(pictures.detach().aminmax()).tolist()
    if not (low >= BELOW and high <= ABOVE):  # also where one is no number
        raise ValueError(f"The pictures have values from {low:g} to {high:g}; allowed is 0 to 1.")
    return pictures


def _pixels(picture: Any) -> np.ndarray:
    from PIL import Image

    from maskunet.records.disk.pictures import of_image

    if isinstance(picture, Image.Image):
        return of_image(picture)
    if isinstance(picture, np.ndarray) and picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3:
        return picture
    raise ValueError(f"A picture must be a PIL picture or a uint8 array (H, W, 3), not {type(picture).__name__}.")
