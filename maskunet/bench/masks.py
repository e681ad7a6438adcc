"""What a picture under trained and under random masks costs beside a plain one."""

import logging
from statistics import median

import numpy as np

from maskunet.bench.base import BenchSpec, seconds
from maskunet.library import Library
from maskunet.methods import SPECS
from maskunet.models.base import DiffusionModel
from maskunet.records import Request
from maskunet.rewards.base import WeightedRewards
from maskunet.statistics import bootstrap

log = logging.getLogger(__name__)

MASKED = ("maskunet_trained", "random_mask")


def mask_overhead(model: DiffusionModel, rewards: WeightedRewards, rounds: int) -> dict[str, float]:
    """What a picture under trained and under random masks costs beside a plain one.

    All are made as for a folder of pictures, without previews and without counting the masks, which is a
    bench of its own.

    Args:
        rounds: how often each picture is made, in turn; the plain one twice, around the others, so that a
            machine that grows slower or faster favors none.

    Returns:
        Seconds of the plain picture, and each method's extra time as a share of it: the median over the
        rounds, the 95 % bootstrap interval of that median, and the extra time of its fastest picture
        over the fastest plain one, which other work on the machine disturbs least.
    """
    request = Request(prompt="a red cube and a blue sphere", previews=False, statistics=False)
    taken: dict[str, list[float]] = {name: [] for name in ("plain", *MASKED, "plain again")}
    for number in range(rounds + 1):
        names = ("plain", *MASKED, "plain")
        pictures = [seconds(model.device, _picture, model, rewards, request, name) for name in names]
        log.info("round %d: %s", number, ", ".join(f"{took:.3f} s" for took in pictures))
        for values, took in zip(taken.values(), pictures, strict=True):
            values += [took] if number else []  # the first round warms up
    around = list(zip(taken["plain"], taken["plain again"], strict=True))
    found = {"n": rounds, "plain_seconds": median(sum(pair) / 2 for pair in around)}
    for name in MASKED:
        extra = [2 * took / sum(pair) - 1 for took, pair in zip(taken[name], around, strict=True)]
        low, high = bootstrap(extra, of=np.median)
        fastest = min(taken[name]) / min(map(min, around)) - 1
        found |= {f"{name}_extra": median(extra), f"{name}_low": low, f"{name}_high": high}
        found[f"{name}_extra_of_fastest"] = fastest
    return found


def _picture(model: DiffusionModel, rewards: WeightedRewards, request: Request, name: str) -> None:
    spec = SPECS[name]
    for _ in spec.run(model, rewards, request, spec.settings()):
        pass


def run(library: Library, size: str, rounds: int) -> dict[str, float]:
    """See `mask_overhead`."""
    loaded = library.load(size)
    return mask_overhead(loaded.model, loaded.rewards, rounds)


SPEC = BenchSpec(
    name="masks",
    summary="a picture under trained and under random masks, beside a plain one",
    sizes=("tabletop",),  # there is no trained generator of the other size
    run=run,
)
