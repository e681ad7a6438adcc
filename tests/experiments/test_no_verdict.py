"""Studies of a model whose pictures the checker does not know: rewards are compared, and nothing is said of what is correct."""

import dataclasses
import json

import pytest
import torch

from maskunet.commands.registry import main
from maskunet.experiments import causal, evaluate, judges, match, study
from maskunet.library.library import Loaded
from maskunet.records import Request
from maskunet.runs.entrant import entrant
from maskunet.tabletop import verdict
from tests.experiments.test_study import LIGHT, Redness
from visualize import random_ratio, seed_grid

ASKED = Request(prompt="-", model="tiny", steps=2)
SAID = "The checker knows tabletop's renders only"


@pytest.fixture
def loaded(tiny_sd15):
    return judges.with_eyes(Loaded(model=tiny_sd15, rewards=Redness()))


def test_the_checker_looks_only_at_pictures_of_its_kind(loaded, tiny_sd15):
    assert loaded.checker is loaded.inspector is None
    with pytest.raises(
        ValueError, match="The study of cures asks the checker, .* Give --model tabletop or tabletop_web"
    ):
        judges.check_eyes(loaded, "The study of cures")
    own = dataclasses.replace(tiny_sd15, judge=verdict.judge)
    judges.check_eyes(judges.with_eyes(Loaded(model=own, rewards=Redness())), "The study of cures")


def test_an_evaluation_has_rewards_alone(loaded, tmp_path):
    request = dataclasses.replace(ASKED, method="random_mask")
    rows = list(evaluate.evaluate(loaded, request, tasks="single,two", n=2, seed=1))
    assert {row["correct"] for row in rows} == {None} and "looks" not in rows[0]
    evaluate.save(tmp_path, rows, {})
    text = (tmp_path / "evaluation.md").read_text()
    assert SAID in text and "| correct |" not in text and "None" not in text
    told = evaluate.paired_line("plain", evaluate.paired(rows, rows))
    assert told.startswith("Against plain, 4 pairs of 3 prompts: total reward +0.000") and "right" not in told


def test_a_match_has_rewards_alone(loaded):
    chosen = [entrant("plain"), entrant("random_mask")]
    rows = list(match.make(loaded, ASKED, chosen, evaluate.subjects("two", 3, 1, "test")))
    tables = match.tables(match.report(rows))
    assert "| random_mask − plain | " in tables and "None" not in tables


def test_a_study_and_its_figures_have_rewards_alone(loaded):
    work = study.jobs(study.subjects("single,two", n=2, seeds=1), [LIGHT])
    made = list(study.study(loaded, ASKED, work=work))
    found = study.summarize([row for row, _ in made])
    assert SAID in study.table(found) and "None" not in study.table(found)
    assert len(random_ratio.draw(found).axes) == 2
    images, marks = (
        study.by_variant([image for _, image in made], 4),
        study.by_variant([row["correct"] for row, _ in made], 4),
    )
    rewards = study.by_variant([row["rewards"]["total"] for row, _ in made], 4)
    drawn = seed_grid.draw(images, rewards, marks, ["plain", "iid"], ["a", "b", "c", "d"])
    assert not any(mark in axes.get_xlabel() for axes in drawn.axes for mark in "✓✗")


def test_a_causal_map_has_distances_and_rewards_alone(loaded):
    rows = list(causal.causal(loaded, ASKED, asked=causal.prompts(1, 1, "test")[:2]))
    found = causal.summarize(rows)
    assert found["plain"]["correct"] is found["cells"][0]["correct"] is None and found["cells"][0]["distance"] > 0
    assert SAID in causal.table(found) and "None" not in causal.table(found)


def test_a_command_does_not_name_the_checker_among_its_judges(tiny_sd15, monkeypatch, tmp_path, capsys):
    class Shelf:
        device, default = torch.device("cpu"), "tiny"

        def __init__(self, *given, **added):
            pass

        def find(self, name):
            return tmp_path / "model", {}

        def load(self, name):
            return Loaded(model=tiny_sd15, rewards=Redness())

    monkeypatch.setattr("maskunet.library.library.Library", Shelf)
    words = ("match", "--methods=random_mask", "--tasks=colors", "--steps=2", "--n=1", "--model=tiny", "--out")
    assert main([*words, str(tmp_path / "out")]) == 0
    found = json.loads((tmp_path / "out" / "match.json").read_text())
    assert found["about"]["judges"] == {} and SAID in (tmp_path / "out" / "match.md").read_text()
    assert (
        main(["transfer", "--models=tiny,tiny=other", "--sources=random_mask", "--n=1", "--out", str(tmp_path / "t")])
        == 2
    )
    assert "The study of transfer asks the checker" in capsys.readouterr().err
