"""Find masks for one timestep: predict the picture under them, ask the rewards, move them, look again.

MaskUNet (CVPR 2025), Eq. 5 to 10 and the inner loop of Algorithm 1.
"""

import math
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils._pytree import tree_map

from maskunet.diffusion import classifier_free, doubled
from maskunet.encoders.text_states import TextStates
from maskunet.masks import mask
from maskunet.masks.masked_unet import Features, MaskedUNet
from maskunet.methods.base import Guidance, Reporter, objective
from maskunet.methods.maskunet_free.cuda_graph import Pool, Replayed
from maskunet.models.base import DiffusionModel
from maskunet.records import Request, StepEvent
from maskunet.rewards import SPECS
from maskunet.rewards.base import Shift, shifted_views, shifts

# (masked U-Net, step, x_t, text states of both guidance halves, masks) -> the latents to go on with, and the U-Net calls it took.
Move = Callable[[MaskedUNet, int, Tensor, TextStates, Mapping[str, Tensor]], tuple[Tensor, float]]


def stay(masked: MaskedUNet, step: int, x_t: Tensor, *others: object) -> tuple[Tensor, int]:
    """No move: MaskUNet alone."""
    return x_t, 0


class Given(NamedTuple):
    """The tensors that one look starts from; all else is the same for the whole picture.

    Attributes:
        z_t: the latents. features: of them. alpha, sigma: () float32 of their timestep.
        noise: of the masks, by site name, or empty. views: of the pictures, see `shifts`.
    """

    z_t: Tensor
    features: Features
    alpha: Tensor
    sigma: Tensor
    noise: Mapping[str, Tensor]
    views: tuple[Shift, ...]


class Look(NamedTuple):
    """One set of masks, the picture that they promise, and what the rewards say of it.

    Attributes:
        masks: by site name. x0: what they predict, and `image`, decoded. gradients: of the loss by the logits, or none.
        scored: the rewards by name. told: the loss, the sum of its gradients, their scores and the share of weights that each mask keeps.
    """

    masks: dict[str, Tensor]
    x0: Tensor
    image: Tensor
    scored: tuple[str, ...]
    told: Tensor
    gradients: tuple[Tensor, ...]


class Chosen(NamedTuple):
    """What a step goes on with: latents, what is predicted from them, and the masks, by site name."""

    z_t: Tensor
    x0: Tensor
    masks: dict[str, Tensor]


@dataclass(frozen=True, kw_only=True, slots=True)
class Search:
    """What does not change while one picture's masks are looked for.

    Attributes:
        rewards: see `WeightedRewards`. weights: of what is optimized, see `weights_of`. settings: of `maskunet_free`.
        logits: by site name; the optimizer changes them in place.
        looking: what looks, without gradients and with them, under each guidance scale, once it has been asked for.
        pool: where the looks are recorded, or None to look without.
    """

    model: DiffusionModel
    masked: MaskedUNet
    rewards: Callable[[Tensor, list[str]], Mapping[str, Tensor]]
    weights: Mapping[str, float]
    request: Request
    settings: Any
    move: Move
    logits: dict[str, Tensor]
    text: TextStates
    guidance: Guidance
    generator: torch.Generator
    report: Reporter
    looking: dict[tuple[bool, float], Callable[[Given], Look]] = field(default_factory=dict)
    pool: Pool | None = None

    def step(
        self, step: int, t: int, x_t: Tensor, optimizer: torch.optim.Optimizer | mask.Removal, last_too: bool
    ) -> Generator[StepEvent, None, Chosen]:
        """Look at one timestep's masks and move them in turn (Algorithm 1, inner loop); one event per look.

        Args:
            last_too: whether the gradient of the last look counts for anything, if nothing is looked at after it.

        Returns:
            What to go on with.
        """
        settings, note = self.settings, ""
        given = chosen = None
        lowest = math.inf
        updates = settings.early_updates if step < settings.early_steps else settings.updates
        looks = max(updates + settings.use_updated, 1)
        for update in range(looks):
            moves = update < updates and (update + 1 < looks or last_too)
            if moves:
                optimizer.zero_grad()  # before the look: a large model's gradients take 0.2 GB
            given, look = self._seen(moves, step, t, x_t, given)
            if moves:
                for logits, gradient in zip(self.logits.values(), look.gradients, strict=True):
                    logits.grad = gradient
            value, slope, told, kept = _read(look)
            best = math.isfinite(value) and (chosen is None or not settings.keep_best or value < lowest)
            if not (math.isfinite(value) and math.isfinite(slope)):
                what = "The rewards' gradient" if math.isfinite(value) else "A reward"
                note = f"{what} was not a number at step {step + 1}, update {update}; kept the best mask so far."
            if best or chosen is None:
                chosen, lowest = self._kept(given, look), value
            yield self.report(
                step, t, image=look.image if self.request.previews else None, rewards=told, kept=kept,
                used=chosen.masks if update + 1 == looks or note else None, logits=self.logits,
                loss=value, update=update, updates=updates, best=best, note=note,
            )  # fmt: skip
            if note:
                break
            if moves:
                optimizer.step()
            del look  # before the next one: a large model's masks take 0.1 GB
        return chosen

    def _seen(self, moves: bool, *where: Any) -> tuple[Given, Look]:
        """What the next look starts from, see `_given`, and the look; without replays where they leave no memory."""
        drawn, calls = self.generator.get_state(), self.report.unet_calls
        try:
            given = self._given(*where)
            return given, self._look(moves, self.guidance.at(where[1]))(given)
        except torch.cuda.OutOfMemoryError:
            if self.pool is None or not self.pool.usable:
                raise
        self.pool.usable = False
        self.looking.clear()
        torch.cuda.empty_cache()
        self.generator.set_state(drawn)
        self.report.unet_calls = calls
        return self._seen(moves, *where)

    def _given(self, step: int, t: int, x_t: Tensor, last: Given | None) -> Given:
        """What the next look starts from, with what stays of this timestep's last one."""
        noise = last.noise if last is not None and self.settings.common_noise else self._noise()
        z_t, calls = x_t, 0
        if self.move is not stay:
            z_t, calls = self.move(self.masked, step, x_t, self.text, self._masks(noise))
        self.report.unet_calls += self.guidance.calls(t) + calls
        if last is None or calls:  # latents that stay are encoded once per timestep
            with torch.no_grad():
                scale = self.guidance.at(t)
                features = self.masked.encode(doubled(z_t, scale), t, self.text.guided(scale))
            alpha, sigma = torch.tensor(self.model.schedule.alpha_sigma(t)).to(x_t.device).unbind()
        else:
            features, alpha, sigma = last.features, last.alpha, last.sigma
        drawn = shifts((1, 3, *self.model.size), self.generator, self.settings.views - 1, x_t.device, x_t.dtype)
        return Given(z_t, features, alpha, sigma, noise, drawn)

    def _noise(self) -> dict[str, Tensor]:
        kind = self.settings.noise
        return {} if kind == "none" else mask.noise_for(self.logits, kind, self.generator)

    def _masks(self, noise: Mapping[str, Tensor]) -> dict[str, Tensor]:
        dtype = self.model.dtype
        return {
            name: mask.straight_through(each, noise.get(name, 0.0), dtype=dtype) for name, each in self.logits.items()
        }

    def _look(self, moves: bool, scale: float) -> Callable[[Given], Look]:
        """The function that looks, with gradients or without; on a GPU it is recorded and replayed."""
        if (moves, scale) not in self.looking:
            look = partial(self._predict, moves, scale)
            if self.pool is not None:
                look = Replayed(look, self.pool, self.model.unet.up_blocks)
            self.looking[moves, scale] = look
        return self.looking[moves, scale]

    def _predict(self, moves: bool, scale: float, given: Given) -> Look:
        """From logits to the loss, and if these are to move, to its gradient (Eq. 5 to 10)."""
        with torch.set_grad_enabled(moves):
            masks = self._masks(given.noise)  # Eq. 5
            output = classifier_free(self.masked.decode(given.features, masks), scale)  # Eq. 6, 9
            x0, _ = self.model.schedule.x0_eps_at(output, given.z_t, given.alpha, given.sigma)
            image = self.model.decode(x0, tiny=self.settings.tiny_decoder)
            views = shifted_views(image, given.views)
            scores = self.rewards(views, [self.request.prompt] * len(views))
            aim = objective(scores, self.weights).mean()
            scores = {name: value.mean()[None] for name, value in scores.items()}
            loss = negative_reward(aim, scores, self.weights, self.settings.hinge)
        gradients = torch.autograd.grad(loss, list(self.logits.values())) if moves else ()
        masks = {name: each.detach() for name, each in masks.items()}
        kept = (each.float().mean()[None] for each in masks.values())
        # A sum is a number where all gradients are; a mask moved by one that is not would remove everything.
        slope = torch.stack([each.sum() for each in gradients]).sum() if moves else torch.zeros_like(loss)
        told = torch.cat([each.detach() for each in (loss[None], slope[None], *scores.values(), *kept)])
        return Look(masks, x0.detach(), image.detach(), tuple(scores), told, gradients)

    def _kept(self, given: Given, look: Look) -> Chosen:
        """Copies, where the next look writes into the same tensors."""
        found = Chosen(given.z_t, look.x0, look.masks)
        replayed = any(isinstance(each, Replayed) and each.recorded for each in self.looking.values())
        return tree_map(torch.clone, found) if replayed else found


def _read(look: Look) -> tuple[float, float, dict[str, float], dict[str, float]]:
    """Loss, sum of gradients, scores, and kept shares by site as numbers: an update's one wait for the device."""
    loss, slope, *others = look.told.tolist()
    scores, kept = others[: len(look.scored)], others[len(look.scored) :]
    return loss, slope, dict(zip(look.scored, scores, strict=True)), dict(zip(look.masks, kept, strict=True))


def negative_reward(aim: Tensor, scores: Mapping[str, Tensor], weights: Mapping[str, float], hinge: float) -> Tensor:
    """The negative of Eq. 10, a scalar; above the hinge a reward that has one stops counting.

    Args:
        aim: what is optimized, see `objective`, and `scores`, the rewards, (1,) each.
    """
    # Published code differs in form only: relu(2 - ImageReward) + 5 (1 - HPSv2) has this gradient.
    over = [
        F.relu(scores[name] - hinge) * weight
        for name, weight in weights.items()
        if name in SPECS and SPECS[name].hinged
    ]
    return (sum(over) - aim).sum()
