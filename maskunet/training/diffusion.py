"""The loss that every recipe trains on, and the same loss on pictures that none of them trains on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from maskunet.models.base import DiffusionModel
from maskunet.training.data import Pair

# (x_t, t, text states, draws) -> the U-Net's output, as `Recipe.module`.
Predict = Callable[[Tensor, Tensor, Tensor, list[int]], Tensor]
AT_ONCE = 16  # held-out pictures per U-Net call


@dataclass(frozen=True, slots=True)
class Batch:
    """Latents x0 (B, C, h, w), text states (B, N, D), noise like x0, timesteps t (B,), and what fixes the masks."""

    x0: Tensor
    text: Tensor
    noise: Tensor
    t: Tensor
    draws: list[int]


@torch.no_grad()
def batch(
    model: DiffusionModel,
    pairs: Sequence[Pair],
    captions: list[str],
    noise: Tensor,
    t: Tensor,
    draws: list[int],
) -> Batch:
    """Encode pictures and captions; `noise` (B, C, h, w) and `t` (B,) may lie on the CPU."""
    x0 = torch.stack([_latents(model, pair) for pair in pairs])
    return Batch(x0, model.encode_prompts(captions), noise.to(model.device), t.to(model.device), draws)


def _latents(model: DiffusionModel, pair: Pair) -> Tensor:
    if pair.latents is not None:
        return torch.from_numpy(pair.latents).float().to(model.device)
    pixels = torch.from_numpy(np.array(pair.image)).permute(2, 0, 1)[None]
    pixels = pixels.to(model.device, model.dtype) / 127.5 - 1
    return model.vae.encode(pixels).latent_dist.mean[0].float() * model.latent_scale


def losses(model: DiffusionModel, predict: Predict, given: Batch) -> Tensor:
    """(B,) the mean squared error of the U-Net's output.

    Denoising score matching (Ho et al. 2020, Eq. 14): |eps - eps_theta(x_t, t)|^2.
    """
    x0, noise = given.x0, given.noise
    a = model.schedule.alphas_cumprod.to(x0.device)[given.t].view(-1, 1, 1, 1)
    x_t = a.sqrt() * x0 + (1 - a).sqrt() * noise
    output = predict(x_t.to(model.dtype), given.t, given.text, given.draws)
    kind = model.schedule.prediction_type
    wanted = {"epsilon": noise, "sample": x0, "v_prediction": a.sqrt() * noise - (1 - a).sqrt() * x0}
    return F.mse_loss(output.float(), wanted[kind], reduction="none").mean((1, 2, 3))


class HeldOut:
    """Pictures with noise and timesteps that never change, and the base model's losses on them.

    Timesteps are spread evenly. Made before anything is trained, while the model is as it came.
    """

    def __init__(self, model: DiffusionModel, pairs: Sequence[Pair]):
        self._model, n = model, len(pairs)
        stream = torch.Generator().manual_seed(0)
        noise = torch.randn((n, *model.latent_shape), generator=stream)
        t = (torch.arange(n) + 0.5) * len(model.schedule.alphas_cumprod) / max(n, 1)
        parts = (slice(start, start + AT_ONCE) for start in range(0, n, AT_ONCE))
        self._batches = [
            batch(model, pairs[part], [pair.caption for pair in pairs[part]], noise[part], t[part].long(), [])
            for part in parts
        ]
        self._base = self._losses(lambda x_t, t, text, draws: model.unet(x_t, t, text).sample)

    @torch.no_grad()
    def _losses(self, predict: Predict) -> Tensor:
        return torch.cat([losses(self._model, predict, part) for part in self._batches] or [torch.zeros(0)])

    def change(self, predict: Predict) -> dict[str, float]:
        """How much the mean loss changed against the base model, in percent of it, and the standard error.

        Nothing if fewer than 2 pictures were held out.
        """
        if len(self._base) < 2:
            return {}
        change = 100 * (self._losses(predict) - self._base) / self._base.mean()
        return {
            "held_out_loss_change": float(change.mean()),
            "held_out_error": float(change.std() / len(change) ** 0.5),
        }
