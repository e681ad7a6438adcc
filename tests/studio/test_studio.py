"""The Studio with a fake model: one job at a time, stop, re-attach, limits, failures, no leaks."""

import dataclasses
import re
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

from maskunet.methods import SPECS as METHODS
from maskunet.records import Request
from maskunet.rewards import SPECS as REWARDS
from maskunet.runs import run_folder
from maskunet.studio import queue
from maskunet.studio.studio import Studio
from tests.support.machine import WAIT, FakeLibrary, Settings, ask, finish, open_studio, soon, until

# The way of one job


def test_a_job_ends_in_a_run_that_is_told_remembered_and_saved(studio, machine, tmp_path):
    job = studio.start(ask(seed=7))
    assert re.fullmatch("[0-9a-f]{12}", job)
    last = finish(studio, job)
    assert (last.phase, last.job, last.remaining) == ("done", job, 0.0)
    run = last.run
    assert (run.id, run.state, run.request.seed, run.request.guidance) == (job, "done", 7, 3.5)
    assert run.request.preset == "usual"
    assert (run.result_image == 10).all()
    assert (run.base_image == 10).all()
    assert (run.base_unet_calls, run.unet_calls) == (5, 5 + 13)
    assert (run.device, run.dtype, run.weights) == ("cpu", "float32", {"unet/x": "ab"})
    assert {"python", "maskunet", "torch", "diffusers", "transformers", "gradio"} <= set(run.versions)
    assert len(run.rows) == 4 * 3 + 1
    again = studio.run(job)
    for name in ("request", "rewards", "settings", "versions", "keep_ratio", "state"):
        assert getattr(again, name) == getattr(run, name)
    assert len(again.rows) == len(run.rows) and again.course.base.shape == (4, 8, 8, 3)
    assert studio.status().running == 0
    assert np.array_equal(run_folder.read(tmp_path / "runs" / job).result_image, run.result_image)
    assert studio.shelf.zip(job).is_file()


def test_the_default_model_is_loaded_before_anyone_asks(studio, machine, tmp_path):
    soon(lambda: machine.loads == 1)
    broken = FakeLibrary(machine)
    broken.failure = ValueError("/secret/weights are damaged")
    other = Studio(tmp_path / "other", library=broken, methods=studio._methods)
    soon(lambda: machine.loads == 2)
    assert finish(other, other.start(ask())).phase == "failed"
    broken.failure = None
    assert finish(other, other.start(ask())).phase == "done"
    other.close()


def test_phases_come_in_order_and_their_numbers_grow(studio, machine):
    machine.free = False
    job = studio.start(ask())
    seen = []
    for event in studio.events(job):
        if event.number not in [e.number for e in seen]:
            seen.append(event)
            machine.gate.release()
    phases = list(dict.fromkeys(e.phase for e in seen))
    assert phases == [p for p in ("queued", "loading", "base", "result", "done") if p in phases]
    assert {"base", "result", "done"} <= set(phases)
    assert [e.number for e in seen] == sorted(e.number for e in seen)
    assert all(e.elapsed >= 0 for e in seen)


def test_an_equal_plain_picture_is_made_once_and_no_other_is_taken_for_it(studio, machine):
    first = finish(studio, studio.start(ask()))
    again = finish(studio, studio.start(ask(settings={"updates": 2})))
    assert machine.plains == 1
    assert np.array_equal(first.run.base_image, again.run.base_image)
    assert again.run.base_rewards == first.run.base_rewards
    changes = [
        {"seed": 2},
        {"prompt": "b"},
        {"negative_prompt": "c"},
        {"steps": 3},
        {"guidance": 9},
    ]
    for change in [*changes, {"settings": {"second_order": False}}]:
        before = machine.plains
        finish(studio, studio.start(ask(**change)))
        assert machine.plains == before + 1, change


def test_the_time_left_is_estimated_and_known_for_a_request_like_an_earlier_one(studio, machine):
    machine.free = False
    job = studio.start(ask())
    machine.gate.release(4 + 6)
    soon(lambda: len(next(studio.events(job)).rows) == 6)
    event = next(studio.events(job))
    # 11 of the 17 events at 0.01 s each: steps 2 and 3 with 3 updates, and the rest of step 1.
    assert event.remaining == pytest.approx(0.01 * 11 / 6 * 7, rel=0.01)
    machine.gate.release(100)
    total = finish(studio, job).elapsed
    machine.free = False
    machine.gate = threading.Semaphore(1)
    job = studio.start(ask(seed=9))
    event = until(studio, job, "base")
    assert 0 <= event.remaining <= total
    machine.gate.release(100)


# One at a time, and how many wait


def test_never_two_jobs_at_once_by_any_route(studio, machine, monkeypatch):
    problems = []
    monkeypatch.setattr(
        "maskunet.studio.work.null_mask",
        lambda model, request, plain: iter([len(list(plain.run(model, None, request, Settings())))]),
    )

    def attempt(i):
        try:
            if i % 3:
                finish(studio, studio.start(ask(seed=i), owner=f"visitor {i}"))
            else:
                finish(studio, studio.null_mask(ask(seed=i)))
        except ValueError as error:
            problems.append(str(error))

    threads = [threading.Thread(target=attempt, args=(i,)) for i in range(9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    assert problems == []
    assert (machine.closed, machine.peak) == (3 + 6 * 2, 1)


def test_the_queue_is_bounded_and_says_so(machine, tmp_path):
    machine.free = False
    studio = open_studio(machine, tmp_path, max_waiting=2)
    first = studio.start(ask(1))
    soon(lambda: studio.status().running == 1)
    waiting = [studio.start(ask(i)) for i in (2, 3)]
    assert [next(studio.events(job)).ahead for job in waiting] == [1, 2]
    assert (studio.status().running, studio.status().waiting) == (1, 2)
    with pytest.raises(ValueError, match="All 2 places in the queue are taken"):
        studio.start(ask(4))
    machine.gate.release(1000)
    assert [finish(studio, job).phase for job in (first, *waiting)] == ["done"] * 3
    assert finish(studio, studio.start(ask(5))).phase == "done"
    studio.close()


def test_one_job_per_owner_and_a_new_one_when_it_ended(studio, machine):
    machine.free = False
    job = studio.start(ask(), owner="anna")
    with pytest.raises(ValueError, match="picture in the making already"):
        studio.start(ask(), owner="anna")
    studio.start(ask(), owner="ben")
    machine.gate.release(1000)
    assert finish(studio, job).phase == "done"
    studio.start(ask(), owner="anna")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"model": "other"}, "no model “other”"),
        ({"method": "other"}, "no method “other”"),
        ({"preset": "other"}, "no preset “other”"),
        ({"settings": {"other": 1}}, "no setting “other”"),
        ({"settings": {"updates": "many"}}, "updates must be a whole number"),
    ],
)
def test_what_does_not_exist_is_refused_before_it_is_queued(studio, change, says):
    with pytest.raises(ValueError, match=says):
        studio.start(ask(**change))
    assert studio.status().waiting == 0


# Stop


def test_stop_takes_effect_within_one_update_and_keeps_the_best(studio, machine, tmp_path):
    machine.free = False
    job = studio.start(ask(seed=10))
    machine.gate.release(4 + 5)
    soon(lambda: len(machine.events) == 5 + 5)
    studio.stop(job)
    machine.gate.release(1)
    last = finish(studio, job)
    assert len(machine.events) <= 5 + 6
    assert (last.phase, last.run.state) == ("stopped", "stopped")
    assert last.message == last.run.note == "Stopped on request."
    assert (last.run.result_image == 11).all()
    assert (machine.active, machine.closed) == (0, 2)
    assert run_folder.read(tmp_path / "runs" / job).state == "stopped"
    machine.free = True
    assert finish(studio, studio.start(ask())).phase == "done"


def test_stop_before_the_methods_first_picture_leaves_no_run(studio, machine, tmp_path):
    machine.free = False
    running, waiting = studio.start(ask(1)), studio.start(ask(2))
    machine.gate.release(2)
    soon(lambda: len(machine.events) == 2)
    studio.stop(waiting)
    assert finish(studio, waiting).phase == "stopped"
    studio.stop(running)
    machine.gate.release(1)
    last = finish(studio, running)
    assert (last.phase, last.run, machine.active) == ("stopped", None, 0)
    assert len(machine.events) <= 3
    assert not (tmp_path / "runs" / running).exists()
    with pytest.raises(ValueError, match="not here"):
        studio.run(running)


def test_the_time_limit_keeps_the_best_so_far(machine, tmp_path, monkeypatch):
    late = []
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + 1000 * len(late))
    monkeypatch.setattr("maskunet.studio.work.time", clock)
    machine.at[2, 1] = lambda: late.append(1)
    studio = open_studio(machine, tmp_path, limit_seconds=900)
    last = finish(studio, studio.start(ask(seed=20)))
    assert (last.phase, last.run.state) == ("stopped", "stopped")
    assert last.message == "Stopped at the limit of 900 seconds."
    assert (last.run.result_image == 22).all()
    machine.at.clear()
    assert finish(studio, studio.start(ask())).phase == "done"
    studio.close()


def test_close_ends_the_running_and_the_waiting(machine, tmp_path):
    machine.free = False
    studio = open_studio(machine, tmp_path)
    both = [studio.start(ask(i)) for i in (1, 2)]
    machine.gate.release(4 + 3)
    soon(lambda: len(machine.events) == 5 + 3)

    def go_on():
        soon(lambda: studio._queue._closed)
        machine.gate.release(1)

    threading.Thread(target=go_on).start()
    studio.close()
    assert [finish(studio, job).phase for job in both] == ["stopped", "stopped"]
    assert machine.active == 0
    with pytest.raises(ValueError, match="being closed"):
        studio.start(ask())


def test_closing_waits_no_longer_than_its_patience(machine, tmp_path, monkeypatch):
    monkeypatch.setattr("maskunet.studio.studio.PATIENCE", 0.2)
    machine.free = False
    studio = open_studio(machine, tmp_path)
    studio.start(ask())
    soon(lambda: machine.active)
    began = time.monotonic()
    studio.close()
    assert machine.active and time.monotonic() - began < 10
    machine.gate.release(1000)
    soon(lambda: not machine.active)


# Readers


def test_readers_attach_at_any_time_and_none_misses_the_numbers(studio, machine):
    machine.free = False
    job = studio.start(ask())
    early = studio.events(job)
    next(early)
    machine.gate.release(4 + 7)
    soon(lambda: len(machine.events) == 5 + 7)
    early.close()  # a closed tab ends the reader, not the job
    soon(lambda: len(next(studio.events(job)).rows) == 7)
    late = next(studio.events(job))
    assert (late.phase, late.step.step) == ("result", 2)
    machine.gate.release(1000)
    ends = [finish(studio, job) for _ in range(3)]
    assert {e.run.id for e in ends} == {job}
    assert all(len(e.rows) == 13 for e in ends)


def test_a_slow_reader_gets_the_newest_and_no_backlog(studio, machine):
    job = studio.start(ask())
    events = studio.events(job)
    next(events)
    soon(lambda: machine.closed == 2 and studio.status().running == 0)
    rest = list(events)
    assert len(rest) == 1
    assert rest[0].phase == "done"


def test_after_takes_up_where_a_reader_left_and_time_passes_without_news(studio, machine, monkeypatch):
    monkeypatch.setattr(queue, "HEARTBEAT", 0.05)
    machine.free = False
    job = studio.start(ask())
    machine.gate.release(1)
    soon(lambda: len(machine.events) == 1)
    soon(lambda: next(studio.events(job)).phase == "base")
    first = next(studio.events(job))
    again = next(studio.events(job, after=first.number))
    assert again.number == first.number
    assert again.elapsed > first.elapsed + 0.04
    machine.gate.release(1)
    newer = next(e for e in studio.events(job, after=first.number) if e.number > first.number)
    assert newer.step.step == 1


def test_a_saved_run_is_found_after_a_restart_and_old_jobs_leave_the_memory(studio, machine, tmp_path, monkeypatch):
    job = studio.start(ask())
    finish(studio, job)
    other = open_studio(machine, tmp_path)
    only = list(other.events(job))
    assert [(e.phase, e.run.id, len(e.rows)) for e in only] == [("done", job, 13)]
    other.close()
    monkeypatch.setattr(queue, "KEEP_SECONDS", 0)
    finish(studio, studio.start(ask(2)))
    assert studio._queue.get(job) is None
    assert studio.run(job).id == job


def test_only_the_newest_runs_stay_on_the_disk(studio, tmp_path, monkeypatch):
    monkeypatch.setattr("maskunet.studio.shelf.MAX_RUNS", 2)
    (tmp_path / "runs" / "notes").mkdir(parents=True)
    made = []
    for seed in range(3):
        made.append(studio.start(ask(seed)))
        finish(studio, made[-1])
        time.sleep(0.02)
    kept = {p.name for p in (tmp_path / "runs").iterdir()}
    assert kept == {"notes", *made[1:]}


@pytest.mark.parametrize("bad", ["../../etc", "", "0123456789AB", "0123456789abc", "a" * 12 + "\n", None])
def test_ids_are_checked_before_they_meet_the_disk(studio, bad):
    for method in (studio.run, studio.shelf.zip, studio.stop, lambda i: list(studio.events(i))):
        with pytest.raises(ValueError, match="12 hexadecimal digits"):
            method(bad)
    with pytest.raises(ValueError, match="not"):
        studio.shelf.zip("0123456789ab")


def test_cards_methods_status_and_command_are_plain_data(studio):
    assert [c.name for c in studio.cards()] == ["fake"]
    assert {c.name: list(c.presets) for c in studio.methods()} == {"plain": ["usual"], "slow": ["usual"]}
    assert [c.title for c in studio.rewards()] == [spec.title for spec in REWARDS.values()]
    status = studio.status()
    assert re.fullmatch(r"CPU, \d+ cores?", status.device)
    assert (status.dtype, status.model, status.running, status.waiting) == ("float32", "fake", 0, 0)
    assert studio.command(ask(seed=7)).startswith("python -m maskunet generate --model=fake")


def test_the_command_of_an_old_run_says_what_its_preset_meant(studio, monkeypatch):
    monkeypatch.setattr(studio, "_methods", METHODS)
    request = Request(prompt="x", model="fake", method="syngen", preset="published", seed=1)
    now = dataclasses.asdict(METHODS["syngen"].settings("published"))
    assert "--set" not in studio.command(request) + studio.command(request, now)
    old = {name: value for name, value in now.items() if name != "pieces"}
    assert "--set=pieces=mean" in studio.command(request, old)
    assert studio.command(Request(prompt="x", model="fake", method="plain", seed=1), {}).endswith("--out=my-run")


def test_the_control_and_the_speed_wait_in_line_have_an_owner_and_can_be_stopped(machine, tmp_path):
    machine.free = False
    studio = open_studio(machine, tmp_path, max_waiting=2)
    studio.start(ask(), owner="anna")
    soon(lambda: studio.status().running == 1)
    with pytest.raises(ValueError, match="in the making already"):
        studio.null_mask(ask(), owner="anna")
    control, speed = studio.null_mask(ask(steps=50), owner="ben"), studio.speed(owner="carl")
    assert [studio.now(job).ahead for job in (control, speed)] == [1, 2]
    with pytest.raises(ValueError, match="All 2 places in the queue are taken"):
        studio.null_mask(ask(), owner="dora")
    for job in (speed, control):
        studio.stop(job)
        assert finish(studio, job).phase == "stopped"
    machine.gate.release(1000)
    studio.close()
