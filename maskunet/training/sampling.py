"""Guided sampling beside a training: the base model's as it came, or through what is trained."""

import copy
from dataclasses import asdict
from hashlib import sha256
from typing import Any

import torch
from torch import Tensor, nn

from maskunet.diffusion import classifier_free, doubled, trajectory
from maskunet.encoders.text_states import TextStates
from maskunet.models.base import DiffusionModel
from maskunet.plugins import setting
from maskunet.training.objective import Encode, Predict


def guidance_setting() -> Any:
    """Of a recipe: the guidance scale of its samplings."""
    return setting(0.0, "scale; 0 for the model's own", low=0.0, high=50.0)


def steps_setting(help: str = "steps of a sampling", default: int = 15) -> Any:  # noqa: A002
    """Of a recipe: how many steps its samplings have."""
    return setting(default, help, low=2, high=100)


class GuidedSampling:
    """Samplings of many captions at once. Made while the model is as it came.

    Args:
        steps: of a sampling. guidance: its scale; 0 for the model's own.

    Attributes:
        base: the base model's U-Net, in the form of a recipe's module.
    """

    def __init__(self, model: DiffusionModel, steps: int, guidance: float = 0.0):
        self.model = model
        self.pairs = model.schedule.pairs(steps)
        self.scale = guidance or model.guidance
        self.base = twin(model.unet)
        self._nothing = model.encode_prompts([""])

    @property
    def made_by(self) -> dict[str, Any]:
        """All that the base model's samplings depend on besides prompts and noise, as JSON takes it."""
        model, alphas = self.model, self.model.schedule.alphas_cumprod.double().cpu().numpy()
        schedule = {**asdict(model.schedule), "alphas_cumprod": sha256(alphas.tobytes()).hexdigest()}
        return {
            "model": dict(model.weights), "type": str(model.dtype), "pairs": self.pairs, "schedule": schedule,
            "guidance": self.scale,
        }  # fmt: skip

    def guided(self, captions: list[str], encode: Encode | None = None) -> TextStates:
        """The text states of no caption, where there is guidance, then those of the captions."""
        both = [self._nothing.repeated(len(captions)), (encode or self.model.encode_prompts)(captions)]
        return TextStates.cat(both).guided(self.scale)

    def clean(self, predict: Predict, noise: Tensor, text: TextStates) -> Tensor:
        """The latents (B, C, h, w) of a sampling to its end, nothing in it drawn."""
        return self._latents(predict, noise, text)[-1].to(self.model.dtype)

    @torch.no_grad()
    def whole(self, predict: Predict, noise: Tensor, text: TextStates) -> Tensor:
        """The pictures (B, 3, H, W) in [0, 1] of a sampling to its end, nothing in it drawn."""
        return self.model.decode(self.clean(predict, noise, text))

    @torch.no_grad()
    def _latents(self, predict: Predict, x_t: Tensor, text: TextStates) -> list[Tensor]:
        """The latents before every step, and the clean ones."""

        def predict_x0(x_t: Tensor, t: int) -> Tensor:
            times = torch.full((len(x_t),), t, device=x_t.device)
            return self.model.schedule.x0_eps(self._output(predict, x_t, times, text, []), x_t, t)[0]

        return [*trajectory(self.model.schedule, self.pairs, x_t, predict_x0)]

    def _output(self, predict: Predict, x_t: Tensor, times: Tensor, text: TextStates, draws: list[int]) -> Tensor:
        latents, times = doubled(x_t, self.scale).to(self.model.dtype), doubled(times, self.scale)
        draws = draws * (len(latents) // len(x_t))
        return classifier_free(predict(latents, times, text, draws), self.scale)


def twin(unet: nn.Module) -> Predict:
    """The U-Net as it is now, whatever is put on it later: other modules with the same weights."""
    copied = copy.deepcopy(unet, memo={id(p): p for p in unet.parameters()})
    return lambda x_t, t, text, draws: copied(x_t, t, **text.arguments).sample
