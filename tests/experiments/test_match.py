"""One picture each: the same prompts and seeds for all, paired differences, and a match that goes on."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from maskunet.commands.registry import main
from maskunet.evaluation.intervals import bootstrap, holm, sign_test, wilson
from maskunet.experiments import match
from maskunet.experiments.race.entrants import entrants
from maskunet.experiments.study import subjects
from maskunet.library.library import Loaded
from maskunet.records import Request
from maskunet.tabletop import verdict
from tests.methods.test_methods import Redness

ASKED = Request(prompt="-", model="tiny", steps=2, guidance=2.0)
SUBJECTS = subjects("single,two", n=2, seeds=1)


class Checker:
    """Sees nothing on any table; counts its looks."""

    looks = 0

    def see(self, image):
        self.looks += 1
        return [[] for _ in image]


def made(model, chosen, subjects=SUBJECTS, **more):
    loaded = Loaded(model=model, rewards=Redness(), checker=Checker())
    return list(match.make(loaded, ASKED, chosen, subjects, **more))


def test_all_make_one_picture_of_each_prompt_from_its_seed_and_it_goes_on(tiny_sd15):
    chosen = entrants("best_of_n/eight,random_mask")
    rows = made(tiny_sd15, chosen)
    names = ["plain", "best_of_n/eight", "random_mask"]
    assert [(row["entrant"], row["number"]) for row in rows] == [(name, i) for i in range(4) for name in names]
    for i in range(4):
        assert len({(row["prompt"], row["seed"]) for row in rows[3 * i : 3 * i + 3]}) == 1
    assert [row["unet_calls"] for row in rows[:3]] == [2, 16, 2]
    best, plain = rows[1]["rewards"]["total"], rows[0]["rewards"]["total"]
    assert best >= plain  # the first of the eight is plain's
    later = made(tiny_sd15, chosen, done=rows[:7])
    assert [{**row, "seconds": 0} for row in later] == [{**row, "seconds": 0} for row in rows[7:]]
    assert not made(tiny_sd15, chosen, done=rows)
    assert not made(tiny_sd15, chosen, should_stop=lambda: "stop")


def row(entrant, number, total, correct):
    return {
        "entrant": entrant, "number": number, "task": "two", "prompt": f"p{number}", "seed": number, "correct": correct,
        "rewards": {"hpsv2": total / 10, "image_reward": total / 2, "total": total}, "keep_ratio": 1.0,
        "unet_calls": 4, "seconds": 1.5,
    }  # fmt: skip


def test_the_report_pairs_every_two_and_leaves_out_what_not_all_have():
    mine = {"plain": [(1, 0), (2, 1), (3, 0)], "reno": [(2, 1), (2, 1), (6, 1)], "other": [(0, 0), (2, 0), (3, 1)]}
    rows = [row(name, i, *each) for name, values in mine.items() for i, each in enumerate(values)]
    found = match.report([*rows, row("plain", 3, 99, True)])
    assert found["n"] == 3
    plain, reno, _ = found["alone"]
    assert (plain["correct"], plain["correct_low"], plain["correct_high"]) == (1 / 3, *wilson(1, 3))
    assert (reno["total"], reno["total_low"], reno["total_high"]) == (10 / 3, *bootstrap([2, 2, 6]))
    assert [(line["entrant"], line["against"]) for line in found["pairs"]] == [
        ("reno", "plain"), ("other", "plain"), ("other", "reno"),
    ]  # fmt: skip
    first = found["pairs"][0]
    assert (first["total"], first["total_low"], first["total_high"]) == (4 / 3, *bootstrap([1, 0, 3]))
    assert (first["fixed"], first["broken"], first["p"]) == (2, 0, sign_test(2, 0))
    assert first["hpsv2"] == pytest.approx(4 / 30)
    assert [line["p_holm"] for line in found["pairs"]] == holm([line["p"] for line in found["pairs"]])
    assert "| reno − plain | +1.333 |" in match.tables(found)
    assert match.report([row("plain", 0, 1, True)])["pairs"] == []
    with pytest.raises(ValueError, match="No prompt has a picture of every entrant"):
        match.report([row("plain", 0, 1, True), row("reno", 1, 1, True)])


@pytest.fixture
def command(tiny_sd15, monkeypatch, tmp_path):
    """Runs the command on a small random model; says how many pictures the checker has seen."""
    checker = Checker()
    put_on = []

    class Shelf:
        device, default = torch.device("cpu"), "tiny"

        def __init__(self, *given, loras=(), **added):
            put_on.append(loras)

        def find(self, name):
            return tmp_path / "model", {}

        def load(self, name):
            return Loaded(model=replace(tiny_sd15, judge=verdict.judge), rewards=Redness())

    monkeypatch.setattr("maskunet.library.library.Library", Shelf)
    monkeypatch.setattr("maskunet.tabletop.checker.load", lambda folder: checker)

    def run(*words):
        before = checker.looks
        try:
            code = main(["match", *words, "--model=tiny", "--out", str(tmp_path / "out")])
        except SystemExit as stop:
            code = stop.code
        return SimpleNamespace(code=code, looks=checker.looks - before, out=tmp_path / "out", put_on=put_on)

    return run


def test_the_command_writes_its_tables_and_goes_on_with_more_prompts(command, capsys):
    words = ["--methods=random_mask", "--tasks=colors", "--steps=2"]
    first = command(*words, "--n=1", "--lora=metal.safetensors:0.8")
    assert (first.code, first.looks, first.put_on) == (0, 2, [("metal.safetensors:0.8",)])
    again = command(*words, "--n=2")
    assert (again.code, again.looks) == (0, 2)
    found = json.loads((again.out / "match.json").read_text())
    assert (found["n"], found["about"]["steps"], found["about"]["guidance"]) == (2, 2, 3.0)
    assert "--methods=random_mask" in found["about"]["command"] and "torch" in found["about"]["versions"]
    text = (again.out / "match.md").read_text()
    assert match.tables(found) in text and "n = 2 prompts, 2 different, 2 steps, guidance 3" in text
    assert match.tables(found) in capsys.readouterr().out
    other = command(*words, "--n=2", "--guidance=2")
    assert (other.code, other.looks) == (2, 0) and "made with another guidance" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [(["--methods=magic"], "magic"), (["--tasks=juggling"], "no task “juggling”"), (["--n=0"], "must be at least 1")],
)
def test_a_wrong_word_is_told_before_any_work(command, capsys, words, message):
    result = command(*words)
    assert (result.code, result.looks) == (2, 0)
    assert message in capsys.readouterr().err
    assert not result.out.exists()
