"""The diffusion loss, and the same loss on pictures that no training sees."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from maskunet.models.base import DiffusionModel
from maskunet.rewards.base import WeightedRewards
from maskunet.training.data import Pair
from maskunet.training.objective import AT_ONCE, Batch, Encode, Objective, Predict


def objective(
    model: DiffusionModel, settings: Any, held_out: Sequence[Pair], rewards: WeightedRewards | None
) -> Objective:
    """Learn from pictures; rewards are not looked at. Made while the model is as it came."""
    return Objective(losses=partial(losses, model), exam=HeldOut(model, held_out).change)


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

    Args:
        before: what the base model reads in place of the captions, where they have a word that it does not know.
    """

    def __init__(self, model: DiffusionModel, pairs: Sequence[Pair], before: Callable[[str], str] | None = None):
        self._model, n = model, len(pairs)
        stream = torch.Generator().manual_seed(0)
        noise = torch.randn((n, *model.latent_shape), generator=stream)
        t = (torch.arange(n) + 0.5) * len(model.schedule.alphas_cumprod) / max(n, 1)
        parts = (slice(start, start + AT_ONCE) for start in range(0, n, AT_ONCE))
        self._batches = [
            Batch(
                model=model, numbers=[], pairs=pairs[part], captions=[pair.caption for pair in pairs[part]],
                noise=noise[part].to(model.device), t=t[part].long().to(model.device), draws=[],
            )
            for part in parts
        ]  # fmt: skip
        known = before and (lambda captions: model.encode_prompts([before(caption) for caption in captions]))
        self._base = self._losses(lambda x_t, t, text, draws: model.unet(x_t, t, **text.arguments).sample, known)

    @torch.no_grad()
    def _losses(self, predict: Predict, encode: Encode | None = None) -> Tensor:
        parts = (part.read_by(encode) for part in self._batches)
        return torch.cat([losses(self._model, predict, part) for part in parts] or [torch.zeros(0)])

    def change(self, predict: Predict, encode: Encode | None = None) -> dict[str, float]:
        """How much the mean loss changed against the base model, in percent of it, and the standard error.

        Nothing if fewer than 2 pictures were held out.
        """
        if len(self._base) < 2:
            return {}
        change = 100 * (self._losses(predict, encode) - self._base) / self._base.mean()
        return {
            "held_out_loss_change": float(change.mean()),
            "held_out_error": float(change.std() / len(change) ** 0.5),
        }
