"""What mends a spoiled base: planted effects come out as planted, and a study goes on where it was stopped."""

from dataclasses import asdict, replace
from types import SimpleNamespace

import numpy as np
import pytest

from maskunet.commands.registry import main
from maskunet.experiments import judges, removal
from maskunet.experiments.cures import make, report, write
from maskunet.experiments.cures.entrants import ENTRANTS, PLAIN
from maskunet.experiments.cures.make import FIXED, SCALES, Study, best, subjects
from maskunet.experiments.tables import world
from maskunet.library import networks
from maskunet.records import StepEvent
from maskunet.tabletop.spoiling import PRESETS
from maskunet.tabletop.tasks import TASKS
from maskunet.training import sheet, sources
from maskunet.training.data import First

LIGHT = ENTRANTS["light"]


def row(number, *, correct, looks="clean", split="test", rate=0.01, training=0, guidance=4.0, shift=0.0):
    states = np.random.default_rng(number).normal(shift, 1, 4).tolist()
    return {
        "number": number, "correct": correct, "looks": looks, "held_out": number % 2 == 0, "split": split, "rate": rate,
        "training": training, "guidance": guidance, "features": states, "keep_ratio": 0.9, "seconds": 1.0,
        "task": ("single", "two")[number % 2], "prompt": f"prompt {number}" if number > 3 else f"{split} {number}",
    }  # fmt: skip


def chosen_at(scale, rate=0.01):
    return [row(i, correct=at == scale, split="train", rate=rate, guidance=at) for i in range(4) for at in SCALES]


def study_of(rows):
    return SimpleNamespace(rows=lambda entrant: rows[entrant.name], out=None)


def planted(trainings=3):
    """40 prompts: plain rights the first 10, light the first 30 in every training and none of it spoiled."""
    plain = [row(i, correct=i < 10, looks="blurred" if i < 20 else "clean", rate=0.0, guidance=7.5) for i in range(40)]
    light = [row(i, correct=i < 30, training=t, shift=0.5) for i in range(40) for t in range(trainings)]
    return {"plain": chosen_at(7.5, 0.0) + plain, "light": chosen_at(4.0) + light}


def lines_of(rows, monkeypatch):
    monkeypatch.setattr(report, "_about", lambda study, entrant, mine: {
        "entrant": entrant.name, "title": entrant.title, "rate": entrant.rates[0], "trainings": 3, "pictures": 40, "prompts": 20,
        "bytes": 0,
    })  # fmt: skip
    reference = np.random.default_rng(1).normal(0, 1, (200, 4))
    return report.summarize(study_of(rows), [PLAIN, LIGHT], reference)


def test_held_out_pictures_of_a_learning_rate_that_is_not_chosen_any_more_do_not_count(monkeypatch):
    rows = planted()
    before = lines_of(rows, monkeypatch)
    rows["light"] += [row(i, correct=False, rate=0.03) for i in range(40)]
    assert lines_of(rows, monkeypatch) == before


def test_a_planted_cure_is_found_each_at_its_own_best_guidance(monkeypatch):
    plain, light = lines_of(planted(), monkeypatch)
    assert (plain["guidance"], light["guidance"]) == (7.5, 4.0)
    assert (plain["correct"], light["correct"], light["gain"]) == pytest.approx((0.25, 0.75, 0.5))
    assert 0.3 < light["gain_low"] < 0.5 < light["gain_high"] < 0.7
    assert (light["mended"], light["broken"]) == pytest.approx((20, 0))
    assert (plain["spoiled"], light["spoiled_change"]) == pytest.approx((0.5, -0.5))
    assert light["unseen_prompts"] == 20 and light["removed"] == pytest.approx(0.1)
    assert light["new_pictures"] == 40 and light["new_gain"] == pytest.approx(0.5)
    assert light["frechet_change"] > 0 and plain["frechet_change"] == 0
    assert "+0.50" in write.verdict([plain, light]) and "more right than plain" in write.verdict([plain, light])


def test_the_page_tells_tasks_apart_and_where_weights_go(monkeypatch, tmp_path):
    rows = planted()
    site = "up_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"
    there = removal.columns({0: StepEvent(step=0, steps=1, timestep=1, keep_ratio={site: 0.9}, kept=0.9)})
    rows["light"] = [{**each, **there, "correct": each["correct"] and each["task"] == "two"} for each in rows["light"]]
    lines = lines_of(rows, monkeypatch)
    assert lines[1]["tasks"] == {"single": 0.0, "two": 0.75}
    assert [each["correct"] for each in lines[1]["by_training"]] == [0.375] * 3 and not lines[0]["by_training"]
    write.save(tmp_path, lines, {"model": "m", "command": "c", "updates": 1, "left_out": [], "corpus": {}})
    page, sheet_of = (tmp_path / "cures.md").read_text(), (tmp_path / "cures.csv").read_text()
    assert "| masks, light | 0.00 | 0.75 |" in page and "| nothing but guidance | 0.25 | 0.25 |" in page
    assert "| step 1 | 10.0% |" in page and "| block1 self q | 10.0% |" in page
    assert "| masks, light | 0.38, 0.00 | 0.38, 0.00 | 0.38, 0.00 |" in page
    assert "tasks" not in sheet_of and "block1" not in sheet_of and "by_training" not in sheet_of


def test_the_page_tells_by_which_pictures_settings_were_chosen(monkeypatch, tmp_path):
    rows = planted()
    rows["light"] += [{**each, "correct": each["number"] == 0} for each in chosen_at(2.5, rate=0.03)]
    about = {"model": "m", "command": "c", "updates": 1, "left_out": [], "corpus": {}}
    write.save(tmp_path, lines_of(rows, monkeypatch), about)
    page = (tmp_path / "cures.md").read_text()
    assert "| entrant | learning rate | at 2.5 | at 4 | at 7.5 | at 10 | at 15 |" in page
    assert "| masks, light | 0.01 | 0 of 4 | 4 of 4 | 0 of 4 |" in page
    assert "| masks, light | 0.03 | 1 of 4 | 1 of 4 | 1 of 4 |" in page
    assert "| nothing but guidance |  | 0 of 4 | 0 of 4 | 4 of 4 |" in page


def test_pictures_of_one_prompt_count_as_one_in_the_interval(monkeypatch):
    apart = lines_of(planted(), monkeypatch)[1]
    rows = {name: [{**each, "prompt": f"{each['number'] // 10}"} for each in mine] for name, mine in planted().items()}
    rows["plain"] = [{**each, "prompt": "0"} if each["split"] == "train" else each for each in rows["plain"]]
    together = lines_of(rows, monkeypatch)[1]
    assert together["gain"] == apart["gain"] and together["new_pictures"] == 30
    assert together["gain_high"] - together["gain_low"] > 2 * (apart["gain_high"] - apart["gain_low"])


def test_no_effect_is_called_none(monkeypatch):
    rows = planted()
    rows["light"] = [{**each, "correct": each["number"] < 10} for each in rows["light"] if each["split"] == "test"]
    rows["light"] += chosen_at(4.0)
    lines = lines_of(rows, monkeypatch)
    assert "no clear difference" in write.verdict(lines)


@pytest.mark.parametrize(
    ("preset", "told"),
    [
        (
            "captions",
            "captions of which 25% are spoiled (other 10%, partly 10%, vague 5%), and from pictures that are clean",
        ),
        ("pictures", "captions that are true, and from pictures of which 80% are spoiled (blurred 16%,"),
    ],
)
def test_the_page_says_what_the_base_learned_from(preset, told, monkeypatch):
    about = {"model": "m", "command": "c", "updates": 1, "left_out": [], "corpus": asdict(PRESETS[preset])}
    page = write.markdown(lines_of(planted(), monkeypatch), about)
    assert f"The base learned from {told}" in page and ", n 20 |" in page
    assert "learned from" not in write.markdown([], {**about, "corpus": {}}).partition("Made by")[0]


def test_the_best_setting_is_that_with_most_correct_training_prompts():
    rows = chosen_at(4.0, rate=0.01) + [{**each, "correct": False} for each in chosen_at(2.5, rate=0.03)]
    assert best(rows) == (0.01, 4.0)
    assert best([*rows, *(row(i, correct=True, rate=0.03, guidance=FIXED) for i in range(99))]) == (0.01, 4.0)
    tied = chosen_at(7.5, rate=0.03) + chosen_at(2.5, rate=0.01)
    assert best(tied) == (0.01, 2.5)


def test_prompts_keep_their_number_noise_and_place_when_there_are_more():
    few, more = subjects("test", 2), subjects("test", 3)
    assert more[: len(few)] == few and len(few) == 2 * len(TASKS)
    assert not {case.prompt for _, case, _ in few if case.held_out} & {
        case.prompt for _, case, _ in subjects("train", 9)
    }


def test_without_plain_pictures_there_is_nothing_to_compare_with():
    with pytest.raises(ValueError, match="Add plain to --entrants"):
        report.summarize(study_of({"light": planted()["light"]}), [LIGHT], np.zeros((2, 4)))


@pytest.fixture
def small(monkeypatch):
    """One task, one rate, two guidance scales."""
    monkeypatch.setattr(sheet, "STEPS", 1)
    monkeypatch.setattr(world, "REFERENCE", 4)
    monkeypatch.setattr(make, "TASKS", {"single": TASKS["single"]})
    monkeypatch.setattr(make, "SCALES", (1.0,))
    monkeypatch.setattr(make, "FIXED", 1.0)
    monkeypatch.setattr(report, "FIXED", 1.0)
    one = {name: replace(entrant, rates=entrant.rates[:1]) for name, entrant in ENTRANTS.items()}
    for name, entrant in one.items():
        monkeypatch.setitem(ENTRANTS, name, entrant)


@pytest.fixture(scope="module")
def loaded():
    found = judges.load("tabletop", device="cpu")[0]
    return replace(found, model=replace(found.model, steps=3))


@pytest.fixture
def study(loaded, tmp_path, small):
    pairs, about = sources.find("tabletop", 128)
    return Study(
        loaded=loaded, pairs=First(pairs, 12), about=about, identity={"model": "tabletop"},
        extractor=networks.extractor("tabletop", device="cpu"), preset="tabletop", steps=1, training_seeds=1, prompts=1,
        choosing=1, out=tmp_path,
    )  # fmt: skip


def test_it_trains_chooses_judges_and_goes_on(study, monkeypatch):
    names = ("plain", "light", "random")
    told = list(make.make(study, [ENTRANTS[name] for name in names]))
    assert sum(": picture " in text for text in told) == 6 and sum(": step " in text for text in told) == 1
    first = {name: study.file(ENTRANTS[name]).read_bytes() for name in names}
    told = list(make.make(replace(study, prompts=2), [ENTRANTS[name] for name in names]))
    assert sum(": picture " in text for text in told) == 3
    for name, before in first.items():
        assert study.file(ENTRANTS[name]).read_bytes().startswith(before)
        rows = study.rows(ENTRANTS[name])
        assert sorted((row["split"], row["number"]) for row in rows) == [("test", 0), ("test", 1), ("train", 0)], name
    with pytest.raises(ValueError, match="another steps"):
        list(make.make(replace(study, steps=2), [PLAIN]))
    monkeypatch.setattr(make, "SCALES", (1.0, 2.0))
    with pytest.raises(ValueError, match="another scales"):
        list(make.make(study, [PLAIN]))


def test_given_rates_are_those_that_are_chosen_from(study):
    given = replace(study, rates=(0.02,))
    assert (given.rates_of(ENTRANTS["light"]), given.rates_of(PLAIN)) == ((0.02,), PLAIN.rates)
    list(make.make(given, [PLAIN, ENTRANTS["light"]]))
    assert [folder.name for folder in (study.out / "trainings").iterdir()] == ["light-0.02-0"]
    assert make.has_chosen(given, ENTRANTS["light"])
    with pytest.raises(ValueError, match="rates"):
        list(make.make(study, [ENTRANTS["light"]]))


def test_what_is_stopped_keeps_its_pictures(study):
    told = list(make.make(study, [PLAIN], lambda: "stop"))
    assert len(told) == len(study.rows(PLAIN)) == 1


def test_random_masks_need_those_that_they_are_a_control_of(study):
    with pytest.raises(ValueError, match="as much as light, which comes first"):
        list(make.make(study, [ENTRANTS["random"]]))


def test_the_command_writes_the_page_and_the_numbers(tmp_path, small, capsys):
    words = ["cure", "--model", "auto", "--device", "cpu", "--choosing", "1", "--n", "1", "--out", str(tmp_path)]
    assert main([*words, "--entrants", "plain"]) == 0
    assert "What mends tabletop?" in capsys.readouterr().out
    assert "plain" in (tmp_path / "cures.csv").read_text() and (tmp_path / "cures.json").exists()
    about = (tmp_path / "rows" / "plain.jsonl").read_text().partition("\n")[0]
    (tmp_path / "rows" / "light.jsonl").write_text(f"{about}\n")  # stopped before the first picture
    assert main([*words, "--entrants", "plain"]) == 0
    assert "the choice of learning rate and guidance is not finished: masks, light." in capsys.readouterr().out


@pytest.mark.parametrize("rates", ["", "fast", "0", ".003,2", "nan"])
def test_wrong_rates_are_refused_with_what_is_allowed(tmp_path, capsys, rates):
    with pytest.raises(SystemExit):
        main(["cure", "--rates", rates, "--out", str(tmp_path)])
    assert "is not learning rates above 0 and at most 1, with commas" in capsys.readouterr().err


def test_an_entrant_that_is_not_there_is_named(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["cure", "--entrants", "light,heavy", "--out", str(tmp_path)])
    assert "there is no entrant “heavy”" in capsys.readouterr().err
