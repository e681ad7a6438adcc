"""python -m maskunet grid: makes what is missing, and tells what many cells take before it makes them."""

import csv
import json
import re
import shlex
from types import SimpleNamespace

import pytest
from PIL import Image

from maskunet.commands.registry import main
from tests.support import tiny_library


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_library.write(tmp_path_factory.mktemp("grid") / "model")


@pytest.fixture
def grid(folder, tmp_path):
    def command(*words):
        place = ["--weights", str(folder), "--device", "cpu", "--model", "folder", "--out", str(tmp_path / "out")]
        usual = ["--steps=1", *([] if any("=method=" in word for word in words) else ["--method=plain"])]
        return main(["grid", *usual, *words, *place])

    return command


def test_it_writes_the_sheet_and_the_tables_and_goes_on(grid, tmp_path, capsys):
    assert grid("--x=seed=1..3", "--prompt=a red cube") == 0
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "cells").iterdir()}
    assert grid("--x=seed=1..4", "--y=method=plain,random_mask", "--prompt=a red cube", "--set=second_order=true") == 0
    rows = list(csv.DictReader((tmp_path / "out" / "grid.csv").open()))
    assert len(rows) == 8 and {row["method"] for row in rows} == {"plain", "random_mask"}
    assert before.items() <= {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "cells").iterdir()}.items()
    assert Image.open(tmp_path / "out" / "grid.png").width > 4 * 64
    assert "8 of 8 cells are there.\nout has grid.png, grid.csv and grid.json." in capsys.readouterr().out


def test_the_command_that_a_grid_notes_makes_it_again(grid, tmp_path):
    guidance = "--guidance=3"  # of the methods that say none themselves
    assert grid("--x=method=plain@2,random_mask", "--y=seed=1,2", "--prompt=a red cube", guidance) == 0
    record = json.loads((tmp_path / "out" / "grid.json").read_text())
    assert [cell["guidance"] for cell in record["cells"]] == [2, 3, 2, 3]
    _, _, _, name, *words = shlex.split(record["command"])
    assert name == "grid" and grid(*words) == 0
    assert json.loads((tmp_path / "out" / "grid.json").read_text())["cells"] == record["cells"]


def test_ten_thousand_cells_are_not_made_before_somebody_agrees(grid, tmp_path, capsys, monkeypatch):
    many = ["--x=seed=1..100", "--y=guidance=1:10.9:.1", "--prompt=a red cube"]
    with pytest.raises(SystemExit) as ended:
        grid(*many)
    said = capsys.readouterr().err.splitlines()[-1]
    assert ended.value.code == 2
    assert re.search(
        r"9,99\d cells are missing, which take about \d+ (s|min|h \d+ min) and \d+ MB of [\d.]+ GB free", said
    )
    assert said.count("give --yes to make them") == 1
    assert 1 <= len([*(tmp_path / "out" / "cells").iterdir()]) <= 4  # from which the time is known; they stay
    monkeypatch.setattr("maskunet.commands.grid.ASK", 3)
    assert grid("--x=seed=1..5", "--prompt=a red cube", "--yes") == 0
    monkeypatch.setattr("shutil.disk_usage", lambda place: SimpleNamespace(free=10))
    with pytest.raises(SystemExit):
        grid("--x=seed=1..9", "--prompt=a red cube", "--yes")
    assert "give fewer values, or another --out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--x=seed=1..3"], "give --prompt, or prompts on one axis"),
        (["--x=prompt=a|b", "--prompt=c"], "--prompt is given twice, also on an axis; leave one of them out"),
        (["--x=negative_prompt=a|b", "--prompt=c", "--negative-prompt=d"], "--negative-prompt is given twice"),
        (["--x=seed=1,2", "--prompt=c", "--seed=0"], "--seed is given twice"),
        (["--x=seed=1,2", "--y=guidance=1,2", "--prompt=c", "--guidance=3"], "--guidance is given twice"),
        (["--x=steps=1,2", "--prompt=c"], "--steps is given twice"),
        (["--x=method=plain,random_mask", "--prompt=c", "--method=maskunet_free"], "--method is given twice"),
        (["--x=preset=a,b", "--prompt=c", "--preset=first_order"], "--preset is given twice"),
        (["--x=method=plain,random_mask", "--prompt=c", "--preset=first_order"], "write it there, method/preset"),
        (["--x=second_order=true,false", "--prompt=c", "--set=second_order=true"], "--set second_order is given twice"),
        (
            ["--x=method=plain@2,random_mask@3", "--prompt=c", "--guidance=4"],
            "--guidance is given twice, also with each",
        ),
        (
            ["--x=method=plain,maskunet_trained:a", "--prompt=c", "--set=generator=b"],
            "--set generator is given twice, also with each method",
        ),
        (["--x=seed=1..3", "--prompt="], "The prompt is empty"),
        (["--x=seed", "--prompt=c"], "is not NAME=VALUES, such as seed=1..8"),
        (["--x=model=folder,magic", "--prompt=c"], "There is no model “magic”"),
        (["--x=method=plain,best_of_n/magic", "--prompt=c"], "best_of_n has no preset “magic”"),
    ],
)
def test_a_mistake_is_told_before_anything_is_made(grid, tmp_path, capsys, words, said):
    try:
        assert grid(*words) == 2
    except SystemExit as ended:
        assert ended.code == 2
    assert said in capsys.readouterr().err and not (tmp_path / "out").exists()
