"""A reward as the loss: how little it likes the picture that a half-finished sampling predicts.

ReFL (Xu et al. 2023, "ImageReward", Algorithm 1), for masks and for LoRAs: sample without gradients to a
random step, predict the clean picture from there with a gradient, and raise its reward. Another reward,
which is never optimized, judges every checkpoint, because a reward that is optimized stops telling the truth.

ReFL differs: it samples with the weights in training. Here the base model samples, so that a state serves
every time its caption comes again; masks that remove few weights hardly move it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from maskunet import seeds
from maskunet.encoders.text_states import TextStates
from maskunet.models.base import DiffusionModel
from maskunet.plugins import setting
from maskunet.rewards import JUDGES, judged_by
from maskunet.rewards import SPECS as REWARDS
from maskunet.rewards.base import WeightedRewards, held_out_of, shifted_views, shifts
from maskunet.training import diffusion
from maskunet.training.data import Pair
from maskunet.training.exam import Exam
from maskunet.training.objective import Batch, Objective, Predict
from maskunet.training.sampling import GuidedSampling, guidance_setting, steps_setting


@dataclass(frozen=True, kw_only=True)  # without slots, so that a recipe's settings can extend two classes
class RewardSettings:
    """What a recipe that learns from a reward adds to its settings.

    Attributes:
        reward: the one that is optimized. held_out: the one whose change over the base model's pictures decides
            which checkpoint is kept; None for the first other one.
        guidance: scale while training and judging; 0 takes the model's own.
        sampling_steps: of the samplings that are cut short; before step `first` a prediction is too blurred
            to be judged.
        views: pictures that the reward looks at: the prediction itself, then shifted, noisy copies.
        anchor: weight of the diffusion loss.
        samplings: how many are made; then the first ones are used again, mostly at other steps.
    """

    reward: str = setting("image_reward", "optimized", choices=tuple(REWARDS))
    held_out: str | None = setting(
        None, "judges checkpoints; the first other one if left out", choices=(*REWARDS, *JUDGES)
    )
    guidance: float = guidance_setting()
    sampling_steps: int = steps_setting("steps of a whole sampling")
    first: int = setting(3, "earliest step that is judged", low=0, high=99)
    views: int = setting(2, "pictures that the reward looks at", low=1, high=8)
    anchor: float = setting(0.0, "weight of the diffusion loss", low=0.0, high=1e6)
    samplings: int = setting(512, "then the first ones come again", low=1, high=1_000_000)

    @property
    def learns_from(self) -> str:
        """See `Settings.learns_from`."""
        return self.reward


def objective(
    model: DiffusionModel, settings: Any, held_out: Sequence[Pair], rewards: WeightedRewards | None
) -> Objective:
    """Learn from the reward that the settings name. Made while the model is as it came.

    Raises:
        ValueError: no rewards are given, not these, or the same for both; or no step is left to judge.
    """
    if rewards is None:
        raise ValueError("This recipe learns from a reward, and none is loaded. Give the rewards.")
    rewards = judged_by(rewards, settings.held_out, model.device, model.dtype)
    judge = held_out_of(rewards.weights, settings.reward, settings.held_out)
    sampling = Sampling(model, settings)
    exam = Exam(sampling, rewards, [pair.caption for pair in held_out])
    return Objective(
        losses=partial(_losses, sampling, rewards),
        exam=exam.change,
        best=f"{judge}_change" if held_out else "",
        cycle=settings.samplings,
    )


def _losses(sampling: "Sampling", rewards: WeightedRewards, predict: Predict, given: Batch) -> Tensor:
    """(B,) the negative reward of the predicted pictures, and the anchor."""
    settings, model = sampling.settings, sampling.model
    x_t, steps = sampling.cut_short(given)
    image = sampling.predicted(predict, x_t, steps, sampling.guided(given.captions), given.draws)
    streams = [torch.Generator().manual_seed(seeds.of_sample_views(draw)) for draw in given.draws]
    how = settings.views - 1, image.device, image.dtype
    views = [
        shifted_views(each[None], shifts((1, *each.shape), rng, *how)) for each, rng in zip(image, streams, strict=True)
    ]
    prompts = [caption for caption in given.captions for _ in range(settings.views)]
    scores = rewards.only(settings.reward)(torch.cat(views), prompts)[settings.reward]
    loss = -scores.unflatten(0, (len(image), settings.views)).mean(1)
    if settings.anchor:
        loss = loss + settings.anchor * diffusion.losses(model, predict, given)
    return loss


class Sampling(GuidedSampling):
    """Guided sampling whose states, the base model's, are kept and judged. Made while the model is as it came."""

    def __init__(self, model: DiffusionModel, settings: RewardSettings):
        if settings.first >= settings.sampling_steps:
            raise ValueError(
                f"The setting first is {settings.first}; with {settings.sampling_steps} sampling steps, 0 to "
                f"{settings.sampling_steps - 1} are allowed."
            )
        super().__init__(model, settings.sampling_steps, settings.guidance)
        self.settings = settings
        self._known: dict[int, Tensor] = {}  # (steps, C, h, w) on the CPU, by the sample's number

    def cut_short(self, given: Batch) -> tuple[Tensor, list[int]]:
        """Latents of the base model's samplings (B, C, h, w), each at a step that its draw decides, and the steps."""
        first = self.settings.first
        steps = [first + draw % (len(self.pairs) - first) for draw in given.draws]
        missing = [i for i, number in enumerate(given.numbers) if number not in self._known]
        if missing:
            text = self.guided([given.captions[i] for i in missing])
            states = torch.stack(self._latents(self.base, given.noise[missing], text)[:-1], 1)
            self._known.update(zip((given.numbers[i] for i in missing), states.cpu(), strict=True))
        found = [self._known[number][step] for number, step in zip(given.numbers, steps, strict=True)]
        return torch.stack(found).to(self.model.device), steps

    def predicted(self, predict: Predict, x_t: Tensor, steps: list[int], text: TextStates, draws: list[int]) -> Tensor:
        """The pictures (B, 3, H, W) in [0, 1] that the latents at these steps lead to, with gradients."""
        times = [self.pairs[step][0] for step in steps]
        output = self._output(predict, x_t, torch.tensor(times, device=x_t.device), text, draws)
        parts = zip(output.split(1), x_t.split(1), times, strict=True)
        x0 = torch.cat([self.model.schedule.x0_eps(out, x, t)[0] for out, x, t in parts])
        with torch.autocast(x0.device.type, enabled=False):
            return self.model.decode(x0.to(self.model.dtype))
