"""Find masks for one timestep: predict the picture under them, ask the rewards, move them, look again.

MaskUNet (CVPR 2025), Eq. 5 to 10 and the inner loop of Algorithm 1.
"""

import math
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from maskunet import mask
from maskunet.guidance import classifier_free
from maskunet.masked_unet import Features, MaskedUNet
from maskunet.methods.base import Reporter, read_back
from maskunet.models.base import DiffusionModel
from maskunet.records import Request, StepEvent
from maskunet.rewards.base import shifted_views

# (masked U-Net, step, x_t, text states, masks) -> the latents to go on with, and the U-Net calls it took.
Move = Callable[[MaskedUNet, int, Tensor, Tensor, Mapping[str, Tensor]], tuple[Tensor, int]]


def stay(masked: MaskedUNet, step: int, x_t: Tensor, *others: object) -> tuple[Tensor, int]:
    """No move: MaskUNet alone."""
    return x_t, 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """One set of masks, the picture that they promise, and what the rewards say of it.

    Attributes:
        masks: by site name. z_t: the latents they were tried on. x0: what they predict, and `image`, decoded.
        scores: of the rewards. loss: a scalar. features: of z_t, for the next look at it. calls: of the U-Net.
    """

    masks: dict[str, Tensor]
    z_t: Tensor
    x0: Tensor
    image: Tensor
    scores: dict[str, Tensor]
    loss: Tensor
    features: Features
    calls: int

    def kept(self) -> "Look":
        """The same without what a gradient needs."""
        masks = {name: each.detach() for name, each in self.masks.items()}
        return replace(self, masks=masks, x0=self.x0.detach(), loss=self.loss.detach())


@dataclass(frozen=True, kw_only=True, slots=True)
class Search:
    """What does not change while one picture's masks are looked for.

    Attributes:
        rewards: see `WeightedRewards`. settings: of `maskunet_free`. scale: of the guidance.
        logits: by site name; the optimizer changes them in place.
    """

    model: DiffusionModel
    masked: MaskedUNet
    rewards: Callable[[Tensor, list[str]], Mapping[str, Tensor]]
    request: Request
    settings: Any
    move: Move
    logits: dict[str, Tensor]
    text: Tensor
    scale: float
    generator: torch.Generator
    report: Reporter

    def step(
        self, step: int, t: int, x_t: Tensor, optimizer: torch.optim.Optimizer | mask.Removal, last_too: bool
    ) -> Generator[StepEvent, None, Look]:
        """Look at one timestep's masks and move them in turn (Algorithm 1, inner loop); one event per look.

        Args:
            last_too: whether the gradient of the last look counts for anything, if nothing is looked at after it.

        Returns:
            The look to go on with.
        """
        settings, note = self.settings, ""
        features = chosen = noise = None
        lowest = math.inf
        updates = settings.early_updates if step < settings.early_steps else settings.updates
        looks = max(updates + settings.use_updated, 1)
        for update in range(looks):
            moves = update < updates and (update + 1 < looks or last_too)
            if noise is None or not settings.common_noise:
                noise = mask.noise_for(self.logits, settings.noise, self.generator)
            with torch.set_grad_enabled(moves):
                look = self._look(step, t, x_t, noise, features)
            self.report.unet_calls += look.calls
            if moves:  # asked for before the numbers are waited for
                optimizer.zero_grad()
                look.loss.backward()
            value, told, kept = read_back(look.loss, look.scores, look.masks)
            if not math.isfinite(value):
                note = f"A reward was not a number at step {step + 1}, update {update}; kept the best mask so far."
            best = not note and (chosen is None or not settings.keep_best or value < lowest)
            if best or chosen is None:
                chosen, lowest = look.kept(), value
            yield self.report(
                step, t, image=look.image if self.request.previews else None, rewards=told, kept=kept,
                used=chosen.masks if update + 1 == looks or note else None, logits=self.logits,
                loss=value, update=update, updates=updates, best=best, note=note,
            )  # fmt: skip
            if note:
                break
            if moves:
                optimizer.step()
            features = look.features
            del look  # before the next one: a large model's masks take 0.2 GB
        return chosen

    def _look(
        self, step: int, t: int, x_t: Tensor, noise: Mapping[str, Tensor], features: Features | None
    ) -> Look:
        """From logits to the loss (Eq. 5 to 10)."""
        masks = {n: mask.straight_through(v, noise[n]) for n, v in self.logits.items()}  # Eq. 5
        z_t, calls = self.move(self.masked, step, x_t, self.text, masks)
        if features is None or calls:  # latents that stay are encoded once per timestep
            with torch.no_grad():
                features = self.masked.encode(torch.cat((z_t, z_t)), t, self.text)
        output = classifier_free(self.masked.decode(features, masks), self.scale)  # Eq. 6, 9
        x0, _ = self.model.schedule.x0_eps(output, z_t, t)
        image = self.model.decode(x0, tiny=self.settings.tiny_decoder)
        views = shifted_views(image, self.settings.views, self.generator)
        scores = self.rewards(views, [self.request.prompt] * self.settings.views)
        scores = {name: value.mean()[None] for name, value in scores.items()}
        return Look(
            masks=masks, z_t=z_t, x0=x0, image=image, scores=scores, features=features, calls=1 + calls,
            loss=negative_reward(scores, self.settings),
        )  # fmt: skip


def negative_reward(scores: Mapping[str, Tensor], settings: Any) -> Tensor:
    """The negative of Eq. 10, a scalar; above the hinge ImageReward stops counting."""
    # Published code differs in form only: relu(2 - ImageReward) + 5 (1 - HPSv2) has this gradient.
    over = F.relu(scores["image_reward"] - settings.hinge) * settings.image_reward
    return (over - scores["total"]).sum()
