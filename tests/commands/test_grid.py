"""python -m maskunet grid: makes what is missing, and tells what many cells take before it makes them."""

import csv
import re
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
        return main(["grid", "--steps=1", "--method=plain", *words, *place])

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
        (["--x=prompt=a|b", "--prompt=c"], "--prompt is given twice"),
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
