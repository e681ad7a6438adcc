"""A Space that lends its GPU: with its own package where nothing is lent, and with a stand-in that works elsewhere."""

import contextvars
import multiprocessing
import sys
import time
from types import ModuleType, SimpleNamespace

import pytest
import torch

from maskunet.library.library import Library
from maskunet.methods import SPECS
from maskunet.records import StepEvent
from maskunet.studio import zero_gpu
from tests.support.machine import FakeLibrary, Machine, ask, finish, open_studio, soon

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
    assert [zero_gpu.loan(usual, 14.0) for usual in (None, 20, 1, 500)] == [14, 30, 10, 120]


# Seconds that a first loan may have. A visitor without a login has 120 a day, of which the usual card counts 1.5 times as
# many as are asked for.
FIRST = {
    "plain": (10, 10), "random_mask": (10, 10), "held_mask": (10, 10), "maskunet_trained": (10, 10), "freeu": (10, 10),
    "fine_tuned": (10, 10), "guider": (10, 10), "pag": (10, 10), "best_of_n": (10, 12), "best_of_n_masks": (10, 12),
    "fk_steering": (10, 12), "lidar": (10, 15), "date": (10, 12), "maskunet_free": (20, 30),
}  # fmt: skip


@pytest.mark.parametrize("name", FIRST)
def test_a_first_loan_follows_from_the_method_and_its_steps(name):
    spec, (low, high) = SPECS[name], FIRST[name]
    first = zero_gpu.loan(None, zero_gpu.expected(None, spec.settings()))
    assert low <= first <= high
    more = zero_gpu.loan(None, zero_gpu.expected(100, spec.settings()))
    assert first < more <= zero_gpu.LONGEST


def test_a_first_loan_follows_from_what_costs_time():
    def seconds(method, preset="", steps=15, **settings):
        return zero_gpu.loan(None, zero_gpu.expected(steps, SPECS[method].settings(preset, settings)))

    assert (
        seconds("maskunet_free", "improved") < seconds("maskunet_free", "official") < seconds("maskunet_free", "paper")
    )
    assert 10 < seconds("maskunet_free", "improved_fast") <= 15
    assert seconds("maskunet_free", low_memory=True) > 2 * seconds("maskunet_free")
    assert seconds("best_of_n", "sixteen") > seconds("best_of_n", "eight") > seconds("best_of_n", "four")
    assert seconds("fk_steering", "eight") > seconds("fk_steering") and seconds("lidar", "fifty") > seconds("lidar")
    assert all(10 <= seconds(name, preset) <= 120 for name, spec in SPECS.items() for preset in spec.presets)


def test_of_a_lent_gpu_embedded_models_take_nothing(loans, tmp_path, monkeypatch):
    """They are computed here, also their control of ones; the GPU is for the others, and nothing else is done on it."""
    monkeypatch.setattr(FakeLibrary, "stays_here", lambda self, name: True)
    machine = Machine()
    studio = open_studio(machine, tmp_path)
    assert finish(studio, studio.start(ask(seed=7))).phase == "done"
    assert machine.events and not loans
    studio.close()


def test_the_library_puts_embedded_models_aside_and_no_others(tmp_path):
    library = Library("tabletop", aside="cpu")
    library.device, library.dtype = torch.device("meta"), torch.float16  # in place of what is lent
    assert library.stays_here("tabletop") and library.stays_here("tabletop_web") and not library.stays_here("sd15")
    assert not Library("tabletop").stays_here("tabletop")
    loaded = library.load("tabletop")
    assert (loaded.model.device.type, loaded.model.dtype) == ("cpu", torch.float32)
    assert all(reward.device.type == "cpu" for reward, _ in loaded.rewards.parts.values())


def test_what_a_lent_gpu_computes_is_never_let_go_of(tmp_path, monkeypatch):
    """A Space deletes a model's files when it has loaded them, so that it could not be read again."""
    monkeypatch.setattr("maskunet.library.library.load_model", lambda spec, *given: SimpleNamespace(name=spec.name))
    monkeypatch.setattr(Library, "_look_for_trainings", lambda self, model: None)
    monkeypatch.setattr(Library, "find", lambda self, name, with_rewards=True: (tmp_path, {}))
    library = Library("tabletop", aside="cpu")
    for name in ("sd15", "tabletop_web", "tabletop", "tabletop_web"):
        library.load(name, with_rewards=False)
        assert {of for of, *_ in library._loaded} == {"sd15", name}


def test_a_loan_that_was_too_short_is_longer_the_next_time(loans, tmp_path, monkeypatch):
    monkeypatch.setattr(zero_gpu, "SHORTEST", 0.2)
    monkeypatch.setattr(zero_gpu, "expected", lambda steps, settings=None: 0.2)

    def cut_off():
        time.sleep(0.25)
        raise RuntimeError("GPU task aborted")

    machine = Machine()
    machine.at = {(1, 1): cut_off}
    studio = open_studio(machine, tmp_path)
    assert [finish(studio, studio.start(ask(seed=seed))).phase for seed in (1, 2)] == ["failed", "failed"]
    (_, first), (_, second) = loans
    assert first == 0.2 and second >= 1.5 * 0.25
    studio.close()


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
    assert [visitor for visitor, _ in loans] == ["anna", "ben"] and [s for _, s in loans] == [10, 10]
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
    assert [seconds for _, seconds in loans] == [10, 20]
    studio.close()
