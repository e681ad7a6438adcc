"""A row of samples from a network in training, always from the same prompts and noise."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from maskunet.diffusion import classifier_free, dpmpp_2m_step
from maskunet.models.base import DiffusionModel

STEPS = 15


@torch.no_grad()
def draw(model: DiffusionModel, predictor: nn.Module, prompts: list[str]) -> np.ndarray:
    """Sample each prompt with the model's guidance, side by side: (H, W * n, 3) uint8.

    Args:
        predictor: as `Recipe.module`, in eval mode.
    """
    n = len(prompts)
    text = model.encode_prompts([""] * n + prompts)
    x_t, history = torch.cat([model.noise(seed) for seed in range(n)]), None
    for t, t_prev in model.schedule.linspace_pairs(STEPS):
        times = torch.full((2 * n,), t, device=model.device)
        output = predictor(torch.cat((x_t, x_t)), times, text, []).to(model.dtype)
        output = classifier_free(output, model.guidance)
        x0, _ = model.schedule.x0_eps(output, x_t, t)
        x_t, history = dpmpp_2m_step(model.schedule, x_t, x0, history, t, t_prev)
    pixels = (model.decode(x_t).float() * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    return np.concatenate(list(pixels), axis=1)


def save(picture: np.ndarray, path: Path) -> None:
    """Write the sheet as PNG."""
    from PIL import Image

    Image.fromarray(picture).save(path)
