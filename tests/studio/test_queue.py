"""The queue's order: who had a turn waits behind those who had none, and nobody can keep the others out."""

import random
from collections import Counter

import pytest

from maskunet.records import Request
from maskunet.studio import queue
from maskunet.studio.queue import Job, Queue

ASK = Request(prompt="a red cube")


class Line:
    """A queue and its one worker, who works when told to; jobs go by what the test calls them."""

    def __init__(self, max_waiting=16):
        self.queue, self.names = Queue(max_waiting), {}

    def ask(self, name, address="", owner="", usual=None):
        self.names[self.queue.submit(Job(request=ASK, owner=owner, address=address, usual=usual))] = name

    def take(self):
        """Take the next job; its name."""
        self.job = self.queue.next()
        return self.names[self.job.id]

    def work(self, turns=1):
        """The names of the jobs done in so many turns."""
        done = []
        for _ in range(turns):
            done.append(self.take())
            self.queue.publish(self.job, "done")
        return done

    def event(self, name):
        job_id = next(one for one, known in self.names.items() if known == name)
        return next(self.queue.follow(self.queue.get(job_id)))


@pytest.fixture
def line():
    return Line()


def test_one_address_is_served_in_the_order_of_asking(line):
    for name in "abcdef":
        line.ask(name)
    assert line.work(6) == [*"abcdef"]


def test_whoever_had_no_turn_goes_before_the_second_of_whoever_had_one(line):
    for name in ("a1", "a2", "a3"):
        line.ask(name, "a")
    line.ask("b1", "b")
    line.ask("c1", "c")
    assert line.work(3) == ["a1", "b1", "c1"]
    line.ask("c2", "c")
    line.ask("d1", "d")
    assert line.work(4) == ["d1", "a2", "c2", "a3"]


def test_a_heavy_user_gets_no_more_than_each_of_the_others(line):
    """Four ask again as soon as they are served; the heavy one has many waiting all the time."""
    counts, asked = Counter(), Counter()

    def fill(who, most):
        while sum(name == who for name in line.names.values()) - counts[who] < most:
            line.ask(who, who)
            asked[who] += 1

    for _ in range(100):
        fill("heavy", 6)
        for who in "abc":
            fill(who, 1)
        counts.update(line.work())
    assert max(counts.values()) - min(counts.values()) <= 1


def test_ever_new_addresses_do_not_keep_a_returning_one_waiting_forever():
    line = Line(max_waiting=4)
    line.ask("a1", "a")
    line.work()
    line.ask("a2", "a")
    done = []
    for i in range(12):
        line.ask(f"new{i}", f"new{i}")
        done += line.work()
    assert done.index("a2") <= 4 + 1


@pytest.mark.parametrize("seed", range(5))
def test_the_place_told_is_the_place_taken_if_nobody_else_comes(line, seed):
    chance = random.Random(seed)
    for i in range(12):
        line.ask(i, address := chance.choice("abcd"), f"{address}{i}")
    told = {i: line.event(i).ahead for i in range(12)}
    assert sorted(told, key=told.get) == line.work(12)


def test_waiting_shows_place_and_time(line):
    for name, usual in (("a", 10.0), ("b", 20.0), ("c", None)):
        line.ask(name, usual=usual)
    assert [(line.event(n).ahead, line.event(n).remaining) for n in "abc"] == [(0, 10), (1, 30), (2, None)]
    line.take()
    line.job.worked = queue.time.monotonic() - 4
    line.queue.publish(line.job, "loading")
    told = [line.event(name) for name in "bc"]
    assert [event.ahead for event in told] == [1, 2]
    # 6 seconds are left of the first; the third is like nothing before, so it is taken to be like the first.
    assert [event.remaining for event in told] == pytest.approx([6 + 20, 6 + 20 + 10], abs=1)


def test_who_gives_up_waiting_has_had_no_turn(line):
    line.ask("a1", "a")
    line.queue.stop(line.queue.get(next(iter(line.names))), "Stopped on request.")
    line.ask("b1", "b")
    line.work()
    line.ask("a2", "a")
    line.ask("b2", "b")
    assert line.work(2) == ["a2", "b2"]


def test_the_last_places_are_for_those_who_have_nothing_waiting():
    line = Line(max_waiting=8)
    for i in range(6):
        line.ask(i, "heavy")
    with pytest.raises(ValueError, match="The last 2 places in the queue are for others"):
        line.ask(6, "heavy")
    line.ask("a", "a")
    line.ask("b", "b")
    with pytest.raises(ValueError, match="All 8 places in the queue are taken"):
        line.ask("c", "c")
    assert line.work(3) == [0, "a", "b"]
    line.ask("a again", "a")


def test_one_job_of_each_owner_wherever_from(line):
    line.ask("a", "here", "anna")
    with pytest.raises(ValueError, match="in the making already"):
        line.ask("b", "elsewhere", "anna")
    line.work()
    line.ask("c", "elsewhere", "anna")


def test_so_many_may_follow_a_job_and_each_that_leaves_makes_room(line):
    line.ask("a")
    job = line.queue.get(next(iter(line.names)))
    readers = [line.queue.follow(job) for _ in range(queue.FOLLOWERS)]
    for reader in readers:
        next(reader)
    with pytest.raises(ValueError, match=f"{queue.FOLLOWERS} pages follow this already"):
        next(line.queue.follow(job))
    assert line.queue.now(job).phase == "queued"  # a look is no following
    readers[0].close()
    del readers[1]
    assert [next(line.queue.follow(job)).phase for _ in range(3)] == ["queued"] * 3
