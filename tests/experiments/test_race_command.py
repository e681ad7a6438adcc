"""`python -m maskunet race`: who may enter, what the command refuses, and how it goes on."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from maskunet.commands.registry import main
from maskunet.experiments.race import entrants, make
from maskunet.records import Request
from maskunet.rewards.base import WeightedRewards
from tests.support.races import WEIGHTS


def test_entrants_are_written_with_preset_and_guidance():
    plain, best, gentle = entrants.entrants("plain@7.5, syngen/gentle")
    assert (plain.name, plain.guidance, best.guidance, gentle.preset) == ("plain", None, 7.5, "gentle")
    asked = best.request(Request(prompt="a cube", seed=3, model="m", steps=4, guidance=2.5))
    assert (asked.guidance, asked.method, asked.seed, asked.previews) == (7.5, "plain", 3, False)
    assert gentle.request(asked).guidance == 7.5
    _, named = entrants.entrants("maskunet_trained/own:mine@3")
    settings = named.settings("hpsv2", {})
    assert (settings.generator, settings.halves, named.guidance) == ("mine", "own", 3.0)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("magic", "magic"),
        ("syngen/magic", "magic"),
        ("plain@strong", "Write method/preset:part@guidance, such as plain@7.5"),
        ("freeu:mine", "names a trained part, “mine”, but freeu uses none"),
    ],
)
def test_a_wrong_entrant_is_refused_with_what_is_allowed(name, said):
    with pytest.raises(ValueError, match=said):
        entrants.entrants(name)


def test_all_are_real_methods_and_only_the_optimized_reward_counts():
    chosen = {each.name: each for each in entrants.entrants("all")}
    assert set(chosen) == set(entrants.ALL)
    settings = chosen["fk_steering"].settings("hpsv2", WEIGHTS)
    assert (settings.image_reward, settings.hpsv2) == (0.0, 2.0)
    assert chosen["freeu"].settings("hpsv2", WEIGHTS) == chosen["freeu"].spec.settings()


def test_methods_that_need_a_trained_file_race_only_where_there_is_one(tiny_sd15):
    chosen = entrants.entrants("maskunet_trained,maskunet_amortized,freeu")
    both = tiny_sd15.trained
    for trained, names in (
        ({}, ["plain", "freeu"]),
        ({"generator": both["generator"]}, ["plain", "maskunet_trained", "freeu"]),
        (both, ["plain", "maskunet_trained", "maskunet_amortized", "freeu"]),
    ):
        model = replace(tiny_sd15, trained=trained)
        assert [e.name for e in entrants.present(chosen, model)] == names


def test_a_method_that_needs_ten_steps_is_warmed_up_with_them_and_left_out_of_a_race_of_fewer(tiny_sd15):
    chosen = entrants.entrants("guider/slg")
    names = [[each.name for each in entrants.present(chosen, tiny_sd15, steps)] for steps in (9, 10, None)]
    assert names == [["plain"], ["plain", "guider/slg"], ["plain", "guider/slg"]]
    slg = chosen[1]
    make.warm(tiny_sd15, WeightedRewards({}), slg, slg.spec.settings("slg"), Request(prompt="-"))


def race_command(folder: Path, *more: str) -> int:
    words = "race --methods random_mask --tasks two,counting --prompts 1 --steps 2 --budget-seconds 0.2"
    return main([*words.split(), "--out", str(folder), *more])


def test_the_command_races_reports_and_goes_on(tmp_path, tiny_judged, capsys):
    assert race_command(tmp_path / "race") == 0
    assert "# The race" in capsys.readouterr().out
    lines = (tmp_path / "race" / "rows-0.jsonl").read_text()
    report_text = (tmp_path / "race" / "race.md").read_text()
    assert race_command(tmp_path / "race") == 0  # nothing is missing, so nothing is made
    assert (tmp_path / "race" / "rows-0.jsonl").read_text() == lines
    assert (tmp_path / "race" / "race.md").read_text() == report_text
    assert race_command(tmp_path / "race", "--optimize", "hpsv2") == 2
    assert "made with another optimize; give another --out" in capsys.readouterr().err


def test_processes_share_the_prompts_and_the_last_one_reports(tmp_path, tiny_judged, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank in (0, 1):
        monkeypatch.setenv("RANK", str(rank))
        assert race_command(tmp_path, "--prompts", "2") == 0
    rows = [
        {json.loads(line)["number"] for line in (tmp_path / f"rows-{rank}.jsonl").read_text().splitlines()[1:]}
        for rank in (0, 1)
    ]
    assert rows == [{0, 1}, {2, 3}]  # each has seen both tasks
    assert json.loads((tmp_path / "race.json").read_text())["prompts"] == 4


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--prompts", "0"), "--prompts must be at least 1"),
        (("--budget-seconds", "0"), "--budget-seconds must be at least 0.001"),
        (("--methods", "magic"), "magic"),
        (("--tasks", "juggling"), "no task “juggling”"),
    ],
)
def test_a_mistake_is_told_at_once(tmp_path, capsys, words, said):
    try:
        assert race_command(tmp_path, *words) == 2
    except SystemExit as stop:
        assert stop.code == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_method_says_in_its_spec_how_it_is_raced():
    from maskunet.methods import SPECS

    names = {f"{spec.name}{way}" for spec in SPECS.values() for way in spec.raced}
    assert entrants.ALL[0] == "plain" and set(entrants.ALL) == names
    assert {"plain@7.5", "maskunet_free/improved", "pag/gentle", "pag", "fine_tuned", "reno/nine"} <= names
    best = {name for name in names if name.startswith("best_of_n")}
    assert best == {"best_of_n/halving", "best_of_n/ranks"}  # plain at equal time is best-of-N
