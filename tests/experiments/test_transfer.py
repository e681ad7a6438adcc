"""Whether masks are made for their prompt: planted effects come out, and a study goes on where it was stopped."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from maskunet.commands import transfer
from maskunet.commands.registry import main
from maskunet.experiments.race.entrants import entrant
from maskunet.experiments.transfer import make, report
from maskunet.library.library import Loaded
from maskunet.masks import algebra
from maskunet.records import Request, held_mask
from tests.methods.test_methods import Redness


@pytest.fixture(scope="module")
def study(tiny_sd15, tmp_path_factory):
    """Two prompts on two bases of the same shape, under random masks, which need no training."""
    checker = SimpleNamespace(see=lambda picture: [[]])
    twin = replace(tiny_sd15, name="twin", weights={"unet/x": "1"}, trained={}, cache={})
    models = {"tiny": replace(tiny_sd15, trained={}, cache={}), "twin": twin}
    return make.Study(
        bases={name: Loaded(model=model, rewards=Redness(), checker=checker) for name, model in models.items()},
        sources=[entrant("random_mask")], subjects=make.subjects(1, 1)[:2], asked=Request(prompt="-", steps=2), seed=1,
        out=tmp_path_factory.mktemp("transfer"),
    )  # fmt: skip


@pytest.fixture(scope="module")
def rows(study):
    """All its pictures."""
    return list(make.make(study, set()))


def test_every_picture_is_made_once_under_the_mask_that_it_says(study, rows):
    keys = [make.key(row) for row in rows]
    assert len(keys) == len(set(keys)) == make.total(study) == 2 * 2 * (1 + 2 + 4)
    assert {row["condition"] for row in rows} == {*make.CONDITIONS}
    for row in rows:
        assert (row["mask"] == row["target"]) == (row["condition"] not in ("plain", "other"))
        assert (row["keep_ratio"] == 1) == (row["condition"] == "plain")
    mine = [row for row in rows if (row["base"], row["target"]) == ("tiny", 0)]
    reward = {row["condition"]: row["rewards"]["total"] for row in mine}
    # Both prompts have one seed, from which alone random masks follow, on both bases.
    assert reward["own"] == reward["other"] == reward["carried"] and len({*reward.values()}) == 5


def test_what_is_missing_is_made_again_and_nothing_else(study, rows):
    keys = [make.key(row) for row in rows]
    again = list(make.make(study, {*keys[:9], *keys[12:]}))
    assert [make.key(row) for row in again] == keys[9:12]
    assert [row["rewards"] for row in again] == [row["rewards"] for row in rows[9:12]]
    assert list(make.make(study, set(), lambda: "Stopped.")) == []


def test_the_masks_are_those_of_the_prompt_and_their_controls(study, rows):
    masks = {
        (base, variant): held_mask.load(study.file(base, "random_mask", 0, variant))
        for base in study.bases
        for variant in ("own", *make.ALONE)
    }
    own = masks["tiny", "own"]
    assert list(own.steps) == [500, 999] and own.recipe["request"]["prompt"] == study.subjects[0][0].prompt
    assert masks["tiny", "seed"].recipe["request"]["seed"] != own.recipe["request"]["seed"]
    assert list(masks["tiny", "time"].steps) == [167, 666]
    carried = masks["tiny", "carried"]
    assert carried.recipe["from_model"] == "twin" and carried.weights == own.weights
    assert all(np.array_equal(carried.steps[t], masks["twin", "own"].steps[t]) for t in own.steps)
    shuffled, ends = masks["tiny", "random"], np.cumsum([a * b for a, b in own.sites.values()])
    for t, places in own.steps.items():
        counts = [np.bincount(np.searchsorted(ends, each, side="right")) for each in (places, shuffled.steps[t])]
        assert np.array_equal(*counts) and not np.array_equal(np.sort(places), np.sort(shuffled.steps[t]))
    shared = algebra.intersection(algebra.at_step(own, 500), algebra.at_step(own, 999)).at(0)
    kept = algebra.intersection(algebra.at_step(shuffled, 500), algebra.at_step(shuffled, 999)).at(0)
    assert len(shared) == len(kept)


def planted(gains, n=20):
    """Rows in which each condition raises the reward by so much, and own masks right what plain has wrong."""
    noise = np.random.default_rng(0)

    def row(condition, target, mask, gain):
        reward = target / 10 + gain + 0.01 * noise.normal()
        return {
            "base": "tabletop", "source": "" if condition == "plain" else "m", "condition": condition, "target": target,
            "mask": mask, "task": ("two", "colors")[target % 2], "prompt": str(target), "keep_ratio": 0.9,
            "rewards": {"total": reward}, "correct": condition == "own" or target < 5,
            "looks": "blurred" if condition == "plain" and target < 5 else "clean",
        }  # fmt: skip

    rows = [row("plain", t, -1, 0.0) for t in range(n)]
    rows += [
        row("own" if t == m else "other", t, m, gains["own" if t == m else "other"]) for t in range(n) for m in range(n)
    ]
    return rows + [row(c, t, t, gain) for c, gain in gains.items() if c in make.ALONE for t in range(n)]


@pytest.mark.parametrize(
    ("gains", "said"),
    [
        ({"own": 0.7, "other": 0.1, "random": 0.0}, "a mask suits its own prompt better than others. Reward"),
        ({"own": 0.3, "other": 0.3}, "another prompt's masks do as much as its own, within the interval. Reward"),
        ({"own": 0.3, "other": 0.5}, "a mask suits other prompts better than its own. Reward"),
        ({"own": 0.0, "other": 0.0}, "and its own change the reward by nothing measurable"),
    ],
)
def test_a_planted_effect_is_found(gains, said, tmp_path):
    rows = planted(gains)
    lines = {line["condition"]: line for line in report.summarize(rows)}
    for condition, gain in gains.items():
        line = lines[condition]
        assert line["gain_low"] - 0.01 <= gain <= line["gain_high"] + 0.01
        assert line["own_gain"] == pytest.approx(gain - gains["own"], abs=0.02)
    assert lines["other"]["pictures"] == 20 * 19 and lines["other"]["prompts"] == 20
    assert (lines["own"]["correct"], lines["plain"]["correct"], lines["own"]["mended"]) == (1, 0.25, 15)
    assert (lines["own"]["spoiled"], lines["plain"]["spoiled"]) == (0, 0.25)
    assert lines["own"]["p"] < 0.001 and "p" not in lines["other"]
    text = report.save(tmp_path, rows, {"command": "python -m maskunet transfer"})
    assert said in text and text.index(said) < text.index("| base |")
    assert f"| two | {gains['other']:+.2f} |" in text
    assert {p.name for p in tmp_path.iterdir()} == {"transfer.json", "transfer.csv", "transfer.md", "matrix.csv"}


def test_what_is_not_there_yet_is_left_out():
    rows = planted({"own": 0.7, "other": 0.1})
    assert report.verdict(report.summarize(rows[:20])) == "- Not enough pictures yet to say anything."
    some = report.summarize(rows[:30])  # one prompt's picture under the first mask of others
    assert {line["condition"] for line in some} >= {"plain", "own", "other"} and report.table(some)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--models=a,b,c"], "give --models one or two"),
        (["--models=tabletop", "--sources=magic"], "There is no method “magic”"),
        (["--models=tabletop", "--n=0"], "--n is 0; allowed is 1 to 30"),
        (["--models=,"], "is not names with commas"),
    ],
)
def test_every_mistake_is_told_before_anything_is_made(words, sentence, tmp_path, capsys):
    try:
        code = main(["transfer", *words, f"--out={tmp_path / 'x'}"])
    except SystemExit as end:
        code = end.code
    assert code == 2 and sentence in capsys.readouterr().err and not (tmp_path / "x").exists()


def test_a_base_may_have_other_weights(monkeypatch, tmp_path):
    from maskunet.experiments import judges

    asked, loaded = [], SimpleNamespace(model=SimpleNamespace(steps=2), checker=object())
    monkeypatch.setattr(judges, "load", lambda *given: asked.append(given) or (loaded, {}))
    models = ("tabletop", "tabletop_web=seed2/model")
    options = transfer.Options(models=models, sources=("random_mask",), n=1, device="cpu", out=tmp_path)
    study, _ = transfer._study(options)
    assert asked == [("tabletop", None, "cpu"), ("tabletop_web", Path("seed2/model"), "cpu")]
    assert tuple(study.bases) == models


def test_the_command_makes_what_is_missing_and_tells_the_verdict(study, tmp_path, monkeypatch, capsys):
    small = replace(study, bases={"tiny": study.bases["tiny"]}, out=tmp_path)
    monkeypatch.setattr(transfer, "_study", lambda options: (small, {"tiny": {}}))
    assert main(["transfer", "--n=1", f"--out={tmp_path}"]) == 0
    assert "**random_mask on tiny**" in capsys.readouterr().out
    before = (tmp_path / "rows.jsonl").read_text()
    assert before.count("\n") == 1 + make.total(small)
    assert main(["transfer", "--n=1", f"--out={tmp_path}"]) == 0
    assert (tmp_path / "rows.jsonl").read_text() == before
    assert main(["transfer", "--n=1", "--seed=2", f"--out={tmp_path}"]) == 2
    assert "another seed" in capsys.readouterr().err


def test_a_prompt_of_the_same_words_is_no_other_prompt():
    rows = [{**row, "prompt": "a cube"} if row["target"] < 2 else row for row in planted({"own": 0.7, "other": 0.1})]
    lines = {line["condition"]: line for line in report.summarize(rows)}
    assert lines["other"]["pictures"] == 20 * 19 - 2
