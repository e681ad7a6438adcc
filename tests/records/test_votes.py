"""A study says when it was changed, a ballot is fair, and no vote is lost: many at once, cut off, on a full disk."""

import json
import os
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from maskunet.records.votes import box as boxes
from maskunet.records.votes.ballot import ballot, questions, voter_of
from maskunet.records.votes.box import UNDO, Box, Vote
from maskunet.records.votes.study import FILE, PICTURES, read
from tests.support.electorate import a_study, kept, name_of

ROOT = Path(__file__).parents[2]
VOTE = Vote(voter="a", item=0, pair=0, left=0, question="looks", answer="left")


def add(box, voter, answer="left", item=0):
    return box.add(voter, lambda known, voters: replace(VOTE, voter=voter, answer=answer, item=item))


def test_a_study_is_read_as_it_was_written(tmp_path):
    study = kept(a_study(3), tmp_path)
    assert read(tmp_path) == study and read(tmp_path).hash == study.hash
    assert len({study.hash, a_study(4).hash, a_study(3, ("a", "b")).hash, replace(study, per_voter=5).hash}) == 4


def test_a_study_that_was_changed_is_refused_and_says_what(tmp_path):
    study = kept(a_study(3), tmp_path)
    whole = (tmp_path / FILE).read_text()
    record = json.loads(whole)
    cases = {
        '"schema": 2': ("is of version 2", whole.replace('"schema": 1', '"schema": 2')),
        "prompt": ("another", whole.replace("a red cube", "a blue cube", 1)),
        "no study": ("no study", "[]"),
        "cut": ("no study", whole[: len(whole) // 2]),
        "name": ("no study", json.dumps({**record, "pictures": {"../../x.png": "0"}})),
        "per_voter": ("no study", json.dumps({**record, "per_voter": 10**9})),
        "pairs": ("no study", json.dumps({**record, "pairs": []})),
        "methods": ("no study", json.dumps({**record, "methods": ["other"]})),
    }
    for said, text in cases.values():
        (tmp_path / FILE).write_text(text)
        with pytest.raises(ValueError, match=said):
            read(tmp_path)
    (tmp_path / FILE).write_text(whole)
    name = next(iter(study.files))
    (tmp_path / PICTURES / name).write_bytes(b"another")
    with pytest.raises(ValueError, match=name):
        read(tmp_path)
    with pytest.raises(ValueError, match="holds no study"):
        read(tmp_path / PICTURES)


def test_votes_of_a_study_that_was_changed_meanwhile_are_refused(tmp_path):
    add(Box(tmp_path, "0" * 64), "a")
    with pytest.raises(ValueError, match="study was changed after people had voted"):
        Box(tmp_path, "1" * 64).voters()
    with pytest.raises(ValueError, match="study was changed"):
        add(Box(tmp_path, "1" * 64), "a")
    assert len((tmp_path / boxes.FILE).read_text().splitlines()) == 1


def test_every_voter_has_pairs_sides_and_an_order_of_its_own_that_never_change():
    study = a_study(40)
    voters = [voter_of(study, f"{i:032x}") for i in range(300)]
    ballots = [ballot(study, voter) for voter in voters]
    assert ballots[:3] == [ballot(study, voter) for voter in voters[:3]]
    assert len(set(ballots)) == len(ballots)
    sides = Counter(item.left for items in ballots for item in items)
    assert abs(sides[0] - sides[1]) < 4 * np.sqrt(sum(sides.values()))
    shown = Counter(item.pair for items in ballots for item in items if item.pair < 40)
    assert len(shown) == 40 and max(shown.values()) < 1.5 * min(shown.values())
    for items in ballots:
        pairs = [item.pair for item in items]
        again = {pair: [i for i, item in enumerate(items) if item.pair == pair] for pair in pairs}
        twice = [places for places in again.values() if len(places) == 2]
        assert len(items) == 24 and len(twice) == 2 and {40, 41} < set(pairs) and pairs[0] < 40
        assert all(items[a].left != items[b].left and b - a > 1 for a, b in twice)


def test_a_ballot_is_the_same_on_every_machine():
    """What a voter has answered would else belong to other pairs after an update."""
    items = ballot(a_study(5), name_of(1))
    assert [(item.pair, item.left) for item in items] == [
        (4, 0),
        (3, 1),
        (2, 0),
        (5, 0),
        (6, 0),
        (1, 0),
        (0, 0),
        (4, 1),
    ]


@pytest.mark.parametrize("pairs", [1, 2, 3])
def test_the_smallest_studies_have_repeats_and_obvious_pairs_too(pairs):
    study = a_study(pairs)
    items = ballot(study, name_of(0))
    assert len(items) == pairs + 3 and len({item.pair for item in items}) == pairs + 2
    assert len(questions(study, items)) == 2 * (pairs + 3)
    silent = a_study(pairs, prompt="")
    assert {question for _, question in questions(silent, ballot(silent, name_of(0)))} == {"looks"}


def test_a_token_cannot_be_found_from_the_voters_name():
    study, token = a_study(3), "0" * 32
    assert token not in voter_of(study, token) and voter_of(study, token) != voter_of(a_study(4), token)


def test_a_line_says_who_by_a_number_only_and_is_on_the_disk(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(boxes.os, "fsync", lambda file: synced.append(os.fstat(file).st_size))
    add(Box(tmp_path, "0" * 64), "a")
    (line,) = (tmp_path / boxes.FILE).read_text().splitlines()
    assert set(json.loads(line)) == {
        "schema", "study", "voter", "item", "pair", "left", "question", "answer", "time",
    }  # fmt: skip
    assert synced == [len(line) + 1]


def test_a_line_that_is_refused_leaves_nothing_taken_twice(tmp_path):
    box = Box(tmp_path, "0" * 64)
    add(box, "a")
    path = tmp_path / boxes.FILE
    good = path.read_bytes()
    path.write_bytes(good + good.replace(b'"a"', b'"b"') + b"{}\n")
    for _ in range(2):
        with pytest.raises(ValueError, match="a line that is no vote"):
            box.voters()
    path.write_bytes(good + good.replace(b'"a"', b'"b"'))
    fresh = Box(tmp_path, "0" * 64).voters()
    assert {name: len(voter.votes) for name, voter in box.voters().items()} == {
        n: len(v.votes) for n, v in fresh.items()
    }


def test_a_line_that_was_cut_off_is_told_and_nothing_after_it_is_lost(tmp_path):
    box = Box(tmp_path, "0" * 64)
    add(box, "a")
    add(box, "b")
    path = tmp_path / boxes.FILE
    path.write_bytes(path.read_bytes()[:-20])  # killed in the middle of a line
    for again in (Box(tmp_path, "0" * 64), box):
        assert set(again.voters()) == {"a"}
    add(Box(tmp_path, "0" * 64), "c")
    fresh = Box(tmp_path, "0" * 64)
    assert set(fresh.voters()) == {"a", "c"} and fresh.cut == 1


def test_a_full_disk_loses_nothing_and_is_told(tmp_path, monkeypatch):
    box = Box(tmp_path, "0" * 64)
    add(box, "a")
    before = (tmp_path / boxes.FILE).read_bytes()

    def full(file):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(boxes.os, "fsync", full)
        with pytest.raises(ValueError, match="disk is full: the vote was not saved"):
            add(box, "b")
    assert (tmp_path / boxes.FILE).read_bytes() == before and set(box.voters()) == {"a"}
    assert set(add(box, "b").votes) == {(0, "looks")}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"schema": 2}, "version 2"),
        ({"schema": None}, "version None.* Take the program that wrote it"),
        ({"item": -1}, "no vote"),
        ({"item": True}, "no vote"),
        ({"item": 10**30}, "no vote"),
        ({"left": 2}, "no vote"),
        ({"answer": "maybe"}, "no vote"),
        ({"question": "why"}, "no vote"),
        ({"voter": None}, "no vote"),
        ({"voter": "../../etc/passwd"}, "no vote"),
        ({"voter": "=cmd|calc"}, "no vote"),
        ({"voter": "<b>a</b>"}, "no vote"),
    ],
)
def test_a_line_of_another_program_says_which(tmp_path, changes, said):
    add(Box(tmp_path, "0" * 64), "a")
    path = tmp_path / boxes.FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}) + "\n")
    with pytest.raises(ValueError, match=said):
        Box(tmp_path, "0" * 64).voters()


@pytest.mark.parametrize("line", ["[1]", "5", '"text"', "{}"])
def test_what_is_no_vote_at_all_says_so_and_not_its_version(tmp_path, line):
    (tmp_path / boxes.FILE).write_text(f"{line}\n")
    with pytest.raises(ValueError, match="a line that is no vote: .* Take it out"):
        Box(tmp_path, "0" * 64).voters()


def test_what_is_refused_is_not_written(tmp_path):
    def refuse(known, voters):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        Box(tmp_path, "0" * 64).add("a", refuse)
    assert (tmp_path / boxes.FILE).read_bytes() == b""


def test_the_last_answer_is_taken_back(tmp_path):
    box = Box(tmp_path, "0" * 64)
    add(box, "a")
    add(box, "a", item=1)
    assert set(add(box, "a", UNDO).votes) == {(0, "looks")}
    assert set(Box(tmp_path, "0" * 64).voters()["a"].votes) == {(0, "looks")}


VOTERS = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from maskunet.records.votes.box import Box, Vote
box = Box(Path(sys.argv[1]), "0" * 64)
def vote(i):
    voter = f"voter {i % 5}"  # of both programs: each vote is the next one of its voter
    box.add(voter, lambda known, voters: Vote(
        voter=voter, item=len(known.votes), pair=0, left=0, question="looks", answer="left"))
with ThreadPoolExecutor(10) as pool:
    list(pool.map(vote, range(250)))
"""


def test_votes_of_many_at_once_are_all_there(tmp_path):
    """Of ten threads in each of two programs; each is the next one of its voter, so that none was made from old votes."""
    programs = [subprocess.Popen([sys.executable, "-c", VOTERS, str(tmp_path)], cwd=ROOT) for _ in range(2)]
    assert [program.wait(timeout=120) for program in programs] == [0, 0]
    box = Box(tmp_path, "0" * 64)
    voters = box.voters()
    assert {name: len(one.votes) for name, one in voters.items()} == {f"voter {i}": 100 for i in range(5)}
    assert box.cut == 0 and not any(one.twice for one in voters.values())


def test_readers_and_writers_share_one_box(tmp_path):
    box = Box(tmp_path, "0" * 64)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: add(box, f"{i}") and box.voters(), range(60)))
    assert len(box.voters()) == 60
