"""The training-free loop beside the published one's shape: time, memory, operations and reward from one run."""

import logging
import time
from collections.abc import Mapping, Sequence
from statistics import mean, median
from typing import Any

import numpy as np

from maskunet.bench.base import BenchSpec
from maskunet.bench.loop import flops, memory, size
from maskunet.bench.loop.clock import PHASES, Clock, clocked, seconds_on
from maskunet.bench.loop.size import Size
from maskunet.bench.loop.variants import VARIANTS, Variant
from maskunet.evaluation.intervals import bootstrap
from maskunet.library.library import Library
from maskunet.methods import SPECS
from maskunet.models.base import DEFAULT_STEPS, DiffusionModel
from maskunet.records import StepEvent
from maskunet.rewards.base import WeightedRewards

log = logging.getLogger(__name__)

SECONDS = ("iteration", *PHASES, "collecting", "picture")


def picture(of: Size, variant: Variant, model: DiffusionModel, rewards: WeightedRewards, seed: int) -> dict[str, float]:
    """Make one picture, or the beginning of one.

    Returns:
        Seconds of an iteration, their mean over the picture or `as_of_a_picture`, in all and by phase, on a GPU those
        of six updates that wait for each phase instead of being replayed; seconds of the picture, how many iterations
        it took, and its total reward. Python's collecting of garbage, which the published
        loop asks for at every iteration, is in none of them but in seconds of its own, per iteration.
    """
    clock, began = Clock(seconds_on(model.device)), time.perf_counter()
    replayed = model.replayable  # a replay reads no clock in its midst
    event = watch(of, variant, *((model, rewards) if replayed else clocked(model, rewards, clock)), clock, seed)
    passed, count = time.perf_counter() - began, len(clock.iterations)
    counted = clock.iterations if of.whole else as_of_a_picture(*clock.iterations[:2])
    iteration = mean(sum(each.values()) for each in counted)
    if replayed:
        laps = Clock(seconds_on(model.device))
        watch(of.short(updates=6), variant, *clocked(model, rewards, laps), laps, seed)
        counted = laps.iterations[2:]
    return {
        "iteration": iteration,
        **{phase: mean(each[phase] for each in counted) for phase in PHASES},
        "collecting": clock.collecting / count,
        "picture": passed - clock.collecting,
        "iterations": count,
        "reward": event.rewards["total"],
    }


def watch(
    of: Size, variant: Variant, model: DiffusionModel, rewards: WeightedRewards, clock: Clock, seed: int
) -> StepEvent:
    """Let the clock turn at every update; returns the last event."""
    with clock.listening():
        for event in of.run(variant, model, rewards, seed):
            if not event.final:
                clock.lap("backward")
                clock.turn()
    return event


def as_of_a_picture(first: Mapping[str, float], other: Mapping[str, float]) -> list[Mapping[str, float]]:
    """What a picture's updates take, from a step's first one, which also encodes, and another one."""
    official = SPECS["maskunet_free"].settings("official")
    late = DEFAULT_STEPS - official.early_steps
    others = official.early_steps * (official.early_updates - 1) + late * (official.updates - 1)
    return [first] * DEFAULT_STEPS + [other] * others


def rows(found: Mapping[str, Sequence[Mapping[str, float]]]) -> list[dict[str, Any]]:
    """A line per variant: medians over the rounds, and how many times as fast as the first one.

    Args:
        found: what `picture` returned in each round, by the variant's name, the reference's first.

    Returns:
        Of the ratios, which are taken within each round, the median with its 95 % bootstrap interval; of the
        rewards the mean, and that of the differences in each round with its interval.
    """
    against = next(iter(found.values()))
    lines = []
    for name, rounds in found.items():
        line = {
            "name": name,
            **{f"{key}_seconds": median(r[key] for r in rounds) for key in SECONDS},
        }
        line["iterations"] = rounds[0]["iterations"]
        for key in ("iteration", "picture"):
            ratios = [a[key] / b[key] for a, b in zip(against, rounds, strict=True)]
            low, high = bootstrap(ratios, of=np.median)
            line |= {f"{key}_times": median(ratios), f"{key}_times_low": low, f"{key}_times_high": high}
        gains = [b["reward"] - a["reward"] for a, b in zip(against, rounds, strict=True)]
        low, high = bootstrap(gains)
        line |= {"reward": mean(r["reward"] for r in rounds), "reward_gain": mean(gains)}
        lines.append({**line, "reward_gain_low": low, "reward_gain_high": high})
    return lines


def run(library: Library, name: str, rounds: int) -> dict[str, Any]:
    """Time every variant in turn, once per round and seed, after one round to warm up.

    Returns:
        `variants`, see `rows`, with the peak of memory in bytes and, on tabletop, the operations of an update
        in 10^12; those of Stable Diffusion's size are benches of their own, and on a CPU the peaks too.
    """
    of = size.of(name, library.device)
    timed = [variant for variant in VARIANTS if variant.other_updates or of.whole]
    alone = of.whole and library.device.type != "cuda"  # a process for each; otherwise it takes too long
    peaks = [memory.of_a_process(of, variant.name, library.dtype) if alone else None for variant in timed]
    model, rewards = size.load(of, library.device, library.dtype)
    if library.device.type == "cuda":
        peaks = [memory.of_a_gpu(of, variant, model, rewards) for variant in timed]
    found: dict[str, list[dict[str, float]]] = {variant.name: [] for variant in timed}
    counted = [flops.of_variant(of, variant, model, rewards) for variant in timed if of.whole]  # warms up, too
    for number in range(rounds):
        for variant in timed:
            made = picture(of, variant, model, rewards, number)
            log.info("round %d: %s took %.3f s per iteration", number, variant.name, made["iteration"])
            found[variant.name].append(made)
    lines = [{**line, "peak_bytes": peak} for line, peak in zip(rows(found), peaks, strict=True)]
    for line, count in zip(lines, counted, strict=False):
        line["tera_operations"] = sum(count.values())
    return {
        "n": rounds, "pixels": model.pixels,
        "type": str(model.dtype).removeprefix("torch."), "whole_pictures": of.whole, "weights_gradients_kept": of.keep_gradients,
        "memory": "of the device" if library.device.type == "cuda" else "resident, of a process of its own" if alone
        else "counted by bench memory",
        "variants": lines,
    }  # fmt: skip


SPEC = BenchSpec(
    name="loop",
    summary="the training-free loop, beside the published one's shape",
    sizes=("tabletop", "sd15"),
    run=run,
)
