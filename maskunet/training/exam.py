"""What rewards, and on tabletop the checker, say of pictures that no training sees, against the base model's."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from maskunet.rewards.base import WeightedRewards
from maskunet.training.objective import AT_ONCE, Predict
from maskunet.training.sampling import GuidedSampling

# (B, 3, H, W) in [0, 1] and which of the captions they are of -> (B,) one number each.
Judge = Callable[[Tensor, range], Tensor]


class Exam:
    """Pictures for captions that no training sees, from noise that never changes, under every reward.

    Args:
        captions: may be none; then nothing is measured.
        judges: what else judges the pictures, by name.
    """

    def __init__(
        self,
        sampling: GuidedSampling,
        rewards: WeightedRewards,
        captions: Sequence[str],
        judges: Mapping[str, Judge] | None = None,
    ):
        self._sampling, self._rewards, self._judges = sampling, rewards, judges or {}
        model, stream = sampling.model, torch.Generator().manual_seed(1)
        self._parts = [
            (start, part, torch.randn((len(part), *model.latent_shape), generator=stream).to(model.device))
            for start in range(0, len(captions), AT_ONCE)
            if (part := list(captions[start : start + AT_ONCE]))
        ]
        self._base = self._scores(sampling.base)

    @torch.no_grad()
    def _scores(self, predict: Predict) -> dict[str, Tensor]:
        found: dict[str, list[Tensor]] = {}
        for start, captions, noise in self._parts:
            image = self._sampling.whole(predict, noise, self._sampling.guided(captions))
            scores = self._rewards(image, captions)
            scores = {name: scores[name] for name in self._rewards.weights}
            which = range(start, start + len(captions))
            scores |= {name: judge(image, which) for name, judge in self._judges.items()}
            for name, values in scores.items():
                found.setdefault(name, []).append(values.float().cpu())
        return {name: torch.cat(values) for name, values in found.items()}

    def change(self, predict: Predict) -> Mapping[str, float]:
        """How much each one's mean changed against the base model's pictures, and the standard error."""
        found = {}
        for name, scores in self._scores(predict).items():
            change = scores - self._base[name]
            found |= {f"{name}_change": float(change.mean())}
            found |= {f"{name}_error": float(change.std() / len(change) ** 0.5)}
        return found
