"""Pictures for the tables of a learned word: made in batches, those that are missing, and what masks remove of them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from maskunet.encoders.pixels import from_uint8
from maskunet.methods import SPECS as METHODS
from maskunet.models.base import DiffusionModel
from maskunet.models.base.dressed import dressed
from maskunet.records import Request
from maskunet.records.added import Added
from maskunet.records.run import StepEvent
from maskunet.rewards.base import WeightedRewards

AT_ONCE = 8  # pictures
MASKED, RANDOM = "token_masks", "token_random"  # rows; the second one's masks remove as much as the first one's
METHODS_OF = {MASKED: "maskunet_trained", RANDOM: "random_mask"}  # plain otherwise

Key = tuple[Any, ...]
Row = dict[str, Any]


def reading(model: DiffusionModel, part: Path, token: str) -> DiffusionModel:
    """The model with the word of a training on it."""
    return dressed(model, Added(embeddings=(("word", token),)), {"loras": {}, "embeddings": {"word": part}}, [])


def missing(
    made: Mapping[Key, Row], names: Iterable[str], common: Key, n: int
) -> Iterator[tuple[str, list[int], float]]:
    """What is to be made: a row, the numbers of its next pictures, and the share that its random masks remove.

    All rows of a batch come before the next batch.

    Args:
        made: by row, `common` and number; what is added to it while this goes on counts.
    """
    for start, name in product(range(0, n, AT_ONCE), names):
        batch = [number for number in range(start, min(n, start + AT_ONCE)) if (name, *common, number) not in made]
        masked = [made.get((MASKED, *common, number)) for number in batch]
        if batch:
            yield name, batch, float(np.mean([one["removed"] for one in masked])) if all(masked) else 0.0


def together(
    model: DiffusionModel, method: str, settings: Any, requests: Sequence[Request]
) -> Iterator[tuple[Tensor, float]]:
    """Each picture (1, 3, H, W) in [0, 1] of requests made in one batch, and the share that masks removed of its weights."""
    events: list[list[StepEvent]] = [[] for _ in requests]
    for which, event in METHODS[method].run.together(model, WeightedRewards({}), requests, settings):
        events[which].append(event)
    for mine in events:
        yield from_uint8(mine[-1].image), removed(mine)


def removed(events: Sequence[StepEvent]) -> float:
    """The share of the weights that masks removed, over all steps."""
    stats = [event.stats for event in events if event.stats is not None]
    weights = sum(float(each.weights.sum()) * len(each.timesteps) for each in stats)
    return sum(float(each.removed.sum()) for each in stats) / weights if weights else 0.0
