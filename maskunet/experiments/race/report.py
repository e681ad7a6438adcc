"""What the race says: shares, paired differences and curves over the budget, from the rows of all pictures."""

from collections.abc import Mapping, Sequence
from typing import Any

from maskunet.evaluation.intervals import clustered, holm
from maskunet.experiments.counted import change, share
from maskunet.experiments.race.budget import Rows, chosen, within
from maskunet.experiments.race.entrants import PLAIN, kind_of
from maskunet.methods.base import KINDS

TOO_LONG = 1.05  # of the budget; an entrant that spends more is not compared
GROUPS = {
    "binding": ("color_attribution", "texture_attribution"),
    "counting": ("counting",),
    "position": ("position",),
}
ALL = "all"
MEANS = ("seconds", "unet_calls", "pictures", "drawn")
POINTS = 8  # of an entrant's curve


def groups_of(rows: Rows) -> dict[str, tuple[str, ...]]:
    """The tasks of every group that the rows have, tasks outside GROUPS as their own, and all together."""
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    named = {name: tuple(t for t in group if t in tasks) for name, group in GROUPS.items()}
    rest = {t: (t,) for t in tasks if not any(t in group for group in GROUPS.values())}
    return {name: group for name, group in {**named, **rest, ALL: tuple(tasks)}.items() if group}


def report(rows: Rows, optimized: str, held_out: str, seconds: float) -> dict[str, Any]:
    """All tables and curves.

    Args:
        rows: as `race` yields them. optimized, held_out: names of rewards. seconds: the budget per prompt.

    Returns:
        prompts; different: how many of them are, as short ones come again with other noise; kinds: what entrants may be,
        in their order; equal_time, equal_calls: `compared` at the budget, and at
        `calls`, the fewest U-Net calls per prompt that an entrant within the time budget made; curves: of `curve`, by entrant.

    Raises:
        ValueError: no prompt has been finished by every entrant.
    """
    rows = complete(rows)
    by_entrant = _by_entrant(rows)
    in_time = {name: within(mine, "seconds", seconds) for name, mine in by_entrant.items()}
    fair = [name for name, prompts in in_time.items() if _mean_cost(prompts, "seconds") <= TOO_LONG * seconds]
    calls = min(_mean_cost(in_time[name], "unet_calls") for name in fair or in_time)
    in_calls = {name: within(mine, "unet_calls", calls) for name, mine in by_entrant.items()}
    return {
        "optimized": optimized,
        "held_out": held_out,
        "seconds": seconds,
        "calls": calls,
        "prompts": len({row["number"] for row in rows}),
        "different": len({row["prompt"] for row in rows}),
        "kinds": KINDS,
        "equal_time": compared(in_time, "seconds", seconds, optimized, held_out),
        "equal_calls": compared(in_calls, "unet_calls", calls, optimized, held_out),
        "curves": {name: curve(mine, seconds, optimized, held_out) for name, mine in by_entrant.items()},
    }


def complete(rows: Rows) -> list[Mapping[str, Any]]:
    """The rows of the prompts that every entrant has pictures of.

    Raises:
        ValueError: there are none.
    """
    numbers = [{row["number"] for row in mine} for mine in _by_entrant(rows).values()]
    common = set.intersection(*numbers) if numbers else set()
    if not common:
        raise ValueError("No prompt has a picture of every entrant yet; let the race run longer.")
    # Whoever was stopped in the middle of a prompt has too few pictures of its last one only.
    return [row for row in rows if row["number"] in common]


def _by_entrant(rows: Rows) -> dict[str, list[Mapping[str, Any]]]:
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["entrant"], []).append(row)
    return found


def _mean_cost(prompts: Sequence[Rows], cost: str) -> float:
    return sum(row[cost] for pictures in prompts for row in pictures) / len(prompts)


def compared(
    prompts: Mapping[str, Sequence[Rows]], cost: str, per_prompt: float, optimized: str, held_out: str
) -> list[dict[str, Any]]:
    """One line per group of tasks and entrant, each with its paired differences from the others of REFERENCES.

    Args:
        prompts: the pictures that each entrant made, prompt by prompt.
    """
    picked = {name: [chosen(pictures, optimized) for pictures in mine] for name, mine in prompts.items()}
    # Rows of a race of before they had one are of a method that is still here, or of no kind.
    kinds = {name: rows[0].get("kind", kind_of(name)) for name, rows in picked.items()}
    lines = []
    for group, tasks in groups_of(picked[PLAIN]).items():
        first = len(lines)
        for name, rows in picked.items():
            mine = [row for row in rows if row["task"] in tasks]
            spent = _mean_cost(prompts[name], cost)
            line = {
                "group": group,
                "tasks": tasks,
                "entrant": name,
                "kind": kinds[name],
                **_alone(mine, optimized, held_out),
            }
            line["over_budget"] = spent > TOO_LONG * per_prompt
            line["against"] = {
                other: paired(mine, [row for row in picked[other] if row["task"] in tasks], optimized, held_out)
                for other in references(name, picked)
            }
            lines.append(line)
        _adjust(lines[first:])
    return lines


def _adjust(lines: Sequence[Mapping[str, Any]]) -> None:
    """Add `p_holm` to the comparisons of one group: each p for all lines that are held against the same other."""
    for other in {name for line in lines for name in line["against"]}:
        found = [line["against"][other] for line in lines if other in line["against"]]
        for each, p in zip(found, holm([each["p"] for each in found]), strict=True):
            each["p_holm"] = p


def references(name: str, entrants: Sequence[str] | Mapping[str, Any]) -> list[str]:
    """What an entrant is held against: plain and particle steering; with SynGen in it, SynGen of the same step."""
    wanted = [PLAIN, "fk_steering"]
    if name.startswith("syngen_maskunet"):
        wanted.append(name.replace("syngen_maskunet", "syngen"))
    return [other for other in wanted if other in entrants and other != name]


def _alone(rows: Rows, optimized: str, held_out: str) -> dict[str, Any]:
    right, among = share([row["correct"] for row in rows], _texts(rows)), [row["any_correct"] for row in rows]
    mean = {what: sum(row[what] for row in rows) / len(rows) for what in MEANS}
    return {
        "n": len(rows),
        "different": len(set(_texts(rows))),
        "correct": right["value"],
        "correct_low": right["low"],
        "correct_high": right["high"],
        **{what: sum(row["rewards"][what] for row in rows) / len(rows) for what in (optimized, held_out)},
        **mean,
        "any_correct": None if None in among else sum(among) / len(among),
    }


def _texts(rows: Rows) -> list[str]:
    return [row["prompt"] for row in rows]


def paired(mine: Rows, others: Rows, *rewards: str) -> dict[str, Any]:
    """The differences from another entrant, prompt by prompt: means with 95 % bootstrap intervals over different prompts.

    Returns:
        For "correct", where that is known, and each of `rewards`: the mean difference, with _low and _high; fixed and broken: different
        prompts that this entrant, that the other one has right more often, and the sign test's p.
    """
    index = {row["number"]: row for row in others}
    pairs, texts = [(row, index[row["number"]]) for row in mine], _texts(mine)
    right = change([a["correct"] for a, _ in pairs], [b["correct"] for _, b in pairs], texts)
    found = {"correct": right["value"], "correct_low": right["low"], "correct_high": right["high"]}
    for name in rewards:
        differences = [a["rewards"][name] - b["rewards"][name] for a, b in pairs]
        low, high = clustered(differences, texts)
        found |= {name: sum(differences) / len(pairs), f"{name}_low": low, f"{name}_high": high}
    return {**found, **{name: right[name] for name in ("fixed", "broken", "p")}}


def curve(rows: Rows, seconds: float, optimized: str, held_out: str) -> list[dict[str, Any]]:
    """What the entrant would have had with less: from one picture per prompt up to the budget, evenly in its log.

    Returns:
        One point per budget that changes anything: mean seconds, n, share correct with its interval, the mean
        held-out reward with its bootstrap interval.
    """
    one = _mean_cost(within(rows, "seconds", 0.0), "seconds")
    budgets = [one * (max(seconds, one) / one) ** (i / (POINTS - 1)) for i in range(POINTS)]
    points, spent = [], 0.0
    for budget in budgets:
        picked = [chosen(pictures, optimized) for pictures in within(rows, "seconds", budget)]
        line = _alone(picked, optimized, held_out)
        if line["seconds"] > spent * (1 + 1e-9):
            low, high = clustered([row["rewards"][held_out] for row in picked], _texts(picked))
            points.append({**line, f"{held_out}_low": low, f"{held_out}_high": high})
            spent = line["seconds"]
    return points
