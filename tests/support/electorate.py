"""People who vote in a study, made up: what they prefer is known."""

import hashlib

import numpy as np

from maskunet.records.votes.ballot import ballot, questions
from maskunet.records.votes.box import Vote, Voter
from maskunet.records.votes.study import NOISE, PICTURE, PICTURES, Pair, Study

NAMES = ("sharp", "plain")


def a_study(pairs=12, methods=NAMES, per_voter=20, prompt="a red cube"):
    """A study whose pictures are names only."""
    names = [f"{i:020x}.png" for i in range(2 * pairs + 1)]
    twos = [(a, b) for i, a in enumerate(methods) for b in methods[i + 1 :]]
    made = tuple(
        Pair(prompt, str(i), twos[i % len(twos)], (names[2 * i], names[2 * i + 1])) for i in range(pairs)
    )  # fmt: skip
    checks = tuple(Pair(prompt, "", (PICTURE, NOISE), (names[k], names[-1])) for k in range(2))
    files = {name: hashlib.sha256(name.encode()).hexdigest() for name in names}
    return Study(methods=tuple(methods), pairs=made, checks=checks, per_voter=per_voter, files=files)


def name_of(number):
    return hashlib.sha256(str(number).encode()).hexdigest()[:16]


def votes_of(study, voter, answer):
    """All votes of one who answers each pair by `answer(pair, item)`: left, right, equal or neither, for both questions."""
    found, items = Voter(), ballot(study, voter)
    known = {}
    for number, question in questions(study, items):
        item = items[number]
        said = known.setdefault(number, answer(study.shown[item.pair], item))
        found.take(Vote(voter=voter, item=number, pair=item.pair, left=item.left, question=question, answer=said))
    found.over = True
    return found


def side(item, preferred):
    """Where the first (0) or the second (1) picture of a pair stands."""
    return "left" if item.left == preferred else "right"


def honest(rng, odds, ties=0.0):
    """One who prefers the first of two methods with the odds exp(odds[first] - odds[second]), and says the same of a repeat."""
    known = {}

    def answer(pair, item):
        if pair.methods[1] == NOISE:
            return side(item, 0)
        first, second = (odds.get(name, 0.0) for name in pair.methods)
        if item.pair not in known:
            chance = 1 / (1 + np.exp(second - first))
            known[item.pair] = "equal" if rng.random() < ties else int(rng.random() >= chance)
        return "equal" if known[item.pair] == "equal" else side(item, known[item.pair])

    return answer


def kept(study, folder):
    """The study as its folder has it, with files in the place of pictures."""
    (folder / PICTURES).mkdir()
    for name in study.files:
        (folder / PICTURES / name).write_text(name)
    study.write(folder)
    return study
