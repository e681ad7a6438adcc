"""Votes as arrays: what was asked of whom, which picture was preferred, and on which side it stood."""

from dataclasses import dataclass

import numpy as np

from maskunet.records.votes.ballot import ANSWERS, QUESTIONS
from maskunet.records.votes.box import Voter
from maskunet.records.votes.study import Study

FIRST, SECOND, EQUAL, NEITHER = range(4)  # what is preferred of a pair
LEFT, RIGHT, NO_SIDE = 1, -1, 0
MAIN, REPEAT, CHECK = range(3)


@dataclass(frozen=True, kw_only=True)
class Table:
    """One entry per vote that counts; what belongs to nothing in the study is in none.

    Attributes:
        voters: names; `voter` is the place of each vote's in it.
        pair: in the study's `shown`. question: in QUESTIONS. result: FIRST, SECOND, EQUAL or NEITHER.
        side: LEFT, RIGHT or NO_SIDE. kind: MAIN, REPEAT (of a pair that this voter had seen) or CHECK.
        item: of the voter's ballot.
    """

    study: Study
    voters: tuple[str, ...]
    voter: np.ndarray
    item: np.ndarray
    pair: np.ndarray
    question: np.ndarray
    result: np.ndarray
    side: np.ndarray
    kind: np.ndarray

    def where(self, chosen: np.ndarray) -> "Table":
        """The same voters with some of the votes only."""
        names = ("voter", "item", "pair", "question", "result", "side", "kind")
        votes = {name: getattr(self, name)[chosen] for name in names}
        return Table(study=self.study, voters=self.voters, **votes)


def table(study: Study, voters: dict[str, Voter]) -> Table:
    """The votes that count, of all voters."""
    names = tuple(sorted(voters))
    rows = [
        (v, vote.item, vote.pair, vote.left, QUESTIONS.index(vote.question), ANSWERS.index(vote.answer))
        for v, name in enumerate(names)
        for vote in voters[name].votes.values()
        if vote.pair < len(study.shown)
    ]
    voter, item, pair, left, question, answer = np.array(rows, int).reshape(-1, 6).T
    result = np.where(answer == 0, left, np.where(answer == 1, 1 - left, answer))  # equal and neither stand alike
    side = np.array([LEFT, RIGHT, NO_SIDE, NO_SIDE])[answer]
    seen: dict[tuple[int, int], int] = {}
    for v, p, i in zip(voter.tolist(), pair.tolist(), item.tolist(), strict=True):
        seen[v, p] = min(i, seen.get((v, p), i))
    first = np.array([seen[key] for key in zip(voter.tolist(), pair.tolist(), strict=True)], int)
    kind = np.where(pair >= len(study.pairs), CHECK, np.where(item > first, REPEAT, MAIN))
    votes = {"voter": voter, "item": item, "pair": pair, "question": question}
    return Table(study=study, voters=names, result=result, side=side, kind=kind, **votes)
