"""What a study found: per question and two methods the share preferred, and what a study of its size can tell."""

from collections.abc import Mapping
from dataclasses import asdict
from itertools import combinations
from typing import Any

import numpy as np

from maskunet.evaluation.intervals import holm
from maskunet.experiments.votes.preference import alpha, least, over_voters, ranking, share
from maskunet.experiments.votes.table import EQUAL, FIRST, MAIN, NEITHER, SECOND, Table, table
from maskunet.experiments.votes.voters import counts, figures, overall
from maskunet.records.votes.ballot import QUESTIONS
from maskunet.records.votes.box import Voter
from maskunet.records.votes.study import Study

ALL, UNMARKED = "all voters", "without those marked"


def report(study: Study, voters: Mapping[str, Voter]) -> dict[str, Any]:
    """Everything that the votes say.

    Returns:
        counts of the study and of its voters, `foreign` those of votes on pairs that it does not have; `overall`; `voters`, figures of each; `lines`, one per group of voters,
        question and two methods; `rankings`, of more than two methods; `agreement` by question.

    Raises:
        ValueError: nobody voted yet.
    """
    votes = table(study, dict(voters))
    if not votes.voter.size:
        raise ValueError("Nobody has voted in this study yet. Ask people: python app.py --vote DIR opens its page.")
    found = figures(votes, {name: one.twice for name, one in voters.items()})
    main = votes.where(votes.kind == MAIN)
    marked = np.array([bool(found[name].marks) for name in votes.voters])
    groups = {ALL: main} | ({UNMARKED: main.where(~marked[main.voter])} if marked.any() and not marked.all() else {})
    lines = [line for group, some in groups.items() for line in _lines(group, some)]
    return {
        "study": study.hash,
        "methods": list(study.methods),
        "pairs": len(study.pairs),
        "per_voter": min(study.per_voter, len(study.pairs)),
        "voted": len(votes.voters),
        "finished": sum(one.over for one in voters.values()),
        "votes": int(votes.voter.size),
        "foreign": sum(vote.pair >= len(study.shown) for one in voters.values() for vote in one.votes.values()),
        "marked": int(marked.sum()),
        "overall": overall(found),
        "agreement": {name: _agreement(main, q) for q, name in enumerate(QUESTIONS) if (main.question == q).any()},
        "lines": lines,
        "rankings": [] if len(study.methods) < 3 else [r for g, some in groups.items() for r in _rankings(g, some)],
        "voters": [{"voter": name, "finished": voters[name].over, **asdict(one)} for name, one in found.items()],
    }


def _twos(main: Table) -> dict[tuple[int, int], np.ndarray]:
    """Which votes are on which two methods, the first and the second in the study's order."""
    places = {name: i for i, name in enumerate(main.study.methods)}
    of = np.array([[places[name] for name in pair.methods] for pair in main.study.pairs])[main.pair].reshape(-1, 2)
    found = ((two, (of == two).all(1)) for two in combinations(range(len(places)), 2))
    return {two: chosen for two, chosen in found if chosen.any()}


def _lines(group: str, main: Table) -> list[dict[str, Any]]:
    methods, lines = main.study.methods, []
    for q, question in enumerate(QUESTIONS):
        here = []
        for (first, second), chosen in _twos(main).items():
            votes = main.where(chosen & (main.question == q))
            if votes.voter.size:
                names = {"first": methods[first], "second": methods[second]}
                here.append({"group": group, "question": question, **names, **_line(votes)})
        for line, p in zip(here, holm([line["p"] if line["p"] is not None else 1.0 for line in here]), strict=True):
            line["p_holm"] = p if line["p"] is not None else None
        lines += here
    return lines


def _line(votes: Table) -> dict[str, Any]:
    """One question on two methods: the share of the first among decided votes, and voters by what most of theirs say."""
    n = len(votes.voters)
    first, second = (np.bincount(votes.voter[votes.result == which], minlength=n) for which in (FIRST, SECOND))
    decided = share(first.sum(), (first + second).sum())
    low, high = over_voters(first, first + second)
    for_first, for_second = int((first > second).sum()), int((second > first).sum())
    return {
        "votes": int(votes.voter.size),
        "voters": int(np.unique(votes.voter).size),
        "decided": decided["n"],
        **{name: decided[name] for name in ("share", "low", "high")},
        "voters_low": low,
        "voters_high": high,
        "equal": float((votes.result == EQUAL).mean()),
        "neither": float((votes.result == NEITHER).mean()),
        "for_first": for_first,
        "for_second": for_second,
        "p": share(for_first, for_first + for_second)["p"],
        "least": least(decided["n"]),
        "least_voters": least(for_first + for_second),
    }


def _rankings(group: str, main: Table) -> list[dict[str, Any]]:
    m, found = len(main.study.methods), []
    for q, question in enumerate(QUESTIONS):
        wins = np.zeros((len(main.voters), m, m))
        for (first, second), chosen in _twos(main).items():
            here = chosen & (main.question == q)
            np.add.at(wins[:, first, second], main.voter[here & (main.result == FIRST)], 1)
            np.add.at(wins[:, second, first], main.voter[here & (main.result == SECOND)], 1)
        if (main.question == q).any():
            voted = wins[wins.any((1, 2))]
            found.append({"group": group, "question": question, **ranking(voted)})
    return found


def _agreement(main: Table, question: int) -> dict[str, float | None]:
    krippendorff, same = alpha(counts(main.where(main.question == question))[0])
    return {"alpha": krippendorff, "same": same}


def rows(study: Study, voters: Mapping[str, Voter]) -> list[dict[str, Any]]:
    """One row per vote that counts, for other programs: what stood where, and what was preferred."""
    found = []
    for name, one in sorted(voters.items()):
        items: dict[int, int] = {}  # in which each pair was shown first
        for vote in one.votes.values():
            if vote.pair >= len(study.shown):
                continue
            shown, repeated = study.shown[vote.pair], vote.item > items.setdefault(vote.pair, vote.item)
            kind = "obvious" if vote.pair >= len(study.pairs) else "repeat" if repeated else "pair"
            sides = {"left": shown.methods[vote.left], "right": shown.methods[1 - vote.left]}
            asked = {"pair": vote.pair, "kind": kind, "prompt": shown.prompt, "seed": shown.seed, **sides}
            preferred = sides.get(vote.answer, vote.answer)
            answer = {"question": vote.question, "answer": vote.answer, "preferred": preferred, "time": vote.time}
            found.append({"voter": name, **asked, **answer})
    return found
