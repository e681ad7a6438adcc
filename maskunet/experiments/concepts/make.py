"""A concept mask: look, remove what carries the concept, look again under the mask so far, until it is gone.

One look finds a part; looking again, with other prompts and noise, finds nearly all with fewer weights. Whether enough is
gone, and whether what should stay does, is read off the same looks: only the rewards decide, never the judge of the study.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from maskunet.experiments.concepts.attribution import look
from maskunet.experiments.concepts.concept import Concept, Example
from maskunet.masks import held
from maskunet.masks.masked_unet import MaskedUNet
from maskunet.models.base import DiffusionModel
from maskunet.plugins import setting
from maskunet.records.held_mask import HeldMask
from maskunet.rewards.base import WeightedRewards

DIRECTIONS = ("erase", "amplify")
ENDS = {
    "gone": "The concept is gone.",
    "kept": "More would take what must stay; the last round was taken back.",
    "rounds": "The rounds are over.",
}
TOLD = 0.75  # of comparisons that the rewards must win at first, to tell later what is lost


@dataclass(frozen=True, kw_only=True, slots=True)
class Making:
    """How a concept mask is made.

    Attributes:
        direction: "erase" removes what carries the concept, "amplify" what works against it.
        rounds: looks after which weights go, at most. share: of all weights, removed by each.
        showing: prompts with the concept in each look. staying: of the retain set.
        gone: it is enough where the rewards see the concept in at most this share of the pictures, that is, prefer their
            caption to every rival.
        kept: it is too much where the retain set's captions win less than this share of what they won at first
            against their rivals; the last round is then taken back. Attributes that the rewards hardly saw at first, with
            less than three of four wins, tell nothing and are left out.
        batch: prompts that share U-Net calls.
    """

    direction: str = setting("erase", "remove what carries it, or what works against it", choices=DIRECTIONS)
    rounds: int = setting(8, "looks after which weights go, at most", low=1, high=100)
    share: float = setting(0.001, "of all weights, in a round", low=1e-6, high=0.1)
    showing: int = setting(12, "prompts with the concept, in a round", low=1, high=1000)
    staying: int = setting(24, "prompts of the retain set, in a round", low=1, high=1000)
    gone: float = setting(0.12, "share of pictures in which it may still be seen", low=0.0, high=1.0)
    kept: float = setting(0.85, "share of the retain set's wins that must be left", low=0.0, high=1.0)
    batch: int = setting(12, "prompts that share U-Net calls", low=1, high=256)


@dataclass(frozen=True, kw_only=True, slots=True)
class Round:
    """What a look under the mask so far saw, before more weights go.

    Attributes:
        removed: places of the weights that are gone, the first to go first, see `HeldMask`.
        seen: share of the pictures in which the rewards see the concept. margin: the mean one of its captions.
        wins: share of comparisons that the retain set's captions win, by attribute.
        end: why no more weights go, or empty.
    """

    number: int
    removed: np.ndarray
    seen: float
    margin: float
    wins: Mapping[str, float]
    end: str = ""


def make(model: DiffusionModel, rewards: WeightedRewards, concept: Concept, making: Making) -> Iterator[Round]:
    """Rounds until the concept is gone, too much else goes, or the rounds are over; the last one's weights are the mask.

    There may be none: see `check`.

    Raises:
        ValueError: no picture of the base model shows the concept.
    """
    before: list[Round] = []
    removed = np.empty(0, np.uint32)
    for number in range(making.rounds + 1):
        scores, now = _look(model, rewards, concept, making, number, removed)
        if not before and now.seen == 0 and making.direction == "erase":
            raise ValueError(
                f"The rewards see no “{concept.name}” in {making.showing} pictures of prompts such as "
                f"“{concept.showing(1, 0)[0].prompt}”: they always like a rival better. Take another concept or other prompts."
            )
        end = _end(making, [*before, now])
        if end == "kept":
            last = before[-1]
            yield Round(
                number=number, removed=last.removed, seen=last.seen, margin=last.margin, wins=last.wins, end=end
            )
            return
        now = Round(number=number, removed=removed, seen=now.seen, margin=now.margin, wins=now.wins, end=end)
        yield now
        if end:
            return
        before.append(now)
        count = max(1, round(making.share * len(scores)))
        removed = np.concatenate((removed, scores.topk(count).indices.cpu().numpy().astype(np.uint32)))


def check(concept: Concept, making: Making, last: Round) -> None:
    """See that a last round is a mask at all.

    Raises:
        ValueError: it removes nothing, as the base hardly shows the concept or the first round took too much of what
            must stay; says which of them, and what to do.
    """
    if len(last.removed):
        return
    if last.end == "gone":
        raise ValueError(
            f"The rewards see “{concept.name}” in {round(last.seen * making.showing)} of {making.showing} pictures of "
            f"the base, which counts as gone already (gone is {making.gone:g}): there is no mask to keep. Set gone "
            "lower and showing higher, or take prompts that show it more often."
        )
    raise ValueError(
        "The first round already takes too much of what must stay, whose captions win less than "
        f"{making.kept:g} of what they won before (kept), and was taken back: there is no mask to keep. "
        "Set share lower, for smaller steps, or staying higher, for a surer look."
    )


def _look(
    model: DiffusionModel, rewards: WeightedRewards, concept: Concept, making: Making, number: int, removed: np.ndarray
) -> tuple[Tensor, Round]:
    """How much each weight's removal helps, (W,), and what was seen."""
    sign = 1 if making.direction == "erase" else -1
    showing = concept.showing(making.showing, number, amplify=sign < 0)
    staying = concept.staying(making.staying, number)
    with MaskedUNet(model.unet) as masked:
        like = model.unet.get_submodule(masked.sites[0].name).weight
        masked.fold(held.tensors(removed, held.shapes(model.unet), like))
        ((carried, margins),) = _seen(model, masked, rewards, showing, making.batch, sign).values()
        stays = _seen(model, masked, rewards, staying, making.batch)
    # A weight goes for what it does to the concept, less what it may do for that attribute which needs it most: the mean
    # and its standard error, so that a few pictures which happen to agree count for little.
    needs = [found.mean + found.error for found, _ in stays.values()]
    scores = sign * carried.mean - carried.error - torch.stack(needs).max(0).values.clamp(min=0)
    scores[torch.from_numpy(removed.astype(np.int64)).to(scores.device)] = -torch.inf
    wins = {attribute: float(np.mean([_won(each) for each in own])) for attribute, (_, own) in stays.items()}
    seen = float(np.mean([_won(each) == 1 for each in margins]))
    return scores, Round(
        number=number,
        removed=removed,
        seen=seen,
        margin=float(np.mean([float(each.mean()) for each in margins])),
        wins=wins,
    )


class _Mean:
    """The mean of gradients (W,) and its standard error, from their sums."""

    def __init__(self) -> None:
        self.count, self._sum, self._squares = 0, 0.0, 0.0

    def add(self, gradient: Tensor) -> None:
        self.count, self._sum, self._squares = self.count + 1, self._sum + gradient, self._squares + gradient**2

    @property
    def mean(self) -> Tensor:
        return self._sum / self.count

    @property
    def error(self) -> Tensor:
        return (self._squares / self.count - self.mean**2).clamp(min=0).sqrt() / self.count**0.5


def _seen(
    model: DiffusionModel,
    masked: MaskedUNet,
    rewards: WeightedRewards,
    examples: Sequence[Example],
    batch: int,
    sign: int = 0,
) -> dict[str, tuple[_Mean, list[Tensor]]]:
    """By attribute the mean gradient of its examples' margins, and the margins of each.

    Args:
        sign: 1 counts an example the more the clearer its concept is there, -1 the less clearly, 0 all the same.
    """
    found: dict[str, tuple[_Mean, list[Tensor]]] = {}
    for start in range(0, len(examples), batch):
        some = examples[start : start + batch]
        seen = look(model, masked, rewards, some)
        weights = torch.sigmoid(2 * sign * seen.margins.mean(1)) if sign else torch.ones(len(some))
        for each, weight, gradient, own in zip(some, weights, seen.gradients, seen.margins, strict=True):
            mean, margins = found.setdefault(each.attribute, (_Mean(), []))
            mean.add(weight * gradient)
            margins.append(own)
    return found


def _won(margins: Tensor) -> float:
    """The share of comparisons that a caption wins."""
    return float((margins > 0).float().mean())


def _end(making: Making, rounds: Sequence[Round]) -> str:
    first, now = rounds[0], rounds[-1]
    told = [attribute for attribute, share in first.wins.items() if share >= TOLD]
    if sum(now.wins[each] for each in told) < making.kept * sum(first.wins[each] for each in told):
        return "kept"
    if making.direction == "erase" and now.seen <= making.gone:
        return "gone"
    return "rounds" if len(rounds) > making.rounds else ""


def held_mask(model: DiffusionModel, concept: Concept, making: Making, last: Round, about: dict) -> HeldMask:
    """The mask of a last round, one for all steps.

    Args:
        about: what else belongs to its recipe, plain JSON.
    """
    recipe = {
        "made": "concept", "concept": concept.name, "attribute": concept.attribute, "direction": making.direction,
        "end": last.end, "seen": last.seen, "wins": dict(last.wins), **about,
    }  # fmt: skip
    return held.of_model(model, {0: last.removed}, recipe)
