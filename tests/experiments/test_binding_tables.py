"""Tables 2 and 3: shares, intervals and differences by hand; what is missing is made, and nothing twice."""

import csv
import json
from types import SimpleNamespace

import pytest

from maskunet.commands.registry import main
from maskunet.evaluation.benchmarks import SPECS as BENCHMARKS
from maskunet.evaluation.intervals import wilson
from maskunet.experiments.study import subjects
from maskunet.experiments.tables import binding, binding_report
from maskunet.library.library import Loaded
from maskunet.records import Request
from maskunet.runs.entrant import entrant
from maskunet.tabletop.tasks import TASKS
from tests.support.races import Checker, Stub

TWO, THREE = binding.TABLES["2"], binding.TABLES["3"]
ASKED = Request(prompt="-", model="stub", steps=2)
ABOUT = {"model": "stub", "command": "table", "guidance": 2.5, "finished": "all of them"}


def rows_of(table, right):
    """Rows of every method; `right` says by method and twin task which of its pictures are correct."""
    return [
        {
            "row": name, "task": task, "prompt": f"{task} {i}", "seed": i, "correct": value, "seconds": 2.0,
            "unet_calls": 15,
        }
        for name in table.rows()
        for task in table.tasks.values()
        for i, value in enumerate(right(name, task))
    ]  # fmt: skip


def test_every_twin_is_a_task_and_every_row_a_method_the_paper_has():
    for table in binding.TABLES.values():
        assert set(table.tasks.values()) <= set(TASKS)
        assert set(filter(None, table.rows().values())) <= set(BENCHMARKS[table.benchmark].published)
        assert list(table.rows())[:2] == ["plain", "random_mask"]  # what is compared with, and the control
    assert "attend_and_excite/gentle" not in THREE.rows()  # the paper's Table 3 lacks it


def test_shares_and_paired_differences_are_those_computed_by_hand():
    def right(name, task):
        if name != "syngen/gentle":
            return [True, True, False, False]
        return [False, True, True, True] if task == "two" else [True, True, False, False]

    lines = {line["row"]: line for line in binding.summarize(TWO, rows_of(TWO, right))}
    shape = lines["syngen/gentle"]["tasks"]["shape"]
    assert (shape["value"], shape["n"]) == (0.75, 4)
    assert (shape["low"], shape["high"]) == wilson(3, 4)
    against = lines["syngen/gentle"]["against"]
    assert (against["fixed"], against["broken"], against["p"]) == (2, 1, 1.0)
    assert against["value"] == pytest.approx(1 / 12)
    assert lines["plain"]["tasks"]["overall"]["value"] == 0.5
    assert lines["syngen/gentle"]["tasks"]["overall"]["value"] == pytest.approx((0.5 + 0.5 + 0.75) / 3)


def test_each_task_counts_the_same_in_the_overall():
    def right(name, task):
        return [True] if task == "two" else [False] * 9

    overall = binding.summarize(TWO, rows_of(TWO, right))[0]["tasks"]["overall"]
    assert overall["value"] == pytest.approx(1 / 3)
    assert overall["low"] <= 1 / 3 <= overall["high"]


@pytest.mark.parametrize("value", [True, False])
def test_an_overall_that_is_all_alike_has_a_width_too(value):
    overall = binding.summarize(TWO, rows_of(TWO, lambda name, task: [value] * 2))[0]["tasks"]["overall"]
    assert overall["value"] == value and overall["high"] - overall["low"] > 0.2


def test_a_prompt_that_comes_twice_counts_once_in_the_test():
    rows = rows_of(TWO, lambda name, task: [name == "syngen/gentle"] * 4)
    rows = [{**row, "prompt": f"{row['task']} {row['seed'] // 2}"} for row in rows]
    line = next(line for line in binding.summarize(TWO, rows) if line["row"] == "syngen/gentle")
    assert (line["against"]["fixed"], line["against"]["broken"]) == (6, 0)
    assert (line["tasks"]["shape"]["low"], line["tasks"]["shape"]["high"]) == wilson(2, 2)


def test_only_pictures_that_all_methods_have_count():
    rows = rows_of(TWO, lambda name, task: [True, False])
    cut = [row for row in rows if (row["row"], row["seed"]) != ("random_mask", 1)]
    assert all(line["tasks"]["color"]["n"] == 1 for line in binding.summarize(TWO, cut))
    with pytest.raises(ValueError, match="Not every task has a picture of every method yet"):
        binding.summarize(TWO, [row for row in rows if row["row"] != "random_mask"])


def test_the_papers_figures_stand_apart_and_its_misprint_is_told(tmp_path):
    lines = binding.summarize(THREE, rows_of(THREE, lambda name, task: [True]))
    binding_report.save(tmp_path, "3", THREE, lines, ABOUT)
    ours, paper = (tmp_path / "table_3.md").read_text().split("## The paper's own figures")
    assert "| SynGen+MaskUNet | 1 | 0.43 |" in paper
    assert "prints 0.10 for single objects" in paper
    assert "0.43" not in ours
    row = next(csv.DictReader((tmp_path / "table_3.csv").open()))
    assert (row["row"], float(row["paper_overall"])) == ("plain", 0.39)
    assert json.loads((tmp_path / "table_3.json").read_text())["summary"] == lines


def test_all_rows_are_sampled_by_the_same_solver():
    ways = [entrant(name) for name in binding.ROWS]
    assert {way.spec.settings(way.preset, binding.SOLVER).second_order for way in ways} == {True}


def test_what_is_missing_is_made_and_nothing_twice(monkeypatch):
    stubs = {name: Stub(name) for name in ("plain", "syngen")}
    ways = {
        name: SimpleNamespace(name=name, spec=stub, preset="", request=lambda asked, name=name: asked)
        for name, stub in stubs.items()
    }
    monkeypatch.setattr(binding, "entrant", ways.get)
    pairs = subjects("two,counting", n=2, seeds=2)

    def make(done=(), stop_after=10**9):
        rows = []
        for row in binding.make(
            Loaded(model=None, rewards=None, checker=Checker()),
            ASKED,
            list(ways),
            pairs,
            done,
            lambda: "stop" if len(rows) >= stop_after else "",
        ):
            rows.append(row)
        return rows

    whole, part = make(), make(stop_after=5)
    assert len(whole) == 16
    assert part == whole[:5]
    assert [*part, *make(done=part)] == whole


def table_command(folder, *more):
    return main(["table", "2", "--pictures", "1", "--seeds", "1", "--out", str(folder), *more])


def test_the_command_makes_the_table_and_goes_on(tmp_path, tiny_judged, monkeypatch, capsys):
    monkeypatch.setattr(binding, "ROWS", {"plain": "SD 1.5", "random_mask": ""})
    assert table_command(tmp_path) == 0
    assert "| `random_mask` |" in capsys.readouterr().out
    before = (tmp_path / "binding-0.jsonl").read_text()
    assert len(before.splitlines()) == 1 + 2 * 3 and '"second_order": true' in before.splitlines()[0]
    assert table_command(tmp_path) == 0
    assert (tmp_path / "binding-0.jsonl").read_text() == before
    assert main(["table", "3", "--pictures", "1", "--seeds", "1", "--out", str(tmp_path)]) == 0
    ways = json.loads((tmp_path / "methods.json").read_text())
    (tmp_path / "methods.json").write_text(json.dumps(ways | {"plain": {**ways["plain"], "settings": {"other": 1}}}))
    assert table_command(tmp_path) == 2
    assert "The pictures of plain in this folder were made with other settings" in capsys.readouterr().err
    (tmp_path / "methods.json").write_text(json.dumps(ways))
    after = (tmp_path / "binding-0.jsonl").read_text()
    assert after.startswith(before)  # of Table 3 what Table 2 has is not made again
    assert len(after.splitlines()) == 1 + 2 * 7
    for pictures in ("2", "1"):  # and of what a larger table has made a smaller one takes its own
        assert main(["table", "3", "--pictures", pictures, "--seeds", "1", "--out", str(tmp_path)]) == 0
        line = next(csv.DictReader((tmp_path / "table_3.csv").read_text().splitlines()))
        assert {line[f"{task}_n"] for task in binding.TABLES["3"].tasks} == {pictures}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--model", "sd15"), "docs/results/tables/README.md has the commands"),
        (("--pictures", "0"), "--pictures must be at least 1"),
        (("--seeds", "0"), "--seeds must be at least 1"),
        (("--set", "every=50"), "train nothing; leave out --set and --steps"),
    ],
)
def test_mistakes_are_told_before_anything_is_made(tmp_path, capsys, words, said):
    with pytest.raises(SystemExit) as stop:
        table_command(tmp_path / "new", *words)
    assert stop.value.code == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
