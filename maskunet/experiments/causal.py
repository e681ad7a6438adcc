"""What does each part of the network do? Every site knocked out over every third of the steps, beside the plain picture.

Ablation, paired: the same prompts, noise, steps and guidance with and without one matrix. Where queries, keys and values
have no bias, as in Stable Diffusion, two matrices of a layer have one effect: without its queries as without its keys
attention looks everywhere evenly, and without its values as without its output the layer says nothing. Each pair is
measured once.
"""

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from maskunet.diffusion import denoise
from maskunet.evaluation.intervals import bootstrap, sign_test
from maskunet.experiments.markdown import markdown_table
from maskunet.experiments.study import subjects
from maskunet.library.library import Loaded
from maskunet.masks.sites import find_sites
from maskunet.methods import SPECS
from maskunet.methods.base import Sampling
from maskunet.records import Request
from maskunet.records.causal_map import TWINS
from maskunet.records.selection import Place, parse, place_of, thirds
from maskunet.tabletop.tasks import TASKS, Case

BATCH = 8  # pictures that share U-Net calls
Subject = tuple[int, Case, int]  # a number that stays its own, the prompt, the seed of its noise


def prompts(n: int, seed: int, split: str) -> list[Subject]:
    """The first n prompts of all tasks in turn, each with the seed of its noise."""
    found = subjects("all", n=-(-n // len(TASKS)), seeds=1, seed=seed, split=split)[:n]
    return [(number, case, noise) for number, (case, noise) in enumerate(found)]


def places(unet: nn.Module, steps: int) -> list[Place]:
    """What is knocked out: every site, or of two with one effect the first, over all steps and over each third."""
    sites = find_sites(unet)
    biased = any(unet.get_submodule(site.name).bias is not None for site in sites if site.role != "out")
    measured = [place_of(site.name) for site in sites if biased or site.role not in TWINS]
    return [replace(site, steps=some) for site in dict.fromkeys(measured) for some in ((), *thirds(steps))]


def causal(
    loaded: Loaded, request: Request, *, asked: Sequence[Subject], done: Iterable[Mapping[str, Any]] = ()
) -> Iterator[dict[str, Any]]:
    """Make and judge the pictures, some prompts with all places at a time: what is stopped early has seen every place.

    Args:
        loaded: the base model, with the checker.
        request: steps, guidance and negative prompt; the rest is replaced.
        done: rows of an earlier run; what is in them is left out.

    Yields:
        A row per picture: what was knocked out (empty for the plain one), the prompt's number, prompt, seed, task, whether
        it is correct, rewards, and `distance`, the mean difference of its pixels from the plain one's, 0 to 255.
    """
    made = {(row["what"], row["number"]) for row in done}
    every = ["", *map(str, places(loaded.model.unet, request.steps or loaded.model.steps))]
    for start in range(0, len(asked), BATCH):
        some = asked[start : start + BATCH]
        missing = [what for what in every if {(what, number) for number, *_ in some} - made]
        if not missing:
            continue
        together = _Together(loaded, [replace(request, prompt=case.prompt, seed=seed) for _, case, seed in some])
        for what in missing:
            for row in together.rows(what, some):
                if (what, row["number"]) not in made:
                    yield row


class _Together:
    """Pictures that share their U-Net calls: made plain once, and again from the first step at which a place is out."""

    def __init__(self, loaded: Loaded, requests: Sequence[Request]):
        self.loaded, spec = loaded, SPECS["knock_out"]
        self.spec, self.sampling = spec, Sampling(loaded.model, requests, spec.settings())
        self._plain: list[Tensor] = []  # x0 of each step
        self._images = self._pictures("")

    def rows(self, what: str, some: Sequence[Subject]) -> Iterator[dict[str, Any]]:
        """The pictures without a place, judged."""
        images = self._pictures(what) if what else self._images
        scores = self.loaded.rewards(images, [case.prompt for _, case, _ in some])
        apart = (_bytes(images) - _bytes(self._images)).abs().mean((1, 2, 3)).tolist()
        for i, ((number, case, seed), seen) in enumerate(zip(some, self.loaded.checker.see(images.cpu()), strict=True)):
            yield {
                "what": what, "number": number, "task": case.task, "prompt": case.prompt, "seed": seed,
                "correct": case.satisfied(seen), "distance": apart[i],
                "rewards": {name: float(values[i]) for name, values in scores.items()},
            }  # fmt: skip

    @torch.no_grad()
    def _pictures(self, what: str) -> Tensor:
        """(B, 3, H, W) in [0, 1]."""
        sampling, model = self.sampling, self.loaded.model
        known, first = self._plain, min((step for place in parse(what) for step in place.steps), default=1) - 1
        with self.spec.run.looking(model, sampling, self.spec.settings("", {"what": what})) as predict:

            def look(step: int, t: int, x_t: Tensor) -> Generator[None, None, tuple[Tensor, Tensor]]:
                x0 = known[step] if known and step < first else predict(step, t, x_t).x0
                if not what:
                    known.append(x0)
                yield
                return x_t, x0

            noise = torch.cat([model.noise(request.seed) for request in sampling.requests])
            x0 = _result(denoise(model.schedule, sampling.pairs, noise, look))
        return model.decode(x0)


def _result(work: Generator[Any, None, Tensor]) -> Tensor:
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value


def _bytes(images: Tensor) -> Tensor:
    """As the pictures are saved."""
    return (images.float() * 255).round()


@dataclass(frozen=True, slots=True)
class _Paired:
    """The pictures without a place, and the plain ones of the same prompts."""

    mine: Sequence[Mapping[str, Any]]
    plain: Sequence[Mapping[str, Any]]

    def mean(self, name: str, values: Sequence[float]) -> dict[str, float]:
        """A mean with its 95 % bootstrap interval."""
        low, high = bootstrap(values)
        return {name: _short(np.mean(values)), f"{name}_low": _short(low), f"{name}_high": _short(high)}

    def rewards(self, name: str) -> dict[str, float]:
        """How a reward changes."""
        return self.mean(name, [a["rewards"][name] - b["rewards"][name] for a, b in self._pairs()])

    def correct(self) -> dict[str, Any]:
        """How the share of correct pictures changes, and how many are mended and broken."""
        changes = [a["correct"] - b["correct"] for a, b in self._pairs()]
        fixed, broken = changes.count(1), changes.count(-1)
        return {**self.mean("correct", changes), "fixed": fixed, "broken": broken, "p": sign_test(fixed, broken)}

    def _pairs(self) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
        return list(zip(self.mine, self.plain, strict=True))


def _short(value: float) -> float:
    return round(float(value), 4)


def summarize(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The plain pictures, and for each place what its absence changes: means with 95 % intervals, paired.

    Raises:
        ValueError: there are no pictures yet.
    """
    by_place: dict[str, dict[int, Mapping[str, Any]]] = {}
    for row in rows:
        by_place.setdefault(row["what"], {})[row["number"]] = row
    plain = by_place.pop("", {})
    if not by_place:
        raise ValueError("There are no pictures yet; let it run longer.")
    names = list(next(iter(plain.values()))["rewards"])
    right = sum(row["correct"] for row in plain.values())
    cells = []
    for what, mine in by_place.items():
        pairs = _Paired([*mine.values()], [plain[number] for number in mine])
        cell = {"what": what, "n": len(mine), **pairs.correct()}
        cell |= pairs.mean("distance", [row["distance"] for row in mine.values()])
        for name in names:
            cell |= pairs.rewards(name)
        cells.append(cell)
    rewards = {name: _short(np.mean([row["rewards"][name] for row in plain.values()])) for name in names}
    return {"plain": {"n": len(plain), "correct": right, "rewards": rewards}, "cells": cells}


def table(found: Mapping[str, Any]) -> str:
    """The places by how far the pictures are from the plain ones, as a Markdown table."""
    head = ["without", "n", "pixels apart", "correct", "mended, broken", "p", "total reward"]
    rows = [
        (
            f"`{x['what']}`", f"{x['n']}", f"{x['distance']:.1f} ({x['distance_low']:.1f} to {x['distance_high']:.1f})",
            f"{x['correct']:+.2f} ({x['correct_low']:+.2f} to {x['correct_high']:+.2f})", f"{x['fixed']}, {x['broken']}",
            f"{x['p']:.3f}", f"{x['total']:+.2f} ({x['total_low']:+.2f} to {x['total_high']:+.2f})",
        )
        for x in sorted(found["cells"], key=lambda cell: -cell["distance"])
    ]  # fmt: skip
    plain = found["plain"]
    return f"Plain pictures: {plain['n']}, correct {plain['correct']}.\n\n{markdown_table(head, rows)}"
