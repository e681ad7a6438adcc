"""`evaluate` goes on where it was stopped, makes more pictures on request, and mixes no two evaluations."""

import re
from contextlib import contextmanager

import pytest

from maskunet.commands import evaluate as command
from maskunet.commands.registry import main
from maskunet.experiments import evaluate

PLAIN = ("evaluate", "--model", "tabletop", "--device", "cpu", "--method", "plain", "--steps", "2")


def run(out, *words):
    return main([*PLAIN, "--tasks", "single,two", *words, "--out", str(out)])


@contextmanager
def stopped_after_one():
    yield lambda: "Ctrl+C"


def comparable(folder):
    return [{name: row[name] for name in row if name != "seconds"} for row in evaluate.load(folder)]


def test_a_stopped_evaluation_goes_on_and_equals_an_uninterrupted_one(tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as patched:
        patched.setattr(command, "resumable", stopped_after_one)
        assert run(tmp_path / "parts", "--n", "2") == 0
    assert [row["task"] for row in evaluate.load(tmp_path / "parts")] == ["single"]
    first = (tmp_path / "parts" / "rows.jsonl").read_bytes()
    assert run(tmp_path / "parts", "--n", "2") == 0
    assert (tmp_path / "parts" / "rows.jsonl").read_bytes().startswith(first)
    assert run(tmp_path / "whole", "--n", "1") == 0
    assert run(tmp_path / "whole", "--n", "2", "--against", str(tmp_path / "parts")) == 0
    assert comparable(tmp_path / "parts") == comparable(tmp_path / "whole")
    assert [row["task"] for row in evaluate.load(tmp_path / "whole")] == ["single", "single", "two", "two"]
    assert re.search(r"Against parts, 4 pairs( of \d prompts)?: total reward \+0\.000", capsys.readouterr().out)


@pytest.mark.parametrize("changed", [("--seed", "2"), ("--guidance", "3"), ("--split", "train")])
def test_a_folder_belongs_to_one_evaluation(changed, tmp_path, capsys):
    assert run(tmp_path, "--n", "1") == 0
    before = (tmp_path / "evaluation.json").read_bytes()
    assert run(tmp_path, "--n", "1", *changed) != 0
    assert "was made with another" in capsys.readouterr().err
    assert (tmp_path / "evaluation.json").read_bytes() == before


def test_an_evaluation_that_shares_nothing_is_refused_before_any_work(tmp_path, monkeypatch, capsys):
    assert run(tmp_path / "one", "--n", "1") == 0
    monkeypatch.setattr("maskunet.experiments.judges.load", lambda *_, **__: pytest.fail("a model was loaded"))
    assert run(tmp_path / "two", "--n", "1", "--seed", "2", "--against", str(tmp_path / "one")) != 0
    assert "share no prompt and seed" in capsys.readouterr().err
