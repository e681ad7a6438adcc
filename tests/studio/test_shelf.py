"""The runs that are kept: none displaces others’ runs, no clock is believed, and what is drawn of them waits its turn."""

import json
import multiprocessing
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import pytest

from maskunet.runs import run_folder
from maskunet.studio import figures_process
from maskunet.studio import shelf as room
from maskunet.studio.shelf import Kept, Shelf, first_to_go
from tests.runs.test_run_folder import make

FUTURE = time.time() + 1e8


def named(number):
    return f"{number:012x}"


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    monkeypatch.setattr(room, "MAX_RUNS", 4)
    monkeypatch.setattr(room, "MAX_UPLOADS", 3)
    return Shelf(tmp_path / "runs")


@pytest.fixture
def bring(tmp_path, shelf):
    """Brings a run of that number."""

    def bring(number, **whose):
        folder = run_folder.write(replace(make(), id=named(number)), tmp_path / "made" / named(number))
        return shelf.take(run_folder.run_zip(folder), **whose)

    return bring


def there(shelf):
    return {int(path.name, 16) for path in shelf.folder.iterdir() if path.is_dir()}


def keep(shelf, *numbers, **whose):
    for number in numbers:
        shelf.keep(replace(make(), id=named(number)), **whose)


def test_uploads_displace_uploads_only(shelf, bring):
    keep(shelf, 1, 2, 3, 4)
    for number in range(100, 110):
        assert bring(number) == named(number)
    assert there(shelf) == {1, 2, 3, 4, 107, 108, 109}
    keep(shelf, 5)
    assert there(shelf) == {2, 3, 4, 5, 107, 108, 109}


def test_who_makes_or_brings_many_pushes_out_only_their_own(shelf, bring):
    keep(shelf, 1, address="a")
    keep(shelf, *range(20, 30), address="b")
    assert there(shelf) == {1, 27, 28, 29}
    bring(100, address="a")
    for number in range(200, 206):
        bring(number, address="b", owner=str(number))
    assert there(shelf) == {1, 27, 28, 29, 100, 204, 205}


def test_of_one_address_the_browser_with_most_gives_way(shelf):
    keep(shelf, 1, address="proxy", owner="a")
    keep(shelf, *range(20, 30), address="proxy", owner="b")
    assert there(shelf) == {1, 27, 28, 29}


def test_a_run_brought_again_stays_where_it_is_and_one_made_here_is_not_taken_for_it(shelf, bring):
    keep(shelf, 1)
    before = (shelf.folder / named(1) / run_folder.RECORD).stat().st_ino
    assert bring(1) == named(1)
    for number in range(100, 105):
        bring(number)
    assert (shelf.folder / named(1) / run_folder.RECORD).stat().st_ino == before


def test_no_clock_decides_which_run_is_new(shelf):
    """Runs dated in the future are as good as a clock that was set back."""
    for number in range(1, 5):
        keep(shelf, number)
        os.utime(shelf.folder / named(number), (FUTURE - number, FUTURE - number))
    keep(shelf, 5)
    assert there(shelf) == {2, 3, 4, 5}
    keep(Shelf(shelf.folder), 6)
    assert there(shelf) == {3, 4, 5, 6}


def test_folders_of_an_earlier_version_are_older_than_what_is_made_now(shelf):
    for number in range(1, 8):
        folder = run_folder.write(replace(make(), id=named(number)), shelf.folder / named(number))
        os.utime(folder, (FUTURE + number, FUTURE + number))
    keep(Shelf(shelf.folder), 8)
    assert there(shelf) == {5, 6, 7, 8}


@pytest.mark.parametrize("text", ["", "{", "[1]", '[{"id": 3}]', '[{"id": "../../x"}]', '{"id": []}', "[null]"])
def test_a_damaged_list_loses_no_run(shelf, text):
    keep(shelf, 1, 2)
    shelf.folder.with_name(".runs.json").write_text(text)
    again = Shelf(shelf.folder)
    keep(again, 3)
    assert there(again) == {1, 2, 3}
    assert [one["id"] for one in json.loads(shelf.folder.with_name(".runs.json").read_text())][-1] == named(3)


def test_the_newest_is_never_the_first_to_go():
    kept = [Kept(id=str(i), address=str(i % 5), owner=str(i % 3)) for i in range(30)]
    for many in range(2, 30):
        assert first_to_go(kept[:many]) != kept[many - 1]
    assert first_to_go([Kept(id="1"), Kept(id="2", address="b")]).id == "1"


def test_figures_are_drawn_beside_the_shelf_and_few_wait_for_them(tmp_path, monkeypatch):
    going, over = threading.Event(), threading.Event()

    def slow(run, out):
        going.set()
        assert over.wait(60)
        out.mkdir()
        yield "Curve"

    monkeypatch.setattr(figures_process, "write", slow)
    monkeypatch.setattr(room, "WAITING", 1)
    shelf, run = Shelf(tmp_path), make()
    shelf.keep(run)
    none = partial(pytest.fail, "it was read")

    def figures(*asked):
        return [*shelf.figures(*asked)]

    with ThreadPoolExecutor(2) as beside:
        drawing = beside.submit(figures, run.id, lambda: run, "a", "1")
        assert going.wait(60) and shelf.read(run.id).id == run.id
        with pytest.raises(ValueError, match="You have a drawing in the making already"):
            figures("f" * 12, none, "a", "1")
        waiting = beside.submit(figures, "e" * 12, lambda: replace(run, id="e" * 12), "b", "2")
        while not shelf._drawings.of("b"):
            time.sleep(0.01)
        with pytest.raises(ValueError, match="places in the queue are taken"):
            figures("f" * 12, none, "c", "3")
        over.set()
        drawn, waited = drawing.result(60), waiting.result(60)
        assert drawn[-1].file.is_file() and waited[-1].file.is_file()
        assert {event.phase for event in drawn[:-1]} == {"drawing"}
        (again,) = figures(run.id, none, "a", "1")
        assert again.file.is_file()


def test_a_drawing_that_takes_too_long_is_ended_in_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(figures_process, "LIMIT", -1.0)
    with pytest.raises(ValueError, match="Drawing took longer than"):
        list(Shelf(tmp_path).figures("f" * 12, make))


def endless(pipe, run, out):
    pipe.send(("Curve",))
    time.sleep(600)


@pytest.mark.parametrize("end", ["stopped", "left"])
def test_a_drawing_ends_when_it_is_stopped_or_nobody_listens_and_the_next_one_begins(tmp_path, monkeypatch, end):
    """In a real process, which is ended in the middle of its work."""
    monkeypatch.setattr(figures_process, "serve", endless)
    shelf, run = Shelf(tmp_path), make()
    drawing = shelf.figures(run.id, lambda: run, "a", "1")
    assert next(drawing).phase == "drawing"
    (process,) = multiprocessing.active_children()
    waiting = shelf.figures("e" * 12, partial(pytest.fail, "it was read"), "b", "2")
    assert next(waiting).phase == "waiting"
    shelf.stop_figures("b")
    assert [event.phase for event in waiting] == ["stopped"]
    if end == "stopped":
        shelf.stop_figures("a")
        assert [event.phase for event in drawing] == ["stopped"]
    else:
        drawing.close()
    assert not process.is_alive() and not any((tmp_path / ".figures").iterdir())
    assert not [*tmp_path.glob(".part-*")]
    monkeypatch.setattr(figures_process, "write", lambda run, out: (out.mkdir() or line for line in ["Curve", ""][:1]))
    assert [*shelf.figures(run.id, lambda: run, "a", "1")][-1].file.is_file()
