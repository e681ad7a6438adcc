"""What the page's visitors may send: only the next answer of a voter of their own, once, and not without end."""

import json
import secrets
from concurrent.futures import ThreadPoolExecutor

import pytest

from maskunet.records.votes import study as studies
from maskunet.records.votes.ballot import ballot, voter_of
from maskunet.records.votes.box import FILE, Box
from maskunet.studio import votes as module
from maskunet.studio.votes import ENOUGH, FULL, MANY, NO_TOKEN, STALE, UNKNOWN, VoteStudio
from tests.support.electorate import a_study, kept


@pytest.fixture
def study(tmp_path):
    return kept(a_study(3), tmp_path)


@pytest.fixture
def votes(study, tmp_path):
    return VoteStudio(tmp_path)


def lines(folder):
    return (folder / FILE).read_text().splitlines() if (folder / FILE).exists() else []


def answer_all(votes, token, answer="left"):
    now = votes.first(token)
    while now.question:
        now = votes.vote(token, now.at, answer)
    return now


def test_a_voter_is_asked_both_questions_of_each_pair_and_the_prompt_is_told_for_the_second(votes, study, tmp_path):
    token = votes.begin()
    assert votes.now(token) is None
    now, asked = votes.first(token), []
    items = ballot(study, voter_of(study, token))
    while now.question:
        pair = study.shown[items[now.item].pair]
        names = (pair.pictures[items[now.item].left], pair.pictures[1 - items[now.item].left])
        assert now.pictures == tuple((tmp_path / studies.PICTURES / name).read_bytes() for name in names)
        asked.append((now.item, now.question, now.prompt))
        assert not any(name in repr(now) for name in study.methods) and now.outcome is None
        now = votes.vote(token, now.at, "left")
    assert asked == [each for i in range(6) for each in ((i, "looks", ""), (i, "fits", "a red cube"))]
    assert len(lines(tmp_path)) == 12 and (now.at, now.of) == (12, 12)


def test_nothing_is_revealed_before_the_end_and_nothing_changed_after_it(votes, study, tmp_path):
    token = votes.begin()
    assert votes.end(token).note == STALE and votes.end(token).outcome is None
    now = answer_all(votes, token)
    assert now.outcome is None
    assert votes.undo(token, now.at).question == "fits"
    assert votes.end(token).outcome is None
    votes.vote(token, now.at - 1, "right")
    found = votes.end(token).outcome
    assert {name for seen in found.seen for name in seen.names} == set(study.methods)
    assert len(found.seen) == 3 and sum(sum(one.preferred) for one in found.tallies) == 6
    assert found.repeated == 2 and found.same <= 1  # always the left one, then the right one once
    kept_lines = lines(tmp_path)
    for again in (votes.undo(token, now.at), votes.vote(token, now.at, "left"), votes.end(token)):
        assert again.note == STALE and again.outcome == found
    assert lines(tmp_path) == kept_lines and votes.now(token).outcome == found


def test_only_the_pair_that_is_in_sight_can_be_voted_on_and_only_once(votes, tmp_path):
    token = votes.begin()
    assert votes.vote(token, 0, "left").at == 1
    for at in (0, 2, 5, -1, 10**9):
        now = votes.vote(token, at, "right")
        assert (now.at, now.note) == (1, STALE)
    assert votes.undo(token, 0).note == votes.undo(token, 2).note == STALE
    assert len(lines(tmp_path)) == 1


def test_two_windows_of_one_voter_add_one_vote(votes, tmp_path):
    token = votes.begin()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: votes.vote(token, 0, "left"), range(8)))
    assert len(lines(tmp_path)) == 1 and [now.at for now in found] == [1] * 8
    assert sum(not now.note for now in found) == 1


@pytest.mark.parametrize("token", ["", "0" * 31, "0" * 33, "G" * 32, "../" * 10, "0" * 31 + "\n"])
def test_what_is_no_token_votes_for_nobody(votes, tmp_path, token):
    assert votes.now(token) is None
    for act in (lambda: votes.vote(token, 0, "left"), lambda: votes.undo(token, 0), lambda: votes.end(token)):
        with pytest.raises(ValueError, match=NO_TOKEN):
            act()
    assert not lines(tmp_path)


def test_the_names_in_the_file_are_nobodys_tokens(votes, study, tmp_path):
    token = votes.begin()
    votes.vote(token, 0, "left")
    (voter,) = Box(tmp_path, study.hash).voters()
    assert token not in (tmp_path / FILE).read_text()
    with pytest.raises(ValueError, match=NO_TOKEN):
        votes.vote(voter, 1, "left")
    votes.vote(voter * 2, 0, "left")  # looks like a token, and is another voter's
    assert len(Box(tmp_path, study.hash).voters()) == 2


@pytest.mark.parametrize("answer", ["", "undo", "end", "LEFT", "left\n", "x" * 10**6])
def test_an_answer_is_one_of_four(votes, tmp_path, answer):
    with pytest.raises(ValueError, match=UNKNOWN):
        votes.vote(votes.begin(), 0, answer)
    assert not lines(tmp_path)


def test_new_voters_from_one_address_are_bounded_and_others_are_not_kept_out(votes, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "NEW_VOTERS", 3)
    first = votes.begin()
    votes.vote(first, 0, "left", "10.0.0.1")
    for _ in range(2):
        votes.vote(votes.begin(), 0, "left", "10.0.0.1")
    with pytest.raises(ValueError, match=MANY):
        votes.vote(votes.begin(), 0, "left", "10.0.0.1")
    assert votes.vote(first, 1, "left", "10.0.0.1").at == 2
    votes.vote(votes.begin(), 0, "left", "10.0.0.2")
    monkeypatch.setattr(module, "WHILE", -1.0)  # an hour later
    votes.vote(votes.begin(), 0, "left", "10.0.0.1")
    assert "10.0.0" not in (tmp_path / FILE).read_text()
    monkeypatch.setattr(module, "MAX_VOTERS", 5)
    with pytest.raises(ValueError, match=FULL):
        votes.vote(votes.begin(), 0, "left", "10.0.0.3")


def test_addresses_in_memory_are_bounded(votes, monkeypatch):
    monkeypatch.setattr(module, "ADDRESSES", 4)
    for i in range(9):
        votes.vote(secrets.token_hex(16), 0, "left", f"10.0.0.{i}")
    assert len(votes._new) == 4


def test_one_voter_cannot_fill_the_disk(votes, tmp_path):
    token, refused = votes.begin(), False
    for _ in range(200):
        try:
            votes.vote(token, 0, "left")
            votes.undo(token, 1)
        except ValueError as error:
            refused = str(error) == ENOUGH
            break
    assert refused and len(lines(tmp_path)) == 4 * 12


def test_a_study_that_was_changed_while_votes_exist_opens_no_page(votes, study, tmp_path):
    votes.vote(votes.begin(), 0, "left")
    record = json.loads((tmp_path / studies.FILE).read_text())
    record["per_voter"] = 2
    (tmp_path / studies.FILE).write_text(json.dumps(record))
    with pytest.raises(ValueError, match="hash is another one"):
        VoteStudio(tmp_path)
    changed = studies._study(record)
    changed.write(tmp_path)
    with pytest.raises(ValueError, match="study was changed after people had voted"):
        VoteStudio(tmp_path)
