"""What rewards and other judges, on tabletop the checker, say of made pictures, against the base model's."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from maskunet.rewards.base import WeightedRewards
from maskunet.training.objective import AT_ONCE, Encode, Predict
from maskunet.training.sampling import GuidedSampling

# (B, 3, H, W) in [0, 1] and which of the captions they are of -> (B,) one number each.
Judge = Callable[[Tensor, range], Tensor]


class Exam:
    """Pictures for captions that no training sees, from noise that never changes, under every reward.

    No picture is held out for it, so it also serves a training on five.

    Args:
        rewards: may be none. captions: may be none; then nothing is measured.
        before: what the base model is asked for in place of the captions, such as a class word in place of a new one.
        judges: what else judges the pictures, by name.
    """

    def __init__(
        self,
        sampling: GuidedSampling,
        rewards: WeightedRewards | None,
        captions: Sequence[str],
        judges: Mapping[str, Judge] | None = None,
        *,
        before: Sequence[str] = (),
    ):
        self._sampling, self._rewards, self._judges = sampling, rewards, judges or {}
        model, stream = sampling.model, torch.Generator().manual_seed(1)
        self._captions = list(captions)
        self._parts = [
            (part, torch.randn((len(part), *model.latent_shape), generator=stream).to(model.device))
            for start in range(0, len(captions), AT_ONCE)
            if (part := range(len(captions))[start : start + AT_ONCE])
        ]
        self._base = self._scores(sampling.base, asked=list(before or captions))

    @torch.no_grad()
    def _scores(
        self, predict: Predict, encode: Encode | None = None, asked: list[str] | None = None
    ) -> dict[str, Tensor]:
        found: dict[str, list[Tensor]] = {}
        asked = asked or self._captions
        for which, noise in self._parts:
            captions = [asked[i] for i in which]
            image = self._sampling.whole(predict, noise, self._sampling.guided(captions, encode))
            scores = self._rewards(image, captions) if self._rewards else {}
            scores = {name: scores[name] for name in self._rewards.weights} if self._rewards else {}
            scores |= {name: judge(image, which) for name, judge in self._judges.items()}
            for name, values in scores.items():
                found.setdefault(name, []).append(values.float().cpu())
        return {name: torch.cat(values) for name, values in found.items()}

    def change(self, predict: Predict, encode: Encode | None = None) -> Mapping[str, float]:
        """How much each one's mean changed against the base model's pictures, and the standard error."""
        found = {}
        for name, scores in self._scores(predict, encode).items():
            change = scores - self._base[name]
            found |= {f"{name}_change": float(change.mean())}
            found |= {f"{name}_error": float(change.std() / len(change) ** 0.5)}
        return found
