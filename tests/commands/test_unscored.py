"""A base model without its rewards, as for who downloaded no more: what it draws, what it says, what is refused."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskunet.commands.registry import main
from maskunet.lab import Lab
from maskunet.library.library import Library
from maskunet.methods import SPECS
from maskunet.records import Request
from maskunet.records.disk.hub import MissingWeights
from maskunet.runs import run_folder
from maskunet.studio import doctor
from maskunet.studio.studio import Studio
from maskunet.ui import page, remembered
from maskunet.ui.html import pictures
from maskunet.ui.server.endpoint import _output
from maskunet.ui.tabs import history
from tests.support.tiny import tiny_sd_folder
from tests.support.tiny_rewards import write_small
from visualize import SPECS as PLOTS

NONE = "The rewards HPSv2 and ImageReward are not on this machine (3.8 GB). To download them: python -m maskunet download rewards"
NOTE = f"Not scored: {NONE[0].lower()}{NONE[1:]}"
STEERED = [spec.name for spec in SPECS.values() if spec.needs_rewards]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A base model's folder and nothing beside it."""
    return tiny_sd_folder(tmp_path_factory.mktemp("unscored") / "base")


@pytest.fixture(autouse=True)
def nothing_else(tmp_path, monkeypatch):
    """No rewards were downloaded."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HOME", str(tmp_path / "hub"))


@pytest.fixture
def unread(monkeypatch):
    """Whoever loads rewards fails."""

    def fail(*given):
        raise AssertionError("rewards were loaded")

    monkeypatch.setattr("maskunet.library.library.load_rewards", fail)


@pytest.fixture
def with_rewards(tmp_path):
    """The same, with rewards."""
    folder = tiny_sd_folder(tmp_path / "scored")
    write_small(folder / "rewards")
    return folder


def generate(weights, out, *more):
    given = ["--model", "folder", "--weights", str(weights), "--device", "cpu", "--prompt", "a red cube"]
    return main(["generate", *given, "--steps", "2", "--out", str(out), *more])


def sample(weights, out, method, *more):
    (out.parent / "prompts.txt").write_text("a red cube\na blue sphere\n")
    given = ["--model", "folder", "--weights", str(weights), "--device", "cpu", "--method", method]
    return main(
        ["sample", *given, "--prompts", str(out.parent / "prompts.txt"), "--steps", "2", "--out", str(out), *more]
    )


def test_generate_draws_says_once_that_nothing_is_scored_and_the_run_can_be_used(weights, tmp_path, capsys):
    assert generate(weights, tmp_path / "run", "--method", "random_mask") == 0
    assert capsys.readouterr().out.count(NOTE) == 1
    run = run_folder.read(tmp_path / "run")
    assert (run.rewards, run.base_rewards, run.note, run.state) == ({}, {}, NOTE, "done")
    assert "reward" not in (tmp_path / "run" / "steps.csv").read_text()
    (tmp_path / "uploads").mkdir()
    again = run_folder.unzip(run_folder.run_zip(tmp_path / "run"), tmp_path / "uploads")
    assert again.note == NOTE
    replayed = ["--weights", str(weights), "--model", "folder", "--device", "cpu", "--out", str(tmp_path / "again")]
    assert main(["generate", "--replay", str(tmp_path / "run" / "result.png"), *replayed]) == 0
    assert (tmp_path / "again" / "result.png").read_bytes() == (tmp_path / "run" / "result.png").read_bytes()
    curve = PLOTS["reward_curve"]
    assert [panel.get_ylabel() for panel in curve.draw(run).axes] == ["keep ratio"]
    assert len(curve.table(run)) == len(run.rows)


def test_a_plain_run_has_no_curve_and_says_so(weights, tmp_path):
    assert generate(weights, tmp_path / "run", "--method", "plain", "--no-base") == 0
    run = run_folder.read(tmp_path / "run")
    with pytest.raises(ValueError, match="This run has no rewards over its updates"):
        PLOTS["reward_curve"].draw(run)


def test_the_pictures_are_those_that_are_scored_elsewhere(weights, with_rewards, tmp_path):
    assert generate(weights, tmp_path / "unscored", "--method", "freeu") == 0
    assert generate(with_rewards, tmp_path / "known", "--method", "freeu") == 0
    unscored, scored = (run_folder.read(tmp_path / name) for name in ("unscored", "known"))
    assert np.array_equal(unscored.result_image, scored.result_image)
    assert np.array_equal(unscored.base_image, scored.base_image)
    assert {"hpsv2", "image_reward", "total"} == {*scored.rewards} == {*scored.base_rewards} and not scored.note


def test_the_page_shows_such_a_run_as_not_scored(weights, tmp_path):
    run = Lab(weights, device="cpu").compare("a red cube", method="random_mask", steps=2)
    facts = pictures.facts(run, {})
    assert "<dt>Reward</dt><dd>not scored<" in facts and NOTE in facts and "nan" not in facts
    (kept,) = remembered.with_run([], run)
    assert kept["gain"] is None and "reward" not in history.grid([kept])
    broken = replace(run, base_rewards={"total": 1.0})  # its own reward was no number
    assert "not scored" in pictures.facts(broken, {}) and remembered.with_run([], broken)[0]["gain"] is None


def test_the_list_of_methods_says_which_need_rewards(capsys):
    assert main(["methods"]) == 0
    lines = capsys.readouterr().out.splitlines()
    told = [lines[i - 2].partition(":")[0] for i, line in enumerate(lines) if line == "    needs rewards"]
    assert sorted(told) == sorted(STEERED) != []


def test_sample_scores_nothing_and_needs_no_rewards(weights, with_rewards, unread, tmp_path, capsys):
    for base, name in ((weights, "without"), (with_rewards, "with")):
        assert sample(base, tmp_path / name, "plain") == 0
        said = capsys.readouterr().err
        assert said.count("Nothing was scored.") == 1 and "2 of 2 pictures are there" in said
    made = [np.asarray(Image.open(tmp_path / name / "00001.png")) for name in ("without", "with")]
    assert np.array_equal(*made)


@pytest.mark.parametrize("method", STEERED)
def test_what_rewards_steer_is_refused_in_a_sentence_before_anything_is_made(weights, tmp_path, capsys, method):
    for command, out in ((generate, tmp_path / "run"), (sample, tmp_path / "pictures")):
        given = (out, method) if command is sample else (out, "--method", method)
        assert command(weights, *given) == 2
        assert capsys.readouterr().err.strip() == NONE
        assert not out.exists()


def test_sample_is_steered_where_there_are_rewards(with_rewards, tmp_path, capsys):
    assert sample(with_rewards, tmp_path / "out", "best_of_n", "--set", "n=2") == 0
    assert "scored" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "command", [["evaluate", "--method", "plain", "--n", "1"], ["race", "--prompts", "1"], ["study", "--n", "1"]]
)
def test_what_compares_scores_is_refused(weights, tmp_path, capsys, command):
    given = ["--model", "folder", "--weights", str(weights), "--device", "cpu", "--out", str(tmp_path / "out")]
    assert main([*command, *given]) == 2
    assert capsys.readouterr().err.strip() == NONE and not (tmp_path / "out").exists()


def test_a_lab_reads_rewards_when_it_is_to_score(with_rewards, unread, monkeypatch):
    lab = Lab(with_rewards, device="cpu")
    assert lab.model.name == "folder"
    with pytest.raises(AssertionError, match="rewards were loaded"):
        lab.compare("a red cube", method="plain", steps=1)
    monkeypatch.undo()
    assert lab.compare("a red cube", method="plain", steps=1).rewards
    assert lab.rewards is lab.rewards


def test_a_lab_without_rewards_draws_and_refuses_at_once(weights, tmp_path):
    lab = Lab(weights, device="cpu")
    *_, last = lab.events("a red cube", method="plain", steps=1)
    assert last.final and last.rewards == {} and not lab.rewards
    refused = (
        lambda: lab.events("a red cube"),
        lambda: lab.compare("a red cube"),
        lambda: lab.evaluate("plain", n=1),
        lambda: lab.train("mask_reward", out=tmp_path / "trained"),
    )
    for ask in refused:
        with pytest.raises(MissingWeights) as told:
            ask()
        assert str(told.value) == NONE


@pytest.fixture
def studio(weights, tmp_path):
    made = Studio(tmp_path / "runs", "folder", weights, "cpu")
    yield made
    made.close()


def finished(studio, job):
    *_, last = studio.events(job)
    return last


def test_the_page_draws_checks_and_refuses_and_scores_once_there_are_rewards(studio, tmp_path, monkeypatch):
    card = studio.cards()[0]
    assert (card.available, card.unscored) == (True, NONE)
    asked = Request(prompt="a red cube", model="folder", method="random_mask", steps=2)
    event = finished(studio, studio.start(asked))
    assert (event.phase, event.message, event.run.rewards) == ("done", NOTE, {})
    _, (_, _, facts) = _output(event, None)
    assert (facts["rewards"], facts["base_rewards"], facts["note"]) == ({}, {}, NOTE)
    assert finished(studio, studio.null_mask(asked)).message == "Largest pixel difference: 0 of 255."
    with pytest.raises(ValueError) as refused:
        studio.start(Request(prompt="a red cube", model="folder", method="maskunet_free"))
    assert str(refused.value) == NONE
    write_small(tmp_path / "hub" / "maskunet" / "rewards")
    later = finished(studio, studio.start(asked)).run
    assert later.rewards and later.base_rewards and not later.note  # of the plain picture that was known too
    assert not studio.cards()[0].unscored


def test_what_is_chosen_at_first_works(studio):
    shown = [each["props"] for each in page.build(studio, {}).get_config_file()["components"]]
    assert [each["value"] for each in shown if each.get("elem_id") == "method"] == ["random_mask"]
    assert [each["value"] for each in shown if each.get("label") == "method"][0] == "random_mask"  # of /compare
    text = "\n".join(str(each.get("value")) for each in shown)
    assert f"Its pictures are not scored, and methods that rewards steer are refused. {NONE}" in text
    first = Request(prompt="a red cube", model="folder", method="random_mask", preset="start")
    assert "generate --model=folder --weights=base --method=random_mask --preset=start" in studio.command(first)
    assert "--weights" not in studio.command(Request(prompt="a red cube", model="tabletop"))


def test_an_empty_folder_beside_the_weights_hides_no_downloaded_rewards(weights, tmp_path):
    folder = Path(shutil.copytree(weights, tmp_path / "base"))
    (folder / "rewards").mkdir()
    write_small(tmp_path / "hub" / "maskunet" / "rewards")
    assert Library("folder", folder, "cpu").load("folder").rewards


def test_a_mask_of_ones_reads_no_rewards(with_rewards, unread, tmp_path):
    studio = Studio(tmp_path / "runs", "folder", with_rewards, "cpu")
    asked = Request(prompt="a red cube", model="folder", steps=2)
    assert finished(studio, studio.null_mask(asked)).message == "Largest pixel difference: 0 of 255."
    assert finished(studio, studio.start(asked)).phase == "failed"  # which scores
    studio.close()


def test_the_doctor_says_what_works_without(weights, tmp_path):
    found = {each.name: each for each in doctor.examine(Library("folder", weights, "cpu"), 1, tmp_path)}
    assert found["Speed"].good and found["Speed"].said.endswith("Without rewards no mask can be optimized.")
    assert found["Rewards"].good and found["Rewards"].said.startswith(
        "Without rewards nothing is scored, and every method works except best_of_n"
    )
    assert NONE in found["Rewards"].said
