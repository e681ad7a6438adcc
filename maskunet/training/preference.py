"""Preferences between two pictures of a prompt as the loss, without a gradient through a reward.

Diffusion-DPO (Wallace et al. 2023): what is trained should err less than the base model on the picture that a reward
ranks higher, by more than on the one that it ranks lower. Or rejection fine-tuning (RAFT, Dong et al. 2023): the
diffusion loss on the best pictures alone. Both stop by the order of pairs that no training sees.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from maskunet.models import SPECS as MODELS
from maskunet.models.base import DiffusionModel
from maskunet.plugins import setting
from maskunet.rewards.base import WeightedRewards
from maskunet.training import diffusion
from maskunet.training.data import Pair
from maskunet.training.exam import Exam
from maskunet.training.objective import AT_ONCE, Batch, Encode, Objective, Predict
from maskunet.training.ranked import RankedSettings
from maskunet.training.sampling import GuidedSampling, twin

TIMES = 4  # timesteps at which every unseen pair is measured


@dataclass(frozen=True, kw_only=True)
class PreferenceSettings(RankedSettings):
    """Those of ranked pictures, and:

    Attributes:
        beta: of the loss, on mean squared errors; beta T omega of the paper. The published script halves its own.
        anchor: how much the better picture's own diffusion loss counts, in shares of its part in the preference
            loss at the beginning. Without it the errors on both pictures grow.
    """

    beta: float = setting(2000.0, "on the mean squared error", low=0.0, high=1e7)
    anchor: float = setting(1.0, "share of the better picture's own loss", low=0.0, high=1e4)


def objective(model: DiffusionModel, settings: Any, held_out: Sequence[Pair], rewards: WeightedRewards) -> Objective:
    """Learn which picture is better. Made while the model is as it came.

    Args:
        settings: `PreferenceSettings`. held_out: pairs with a worse picture.
    """
    found = best_of(model, settings, held_out, rewards)
    return replace(found, losses=partial(losses, model, twin(model.unet), settings))


def best_of(
    model: DiffusionModel, settings: RankedSettings, held_out: Sequence[Pair], rewards: WeightedRewards
) -> Objective:
    """Learn from the better picture alone, as from any picture.

    Both are examined alike: on unseen pairs, and on pictures of their prompts as the rewards judge them, or of
    tabletop's tasks, which its checker can judge too.
    """
    held_out = held_out if len(held_out) > 1 else []  # of one there is no standard error
    sampling = GuidedSampling(model, settings.sampling_steps, settings.guidance)
    captions, judges = [pair.caption for pair in held_out], {}
    if held_out and model.name in MODELS and MODELS[model.name].embedded:
        from maskunet.training.tabletop import Correct

        judge = Correct(model.device)
        captions, judges = judge.prompts, {"correct": judge}
    shown, unseen = Exam(sampling, rewards, captions, judges), Unseen(model, sampling.base, held_out)
    return Objective(
        losses=partial(diffusion.losses, model),
        exam=lambda predict, encode=None: {**unseen.order(predict, encode), **shown.change(predict, encode)},
        best="unseen_right" if held_out else "",
    )


def losses(
    model: DiffusionModel, reference: Predict, settings: PreferenceSettings, predict: Predict, given: Batch
) -> Tensor:
    """(B,) the loss of Diffusion-DPO (Wallace et al. 2023, Eq. 14), and the anchor.

    -log sigmoid(-beta (gain(better) - gain(worse))) + anchor beta / 2 gain(better), with gain the mean squared error of
    the U-Net's output less the base model's, both pictures under the same noise and timestep.

    Args:
        reference: the base model's U-Net.
    """
    better, worse = _changes(model, reference, predict, given)
    preference = -F.logsigmoid(-settings.beta * (better - worse))
    return preference + settings.anchor * settings.beta / 2 * better


def _changes(model: DiffusionModel, reference: Predict, predict: Predict, given: Batch) -> tuple[Tensor, Tensor]:
    """(B,) how much the errors on the better and on the worse pictures grew against the base model."""
    both = _both(given)
    with torch.no_grad():
        before = diffusion.losses(model, reference, both)
    return (diffusion.losses(model, predict, both) - before).chunk(2)


def _both(given: Batch) -> Batch:
    """The better pictures, then the worse ones, under the same captions, noise, timesteps and draws."""
    worse = [replace(pair, latents=pair.worse) for pair in given.pairs]
    return Batch(
        model=given.model, numbers=given.numbers * 2, pairs=[*given.pairs, *worse], captions=given.captions * 2,
        noise=given.noise.repeat(2, 1, 1, 1), t=given.t.repeat(2), draws=given.draws * 2, encode=given.encode,
    )  # fmt: skip


class Unseen:
    """Pairs that no training sees, each at a few timesteps, with noise that never changes.

    Args:
        reference: the base model's U-Net. pairs: may be none; then nothing is measured.
    """

    def __init__(self, model: DiffusionModel, reference: Predict, pairs: Sequence[Pair]):
        self._model, self._reference, self._count = model, reference, len(pairs)
        stream, last = torch.Generator().manual_seed(0), len(model.schedule.alphas_cumprod)
        n = len(pairs) * TIMES  # a pair's timesteps lie a quarter of all apart, and all pairs' are spread evenly
        t = ((torch.arange(n) % TIMES + (torch.arange(n) // TIMES + 0.5) / max(1, len(pairs))) * last / TIMES).long()
        noise = torch.randn((n, *model.latent_shape), generator=stream)
        every = [pair for pair in pairs for _ in range(TIMES)]
        self._batches = [
            Batch(
                model=model, numbers=[], pairs=every[part], captions=[pair.caption for pair in every[part]],
                noise=noise[part].to(model.device), t=t[part].to(model.device), draws=[],
            )
            for part in (slice(start, start + AT_ONCE // 2) for start in range(0, n, AT_ONCE // 2))
        ]  # fmt: skip

    @torch.no_grad()
    def order(self, predict: Predict, encode: Encode | None = None) -> Mapping[str, float]:
        """How well the pairs are told apart.

        Returns:
            unseen_right: the share whose better picture's error fell more, one half for a tie, and its standard
            error, `unseen_error`; `better_change` and `worse_change`, of the errors themselves, 1 in 1,000.
        """
        if not self._count:
            return {}
        found = [_changes(self._model, self._reference, predict, part.read_by(encode)) for part in self._batches]
        better, worse = (torch.cat(each).unflatten(0, (-1, TIMES)).mean(1).cpu() for each in zip(*found, strict=True))
        right = float(((worse - better).sign() / 2 + 0.5).mean())
        return {
            "unseen_right": right,
            "unseen_error": (right * (1 - right) / self._count) ** 0.5,
            "better_change": 1000 * float(better.mean()),
            "worse_change": 1000 * float(worse.mean()),
        }
