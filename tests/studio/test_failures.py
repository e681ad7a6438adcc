"""What fails on the device is told in one sentence, and the next run works."""

import errno
import logging
import math
import re

import pytest
import torch

from maskunet import failures
from maskunet.runs import replay, run_folder
from tests.support.machine import ask, finish


def raises(error):
    def action():
        raise error

    return action


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (torch.cuda.OutOfMemoryError("CUDA out of memory in /opt/x.py"), "^Out of memory"),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried to"), "^Out of memory"),
        (MemoryError(), "^Out of memory"),
        (OSError(errno.ENOSPC, "No space left on device", "/var/x"), "^The disk is full"),
        (
            RuntimeError("/some/secret/path broke"),
            r"^Something failed \(ref [0-9a-f]{6}\)\. The log",
        ),
        (ValueError("expected (3,) in /some/secret/path"), r"^Something failed \(ref"),
        (FileNotFoundError(2, "No such file", "/some/secret/path"), r"^Something failed \(ref"),
    ],
)
def test_a_failure_is_one_sentence_without_a_path_and_the_next_run_works(studio, machine, caplog, error, says):
    machine.at[2, 1] = raises(error)
    with caplog.at_level(logging.ERROR):
        last = finish(studio, studio.start(ask()))
    assert (last.phase, last.run, machine.active) == ("failed", None, 0)
    assert re.search(says, last.message)
    assert "/" not in last.message
    assert "\n" not in last.message
    if reference := re.search(r"ref (\w+)", last.message):
        logged = [r for r in caplog.records if reference[1] in r.getMessage()]
        assert logged[0].exc_info[1] is error
    machine.at.clear()
    assert finish(studio, studio.start(ask())).phase == "done"


def test_missing_weights_and_a_full_disk_at_the_end_are_one_sentence(studio, machine, monkeypatch):
    from maskunet.library import weights
    from maskunet.models import SPECS

    def missing(name, **how):
        monkeypatch.setattr(weights, "_cached", lambda *args: None)
        return weights.model_folder(SPECS["sd15"])

    monkeypatch.setattr(studio._library, "load", missing)
    message = finish(studio, studio.start(ask())).message
    assert "not on this machine (4.27 GB)" in message
    assert "python -m maskunet download sd15" in message
    monkeypatch.undo()
    monkeypatch.setattr(run_folder, "_write_rows", raises(OSError(errno.ENOSPC, "full", "/x")))
    monkeypatch.setattr(run_folder, "_write_files", lambda *args: run_folder._write_rows())
    last = finish(studio, studio.start(ask()))
    assert (last.phase, last.message[:16]) == ("failed", "The disk is full")
    monkeypatch.undo()
    assert finish(studio, studio.start(ask())).phase == "done"


def test_a_reward_that_is_no_number_stops_and_keeps_the_best_before_it(studio, machine):
    machine.at[2, 1] = lambda: setattr(machine, "reward", math.nan)
    last = finish(studio, studio.start(ask(seed=30)))
    assert (last.phase, last.run.state) == ("stopped", "stopped")
    assert "total was no number in step 3" in last.message
    assert (last.run.result_image == 32).all()
    assert last.run.rewards == {"total": 0.5}
    assert machine.active == 0
    machine.at.clear()
    last = finish(studio, studio.start(ask(seed=30)))  # not a number from the start
    assert (last.phase, last.run) == ("stopped", None)
    machine.reward = 1.0
    assert finish(studio, studio.start(ask())).phase == "done"


def test_a_value_error_of_ours_is_told_and_one_of_others_is_not():
    try:
        replay.parse(b"")
    except ValueError as error:
        assert failures.foreseen(error).startswith("This file is neither")
    try:
        int("x")
    except ValueError as error:
        assert failures.foreseen(error) == ""
    given, hidden = "There is no mask generator “/red”.", "There is no “/red” in /etc/x."
    for text, passed in (
        ("Too many.", True),
        ("in /etc/x", False),
        (r"at C:\x\y", False),
        (given, True),
        (hidden, False),
    ):
        try:
            exec("raise ValueError(text)", {"__name__": "maskunet.any", "text": text})
        except ValueError as error:
            assert bool(failures.foreseen(error)) is passed
