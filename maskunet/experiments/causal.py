"""What does each part of the network do? Every site knocked out over every third of the steps, beside the plain picture,
or every head of it over all steps.

Ablation, paired: the same prompts, noise, steps and guidance with and without one matrix. Where queries, keys and values
have no bias, as in Stable Diffusion, two matrices of a layer have one effect: without its queries as without its keys
attention looks everywhere evenly, and without its values as without its output the layer says nothing. Each pair is
measured once. Of a head the same is true.
"""

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from maskunet.diffusion import denoise
from maskunet.evaluation.intervals import clustered
from maskunet.experiments.counted import change
from maskunet.experiments.markdown import NO_VERDICT, figure, markdown_table, p_value
from maskunet.experiments.study import subjects
from maskunet.library.library import Loaded
from maskunet.masks.selection import heads_of
from maskunet.masks.sites import find_sites
from maskunet.methods import SPECS
from maskunet.methods.base import Sampling
from maskunet.records import Request
from maskunet.records.causal_map import TWINS
from maskunet.records.selection import Place, parse, place_of, thirds
from maskunet.tabletop.tasks import TASKS, Case

BY = ("sites", "heads")
BATCH = 8  # pictures that share U-Net calls
Subject = tuple[int, Case, int]  # a number that stays its own, the prompt, the seed of its noise


def prompts(n: int, seed: int, split: str) -> list[Subject]:
    """The first n prompts of all tasks in turn, each with the seed of its noise."""
    found = subjects("all", n=-(-n // len(TASKS)), seeds=1, seed=seed, split=split)[:n]
    return [(number, case, noise) for number, (case, noise) in enumerate(found)]


def places(unet: nn.Module, steps: int, by: str = BY[0]) -> list[Place]:
    """What is knocked out: every site, or of two with one effect the first, over all steps and over each third.

    Args:
        by: one of `BY`: whole sites, or each head of them, over all steps.
    """
    sites = find_sites(unet)
    biased = any(unet.get_submodule(site.name).bias is not None for site in sites if site.role != "out")
    sites = [site for site in sites if biased or site.role not in TWINS]
    measured = [place_of(site.name) for site in sites]
    if by == "heads":
        each = zip(measured, heads_of(unet, sites), strict=True)
        return [replace(site, heads=(head,)) for site, count in each for head in range(count)]
    return [replace(site, steps=some) for site in dict.fromkeys(measured) for some in ((), *thirds(steps))]


def causal(
    loaded: Loaded, request: Request, *, asked: Sequence[Subject], done: Iterable[Mapping[str, Any]] = (), by: str = BY[0]
) -> Iterator[dict[str, Any]]:  # fmt: skip
    """Make and judge the pictures, some prompts with all places at a time: what is stopped early has seen every place.

    Args:
        loaded: the base model, with the checker if it knows its pictures.
        request: steps, guidance and negative prompt; the rest is replaced.
        done: rows of an earlier run; what is in them is left out. by: see `places`.

    Yields:
        A row per picture: what was knocked out (empty for the plain one), the prompt's number, prompt, seed, task, whether
        it is correct (None without a checker), rewards, and `distance`, the mean difference of its pixels from the plain one's, 0 to 255.
    """
    made = {(row["what"], row["number"]) for row in done}
    every = ["", *map(str, places(loaded.model.unet, request.steps or loaded.model.steps, by))]
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
        checker = self.loaded.checker
        seen = checker.see(images.cpu()) if checker else [None] * len(some)
        for i, ((number, case, seed), things) in enumerate(zip(some, seen, strict=True)):
            yield {
                "what": what, "number": number, "task": case.task, "prompt": case.prompt, "seed": seed,
                "correct": None if things is None else case.satisfied(things), "distance": apart[i],
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


def summarize(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The plain pictures, and what the absence of each place changes, and on average that of one matrix of a block.

    Returns:
        plain: n, how many are correct (None where it is not known), mean rewards. cells: by place n and the mean change of the share correct, of the
        distance and of each reward, paired, with 95 % intervals over prompts; pictures mended (`fixed`) and `broken`, and
        the sign test's p. blocks: the same means over the places of a block that are out at the same steps.

    Raises:
        ValueError: there are no pictures yet.
    """
    by_place: dict[str, dict[int, dict[str, float]]] = {}
    prompts = {row["number"]: row["prompt"] for row in rows}
    for row in rows:
        right = {} if row["correct"] is None else {"correct": float(row["correct"])}
        values = {**right, "distance": row["distance"], **row["rewards"]}
        by_place.setdefault(row["what"], {})[row["number"]] = values
    plain = by_place.pop("", {})
    if not by_place:
        raise ValueError("There are no pictures yet; let it run longer.")
    means = {name: _short(np.mean([values[name] for values in plain.values()])) for name in next(iter(plain.values()))}
    correct = int(sum(values["correct"] for values in plain.values())) if "correct" in means else None
    rewards = {name: mean for name, mean in means.items() if name not in ("correct", "distance")}
    groups: dict[str, list[dict[int, dict[str, float]]]] = {}
    for what, mine in by_place.items():
        (place,) = parse(what)
        groups.setdefault(str(Place(blocks=place.blocks, steps=place.steps)), []).append(mine)
    return {
        "plain": {"n": len(plain), "correct": correct, "rewards": rewards},
        "blocks": [
            {"what": what, "places": len(several), **_effect(several, plain, prompts)}
            for what, several in groups.items()
        ],
        "cells": [{"what": what, **_effect([mine], plain, prompts)} for what, mine in by_place.items()],
    }


def _effect(
    places: Sequence[Mapping[int, Mapping[str, float]]],
    plain: Mapping[int, Mapping[str, float]],
    prompts: Mapping[int, str],
) -> dict[str, Any]:
    """Mean changes by picture, and over the places for each picture that all of them have; `prompts` by its number."""
    numbers = [number for number in plain if all(number in mine for mine in places)]
    changes = {
        name: [[mine[number][name] - plain[number][name] for mine in places] for number in numbers]
        for name in next(iter(plain.values()))
    }
    flips = [change for each in changes.get("correct", ()) for change in each]
    found: dict[str, Any] = {"n": len(numbers), "fixed": flips.count(1), "broken": flips.count(-1)}
    found |= {f"correct{end}": None for end in ("", "_low", "_high")}  # unless it is known
    texts = [prompts[number] for number in numbers]
    if len(places) == 1:  # of several, pictures of one prompt are no independent trials
        found["p"] = change(*([_right(of[number]) for number in numbers] for of in (places[0], plain)), texts)["p"]
    for name, values in changes.items():
        each = [float(np.mean(of_prompt)) for of_prompt in values]
        low, high = clustered(each, texts)
        found |= {name: _short(np.mean(each)), f"{name}_low": _short(low), f"{name}_high": _short(high)}
    return found


def _right(values: Mapping[str, float]) -> bool | None:
    return bool(values["correct"]) if "correct" in values else None


def _short(value: float) -> float:
    return round(float(value), 4)


def table(found: Mapping[str, Any]) -> str:
    """Two Markdown tables: one matrix of each block on average, and all places by how far the pictures are apart."""
    plain = found["plain"]
    head = ["without", "n", "pixels apart", "correct", "mended, broken", "total reward"]
    part = "head of a matrix" if any(parse(x["what"])[0].heads for x in found["cells"]) else "matrix"
    blocks = [(f"one {part} of `{x['what']}`", f"{x['n']} x {x['places']}", *_told(x)) for x in found["blocks"]]
    cells = sorted(found["cells"], key=lambda cell: -cell["distance"])
    rows = [(f"`{x['what']}`", f"{x['n']}", *_told(x), "" if x["correct"] is None else p_value(x["p"])) for x in cells]
    right = f". {NO_VERDICT}" if plain["correct"] is None else f", correct {plain['correct']}."
    return (
        f"Plain pictures: {plain['n']}{right}\n\n{markdown_table(head, blocks)}\n\n{markdown_table([*head, 'p'], rows)}"
    )


def _told(line: Mapping[str, Any]) -> tuple[str, ...]:
    changes = "" if line["correct"] is None else f"{line['fixed']}, {line['broken']}"
    return figure(line, "distance", ".1f"), figure(line, "correct", "+.2f"), changes, figure(line, "total", "+.2f")
