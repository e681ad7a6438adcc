"""A Space that lends its GPU: with its own package where nothing is lent, and with a stand-in that works elsewhere."""

import contextvars
import multiprocessing
import sys
import time
from types import ModuleType

import pytest

from maskunet.records import StepEvent
from maskunet.studio import zero_gpu
from tests.studio.test_studio import Machine, ask, finish, open_studio, soon

VISITOR = contextvars.ContextVar("visitor", default="nobody")


def other_process(task, duration, loans):
    """`spaces.GPU` in little: each call in a forked process, its arguments and results copied, for a visitor."""

    def call(*given):
        loans.append((VISITOR.get(), duration(*given)))
        ours, theirs = multiprocessing.Pipe(duplex=False)

        def work():
            for item in task(*given):
                theirs.send(item)
            theirs.send(None)

        process = multiprocessing.get_context("fork").Process(target=work, daemon=True)
        process.start()
        theirs.close()  # a process that breaks ends what is read
        try:
            while (item := ours.recv()) is not None:
                yield item
        finally:
            process.kill()
            process.join()

    return call


@pytest.fixture
def loans(monkeypatch):
    """The loans that were asked for: whose, and for how many seconds."""
    found, module = [], ModuleType("spaces")
    module.GPU = lambda task, duration: other_process(task, duration, found)
    monkeypatch.setitem(sys.modules, "spaces", module)
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    return found


def test_without_such_a_space_nothing_is_lent(monkeypatch):
    monkeypatch.setitem(sys.modules, "spaces", ModuleType("spaces"))
    assert not zero_gpu.is_here()
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    assert zero_gpu.is_here()
    monkeypatch.delitem(sys.modules, "spaces")
    assert not zero_gpu.is_here()


def test_a_loan_is_as_long_as_an_equal_request_took_and_half_as_much_again():
    assert [zero_gpu.loan(usual) for usual in (None, 20, 1, 500)] == [60, 30, 10, 120]


def test_the_work_is_done_elsewhere_for_whoever_asked(loans, tmp_path):
    machine = Machine()
    studio = open_studio(machine, tmp_path)
    assert machine.loads  # before anyone asked
    VISITOR.set("anna")
    first = finish(studio, studio.start(ask(seed=7)))
    assert (first.phase, machine.events) == ("done", [])  # this process made no picture
    assert (first.run.result_image == 10).all() and len(first.rows) == 13
    assert studio.run(first.job).course is not None
    VISITOR.set("ben")
    again = finish(studio, studio.start(ask(seed=8)))
    assert again.phase == "done"
    assert [visitor for visitor, _ in loans] == ["anna", "ben"] and [s for _, s in loans] == [60, 10]
    studio.close()


def test_stop_keeps_what_the_other_process_has_written(loans, tmp_path):
    machine = Machine()
    machine.at = {(step, 1): lambda: time.sleep(0.2) for step in range(1, 40)}  # not of the plain picture
    studio = open_studio(machine, tmp_path)
    job = studio.start(ask(steps=40))
    soon(lambda: len(next(studio.events(job)).rows) > 3)
    studio.stop(job)
    last = finish(studio, job)
    assert (last.phase, last.run.state, last.message) == ("stopped", "stopped", "Stopped on request.")
    assert studio.run(job).state == "stopped" and last.run.result_image.shape == (8, 8, 3)
    studio.close()


def test_the_mask_of_ones_is_checked_elsewhere_and_can_be_stopped(loans, tmp_path, monkeypatch):
    def steps(model, request, plain):
        for step in range(request.steps):
            time.sleep(0.05)
            yield StepEvent(step=step, steps=request.steps, timestep=0)
        yield 255.0 if multiprocessing.parent_process() is None else 0.0

    monkeypatch.setattr("maskunet.studio.work.null_mask", steps)
    studio = open_studio(Machine(), tmp_path)
    last = finish(studio, studio.null_mask(ask(steps=2)))
    assert (last.phase, last.message) == ("done", "Largest pixel difference: 0 of 255.")
    job = studio.null_mask(ask(steps=100))
    soon(lambda: studio.now(job).phase == "checking")
    studio.stop(job)
    assert finish(studio, job).message == "Stopped on request."
    assert [seconds for _, seconds in loans] == [60, 60]
    studio.close()
