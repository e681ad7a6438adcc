"""What every reward shares: the SPEC, the weighted sum, and a memory for prompts."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from maskunet.records.disk.hub import MissingWeights

CACHED_PROMPTS = 64  # text sides kept per reward


class Reward(Protocol):
    """One number per picture, higher is better, with a gradient to the picture."""

    def __call__(self, image: Tensor, prompts: list[str]) -> Tensor:
        """Score (B, 3, H, W) in [0, 1] against B prompts; returns (B,) in float32."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class RewardSpec:
    """A reward's name, where its checkpoint is from, and how to load it.

    Attributes:
        weight: omega of Eq. 10 in the paper.
        repo: Hugging Face repository of the checkpoint, `files` what is needed from it, its weights first; none of a
            reward that is computed without any. `also`: other repositories, with the files needed from them.
        download_gb: size of that download, 10^9 bytes.
        load: (folder, device, dtype) -> Reward.
        hinged: a method may let it count only up to a value that is good enough; published: ImageReward's 2.
        versions: other published checkpoints by their number, the newest first; each is a file of `repo`.
        judge: it is held out: no method optimizes it, and it is loaded only where it is asked for. Its `files` lie in a
            folder of their own, as the Hugging Face cache keeps them.
    """

    name: str
    title: str
    summary: str
    license: str
    source: str
    weight: float
    load: Callable[[Path, torch.device, torch.dtype], Reward]
    repo: str = ""
    files: tuple[str, ...] = ()
    also: tuple[tuple[str, tuple[str, ...]], ...] = ()
    download_gb: float = 0.0
    hinged: bool = False
    versions: Mapping[str, str] = field(default_factory=dict)
    judge: bool = False

    def is_in(self, folder: Path) -> bool:
        """Whether a folder of rewards holds its weights: a published checkpoint, or small ones under its name."""
        published = (*self.files[:1], *self.versions.values())
        return not self.files or (folder / self.name).is_dir() or any((folder / f).is_file() for f in published)


class WeightedRewards:
    """Several rewards and their weighted sum (Eq. 10).

    Args:
        parts: (reward, weight) by name; without any, nothing is scored.
        optimized: the weights that a method gives them, if these are others; they decide who needs a gradient.
        missing: why there are none, and how to get them; for people.
    """

    def __init__(
        self,
        parts: Mapping[str, tuple[Reward, float]],
        optimized: Mapping[str, float] | None = None,
        missing: str = "No rewards were given.",
    ):
        self._parts, self.missing = dict(parts), missing
        self._optimized = {**self.weights, **(optimized or {})}

    def __bool__(self) -> bool:
        return bool(self._parts)

    @property
    def parts(self) -> dict[str, tuple[Reward, float]]:
        """Each reward and its weight."""
        return dict(self._parts)

    @property
    def weights(self) -> dict[str, float]:
        """The weight of each reward."""
        return {name: weight for name, (_, weight) in self._parts.items()}

    @property
    def versions(self) -> dict[str, str]:
        """Which one each reward is: a published version, or the first eight digits of its hash."""
        hashes = {name: digest[:8] for name, digest in self.hashes.items()}
        return {**hashes, **self._told("version")}

    @property
    def hashes(self) -> dict[str, str]:
        """SHA-256 of each reward's weights, of those that were in a file."""
        return self._told("sha256")

    def _told(self, what: str) -> dict[str, str]:
        """What each reward says of itself, of those that do."""
        found = {name: getattr(reward, what, "") for name, (reward, _) in self._parts.items()}
        return {name: said for name, said in found.items() if said}

    def optimizing(self, weights: Mapping[str, float]) -> "WeightedRewards":
        """The same networks for a method that optimizes them with other weights; "total" keeps its scale."""
        return WeightedRewards(self._parts, weights)

    def only(self, name: str) -> "WeightedRewards":
        """One of them alone; the other networks do not run.

        Raises:
            ValueError: there is no reward of that name.
        """
        if name not in self._parts:
            raise ValueError(f"There is no reward “{name}”. There are: {', '.join(self._parts)}.")
        return WeightedRewards({name: self._parts[name]})

    def unread(self, prompt: str) -> dict[str, tuple[int, str]]:
        """By reward that does not read all of a prompt: how many tokens it reads, and the rest."""
        found = {n: (r.length, r.unread(prompt)) for n, (r, _) in self._parts.items() if hasattr(r, "unread")}
        return {name: (length, rest) for name, (length, rest) in found.items() if rest}

    def text_towers(self, prompt: str) -> list[nn.Module]:
        """Networks that have read this prompt now and are of no more use for it, in the rewards that have such."""
        towers = (getattr(reward, "text_tower", None) for reward, _ in self._parts.values())
        return [network for tower in towers if tower is not None for network in tower(prompt)]

    def __call__(self, image: Tensor, prompts: list[str]) -> dict[str, Tensor]:
        """Score (B, 3, H, W) in [0, 1]: each reward by name, unweighted, and "total", (B,) each; nothing without rewards.

        A reward that is optimized with a weight of 0, beside others, is looked at without a gradient: it would be one
        of zeros.

        Raises:
            ValueError: not one prompt per picture, or a reward that gives something else than a score each.
        """
        if len(image) != len(prompts):
            raise ValueError(
                f"{len(image)} pictures and {len(prompts)} prompts were given. Give one prompt per picture."
            )
        if not self:
            return {}
        scores, weighted = {}, any(self._optimized.values())
        for name, (reward, _) in self._parts.items():
            with nullcontext() if self._optimized[name] or not weighted else torch.no_grad():
                scores[name] = reward(image, prompts)
            if scores[name].shape != (len(image),):
                raise ValueError(
                    f"The reward {name} gave {tuple(scores[name].shape)} for {len(image)} pictures; it must give one number each."
                )
        scores["total"] = sum(weight * scores[name] for name, (_, weight) in self._parts.items())
        return scores


def required(rewards: WeightedRewards) -> WeightedRewards:
    """The rewards, for what cannot do without them.

    Raises:
        MissingWeights: there are none; says how to get them.
    """
    if not rewards:
        raise MissingWeights(rewards.missing)
    return rewards


def held_out_of(names: Iterable[str], optimized: str, wanted: str | None = None) -> str:
    """The reward that nothing optimizes, so that its word counts: the wanted one, or the first other one.

    Args:
        names: of the rewards that are loaded.

    Raises:
        ValueError: one is not among them, or both are the same.
    """
    names = list(names)
    for name in (optimized, wanted or optimized):
        if name not in names:
            raise ValueError(f"There is no reward “{name}” for this model. There are: {', '.join(names)}.")
    others = [name for name in names if name != optimized]
    if wanted == optimized or not others:
        said = f"There are: {', '.join(others)}." if others else "This model has no other."
        raise ValueError(f"The reward “{optimized}” is optimized, so another one must be held out. {said}")
    return wanted or others[0]


class PromptCache:
    """Remembers the text side of the last prompts, so that the loop computes it once."""

    def __init__(self, compute: Callable[[str], Tensor]):
        self._compute, self._kept = compute, {}

    def __call__(self, prompt: str) -> Tensor:
        """The text side of a prompt."""
        if prompt not in self._kept:
            if len(self._kept) >= CACHED_PROMPTS:
                self._kept.pop(next(iter(self._kept)))
            self._kept[prompt] = self._compute(prompt)
        return self._kept[prompt]
