"""Work in a process of its own: prepared before anything is loaded, heard, stopped, and told when it fails or dies."""

import multiprocessing
import os
import platform
import signal
import sys
import time

import pytest

from maskunet.machine import DEFAULTS, USERS
from maskunet.studio import process
from maskunet.studio.process import Died, Process, tell

SOON = 60  # seconds; a slow machine under load
DIED = "It died."
SPAWNED = process.CONTEXT  # as this module is loaded before any test is run
# What a library finds that is loaded with this module, in a process when its work is unpacked.
FOUND = {name: os.environ.get(name) for name in DEFAULTS}


@pytest.fixture(autouse=True)
def really_spawned(monkeypatch):
    monkeypatch.setattr(process, "CONTEXT", SPAWNED)


def counting(pipe, last):
    def numbers():
        n = 0
        while n < last and not pipe.poll():
            n += 1
            yield n

    tell(pipe, numbers())


def failing(pipe, error):
    def raising():
        yield 1
        raise error

    tell(pipe, raising())


def mute(pipe):
    time.sleep(SOON)


def killed(pipe):
    pipe.send(1)
    os.kill(os.getpid(), signal.SIGKILL)


def interrupted(pipe):
    os.kill(os.getpid(), signal.SIGINT)  # Ctrl+C reaches every process of a terminal
    tell(pipe, [1])


def looking(pipe):
    """What was set, whether torch was here before, and the pages the system hands out anew to rounds of freed memory."""
    import resource

    def faults():
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        buffers = [bytearray(1 << 20) for _ in range(100)]
        del buffers
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    tell(pipe, [FOUND, "torch" in sys.modules, [faults() for _ in range(10)]])


@pytest.fixture
def start():
    """Processes that are ended afterwards."""
    started = []

    def start(*given):
        started.append(Process(*given, died=DIED))
        return started[-1]

    yield start
    for one in started:
        one.close()
    assert not multiprocessing.active_children()


def test_everything_is_heard_in_order_to_the_end(start):
    assert list(start(counting, 5).told()) == [1, 2, 3, 4, 5]


def test_without_news_there_is_a_tick(start):
    heard = start(mute).told(0.01)
    assert [next(heard) for _ in range(3)] == [None] * 3


def test_it_stops_when_it_is_asked_to(start):
    process = start(counting, 10**9)
    heard = process.told()
    assert next(heard) == 1
    process.stop()
    assert sum(1 for _ in heard) < 10**9 - 1


@pytest.mark.parametrize("work", [(killed,), (mute,)])
def test_a_process_that_dies_is_told(start, work):
    process = start(*work)
    if work == (mute,):
        process.kill()
    with pytest.raises(Died, match="It died"):
        list(process.told())


def test_a_failure_is_told_in_a_sentence(start):
    heard = start(failing, OSError(28, "No space")).told()
    assert next(heard) == 1
    with pytest.raises(ValueError, match="The disk is full"):
        next(heard)


def test_ctrl_c_is_left_to_the_program_that_started_it(start):
    assert list(start(interrupted).told()) == [1]


def test_whoever_leaves_may_ask_it_to_stop_once_more(start):
    process = start(counting, 1)
    process.close()
    process.stop()
    process.close()
    assert not multiprocessing.active_children()


def test_a_process_is_prepared_before_anything_is_loaded(start, monkeypatch):
    for name in list(os.environ):
        if name in DEFAULTS or name.startswith(USERS):
            monkeypatch.delenv(name)
    found, torch_was_here, faults = start(looking).told()
    assert found == DEFAULTS and not torch_was_here
    if platform.libc_ver()[0] == "glibc":
        assert max(faults[1:]) < 1000  # all of a round's pages are 25,600
