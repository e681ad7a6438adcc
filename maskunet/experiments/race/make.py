"""Run the race: for every prompt each entrant makes pictures from the prompt's own seeds, within its budget."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from maskunet import seeds
from maskunet.encoders.pixels import from_uint8
from maskunet.experiments.evaluate import judge
from maskunet.experiments.race import budget, shown
from maskunet.experiments.race.pictures import save_picture
from maskunet.library.library import Loaded
from maskunet.methods.base import sees_all
from maskunet.methods.base.report import numbers
from maskunet.models.base import DiffusionModel
from maskunet.records import Request, StepEvent
from maskunet.rewards.base import WeightedRewards
from maskunet.runs.entrant import Entrant
from maskunet.tabletop.checker import Checker
from maskunet.tabletop.tasks import Case, cases

WARM_STEPS = 4
Subject = tuple[Case, int]  # a prompt, and the seed of its first picture


def make(
    loaded: Loaded,
    asked: Request,
    chosen: Sequence[Entrant],
    subjects: Mapping[int, Subject],
    *,
    seconds: float,
    optimized: str,
    folder: Path,
    done: Iterable[Mapping[str, Any]] = (),
    should_stop: Callable[[], str] = str,
) -> Iterator[dict[str, Any]]:
    """Make and judge one picture after the other; all entrants of a prompt before the next prompt.

    Args:
        loaded: the base model, with the checker if it knows its pictures.
        asked: steps, guidance and model; the rest is replaced.
        subjects: prompts by number.
        seconds: budget of each entrant for a prompt. optimized: name of the reward that methods may use.
        folder: of pictures/; each entrant's chosen picture of the prompts that are shown is kept there.
        done: rows of an earlier run; what is in them is left out.

    Yields:
        The row of `evaluate.judge`, without the ratio kept, with entrant, its kind, number (of the prompt), place (of the picture, from 0) and
        what `among` finds.
    """
    settings = {e.name: e.settings(optimized, loaded.rewards.weights) for e in chosen}
    # Whatever else judges runs when an entrant's clock has stopped.
    looks_at = {
        e.name: loaded.rewards if sees_all(settings[e.name]) else loaded.rewards.only(optimized) for e in chosen
    }
    purses = {e.name: budget.Purse(seconds) for e in chosen}
    to_show = shown.numbers({number: case.task for number, (case, _) in subjects.items()})
    made: dict[tuple[str, int], list[Mapping[str, Any]]] = {}
    for row in done:
        purses[row["entrant"]].pay(row["seconds"])
        made.setdefault((row["entrant"], row["number"]), []).append(row)
    for each in chosen:
        warm(loaded.model, looks_at[each.name], each, settings[each.name], asked)
    for turn, (number, (case, seed)) in enumerate(subjects.items(), 1):
        for each in chosen:
            purse, pictures = purses[each.name], made.get((each.name, number), [])
            while not pictures or purse.affords_more(turn):
                if should_stop():
                    return
                its_seed = seeds.of_place(seed, len(pictures))
                request = replace(each.request(asked), prompt=case.prompt, seed=its_seed, statistics=False)
                events = list(each.spec.run(loaded.model, looks_at[each.name], request, settings[each.name]))
                row = judge(case, its_seed, iter(events), loaded.checker)
                del row["keep_ratio"]  # counting takes time
                row |= {
                    "rewards": judged(loaded, case.prompt, events[-1], optimized),
                    "entrant": each.name,
                    "kind": each.spec.kind,
                    "number": number,
                    "place": len(pictures),
                    **among(case, events[-1], loaded.checker, row["correct"]),
                }
                pictures = [*pictures, row]
                best = budget.chosen(pictures, optimized)["place"] == row["place"]
                if best and number in to_show:
                    save_picture(folder, each.name, number, events[-1].image)
                purse.pay(row["seconds"])
                yield row


def among(case: Case, final: StepEvent, checker: Checker | None, correct: bool | None) -> dict[str, Any]:
    """Of how many finished pictures the method chose its own, `drawn`, and whether any of them is correct.

    Args:
        correct: whether the one that it chose is; None, as the answer, without a checker.
    """
    if final.candidates is None or checker is None:
        return {"drawn": 1 if final.candidates is None else len(final.candidates), "any_correct": correct}
    seen = (checker.see(from_uint8(image))[0] for image in final.candidates)
    return {"drawn": len(final.candidates), "any_correct": any(case.satisfied(things) for things in seen)}


def judged(loaded: Loaded, prompt: str, final: StepEvent, optimized: str) -> dict[str, float]:
    """A picture's rewards by name: the optimized one as its method saw it, the others of the picture as it is kept."""
    with torch.no_grad():
        found = numbers(loaded.rewards(from_uint8(final.image, loaded.model.device), [prompt]))
    return {**found, optimized: final.rewards[optimized]}


def warm(model: DiffusionModel, rewards: WeightedRewards, each: Entrant, settings: Any, asked: Request) -> None:
    """A few steps that nobody times: what is read or compiled at first use is no part of a race."""
    steps = max(WARM_STEPS, each.spec.least_steps(settings))
    request = replace(each.request(asked), prompt=cases("two", 1, split="train")[0].prompt, steps=steps)
    for _ in each.spec.run(model, rewards, request, settings):
        pass
