"""Grids in the studio: their limits, their turns beside others' pictures, what stays of a stopped one."""

import os
import threading
import time
from dataclasses import replace

import pytest

from maskunet.methods import SPECS
from maskunet.records import Request
from maskunet.records.grid import GridRequest
from maskunet.runs.grid.cells import CellFolder
from maskunet.studio import grids
from maskunet.studio.queue import Job, Queue
from maskunet.studio.studio import Studio
from tests.support.generated import assert_clear

PLAIN = Request(prompt="a red cube", model="tiny", method="plain", steps=1)


def asked(*axes, request=PLAIN):
    return GridRequest(request=request, axes=axes)


@pytest.fixture(scope="module")
def studio(library, tmp_path_factory):
    made = Studio(tmp_path_factory.mktemp("grids") / "runs", library=library)
    yield made
    made.close()


def test_a_grid_is_planned_made_and_left_as_files(studio):
    wanted = asked(("seed", "1..3"), ("guidance", "2,3"))
    plan = studio.grids.plan(wanted)
    assert (plan.count, plan.names, plan.labels[0]) == (6, ("seed", "guidance"), ("seed 1", "seed 2", "seed 3"))
    job = studio.grids.start(wanted, owner="a", address="b")
    *_, last = studio.events(job)
    assert last.phase == "done" and [row["number"] for row in last.rows] == [*range(6)]
    assert studio.grids.picture(job, 5).shape == (16, 16, 3)
    sheet, table, record = studio.grids.files(job)
    assert sheet.is_file() and len(table.read_text().splitlines()) == 7 and '"made": 6' in record.read_text()
    assert studio.grids.request(job, 4).seed == 2
    known = studio.grids.plan(asked(("seed", "7..9")))
    assert known.seconds > 0 and not known.least
    assert studio.grids.plan(asked(("method", "plain,random_mask"))).least
    for number in (-1, 6):
        with pytest.raises(ValueError, match="This grid is not here any more"):
            studio.grids.request(job, number)
    cells = {path: path.stat().st_ino for path in (studio.shelf.folder / ".cells").iterdir()}
    *_, again = studio.events(studio.grids.start(wanted))
    assert again.phase == "done" and {path: path.stat().st_ino for path in cells} == cells  # nothing was made anew


def test_a_grid_that_the_queue_has_forgotten_is_told_as_it_ended(studio, monkeypatch):
    job = studio.grids.start(asked(("seed", "1,2")))
    *_, last = studio.events(job)
    monkeypatch.setattr("maskunet.studio.queue.KEEP_ENDED", 0)
    [*studio.events(studio.start(PLAIN))]
    [*studio.events(studio.start(PLAIN))]
    assert studio._queue.get(job) is None
    assert [*studio.events(job)] == [last] == [studio.now(job)]
    with pytest.raises(ValueError, match="This run is not here any more"):
        studio.now("0" * 12)


@pytest.mark.parametrize(
    ("axes", "said"),
    [
        (
            [("seed", "1..101")],
            "This grid has 101 cells; allowed are 100. Give fewer values. The command line makes more",
        ),
        ([("seed", "1..99999"), ("prompt", "a|b")], "allowed are 100"),
        ([("seed", ",".join(["1..90000"] * 2000))], "cells at most|allowed are 100"),
        ([("seed", "1," * 20_000)], "may have 20,000 characters, and these have 40,000"),
        ([("model", "sd15"), ("seed", "1")], "There is no model “sd15”"),
        ([("seed", "1")] * 4, "one to three axes, not 4"),
        ([("prompt", "@/etc/passwd"), ("steps", "0")], "The number of steps is 0"),
    ],
)
def test_what_a_visitor_may_not_ask_is_refused_at_once(studio, axes, said):
    began = time.process_time()
    with pytest.raises(ValueError, match=said) as refused:
        studio.grids.plan(asked(*axes))
    assert_clear(str(refused.value))
    assert time.process_time() - began < 2


def test_one_owner_has_one_grid_and_a_stop_keeps_what_is_made(library, tmp_path):
    going, on = threading.Event(), threading.Event()

    def slow(model, rewards, request, settings):
        if request.seed == 2:
            going.set()
            on.wait(60)
        yield from SPECS["plain"].run(model, rewards, request, settings)

    studio = Studio(tmp_path / "runs", library=library, methods={**SPECS, "plain": replace(SPECS["plain"], run=slow)})
    job = studio.grids.start(asked(("seed", "1..4")), owner="a")
    assert going.wait(60)
    with pytest.raises(ValueError, match="You have a grid in the making already"):
        studio.grids.start(asked(("seed", "1")), owner="a")
    studio.stop(job)
    on.set()
    *_, last = studio.events(job)
    assert (last.phase, last.message, len(last.rows)) == ("stopped", "Stopped on request.", 1)
    assert len(studio.grids.files(job)[1].read_text().splitlines()) == 2
    studio.close()


def test_others_pictures_come_between_the_turns_of_a_grid(library, tmp_path, monkeypatch):
    monkeypatch.setattr(grids, "TURN", 0.0)
    order, here = [], threading.Event()

    def watched(model, rewards, request, settings):
        here.wait(60)
        order.append(request.seed)
        yield from SPECS["plain"].run(model, rewards, request, settings)

    studio = Studio(
        tmp_path / "runs", library=library, methods={**SPECS, "plain": replace(SPECS["plain"], run=watched)}
    )
    grid = studio.grids.start(asked(("seed", "1..4")), owner="a", address="a")
    others = [studio.start(replace(PLAIN, seed=seed), address=f"{seed}") for seed in (50, 60)]
    here.set()
    *_, last = studio.events(grid)
    assert last.phase == "done" and len(last.rows) == 4
    assert order[0] == 1 and {50, 60} <= {*order[: order.index(3)]}  # they wait for one turn at most each
    assert [each for each in order if each < 10] == [1, 2, 3, 4]  # and no cell is made twice
    assert all(studio.now(job).phase == "done" for job in others)
    studio.close()


def test_a_job_that_goes_on_waits_behind_those_who_had_fewer_turns_and_ends_when_it_is_stopped():
    queue = Queue(8)
    jobs = {name: Job(request=PLAIN, address=name[0]) for name in ("a1", "a2", "b1")}
    for job in jobs.values():
        queue.submit(job)
    assert queue.next() is jobs["a1"]
    queue.again(jobs["a1"])
    assert queue.next() is jobs["b1"]
    queue.publish(jobs["b1"], "done")
    assert queue.next() is jobs["a2"]
    jobs["a2"].reason = "Stopped on request."
    queue.again(jobs["a2"])
    assert jobs["a2"].phase == "stopped" and queue.next() is jobs["a1"]
    queue.close("Closed.")
    queue.again(jobs["a1"])
    assert jobs["a1"].phase == "stopped"


def test_cells_that_were_not_asked_for_lately_make_room(tmp_path):
    folder = CellFolder(tmp_path)
    for i, name in enumerate("abcd"):
        (tmp_path / f"{name}.png").write_bytes(bytes(100))
        os.utime(tmp_path / f"{name}.png", (i, i))
    folder.used("a")
    folder.trim(250, but=["b"])
    assert {path.stem for path in tmp_path.iterdir()} == {"a", "b"}


def test_cells_of_a_model_with_a_judge_are_right_or_wrong(studio, library, monkeypatch):
    def says_red(prompt, pictures):
        return [{"right": "red" in prompt} for _ in pictures]

    monkeypatch.setitem(library._specs, "tiny", replace(library.spec("tiny"), judge=says_red))
    *_, last = studio.events(studio.grids.start(asked(("prompt", "a red cube|a blue sphere"))))
    assert [row["correct"] for row in last.rows] == [True, False]
