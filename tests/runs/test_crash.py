"""SIGKILL, for real: in the middle of a save at every touch of the disk, of a run, of a command, and under the page."""

import os
import random
import signal
import socket
import time
import urllib.request
import zipfile
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from maskunet.records import Request, StepEvent
from maskunet.records.disk import whole
from maskunet.runs import replay, run_folder
from maskunet.runs.compare import compare
from maskunet.runs.draft import Draft
from maskunet.studio.shelf import Shelf
from maskunet.studio.studio import Studio
from tests.runs.test_run_folder import PICTURE, make
from tests.support import tiny_library
from tests.support.fresh import FRESH, started
from tests.support.killed import every_touch
from tests.support.serving import SOON, needs_browser

WAIT = 120  # seconds; a slow machine under load
LONG = Request(prompt="a red cube", model="tiny", seed=5, steps=50, settings={"updates": 2, "early_steps": 0})


# In the middle of a save


BEFORE, AFTER = make(state="stopped"), make(result_image=PICTURE // 2, rewards={"total": 0.75})


def is_either(run):
    """Whether a run is wholly the one or the other."""
    for one in (BEFORE, AFTER):
        same = np.array_equal(run.result_image, one.result_image) and len(run.rows) == len(one.rows)
        if same and (run.state, run.rewards) == (one.state, one.rewards):
            return True
    return False


def test_a_run_killed_while_it_takes_the_place_of_another_is_wholly_one_of_them(tmp_path):
    place = tmp_path / BEFORE.id
    run_folder.write(BEFORE, place)
    seen = []
    for touch in every_touch(lambda: run_folder.write(AFTER, place)):
        assert is_either(run_folder.read(place)), touch  # also before anything was put right
        Shelf(tmp_path)
        assert [p.name for p in tmp_path.iterdir()] == [place.name], touch
        seen.append(run_folder.read(place).state)
        run_folder.write(BEFORE, place)
    assert len(seen) > 10 and set(seen) == {"stopped", "done"}
    assert run_folder.read(place).state == "done"  # nobody killed it in the end


def test_a_first_save_that_is_killed_leaves_all_or_nothing(tmp_path):
    kept = []
    for touch in every_touch(lambda: run_folder.write(AFTER, tmp_path / "runs" / AFTER.id)):
        shelf = Shelf(tmp_path / "runs")
        kept.append((tmp_path / "runs" / AFTER.id).exists())
        if kept[-1]:
            assert is_either(shelf.read(AFTER.id)), touch
            whole.remove(tmp_path / "runs" / AFTER.id)
        assert not list((tmp_path / "runs").glob("*")), touch
    assert set(kept) == {True, False}


def test_an_old_run_that_is_killed_while_it_goes_is_there_or_gone(tmp_path, monkeypatch):
    monkeypatch.setattr("maskunet.studio.shelf.MAX_RUNS", 1)
    newer = make(id="a" * 12, result_image=PICTURE // 2)
    left = set()
    for touch in every_touch(lambda: Shelf(tmp_path).keep(newer)):
        shelf = Shelf(tmp_path)
        for name in (p.name for p in tmp_path.iterdir()):
            assert np.array_equal(shelf.read(name).base_image, PICTURE[::-1]), (touch, name)
        left.add(tuple(sorted(p.name for p in tmp_path.iterdir())))
        for path in list(tmp_path.iterdir()):
            whole.remove(path)
        run_folder.write(BEFORE, tmp_path / BEFORE.id)
        os.utime(tmp_path / BEFORE.id, (0, 0))
    assert {(BEFORE.id, newer.id), (newer.id,)} <= left


@pytest.mark.parametrize("what", ["zip", "figures"])
def test_a_download_that_was_killed_is_made_anew(tmp_path, what, monkeypatch):
    monkeypatch.setattr("maskunet.studio.figures_process.write", drawn)
    run_folder.write(BEFORE, tmp_path / BEFORE.id)
    ask = {
        "zip": lambda: Shelf(tmp_path).zip(BEFORE.id),
        "figures": lambda: [*Shelf(tmp_path).figures(BEFORE.id, lambda: BEFORE)][-1].file,
    }
    undisturbed = contents(ask[what]())
    ask[what]().unlink()
    for touch in every_touch(ask[what]):
        assert contents(ask[what]()) == undisturbed, touch
        assert {p.name for p in tmp_path.iterdir()} <= {BEFORE.id, ".figures"}, touch
        ask[what]().unlink()


def drawn(run, out):
    """In place of drawing for seconds."""
    out.mkdir()
    (out / "curve.svg").write_text("<svg/>")
    yield "Curve"


def contents(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


# In the middle of a run


def work(model, folder, told):
    """Make one long run in a process of its own; tells its id and then every row as it comes."""
    torch.set_num_threads(1)  # as in the process that it is compared with, or the last bits differ
    studio = Studio(folder, library=tiny_library.read(model))
    job = studio.start(LONG)
    for event in studio.events(job):
        told.send((job, len(event.rows)))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_library.write(tmp_path_factory.mktemp("crash") / "model")


@pytest.fixture(scope="module")
def undisturbed(model):
    """The events of that run when nobody disturbs it."""
    loaded = tiny_library.read(model).load("tiny")
    with closing(compare(loaded.model, loaded.rewards, LONG)) as pictures:
        return [item for phase, item in pictures if phase == "result" and isinstance(item, StepEvent)]


def best_of(events):
    """The best picture of the newest step, written anew from what the page promises."""
    newest = [event for event in events if event.step == events[-1].step]
    better = [event for event in newest if event.best]
    return (better or newest[:1])[-1]


def numbers(rows):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in rows]


@pytest.mark.parametrize("moment", range(3))
def test_a_killed_run_is_shown_as_interrupted_with_its_best_so_far(model, undisturbed, tmp_path, moment):
    draw = random.Random(moment)
    ours, theirs = FRESH.Pipe(duplex=False)
    process = FRESH.Process(target=work, args=(model, tmp_path, theirs))
    process.start()
    theirs.close()
    until = draw.randint(3, 60)
    rows = 0
    while rows < until:
        assert ours.poll(WAIT)
        job, rows = ours.recv()
    time.sleep(draw.random() / 20)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    studio = Studio(tmp_path, library=tiny_library.read(model))
    (event,) = studio.events(job)
    run = event.run
    studio.close()
    assert (event.phase, run.state, run.id, event.message) == ("interrupted", "interrupted", job, run.note)
    assert "best so far" in run.note
    assert 0 < len(run.rows) <= len(undisturbed)
    assert numbers(run.rows) == numbers(e.row() for e in undisturbed[: len(run.rows)])
    best = best_of(undisturbed[: len(run.rows)])
    assert np.array_equal(run.result_image, best.image) and run.rewards == dict(best.rewards)
    assert asdict(run.request)["prompt"] == LONG.prompt and run.base_image is not None
    assert [p.name for p in tmp_path.iterdir()] == [job]


def test_drafts_take_a_fiftieth_of_the_time_and_stay_out_of_a_finished_runs_place(tmp_path, monkeypatch):
    clock, written = [0.0], []

    def slow(run, folder):
        clock[0] += 0.5
        written.append((clock[0], run.state))

    monkeypatch.setattr("maskunet.runs.draft.time.monotonic", lambda: clock[0])
    monkeypatch.setattr("maskunet.runs.draft.run_folder.write", slow)
    record = SimpleNamespace(best=None, run=lambda: make())
    draft = Draft(tmp_path / "new")
    draft.offer(record)
    assert not written  # there is no picture yet
    record.best = "a picture"
    while clock[0] < 100:
        draft.offer(record)
        clock[0] += 1
    assert [state for _, state in written] == ["interrupted"] * 4
    assert 0.5 * len(written) <= 0.02 * (clock[0] + 25)
    monkeypatch.undo()
    run_folder.write(make(state="done"), tmp_path / "old")
    Draft(tmp_path / "old").offer(record)
    assert run_folder.read(tmp_path / "old").state == "done"


# The command line


def test_a_killed_command_leaves_its_best_so_far(model, tmp_path):
    words = [f"--set={key}={value}" for key, value in LONG.settings.items()]
    words += ["--prompt=a red cube", "--steps=50", f"--weights={model}", f"--out={tmp_path / 'mine'}"]
    process = started(["-m", "maskunet", "generate", *words])
    wait_for(lambda: (tmp_path / "mine" / run_folder.RECORD).exists())
    process.kill()
    process.join()
    run = run_folder.read(tmp_path / "mine")
    assert (run.state, run.request.prompt) == ("interrupted", "a red cube")
    assert replay.parse((tmp_path / "mine" / run_folder.RESULT).read_bytes())["state"] == "interrupted"


def wait_for(condition):
    deadline = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# The page


@contextmanager
def app(model, folder, port):
    """The real program, killed at the end."""
    log = folder.parent / f"{folder.name}.log"
    log.unlink(missing_ok=True)
    words = ["app.py", f"--weights={model}", f"--runs={folder}", f"--port={port}", "--device=cpu"]
    process = started(words, said=log)
    try:
        wait_for(lambda: process.exitcode is not None or answers(port))
        # The page answers a moment before the start is over.
        wait_for(lambda: process.exitcode is not None or "To create a public link" in log.read_text())
        assert process.exitcode is None
        yield
    finally:
        process.kill()
        process.join()


def answers(port):
    with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=WAIT):
        return True
    return False


def free_port():
    with closing(socket.socket()) as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@needs_browser
def test_the_page_shows_after_a_crash_what_there_was(chromium, model, tmp_path):
    port = free_port()
    context = chromium.new_context()
    tab = context.new_page()
    tab.set_default_timeout(SOON)
    with app(model, tmp_path, port):
        tab.goto(f"http://127.0.0.1:{port}")
        tab.locator("#prompt textarea").fill("a red cube")
        tab.get_by_text("More settings").click()
        tab.locator("#steps input").fill("100")
        tab.locator("#generate").click()
        wait_for(lambda: list(tmp_path.glob(f"*/{run_folder.RECORD}")))
    with app(model, tmp_path, port):
        tab.goto(f"http://127.0.0.1:{port}")
        tab.wait_for_selector("#facts .badge.warn", state="visible")
        assert tab.locator("#facts .badge.warn").inner_text() == "Interrupted"
        assert "best so far" in tab.locator("#facts .note").inner_text()
        tab.get_by_role("tab", name="History").click()
        card = tab.locator("#history article")
        assert card.count() == 1 and "Interrupted" in card.inner_text()
        picture = card.locator("img")
        assert picture.evaluate("image => image.complete && image.naturalWidth > 0")
    context.close()
