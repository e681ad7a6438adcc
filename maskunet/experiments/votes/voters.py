"""What votes say of voters: who does not look, who prefers a side, who votes twice."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from maskunet.experiments.votes.table import CHECK, FIRST, LEFT, MAIN, NEITHER, REPEAT, RIGHT, Table

RARE = 0.01  # p below which a voter is marked; of two voters alike, for all twos together
SHARED = 5  # pairs that two voters must have in common to be compared
WEIGHT = 2.0  # answers that everybody's counts for beside a voter's or a pair's own
LOOK = 3.0  # standard deviations above what is expected; from there on it is computed exactly


@dataclass(slots=True)
class Figures:
    """Of one voter.

    Attributes:
        pairs, votes: answered, repeats and obvious ones apart.
        left, right: pairs of which one side was preferred; p that both are alike.
        repeated, same: answers on pairs that were shown again, and those that stayed the same.
        checks, wrong: answers on obvious pairs, and those that take noise for as good as a picture.
        agreement: how often another voter says the same of the same, None where nobody does.
        marks: why this voter's votes may not count, in words.
    """

    pairs: int = 0
    votes: int = 0
    left: int = 0
    right: int = 0
    p: float = 1.0
    repeated: int = 0
    same: int = 0
    checks: int = 0
    wrong: int = 0
    agreement: float | None = None
    marks: list[str] = field(default_factory=list)


def figures(votes: Table, twice: dict[str, int]) -> dict[str, Figures]:
    """Of every voter, by name.

    Args:
        twice: of voters, votes on what they had answered before.
    """
    n = len(votes.voters)
    left, right, p = sides(votes)
    same, repeated = consistent(votes)
    checks = votes.where((votes.kind == CHECK) & (votes.result != NEITHER))
    main = votes.where(votes.kind == MAIN)
    wrong = np.bincount(checks.voter[checks.result != FIRST], minlength=n)
    per_voter = {
        "pairs": np.bincount(np.unique(np.stack([main.voter, main.pair]), axis=1)[0], minlength=n),
        "votes": np.bincount(main.voter, minlength=n), "left": left, "right": right, "p": p, "repeated": repeated,
        "same": same, "checks": np.bincount(checks.voter, minlength=n), "wrong": wrong,
    }  # fmt: skip
    agreement, doubles = agreements(main), alike(main)
    found = {}
    for v, name in enumerate(votes.voters):
        one = Figures(**{key: values[v].item() for key, values in per_voter.items()}, agreement=agreement[v])
        if one.wrong:
            one.marks.append(f"took noise for as good as a picture in {one.wrong} of {one.checks} answers")
        if one.p < RARE:
            side = "left" if one.left > one.right else "right"
            one.marks.append(
                f"prefers the {side} side: {max(one.left, one.right)} of {one.left + one.right}, p = {one.p:.2g}"
            )
        if twice.get(name):
            one.marks.append(f"voted again on what was answered, {twice[name]} times; the first answer counts")
        found[name] = one
    for u, v, matches, shared, chance in doubles:
        for one, other in ((u, v), (v, u)):
            said = f"answers as {votes.voters[other]} does on {matches} of {shared} pairs, p = {chance:.2g}"
            found[votes.voters[one]].marks.append(said)
    return found


def sides(votes: Table) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each voter, pairs of which the left, and the right picture was preferred, and the p that both are alike.

    A pair counts once for both of its questions, since one who likes a picture likes it in both.
    """
    from scipy.stats import binom

    real = votes.where(votes.kind != CHECK)
    key = np.stack([real.voter, real.item])
    of, place = np.unique(key, axis=1, return_inverse=True)
    net = np.bincount(place.ravel(), real.side, minlength=of.shape[1])
    left, right = (np.bincount(of[0][np.sign(net) == side], minlength=len(votes.voters)) for side in (LEFT, RIGHT))
    n = left + right
    return left, right, np.minimum(1, 2 * binom.sf(np.maximum(left, right) - 1, n, 0.5))


def consistent(votes: Table) -> tuple[np.ndarray, np.ndarray]:
    """Of each voter, answers that stayed the same on pairs that were shown again, and all on such."""
    n = len(votes.voters)
    again, before = votes.where(votes.kind == REPEAT), votes.where(votes.kind == MAIN)
    known = dict(zip(zip(*_key(before)), before.result.tolist(), strict=True))
    stayed = np.array([known.get(key, -1) == now for key, now in zip(zip(*_key(again)), again.result.tolist())], bool)
    return np.bincount(again.voter[stayed], minlength=n), np.bincount(again.voter, minlength=n)


def _key(votes: Table) -> tuple[list[int], list[int], list[int]]:
    return votes.voter.tolist(), votes.pair.tolist(), votes.question.tolist()


def counts(votes: Table) -> tuple[np.ndarray, np.ndarray]:
    """How many voters gave each answer, (asked, answers), and which of what was asked each vote is on."""
    of, place = np.unique(np.stack([votes.pair, votes.question]), axis=1, return_inverse=True)
    found = np.zeros((of.shape[1], NEITHER + 1))
    np.add.at(found, (place.ravel(), votes.result), 1)
    return found, place.ravel()


def agreements(main: Table) -> list[float | None]:
    """Of each voter, how often another one says the same of the same."""
    found, place = counts(main)
    others = found.sum(1)[place] - 1
    same = found[place, main.result] - 1
    n = len(main.voters)
    all_same, all_others = (np.bincount(main.voter, weights, n) for weights in (same, others))
    return [float(a / b) if b else None for a, b in zip(all_same, all_others, strict=True)]


def alike(main: Table) -> list[tuple[int, int, int, int, float]]:
    """Voters who say the same of the same pairs more often than chance has it, as one person with two tokens would.

    Chance knows what each voter tends to answer and what is answered of each pair, but no more; the p is for all twos of
    voters together (Bonferroni).

    Returns:
        Both voters, on how many pairs they say the same, of how many, and p.
    """
    from scipy.sparse import csr_array

    voter, pair, answer, answers = _answers(main)
    n, columns = len(main.voters), (int(pair.max()) + 1 if pair.size else 0)
    if n < 2 or not columns:
        return []
    chance = _expected(voter, pair, answer, n, columns, answers)
    rows, places = np.repeat(voter, answers), (pair[:, None] * answers + np.arange(answers)).ravel()
    likely = csr_array((chance.ravel(), (rows, places)), (n, columns * answers))
    given = csr_array((np.ones(voter.size), (voter, pair * answers + answer)), (n, columns * answers))
    seen = csr_array((np.ones(voter.size), (voter, pair)), (n, columns))
    expected, same, shared = ((each @ each.T).toarray() for each in (likely, given, seen))
    spread = np.sqrt(np.maximum(expected * (1 - expected / np.maximum(shared, 1)), 1e-9))
    candidates = np.argwhere(np.triu((shared >= SHARED) & (same > expected + LOOK * spread), 1))
    found = []
    for u, v in candidates.tolist():
        both, mine, theirs = np.intersect1d(pair[voter == u], pair[voter == v], return_indices=True)
        match = (chance[voter == u][mine] * chance[voter == v][theirs]).sum(1)
        p = _at_least(int(same[u, v]), match) * n * (n - 1) / 2
        if p < RARE:
            found.append((u, v, int(same[u, v]), len(both), float(p)))
    return found


def _answers(main: Table) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """One answer to all questions on a pair: voter, pair and which of so many answers."""
    of, place = np.unique(np.stack([main.voter, main.pair]), axis=1, return_inverse=True)
    code = np.bincount(place.ravel(), (main.result + 1) * (NEITHER + 2) ** main.question, of.shape[1])
    known, answer = np.unique(code, return_inverse=True)
    return of[0], of[1], answer.ravel(), len(known)


def _expected(
    voter: np.ndarray, pair: np.ndarray, answer: np.ndarray, voters: int, pairs: int, answers: int
) -> np.ndarray:  # fmt: skip
    """How likely each answer is of this voter on this pair, (answers given, answers): voter times pair over all."""
    all_in_all = np.bincount(answer, minlength=answers) / answer.size

    def of(which: np.ndarray, many: int) -> np.ndarray:
        found = np.zeros((many, answers))
        np.add.at(found, (which, answer), 1)
        return (found + WEIGHT * all_in_all) / (found.sum(1, keepdims=True) + WEIGHT)

    likely = of(voter, voters)[voter] * of(pair, pairs)[pair] / all_in_all
    return likely / likely.sum(1, keepdims=True)


def _at_least(k: int, chances: np.ndarray) -> float:
    """The chance of k or more, where each happens or not by itself."""
    reached = np.zeros(len(chances) + 1)
    reached[0] = 1
    for p in chances:
        reached[1:] = reached[1:] * (1 - p) + reached[:-1] * p
        reached[0] *= 1 - p
    return float(reached[k:].sum())


def overall(found: dict[str, Figures]) -> dict[str, Any]:
    """Sides, self-consistency and obvious pairs of all voters together."""
    from maskunet.experiments.votes.preference import share

    every = found.values()
    left, right = sum(one.left for one in every), sum(one.right for one in every)
    repeated, checks = sum(one.repeated for one in every), sum(one.checks for one in every)
    return {
        "left": share(left, left + right),
        "same": share(sum(one.same for one in every), repeated),
        "right": share(checks - sum(one.wrong for one in every), checks),
    }
