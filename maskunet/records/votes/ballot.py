"""What one voter is shown: which pairs, in which order, on which sides; it follows from the study and the voter alone.

The numbers are a SeedSequence's, which are the same for every NumPy.
"""

import hashlib
from dataclasses import dataclass
from math import ceil

import numpy as np

from maskunet.records.votes.study import Study

QUESTIONS = ("looks", "fits")
ANSWERS = ("left", "right", "equal", "neither")
REPEATED = 0.1  # of a voter's pairs, at least one: shown again with the sides exchanged


@dataclass(frozen=True, slots=True)
class Item:
    """A pair as a voter sees it: its place in `Study.shown`, and which of its pictures is on the left, 0 or 1."""

    pair: int
    left: int


def voter_of(study: Study, token: str) -> str:
    """What a voter is called in the file; the token, which lets one vote, cannot be found from it."""
    return hashlib.sha256(f"{study.hash} {token}".encode()).hexdigest()[:16]


def ballot(study: Study, voter: str) -> tuple[Item, ...]:
    """What this voter is shown, from the first to the last.

    Pairs that are repeated are of the first half, and come again in the second. An obvious pair is never the first.
    """
    every, n = len(study.pairs), min(study.per_voter, len(study.pairs))
    again, half = ceil(REPEATED * n), max(1, n // 2)
    seeds = np.random.SeedSequence((int(study.hash, 16), int(voter, 16)))
    keys, chosen, sides, places = (each.generate_state(every + len(study.checks), np.uint64) for each in seeds.spawn(4))
    order = keys[:every].argsort(kind="stable")[:n]
    items = [(i + 0.5, Item(int(pair), int(sides[i] % 2))) for i, pair in enumerate(order)]
    for k, i in enumerate(chosen[:half].argsort(kind="stable")[:again]):
        low = min(n, half + 1)
        repeated = items[i][1]
        items.append((low + int(places[k]) % (n - low + 1), Item(repeated.pair, 1 - repeated.left)))
    for k in range(len(study.checks)):
        at = every + k
        items.append((1 + int(places[at]) % n, Item(at, int(sides[at] % 2))))
    return tuple(item for _, item in sorted(items, key=lambda each: each[0]))


def questions(study: Study, items: tuple[Item, ...]) -> list[tuple[int, str]]:
    """What is asked, in order: the item's number, and the question; how a picture fits its prompt only if there is one."""
    asked = []
    for number, item in enumerate(items):
        asked += [(number, question) for question in QUESTIONS if question == "looks" or study.shown[item.pair].prompt]
    return asked
