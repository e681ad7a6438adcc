"""Plain pictures of training prompts, ranked by rewards: the best one and the worst one of each prompt teach.

The base model makes several pictures of every prompt, once. They stay beside the trainings, under a name that follows
from all that made them, so that a training that goes on, and trainings of other kinds, find them again.
"""

import json
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from maskunet import seeds
from maskunet.models.base import DiffusionModel
from maskunet.plugins import setting
from maskunet.records.training import Preparing
from maskunet.rewards import SPECS as REWARDS
from maskunet.rewards.base import WeightedRewards
from maskunet.training import shelves
from maskunet.training.data import Feed, Pair
from maskunet.training.objective import AT_ONCE
from maskunet.training.sampling import GuidedSampling, guidance_setting, steps_setting

ALL = "all"  # in place of a reward's name
LATENTS = "latents"  # an entry of a file; the others are the rewards'
# Of the presets of every recipe that learns from ranked pictures, and of those whose masks do.
TABLETOP = {"steps": 300, "batch": 16, "micro_batch": 16, "weight_decay": 0.0, "every": 50}
SD15 = {
    "epochs": 4, "batch": 32, "micro_batch": 1, "weight_decay": 0.0, "every": 50, "prompts": 4000, "pictures": 4,
    "sampling_steps": 25, "checkpointing": True, "precision": "bf16",
}  # fmt: skip
MASKS = {"learning_rate": 1.5e-2, "variant": "static", "noise": "none", "start": 1.0}


@dataclass(frozen=True, kw_only=True)  # without slots, so that a recipe's settings can extend two classes
class RankedSettings:
    """What a recipe that learns from ranked pictures adds to its settings.

    Attributes:
        reward: the one that ranks; "all" ranks by the sum of all rewards' ranks, and takes only pairs that every
            reward puts in the same order.
        prompts: how many training prompts have pictures, and `pictures` how many each.
        guidance: scale of these pictures and of the exam's; 0 takes the model's own. sampling_steps: of both.
    """

    reward: str = setting("image_reward", "ranks; all: pairs on which all agree", choices=(*REWARDS, ALL))
    prompts: int = setting(512, "training prompts with pictures", low=1, high=1_000_000)
    pictures: int = setting(6, "plain pictures per prompt", low=2, high=64)
    guidance: float = guidance_setting()
    sampling_steps: int = steps_setting()

    @property
    def learns_from(self) -> str:
        """See `Settings.learns_from`."""
        return self.reward


@dataclass(frozen=True, slots=True)
class Ranked:
    """Prompts with their best and their worst picture; see `maskunet.training.data.Pairs`.

    Attributes:
        best, worst: (P, C, h, w) float16, scaled latents.
    """

    captions: Sequence[str]
    best: np.ndarray
    worst: np.ndarray
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.captions)

    def __call__(self, index: int, draw: int) -> Pair:
        """The same for every draw."""
        best, worst = (each[index].astype(np.float32) for each in (self.best, self.worst))
        return Pair(self.captions[index], latents=best, worse=worst)


def prepare(
    model: DiffusionModel, settings: Any, feed: Feed, rewards: WeightedRewards | None, place: Path
) -> Generator[Preparing, None, Ranked]:
    """Make the pictures that are not there yet, tell how far that is, and return the ranked ones.

    Several processes make a part each. Made while the model is as it came.

    Args:
        settings: `RankedSettings` with a seed. feed: whose captions are the prompts. place: folder of the pictures.

    Raises:
        ValueError: the reward that ranks is not there, or no two pictures of a prompt differ for it.
    """
    _check(rewards, settings)
    prompts = _prompts(feed, settings.prompts)
    sampling = GuidedSampling(model, settings.sampling_steps, settings.guidance)
    folder = place / _key(sampling, settings, prompts, rewards)
    files = shelves.files(folder, len(prompts))
    yield from shelves.fill(
        files, len(prompts), lambda numbers: _shelf(sampling, settings, numbers, prompts, rewards), "prompts"
    )
    ranked = _read(files, prompts, settings.reward)
    yield Preparing(done=len(prompts), total=len(prompts), note=" ".join(ranked.notes))
    return ranked


def _check(rewards: WeightedRewards | None, settings: RankedSettings) -> None:
    if not rewards:
        raise ValueError("This recipe ranks pictures by a reward, and none is loaded. Give the rewards.")
    if settings.pictures < 2:
        raise ValueError(f"The setting pictures is {settings.pictures}; a best and a worst picture take at least 2.")
    if settings.reward != ALL:
        rewards.only(settings.reward)
    elif len(rewards.weights) < 2:
        (name,) = rewards.weights
        raise ValueError(f"The setting reward is all, and only {name} is loaded. Choose {name}.")


SHARED: dict[str, Any] = {"needs_rewards": True, "prepare": prepare}
"""What the SPECs of the recipes have in common."""


def _prompts(feed: Feed, count: int) -> list[str]:
    """The first different captions of the training, so many if it has them; none that it holds out."""
    found: dict[str, None] = {}
    for number in range(max(1, len(feed))):
        found[feed(number).caption] = None
        if len(found) == count:
            break
    return list(found)


def _key(sampling: GuidedSampling, settings: Any, prompts: Sequence[str], rewards: WeightedRewards) -> str:
    """A name that changes with whatever the pictures or their scores depend on.

    A reward is told from another by its file, one without a file by what it says of one picture of noise.
    """
    model = sampling.model
    noise = torch.rand((1, 3, *model.size), generator=torch.Generator().manual_seed(0))
    others = WeightedRewards({name: part for name, part in rewards.parts.items() if name not in rewards.hashes})
    with torch.no_grad():
        said = others(noise.to(model.device, model.dtype), [prompts[0]])
    made_by = {
        **sampling.made_by, "prompts": prompts, "pictures": settings.pictures, "seed": settings.seed,
        "rewards": {**rewards.hashes, **{name: round(float(said[name]), 3) for name in others.weights}},
    }  # fmt: skip
    return sha256(json.dumps(made_by, sort_keys=True).encode()).hexdigest()[:16]


@torch.no_grad()
def _shelf(
    sampling: GuidedSampling, settings: Any, numbers: range, prompts: Sequence[str], rewards: WeightedRewards
) -> dict[str, Tensor]:
    """The pictures of these prompts as latents (P, K, C, h, w) float16, and each reward of them (P, K)."""
    model, wanted = sampling.model, [(n, image) for n in numbers for image in range(settings.pictures)]
    found: dict[str, list[Tensor]] = {LATENTS: [], **{name: [] for name in rewards.weights}}
    for start in range(0, len(wanted), AT_ONCE):
        part = wanted[start : start + AT_ONCE]
        captions = [prompts[n] for n, _ in part]
        noise = torch.cat([model.noise(seeds.of_prompt(settings.seed, n, image)) for n, image in part])
        latents = sampling.clean(sampling.base, noise, sampling.guided(captions))
        scores = rewards(model.decode(latents), captions)
        found[LATENTS].append(latents.half().cpu())
        for name in rewards.weights:
            found[name].append(scores[name].float().cpu())
    shape = len(numbers), settings.pictures
    return {name: torch.cat(values).unflatten(0, shape).contiguous() for name, values in found.items()}


def _read(files: Sequence[Path], prompts: Sequence[str], reward: str) -> Ranked:
    """The best and the worst picture of the prompts that have them."""
    kept, best, worst = [], [], []
    for shelf in files:
        found = shelves.read(shelf)
        latents = found.pop(LATENTS)
        first, last, differ = order(found if reward == ALL else {reward: found[reward]})
        for row in differ.nonzero().flatten().tolist():
            kept.append(prompts[int(shelf.stem) + row])
            best.append(latents[row, first[row]].numpy())
            worst.append(latents[row, last[row]].numpy())
    if not kept:
        raise ValueError(
            f"No prompt of {len(prompts):,} has a picture that {_who(reward)} above another. Take more pictures per "
            "prompt, more prompts, or another reward."
        )
    ranked = Ranked(kept, np.stack(best), np.stack(worst))
    left = len(prompts) - len(kept)
    note = f"{left:,} of {len(prompts):,} prompts are left out: no picture of theirs that {_who(reward)} above another."
    return replace(ranked, notes=(note,)) if left else ranked


def _who(reward: str) -> str:
    return "all rewards put" if reward == ALL else f"{reward} puts"


def order(scores: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Which picture is best and which worst, by the sum of their ranks.

    Args:
        scores: (P, K) of K pictures of P prompts, by reward.

    Returns:
        (P,) the best, (P,) the worst, and (P,) whether every reward puts the one above the other.
    """
    ranks = sum(values.argsort(dim=1, stable=True).argsort(dim=1, stable=True) for values in scores.values())
    first, last = ranks.argmax(1), ranks.argmin(1)
    above = [_at(values, first) > _at(values, last) for values in scores.values()]
    whole_numbers = [values.isfinite().all(1) for values in scores.values()]
    return first, last, torch.stack([*above, *whole_numbers]).all(0)


def _at(values: Tensor, index: Tensor) -> Tensor:
    return values.gather(1, index[:, None])[:, 0]
