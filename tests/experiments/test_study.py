"""How often a random mask wins: what is made, what is counted, and how a study goes on."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from maskunet.commands.registry import main
from maskunet.evaluation.intervals import bootstrap, sign_test, wilson
from maskunet.experiments import journal, study
from maskunet.library.library import Loaded
from maskunet.masks.sites import find_sites
from maskunet.records import Request
from maskunet.tabletop import verdict
from maskunet.tabletop.tasks import TASKS
from visualize import random_ratio, seed_grid
from visualize.base import darkened

QUICK = Request(prompt="-", model="tiny", steps=2)


class Redness:
    """Stands in for the rewards: how red a picture is."""

    def __call__(self, image, prompts):
        red = (image[:, 0] - image[:, 1]).mean((1, 2)) * 20
        return {"image_reward": red, "total": red}


class Checker:
    """Sees nothing on any table; counts its looks."""

    def __init__(self):
        self.looks = 0

    def see(self, image):
        self.looks += len(image)
        return [[] for _ in image]


def make(model, work, done=(), checker=None):
    loaded = Loaded(model=model, rewards=Redness(), checker=checker or Checker())
    return list(study.study(loaded, QUICK, work=work, done=done))


PAIRS = study.subjects("single,two", n=2, seeds=2)
LIGHT, HEAVY = study.variants(["iid"], [0.05, 0.6], ())


def test_windows_stand_at_every_center_and_nothing_is_asked_twice():
    found = study.variants(["iid", "window"], [0.1, 0.2, 0.1], [-1, 1])
    assert [(v.curve, v.removed) for v in found] == [
        ("iid", 0.1),
        ("iid", 0.2),
        ("window at -1 std", 0.1),
        ("window at -1 std", 0.2),
        ("window at +1 std", 0.1),
        ("window at +1 std", 0.2),
    ]


def test_a_wrong_kind_ratio_or_task_is_refused_with_what_is_allowed():
    with pytest.raises(ValueError, match="“best”. There are: iid, window, magnitude"):
        study.variants(["best"], [0.1], ())
    with pytest.raises(ValueError, match="ratio is 1.2; allowed is 0 to 1"):
        study.variants(["iid"], [0.1, 1.2], ())
    with pytest.raises(ValueError, match="no task “juggling”"):
        study.subjects("juggling", n=1, seeds=1)


def test_a_larger_study_begins_with_a_smaller_one_and_goes_through_all_tasks():
    small, large = (study.subjects("all", n=n, seeds=s) for n, s in ((2, 1), (3, 4)))
    assert small == [pair for pair in large if pair[1] in (100_000, 100_001)]
    assert [case.task for case, _ in large[: len(TASKS)]] == list(TASKS)
    assert len({(case.task, seed) for case, seed in large}) == len(large) == 7 * 3 * 4
    assert study.subjects("two, counting,two", n=2, seeds=1) == study.subjects("two,counting", n=2, seeds=1)


def test_the_plain_picture_is_made_once_and_shared_by_all_ratios(tiny_sd15):
    checker = Checker()
    rows = [row for row, _ in make(tiny_sd15, study.jobs(PAIRS, [LIGHT, HEAVY]), checker=checker)]
    assert checker.looks == len(rows) == len(PAIRS) * 3 == 24
    assert [row["kind"] for row in rows[:3]] == ["plain", "iid", "iid"]
    for start in range(0, len(rows), 3):
        plain, *masked = rows[start : start + 3]
        for row in masked:
            assert (row["prompt"], row["seed"]) == (plain["prompt"], plain["seed"])
            assert row["difference"] == row["rewards"]["total"] - plain["rewards"]["total"] != 0


def test_a_mask_that_removes_nothing_changes_no_pixel(tiny_sd15):
    none = study.variants(["iid", "window", "magnitude"], [0.0], [1.0])
    (_, plain), *masked = make(tiny_sd15, study.jobs(PAIRS[:1], none))
    for row, image in masked:
        assert np.array_equal(image, plain)
        assert (row["difference"], row["keep_ratio"]) == (0.0, 1.0)


def test_every_kind_removes_the_share_it_was_asked_to(tiny_sd15):
    chosen = study.variants(["iid", "window", "magnitude"], [0.3], [-1.0, 0.5])
    rows = [row for row, _ in make(tiny_sd15, study.jobs(PAIRS[:1], chosen))][1:]
    assert [row["keep_ratio"] for row in rows] == pytest.approx([0.7] * 4, abs=0.05)
    window = rows[1]
    assert (window["kind"], window["removed"], window["center"]) == ("window", 0.3, -1.0)
    settings = study._settings(tiny_sd15.unet, chosen[1])
    weights = torch.cat(
        [
            tiny_sd15.unet.get_submodule(s.name).weight.flatten() / tiny_sd15.unet.get_submodule(s.name).weight.std()
            for s in find_sites(tiny_sd15.unet)
        ]
    )
    assert ((weights + 1).abs() < settings["width"] / 2).float().mean() == pytest.approx(0.3, abs=1e-3)


def test_a_stopped_study_goes_on_where_it_was_and_ends_as_if_never_stopped(tiny_sd15, tmp_path):
    path, about = tmp_path / "rows.jsonl", {"model": "tiny", "steps": 2}
    work = study.jobs(PAIRS[:3], [HEAVY])
    whole = [row for row, _ in make(tiny_sd15, work)]
    assert journal.resume(path, about, "study") == []
    with path.open("a") as file:
        for row in whole[:3]:  # a plain picture whose masked one is still to come is the third
            file.write(json.dumps(row) + "\n")
        file.write(json.dumps(whole[3])[:40])
    done = journal.resume(path, about, "study")
    assert done == whole[:3]
    left = study.jobs(PAIRS[:3], [HEAVY], done)
    assert left == work[3:]
    both = [done + [row for row, _ in make(tiny_sd15, left, done)], whole]
    timeless, as_if = ([{**row, "seconds": 0} for row in made] for made in both)
    assert timeless == as_if
    assert path.read_text().endswith("\n")


def row(seed, kind, reward, correct, removed=0.0, difference=0.0):
    return {
        "task": "two", "prompt": "a", "seed": seed, "correct": correct, "rewards": {"total": reward},
        "keep_ratio": 1 - removed, "kind": kind, "removed": removed, "center": None, "difference": difference,
    }  # fmt: skip


def counted():
    """Ten pairs: 7 rewards rise by 2, 2 fall by 1, 1 stays; of 4 right ones 1 breaks, of 6 wrong 3 are fixed."""
    changes = [2.0] * 7 + [-1.0] * 2 + [0.0]
    right = [True] * 4 + [False] * 6
    after = [False, True, True, True, True, True, True, False, False, False]
    plain = [row(i, "plain", 5.0, right[i]) for i in range(10)]
    masked = [row(i, "iid", 5.0 + c, after[i], 0.1, c) for i, c in enumerate(changes)]
    return study.summarize([each for pair in zip(plain, masked, strict=True) for each in pair])


def test_wins_differences_and_correct_pictures_are_counted_with_their_intervals():
    found = counted()
    (line,) = found["summary"]
    assert found["plain"]["n"] == line["n"] == 10
    assert (found["plain"]["correct"], found["plain"]["reward"]) == (0.4, 5.0)
    assert (line["win_rate"], line["unchanged"]) == (0.7, 1)
    assert (line["win_low"], line["win_high"]) == wilson(7, 10)
    assert line["reward"] == pytest.approx(1.2)
    assert (line["reward_low"], line["reward_high"]) == bootstrap([2.0] * 7 + [-1.0] * 2 + [0.0])
    assert line["correct"] == 0.6
    assert (line["correct_low"], line["correct_high"]) == wilson(6, 10)
    assert (line["fixed"], line["broken"], line["p"]) == (3, 1, sign_test(3, 1))
    assert (line["removed"], line["measured"]) == (0.1, pytest.approx(0.1))
    text = study.table(found)
    assert "Plain pictures: 10, correct 0.400" in text
    assert "| iid | 10.00% | 10.00% | 10 | 0.700 | 0.397 to 0.892 | +1.200 |" in text


def test_several_pictures_of_a_prompt_are_no_further_trials():
    plain = [{**row(i, "plain", 5.0, False), "prompt": f"p{i // 4}"} for i in range(12)]
    masked = [{**row(i, "iid", 7.0, True, 0.1, 2.0), "prompt": f"p{i // 4}"} for i in range(12)]
    (line,) = study.summarize([*plain, *masked])["summary"]
    assert (line["n"], line["fixed"], line["broken"], line["p"]) == (12, 3, 0, 0.25)
    assert (line["win_low"], line["win_high"]) == (line["correct_low"], line["correct_high"]) == wilson(3, 3)


def test_without_any_picture_there_is_no_summary():
    with pytest.raises(ValueError, match="no pictures yet"):
        study.summarize([])


def test_the_curves_show_the_summary_and_its_bands():
    found = counted()
    figure = random_ratio.draw(found)
    (line,) = found["summary"]
    for panel, name in zip(figure.axes, ("win_rate", "reward", "correct"), strict=True):
        drawn = next(each for each in panel.lines if each.get_label() == "iid")
        assert drawn.get_xydata().tolist() == [[0.1, line[name]]]
    assert [float(panel.lines[-1].get_ydata()[0]) for panel in figure.axes] == [0.5, 0.0, 0.4]
    assert "n = 10 pictures" in figure.axes[-1].get_xlabel()
    assert random_ratio.SPEC.table(found) == found["summary"]
    darkened(figure).canvas.draw()
    with pytest.raises(ValueError, match="no masked pictures"):
        random_ratio.draw({**found, "summary": []})


def test_a_ratio_of_zero_has_no_share_of_wins_in_the_figure():
    rows = [row(0, "plain", 1.0, True), row(0, "iid", 1.0, True), row(0, "iid", 2.0, True, 0.2, 1.0)]
    figure = random_ratio.draw(study.summarize(rows))
    assert [line.get_xdata().tolist() for line in (panel.lines[0] for panel in figure.axes)] == [
        [0.2],
        [0.0, 0.2],
        [0.0, 0.2],
    ]


def test_the_grid_puts_every_picture_under_its_seed_and_beside_its_mask():
    images = np.zeros((2, 3, 4, 4, 3), np.uint8)
    images[1, 2] = 200
    rewards, correct = np.arange(6.0).reshape(2, 3), np.array([[True] * 3, [False] * 3])
    figure = seed_grid.draw(images, rewards, correct, ["plain", "iid 5%"], ["s1", "s2", "s3"], "“a cube”")
    figure.canvas.draw()
    assert [axes.get_title() for axes in figure.axes[:3]] == ["s1", "s2", "s3"]
    assert [figure.axes[i].get_ylabel() for i in (0, 3)] == ["plain", "iid 5%"]
    assert [axes.get_xlabel() for axes in (figure.axes[1], figure.axes[5])] == ["✓ +1.00", "✗ +5.00"]
    assert figure.axes[5].images[0].get_array().min() == 200
    with pytest.raises(ValueError, match=r"For 1 rows and 3 columns, images \(2, 3, 4, 4, 3\)"):
        seed_grid.draw(images, rewards, correct, ["plain"], ["s1", "s2", "s3"])


def test_pictures_are_laid_out_by_variant_and_seed():
    jobs = study.jobs(study.subjects("two", n=1, seeds=3), [LIGHT, HEAVY])
    found = study.by_variant([[v.removed, seed] for _, seed, v in jobs], seeds=3)
    assert found[:, 0, 0].tolist() == [0.0, 0.05, 0.6]
    assert found[1, :, 1].tolist() == [100_000, 200_000, 300_000]


# The command


@pytest.fixture
def command(tiny_sd15, monkeypatch, tmp_path):
    """Runs the command on a small random model; says how many pictures the checker has seen."""
    checker = Checker()

    class Shelf:
        device, default = torch.device("cpu"), "tiny"

        def __init__(self, model, weights, device, **added):
            pass

        def find(self, name):
            return tmp_path / "model", {}

        def load(self, name):
            return Loaded(model=replace(tiny_sd15, judge=verdict.judge), rewards=Redness())

    monkeypatch.setattr("maskunet.library.library.Library", Shelf)
    monkeypatch.setattr("maskunet.tabletop.checker.load", lambda folder: checker)

    def run(*words):
        before = checker.looks
        try:
            code = main(["study", *words, "--model=tiny", "--steps=2", "--out", str(tmp_path / "out")])
        except SystemExit as stop:
            code = stop.code
        return SimpleNamespace(code=code, looks=checker.looks - before, out=tmp_path / "out")

    return run


def test_the_command_writes_rows_tables_and_figures_and_goes_on(command, capsys):
    words = ["--kind=magnitude,iid", "--ratios=0,0.2", "--tasks=colors", "--n=2"]
    first = command(*words, "--seeds=1")
    assert first.code == 0
    assert first.looks == 2 * 5 + 3  # the second figure makes one prompt's again
    assert {p.name for p in first.out.iterdir()} == {
        "rows.jsonl", "study.json", "study.csv", "study.md", "random_ratio.png", "random_ratio.svg",
        "seed_grid.png", "seed_grid.svg",
    }  # fmt: skip
    found = json.loads((first.out / "study.json").read_text())
    assert found["about"]["command"] == (
        "python -m maskunet study --kind=magnitude,iid --ratios=0,0.2 --centers=1 --tasks=colors --n=2 --seeds=1 "
        "--seed=1 --split=test --out=out --steps=2 --model=tiny"
    )
    assert (found["about"]["n"], found["about"]["steps"], found["plain"]["n"]) == (2, 2, 2)
    assert "torch" in found["about"]["versions"]
    head, *lines = (first.out / "study.csv").read_text().splitlines()
    assert head.split(",") == list(found["summary"][0])
    assert [line.split(",")[0] for line in lines] == ["magnitude", "magnitude", "iid", "iid"]
    assert study.table(found) in (first.out / "study.md").read_text()
    assert study.table(found) in capsys.readouterr().out

    again = command(*words, "--seeds=2")
    assert again.looks == 2 * 5 + 2 * 3
    rows = (again.out / "rows.jsonl").read_text().splitlines()
    assert len(rows) == 1 + 4 * 5
    assert json.loads((again.out / "study.json").read_text())["plain"]["n"] == 4
    fewer = command("--kind=iid", "--ratios=0.2", "--tasks=colors", "--n=1", "--seeds=1")
    assert fewer.looks == 2  # the second figure's, which is made anew
    found = json.loads((again.out / "study.json").read_text())
    assert (found["plain"]["n"], [line["kind"] for line in found["summary"]]) == (
        1,
        ["iid"],
    )  # what was asked now alone


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--kind=best"], "no kind of mask “best”"),
        (["--ratios=0.1,much"], "“0.1,much” is not numbers with commas"),
        (["--ratios=2"], "allowed is 0 to 1"),
        (["--tasks=juggling"], "no task “juggling”"),
        (["--n=0"], "must be at least 1"),
    ],
)
def test_a_wrong_word_is_told_in_one_sentence_before_any_work(command, capsys, words, message):
    result = command(*words)
    assert (result.code, result.looks) == (2, 0)
    assert message in capsys.readouterr().err
    assert not result.out.exists()


def test_a_folder_of_another_study_is_refused(command, capsys):
    words = ["--kind=iid", "--ratios=0.2", "--tasks=single", "--n=1"]
    assert command(*words).code == 0
    refused = command(*words, "--seed=2")
    assert (refused.code, refused.looks) == (2, 0)
    assert "made with another seed; give another --out" in capsys.readouterr().err
