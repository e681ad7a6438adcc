"""A row of samples from a network in training, always from the same prompts and noise."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from maskunet.diffusion import classifier_free, doubled, trajectory
from maskunet.models.base import DiffusionModel
from maskunet.training.objective import Encode

STEPS = 15  # at most; a model that is distilled for fewer takes its own


@torch.no_grad()
def draw(model: DiffusionModel, predictor: nn.Module, prompts: list[str], encode: Encode | None = None) -> np.ndarray:
    """Sample each prompt with the model's guidance, side by side: (H, W * n, 3) uint8.

    Args:
        predictor: as `Recipe.module`, in eval mode. encode: as `Recipe.encode`.
    """
    n = len(prompts)
    scale, text = model.guidance, (encode or model.encode_prompts)([""] * n + prompts).guided(model.guidance)

    def predict_x0(x_t: Tensor, t: int) -> Tensor:
        latents = doubled(x_t, scale)
        times = torch.full((len(latents),), t, device=model.device)
        output = predictor(latents, times, text, []).to(model.dtype)
        return model.schedule.x0_eps(classifier_free(output, scale), x_t, t)[0]

    noise = torch.cat([model.noise(seed) for seed in range(n)])
    *_, x0 = trajectory(model.schedule, model.schedule.pairs(min(STEPS, model.steps)), noise, predict_x0)
    pixels = (model.decode(x0).float() * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    return np.concatenate(list(pixels), axis=1)


def save(picture: np.ndarray, path: Path) -> None:
    """Write the sheet as PNG."""
    from PIL import Image

    Image.fromarray(picture).save(path)
