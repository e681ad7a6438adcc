"""One picture each: entrants on the same prompts, seeds and steps, whatever it takes them, every two compared in pairs.

Beside the race, which gives equal time, this asks what one picture of each is worth.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

from maskunet.evaluation.intervals import clustered, holm
from maskunet.experiments.counted import share
from maskunet.experiments.evaluate import judge
from maskunet.experiments.markdown import cell, gain, interval, markdown_table
from maskunet.experiments.race.make import warm
from maskunet.experiments.race.report import complete, paired
from maskunet.library.library import Loaded
from maskunet.records import Request
from maskunet.runs.entrant import Entrant
from maskunet.tabletop.tasks import Case

Rows = Sequence[Mapping[str, Any]]
TOTAL = "total"


def make(
    loaded: Loaded,
    asked: Request,
    chosen: Sequence[Entrant],
    subjects: Sequence[tuple[Case, int]],
    *,
    done: Iterable[Mapping[str, Any]] = (),
    should_stop: Callable[[], str] = str,
) -> Iterator[dict[str, Any]]:
    """Make and judge one picture of every entrant for a prompt, then go to the next prompt.

    Args:
        loaded: the base model, with the checker if it knows its pictures.
        asked: steps, guidance and model; the rest is replaced.
        subjects: prompts, each with its seed. done: rows of an earlier match; what is in them is left out.

    Yields:
        The row of `evaluate.judge` with entrant and number, of the prompt.
    """
    made = {(row["entrant"], row["number"]) for row in done}
    settings = {each.name: each.spec.settings(each.preset, each.named()) for each in chosen}
    for each in chosen:
        if any((each.name, number) not in made for number in range(len(subjects))):
            warm(loaded.model, loaded.rewards, each, settings[each.name], asked)
    for number, (case, seed) in enumerate(subjects):
        for each in chosen:
            if (each.name, number) in made:
                continue
            if should_stop():
                return
            request = replace(each.request(asked), prompt=case.prompt, seed=seed)
            events = each.spec.run(loaded.model, loaded.rewards, request, settings[each.name])
            yield {**judge(case, seed, events, loaded.checker), "entrant": each.name, "number": number}


def report(rows: Rows) -> dict[str, Any]:
    """What each entrant has, and the difference of every two.

    Args:
        rows: as `make` yields them; prompts that not every entrant has finished are left out.

    Returns:
        n; different: how many of the prompts are; alone: one line per entrant, with 95 % intervals over prompts of the
        share correct and of the total reward; pairs: one line per two, of the later one minus the earlier one, as `race.report.paired`, with
        `p_holm` for all of them together.

    Raises:
        ValueError: no prompt has been finished by every entrant.
    """
    rows = complete(rows)
    names = list(dict.fromkeys(row["entrant"] for row in rows))
    by_name = {name: [row for row in rows if row["entrant"] == name] for name in names}
    rewards = [name for name in rows[0]["rewards"] if name != TOTAL]
    pairs = [
        {"entrant": later, "against": earlier, **paired(by_name[later], by_name[earlier], TOTAL, *rewards)}
        for earlier, later in combinations(names, 2)
    ]
    for line, p in zip(pairs, holm([line["p"] for line in pairs]), strict=True):
        line["p_holm"] = p
    return {
        "n": len(by_name[names[0]]),
        "different": len({row["prompt"] for row in rows}),
        "rewards": rewards,
        "alone": [{"entrant": name, **_alone(by_name[name], rewards)} for name in names],
        "pairs": pairs,
    }


def _alone(rows: Rows, rewards: Sequence[str]) -> dict[str, float]:
    n, prompts = len(rows), [row["prompt"] for row in rows]
    totals = [row["rewards"][TOTAL] for row in rows]
    right = share([row["correct"] for row in rows], prompts)
    total_low, total_high = clustered(totals, prompts)
    return {
        "correct": right["value"], "correct_low": right["low"], "correct_high": right["high"],
        "total": sum(totals) / n, "total_low": total_low, "total_high": total_high,
        **{name: sum(row["rewards"][name] for row in rows) / n for name in rewards},
        **{cost: sum(row[cost] for row in rows) / n for cost in ("keep_ratio", "unet_calls", "seconds")},
    }  # fmt: skip


def tables(found: Mapping[str, Any]) -> str:
    """What `report` found, as two Markdown tables."""
    rewards = found["rewards"]
    alone = [
        (
            x["entrant"], cell(x["correct"], ".3f"), interval(x["correct_low"], x["correct_high"], ".3f"),
            f"{x['total']:.3f}", f"{x['total_low']:.3f} to {x['total_high']:.3f}",
            *(f"{x[name]:.4f}" for name in rewards), f"{1 - x['keep_ratio']:.2%}", f"{x['unet_calls']:.0f}",
            f"{x['seconds']:.1f}",
        )
        for x in found["alone"]
    ]  # fmt: skip
    pairs = [
        (
            f"{x['entrant']} − {x['against']}", f"{x['total']:+.3f}", f"{x['total_low']:+.3f} to {x['total_high']:+.3f}",
            *gain(x),
        )
        for x in found["pairs"]
    ]  # fmt: skip
    first = ["entrant", "correct", "95 %", "total reward", "95 %", *rewards, "removed", "U-Net calls", "s"]
    second = ["difference", "total reward", "95 %", "correct", "95 %", "fixed / broken", "p", "Holm's p"]
    return f"{markdown_table(first, alone)}\n\n{markdown_table(second, pairs)}"
