"""Equal budgets: how many pictures an entrant gets per prompt, so that all spend the same in the mean.

A picture costs what it costs, so that few prompts can spend exactly the same. What is left over or overdrawn
is carried to the next prompt: after i prompts every entrant has spent i budgets, give or take half a picture.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np

Rows = Sequence[Mapping[str, Any]]
COSTS = ("seconds", "unet_calls")


class Purse:
    """What one entrant has spent, and whether the next picture is nearer to its allowance than none.

    Args:
        per_prompt: the budget of one prompt, in any unit.
    """

    def __init__(self, per_prompt: float):
        self.per_prompt, self.spent, self.pictures = per_prompt, 0.0, 0

    def pay(self, cost: float) -> None:
        """Note a picture's cost."""
        self.spent += cost
        self.pictures += 1

    def affords_more(self, prompts: int) -> bool:
        """Whether a prompt that has a picture gets another one; it is the prompt of this number, from 1 on."""
        half = self.spent / self.pictures / 2
        return self.spent + half <= prompts * self.per_prompt


def within(rows: Iterable[Mapping[str, Any]], cost: str, per_prompt: float) -> list[Rows]:
    """What one entrant would have made with a smaller budget: its first pictures of every prompt, at least one.

    Args:
        rows: of one entrant. cost: one of COSTS. per_prompt: the budget, seconds or calls.
    """
    purse, found = Purse(per_prompt), []
    for number, (_, pictures) in enumerate(_by_prompt(rows), 1):
        taken = []
        for row in pictures:
            if taken and not purse.affords_more(number):
                break
            purse.pay(row[cost])
            taken.append(row)
        found.append(taken)
    return found


def _by_prompt(rows: Iterable[Mapping[str, Any]]) -> Iterable[tuple[int, Iterable[Mapping[str, Any]]]]:
    ordered = sorted(rows, key=lambda row: (row["number"], row["place"]))
    return groupby(ordered, key=lambda row: row["number"])


def score(row: Mapping[str, Any], optimized: str) -> float:
    """What the pictures of a prompt are chosen by; one that is not a number is never chosen."""
    value = row["rewards"][optimized]
    return value if np.isfinite(value) else -np.inf


def chosen(pictures: Rows, optimized: str) -> Mapping[str, Any]:
    """The picture with the largest optimized reward, the first of equals, with what all of them cost.

    Returns:
        Its row, in which seconds and unet_calls are sums, and `pictures`, how many there were; `drawn`, with those that
        the method itself chose from, and `any_correct`, whether the best possible choice is, None where it is not known.
    """
    best = max(pictures, key=lambda row: score(row, optimized))
    costs = {cost: sum(row[cost] for row in pictures) for cost in COSTS}
    # Rows of before methods told what they chose from know their own picture only.
    right = [row.get("any_correct", row["correct"]) for row in pictures]
    return {
        **best,
        **costs,
        "pictures": len(pictures),
        "drawn": sum(row.get("drawn", 1) for row in pictures),
        "any_correct": None if None in right else any(right),
    }
