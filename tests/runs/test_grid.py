"""Grids: axes from texts, every cell made once whatever ends the work, the sheet and its tables."""

import csv
import json
import os
import signal
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import strategies as st
from PIL import Image

from maskunet.methods import SPECS
from maskunet.records import Request
from maskunet.records.grid import GridRequest, cost
from maskunet.runs import replay
from maskunet.runs.grid import sheet
from maskunet.runs.grid.axes import MOST, grid
from maskunet.runs.grid.cells import CellFolder
from maskunet.runs.grid.made import MadeGrid, Paces, caption, title
from maskunet.runs.grid.make import make
from tests.support.generated import TEXT, assert_clear, drive

PLAIN = Request(prompt="a red cube", model="tiny", method="plain", steps=1)
MASKED = Request(prompt="a red cube", model="tiny", method="random_mask", steps=1)


def cells(*axes, request=PLAIN, **more):
    return grid(GridRequest(request=request, axes=axes), **more)


def values(text, name="seed", request=PLAIN):
    return [getattr(cell, name, cell.settings.get(name)) for cell in cells((name, text), request=request).cells]


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("seed", "1..4", [1, 2, 3, 4]),
        ("seed", "3..1, 7,7", [3, 2, 1, 7]),
        ("seed", "0:10:5|18446744073709551615", [0, 5, 10, 2**64 - 1]),
        ("guidance", "2.5:10:2.5", [2.5, 5.0, 7.5, 10.0]),
        ("guidance", "1:1.3:.1,2e0", [1.0, 1.1, 1.2, 1.3, 2.0]),
        ("prompt", "a cat, a dog|a cube\n\n a sphere ", ["a cat, a dog", "a cube", "a sphere"]),
        ("prompt", "a cat, a dog", ["a cat, a dog"]),
        ("removed", "0:0.1:0.05", [0.0, 0.05, 0.1]),
        ("kind", "iid,magnitude", ["iid", "magnitude"]),
        ("second_order", "true,false", [True, False]),
    ],
)
def test_values_are_read_from_a_text(name, text, found):
    assert values(text, name, MASKED) == found


def test_cells_are_all_combinations_panel_by_panel_and_row_by_row():
    made = cells(("seed", "1,2"), ("method", "plain@2, random_mask/window"), ("removed", "0,.1,.2"))
    assert made.shape == (3, 2, 2)
    asked = [(c.seed, c.method, c.preset, c.guidance, dict(c.settings)) for c in made.cells[:4]]
    assert asked == [
        (1, "plain", "", 2.0, {}),
        (2, "plain", "", 2.0, {}),
        (1, "random_mask", "window", None, {"removed": 0.0}),
        (2, "random_mask", "window", None, {"removed": 0.0}),
    ]
    assert made.labels(7) == {"x": "seed 2", "y": "random_mask/window", "z": "removed 0.1"}
    assert made.notes == ("plain has no setting removed: its value changes nothing there.",)
    assert title(made) == "“a red cube”, tiny, 1 step"


def test_settings_of_the_forms_own_method_are_left_out_of_others_and_the_notes_say_so():
    asked = replace(MASKED, settings={"removed": 0.25})
    assert [cell.settings for cell in cells(("method", "plain, random_mask"), request=asked).cells] == [
        {},
        {"removed": 0.25},
    ]
    asked = replace(PLAIN, method="maskunet_trained", settings={"generator": "tiny_reward"})
    made = cells(("method", "plain, random_mask"), ("removed", ".1"), request=asked)
    assert [cell.settings for cell in made.cells] == [{}, {"removed": 0.1}]
    assert made.notes == (
        "plain has no setting removed: its value changes nothing there.",
        "plain, random_mask have no setting generator: its value changes nothing there.",
    )
    with pytest.raises(ValueError, match="has no setting"):
        cells(("method", "plain"), request=replace(asked, settings={"colour": 1}))


def test_a_trained_part_is_named_as_in_a_race():
    (cell,) = cells(("method", "maskunet_trained:tiny_reward")).cells
    assert cell.settings == {"generator": "tiny_reward"}


@pytest.mark.parametrize(
    ("axes", "said"),
    [
        ([("seeds", "1")], "A grid cannot vary “seeds”. It can: prompt, "),
        ([("seed", " , ")], "The axis seed has no values"),
        ([("seed", "1..x")], "“1..x” is no value of seed. Write values with commas"),
        ([("seed", "1.5")], "must be whole numbers"),
        ([("seed", "-1")], "A grid's seeds are given"),
        ([("seed", "1:5:0")], "never ends"),
        ([("seed", "1:5:-1")], "never ends"),
        ([("seed", "1..999999999")], "are 999,999,999 values; a grid has 100,000 cells at most"),
        ([("seed", "1..1000"), ("guidance", "1:3:.01")], "This grid has 201,000 cells; allowed are 100,000"),
        ([("seed", "1"), ("seed", "2")], "Two axes vary the seed"),
        ([("steps", "101")], "The number of steps is 101; allowed is 1 to 100"),
        ([("removed", "2"), ("method", "random_mask")], "The setting removed is 2"),
        ([("removed", ".1")], "A grid cannot vary “removed”"),
        ([("second_order", "yes")], "Allowed are true and false"),
        ([("method", "magic")], "There is no method “magic”"),
        (
            [("method", "plain/first_order"), ("preset", "second_order")],
            "has a preset of its own, and an axis varies it",
        ),
        ([("method", "plain@2"), ("guidance", "2")], "has a guidance of its own"),
        ([("prompt", "x" * 1001)], "The prompt has 1,001 characters"),
        ([("prompt", "@/etc/passwd|a")], None),
        ([], "A grid has one to three axes, not 0"),
    ],
)
def test_what_is_wrong_with_an_axis_is_told_in_a_sentence(axes, said):
    if said is None:  # from a page a file is a text like any other
        assert cells(*axes).cells[0].prompt == "@/etc/passwd"
        return
    with pytest.raises(ValueError) as refused:
        cells(*axes)
    assert said in str(refused.value)
    assert_clear(str(refused.value))


def test_prompts_come_from_a_file_where_files_may_be_read(tmp_path):
    (tmp_path / "some.txt").write_text("a cat, a dog\n\na red | blue cube\n")
    made = cells(("prompt", f"@{tmp_path / 'some.txt'}"), may_read=True)
    assert [cell.prompt for cell in made.cells][0] == "a cat, a dog"
    with pytest.raises(ValueError, match="There is no file “none.txt” for the axis prompt"):
        cells(("prompt", f"@{tmp_path / 'none.txt'}"), may_read=True)


@pytest.mark.parametrize(("name", "text"), [("kind", "iid\nfenêtre"), ("prompt", "a cube\na café")])
def test_a_file_of_values_is_utf_8_with_or_without_a_mark_and_others_are_told(tmp_path, name, text):
    path = tmp_path / "some.txt"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError) as refused:
        cells((name, f"@{path}"), request=MASKED, may_read=True)
    assert str(refused.value) == "Line 2 of “some.txt” is no UTF-8 text. Save the file as UTF-8."
    path.write_bytes(b"\xef\xbb\xbf" + b"iid\r\nmagnitude\r\n")
    found = cells((name, f"@{path}"), request=MASKED, may_read=True).cells
    assert [{**cell.settings, "prompt": cell.prompt}[name] for cell in found] == ["iid", "magnitude"]


def test_whatever_is_given_as_an_axis_ends_in_cells_or_in_a_clear_sentence():
    names = st.sampled_from(["seed", "prompt", "steps", "guidance", "method", "removed", "preset", "model", "magic"])
    pieces = st.sampled_from(
        [*"0123456789.,:|-+e@/", "..", "1..3", "none", "plain", "1e99", "\n", "٣", "\ud800", "NaN"]
    )
    texts = st.lists(pieces, max_size=8).map("".join) | TEXT

    def check(axes):
        try:
            assert cells(*axes, request=MASKED).cells
        except ValueError as error:
            assert_clear(str(error))

    drive(60, st.lists(st.tuples(names, texts), min_size=1, max_size=3), check)


@pytest.fixture
def loaded(library):
    def load(name):
        loads.append(name)
        found = library.load(name)
        return found.model, found.rewards

    loads = load.names = []
    return load


def made(planned, folder, load, **more):
    """The grid with what can be made of it, and the numbers of the cells as they came."""
    grid_, order = MadeGrid(planned, CellFolder(folder)), []
    for numbers, cell in make(planned, grid_.cells, load, **more):
        grid_.take(numbers, cell)
        order.append(numbers)
    return grid_, order


def test_every_cell_is_its_requests_picture_and_is_made_once(loaded, tmp_path, library):
    planned = cells(("seed", "1,2"), ("method", "plain,random_mask"), ("removed", "0.1,0.2"))
    first, order = made(planned, tmp_path, loaded, batch=1)
    assert loaded.names == ["tiny"] and sorted(sum(order, [])) == [*range(8)]
    assert [0, 4] in order and len(order) == len([*tmp_path.glob("*.png")]) == 6  # plain has no such setting
    model, rewards = library.load("tiny").model, library.load("tiny").rewards
    for number in (1, 6):
        cell = planned.cells[number]
        spec = SPECS[cell.method]
        *_, last = spec.run(model, rewards, cell, spec.settings("", cell.settings))
        line = first.lines[number]
        assert np.array_equal(first.picture(number), last.image)
        assert line["reward_total"] == last.rewards["total"] and line["seed"] == cell.seed
        record = replay.parse((tmp_path / line["file"]).read_bytes())  # as a run's own picture
        assert replay.request_of(record).method == cell.method
    assert first.lines[6]["keep_ratio"] == pytest.approx(0.8, abs=0.05) and first.lines[0]["keep_ratio"] == 1
    again, order = made(planned, tmp_path, lambda name: (replace(model, vae=None), rewards))  # which can make none
    assert again.rows == first.rows and len(order) == 6


def test_pictures_that_differ_in_prompt_and_seed_share_calls(loaded, tmp_path, monkeypatch):
    shared, run = [], SPECS["plain"].run.together
    monkeypatch.setattr(
        type(SPECS["plain"].run),
        "together",
        lambda self, m, r, asked, s: shared.append(len(asked)) or run(m, r, asked, s),
    )
    made(cells(("seed", "1..3"), ("prompt", "a cat|a dog"), ("guidance", "2,3")), tmp_path, loaded, batch=4)
    assert shared == [4, 2, 4, 2]


def test_a_grid_killed_in_the_middle_goes_on_and_makes_nothing_twice(loaded, tmp_path, monkeypatch):
    planned, keep = cells(("seed", "1..20"), ("guidance", "1,2,3")), CellFolder.keep
    log = os.open(tmp_path / "log", os.O_CREAT | os.O_APPEND | os.O_WRONLY)

    def kept(self, name, run):
        cell = keep(self, name, run)
        os.write(log, f"{name}\n".encode())
        if os.getpid() != here and len((tmp_path / "log").read_text().split()) == 25:
            os.kill(os.getpid(), signal.SIGKILL)
        return cell

    here = os.getpid()
    monkeypatch.setattr(CellFolder, "keep", kept)
    loaded("tiny")
    child = os.fork()
    if not child:
        made(planned, tmp_path / "cells", loaded)
        os._exit(0)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
    there = {path.stem for path in (tmp_path / "cells").glob("*.png")}
    whole, order = made(planned, tmp_path / "cells", loaded)
    os.close(log)
    times = Counter((tmp_path / "log").read_text().split())
    assert len(there) == 25 and len(times) == len(whole.lines) == 60 and {*times.values()} == {1}
    assert there == {whole.lines[numbers[0]]["file"][:-4] for numbers in order[:25]}  # those that are there come first


def cut_short(png):
    """Without the end of its pixels; what stands before them is whole."""
    return png[: png.index(b"IDAT") + 40]


def without_a_number(png):
    return png.replace(b"unet_calls", b"unet_cells")


@pytest.mark.parametrize("damage", [lambda png: b"\x89PNG\r\n", cut_short, without_a_number, lambda png: b""])
def test_a_stop_keeps_what_is_made_and_a_damaged_cell_is_made_anew(loaded, tmp_path, damage):
    planned, asked = cells(("seed", "1..3")), iter(["", "Stop."])
    some, order = made(planned, tmp_path, loaded, batch=1, should_stop=lambda: next(asked))
    assert order == [[0]] and [*some.lines] == [0]
    path = tmp_path / some.lines[0]["file"]
    path.write_bytes(damage(path.read_bytes()))
    whole, order = made(planned, tmp_path, loaded)
    assert len(order) == 3 and np.array_equal(whole.picture(0), Image.open(tmp_path / whole.lines[0]["file"]))


def test_a_cell_that_cannot_be_made_says_why_and_the_others_are_made(loaded, tmp_path):
    def broken(model, rewards, request, settings):
        if request.seed == 2:
            raise ValueError(f"Seed {request.seed} is bad luck.")
        yield from SPECS["plain"].run(model, rewards, request, settings)

    methods = {"plain": replace(SPECS["plain"], run=broken)}
    planned = cells(("seed", "1..3"), methods=methods)
    some, _ = made(planned, tmp_path, loaded, methods=methods)
    assert [line["failed"] for line in some.rows] == [False, True, False] and some.failed == 1
    assert some.lines[1]["note"].startswith("Something failed (ref ")  # a test's words are no sentence for people
    assert caption(some.lines[1]) == "not made" and some.picture(1) is None
    assert some.write(tmp_path / "out", GridRequest(request=PLAIN, axes=(("seed", "1..3"),))) == ""


def says_red(prompt, pictures):
    return [{"right": "red" in prompt} for _ in pictures]


def test_each_cell_is_judged_by_its_models_judge_and_by_nobody_where_there_is_none(loaded, tmp_path):
    planned = cells(("prompt", "a red cube|a blue sphere"))
    for judges, said in (({"tiny": says_red}, [True, False]), ({"another": says_red}, [None, None])):
        judged = MadeGrid(planned, CellFolder(tmp_path / "cells"), judges.get)
        for numbers, cell in make(planned, judged.cells, loaded):
            judged.take(numbers, cell)
        assert [row["correct"] for row in judged.rows] == said


def test_what_is_left_is_a_sheet_and_tables_with_every_cell(loaded, tmp_path):
    asked = GridRequest(request=PLAIN, axes=(("seed", "1,2"), ("prompt", "a red cube|a blue sphere")))
    judged = MadeGrid(grid(asked), CellFolder(tmp_path / "cells"), lambda model: says_red)
    for numbers, cell in make(judged.grid, judged.cells, loaded):
        judged.take(numbers, cell)
    assert judged.write(tmp_path, asked, command="this one") == ""
    rows = list(csv.DictReader((tmp_path / "grid.csv").open()))
    assert [(row["x"], row["y"], row["correct"]) for row in rows] == [
        ("seed 1", "a red cube", "True"),
        ("seed 2", "a red cube", "True"),
        ("seed 1", "a blue sphere", "False"),
        ("seed 2", "a blue sphere", "False"),
    ]
    record = json.loads((tmp_path / "grid.json").read_text())
    assert (record["command"], record["made"], record["count"]) == ("this one", 4, 4)
    assert record["axes"][1] == {"name": "prompt", "values": ["a red cube", "a blue sphere"]}
    assert {row["file"] for row in rows} == {path.name for path in (tmp_path / "cells").iterdir()}
    picture = Image.open(tmp_path / "grid.png")
    assert picture.convert("L").getextrema()[0] < 60 and judged._repr_png_() == (tmp_path / "grid.png").read_bytes()
    assert caption(judged.lines[0]) == f"✓ {judged.lines[0]['reward_total']:.2f}"


def drawn(*axes, size=64, **more):
    planned = cells(*axes)
    images = {n: np.full((size, size, 3), (n * 7) % 250, np.uint8) for n in range(len(planned.cells))}
    return planned, sheet.draw(planned, images.get, more.pop("under", {}), more.pop("title", ""))


def test_labels_are_drawn_wrapped_and_pictures_stand_in_their_place():
    long = "a very long prompt that does not fit beside a small picture in one line at all"
    _, plain = drawn(("seed", "1,2"), ("prompt", f"a cat|{long}"))
    array = np.asarray(plain)
    places = [np.argwhere((array == (n * 7) % 250).all(-1)) for n in range(1, 4)]
    assert all(len(place) >= 64 * 64 for place in places)  # whole pictures, nothing written over them
    assert places[0].min(0)[1] > places[1].min(0)[1] and places[1].min(0)[0] > places[0].min(0)[0]
    left = array[:, : places[1].min(0)[1]]
    inked = np.flatnonzero((left < 128).all(-1).any(1))
    assert np.ptp(inked) > 64  # several lines
    of = sheet.font(12)
    lines = sheet.wrapped(long, 90, of)
    assert len(lines) == sheet.LINES and lines[-1].endswith("…") and all(of.getlength(line) <= 90 for line in lines)
    assert "".join(sheet.wrapped("x" * 40, 60, of, 99)) == "x" * 40


def test_one_axis_is_a_strip_and_many_panels_stand_in_rows():
    assert (lambda image: image.width > 4 * image.height)(drawn(("seed", "1..8"))[1])
    assert (lambda image: image.width < 1.5 * image.height)(drawn(("seed", "1..16"))[1])


def test_a_sheet_stays_within_its_limits_or_says_that_it_is_not_drawn(monkeypatch):
    monkeypatch.setattr(sheet, "EDGE", 900)
    _, small = drawn(("seed", "1..20"), ("guidance", "1:5:1"))
    assert small.width <= 900
    with pytest.raises(ValueError, match="A sheet of 200 cells would be too large"):
        drawn(("seed", "1..40"), ("guidance", "1:5:1"))


def test_times_and_sizes_are_told_in_words():
    assert cost(4.4, 2_300_000) == "about 4 s and 2 MB"
    assert cost(7000, 3.4e9) == "about 1 h 57 min and 3.4 GB"
    assert cost(300, 10, least=True) == "at least 5 min and 1 MB"
    assert cost(None, 10) == "about 1 MB; how long it takes is known after the first"
    paces = Paces(steps={"tiny": 5})
    assert paces.of("tiny", "plain", None) is None
    paces.learn("tiny", "plain", 4, 8.0)
    assert (paces.of("tiny", "plain", None), paces.of("tiny", "other", 3)) == (10.0, 6.0)
    left = MadeGrid(cells(("method", "plain,random_mask")), CellFolder(None))
    assert left.seconds_left(paces) == 4.0 and left.may_take_longer(paces)
    assert MOST == 100_000
