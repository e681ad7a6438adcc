"""The table of DreamBooth: every row on the same pictures, equal steps and equal seconds, and what a report says."""

import csv
import json

import pytest

from maskunet.experiments.dreambooth import make, prompts, report
from maskunet.experiments.dreambooth.prompts import ALONE, BESIDE, CLASS, DRIFT
from maskunet.experiments.dreambooth.rows import FIRST, FREE, MASKS, RANDOM, ROWS, SECONDS, STEPS
from maskunet.tabletop.subjects import SUBJECTS
from maskunet.training import checkpoint, loop

pytestmark = pytest.mark.usefixtures("short_sheets")

PLAN = make.Plan(subject="hat", steps=4, pictures=1, changes={"class_pictures": 2, "sampling_steps": 2, "ema": 0.0})


def test_every_row_is_made_once_and_a_stop_loses_nothing(tiny_sd15, tmp_path, monkeypatch):
    monkeypatch.setattr(
        make, "ROWS", [row for row in ROWS if row.name in ("nothing", FIRST, "masks", "masks-word", "random masks")]
    )
    some = [one for one in prompts.asked(SUBJECTS["hat"], 1) if one.group != DRIFT]
    monkeypatch.setattr(make, "asked", lambda subject, count: some)
    told, first = [], []
    made = make.make(tiny_sd15, PLAN, tmp_path, [], told.append, lambda: "stop" if len(first) == 2 else "")
    for row in made:
        first.append(row)
    assert len(first) == 2
    rest = [*make.make(tiny_sd15, PLAN, tmp_path, first, told.append)]
    keys = [make.key(row) for row in first + rest]
    assert len(keys) == len({*keys}) == 7 * 3  # masks have both budgets
    assert [*make.make(tiny_sd15, PLAN, tmp_path, first + rest, told.append)] == []
    by_name = {(row["row"], row["budget"]): row for row in first + rest}
    assert by_name[FIRST, STEPS]["steps"] == by_name["masks", STEPS]["steps"] == 4
    assert by_name["masks", SECONDS]["seconds"] == pytest.approx(by_name[FIRST, STEPS]["seconds"], rel=1.0)
    about = json.loads((tmp_path / "trainings" / FIRST / checkpoint.ABOUT).read_text())
    assert about["settings"]["instance_prompt"] == "a sks cylinder" and about["examples"] == 5
    word = json.loads((tmp_path / "trainings" / "masks-word" / checkpoint.ABOUT).read_text())["settings"]
    assert (word["token"], word["instance_prompt"]) == ("sks", "a sks cylinder")
    assert len([*(tmp_path / "trainings" / loop.SHARED).iterdir()]) == 1  # class pictures serve all rows
    assert "all weights, class pictures: step 4 of 4" in told


def alone(monkeypatch, *names, count=1):
    """These rows alone, in this order, each asked for so many pictures of the subject."""
    by_name, asked = {row.name: row for row in ROWS}, prompts.asked(SUBJECTS["hat"], count)
    monkeypatch.setattr(make, "ROWS", [by_name[name] for name in names])
    monkeypatch.setattr(make, "asked", lambda subject, _: [one for one in asked if one.group == ALONE])


def write_log(out, name, lines):
    """A training's log: its seconds, and the share that its masks remove, where that was measured."""
    (out / "trainings" / name).mkdir(parents=True)
    with (out / "trainings" / name / checkpoint.LOG).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ("step", "seconds", "figures"))
        writer.writeheader()
        for step, (seconds, removed) in enumerate(lines, 1):
            figures = json.dumps({"removed": removed} if removed else {})
            writer.writerow({"step": step, "seconds": seconds, "figures": figures})


@pytest.mark.parametrize("at", ["all weights, class pictures: step 1 of 4", "all weights, class pictures: step 4 of 4"])
def test_a_training_that_was_stopped_at_its_first_or_last_step_still_says_what_a_step_costs(
    tiny_sd15, tmp_path, monkeypatch, at
):
    alone(monkeypatch, FIRST, "masks-free")
    told = []
    assert not [*make.make(tiny_sd15, PLAN, tmp_path, [], told.append, lambda: "stop" if told[-1] == at else "")]
    assert told[-1] == at
    made = {(row["row"], row["budget"]): row for row in make.make(tiny_sd15, PLAN, tmp_path, [], told.append)}
    assert [*made] == [(FIRST, STEPS), ("masks-free", STEPS), ("masks-free", SECONDS)]
    assert made[FIRST, STEPS]["steps"] == 4 and all(row["seconds"] > 0 for row in made.values())


def test_a_step_costs_the_same_after_stops_sheets_and_other_programs(tmp_path):
    write_log(tmp_path, FIRST, [(0.5, 0), (1.0, 0), (1.5, 0), (2.0, 0)])
    # A sheet after step 1 takes 6.5 s, step 3 is the first after a stop, step 4 waits for other programs; step 5 is
    # of equal seconds.
    write_log(tmp_path, "masks", [(0.5, 0), (7.5, 0), (0.5, 0), (3.0, 0), (3.1, 0)])
    write_log(tmp_path, "lora", [(0.5, 0), (7.5, 0), (0.75, 0), (1.25, 0)])
    paces = [make._pace(PLAN, name, tmp_path) for name in (FIRST, "masks", "lora", FREE)]
    assert paces == pytest.approx([0.5, 0.5, 0.5, 0.0])


@pytest.mark.parametrize(
    ("pace", "steps", "log"), [(3.0, 3, "masks-free-seconds"), (2.0, 2, ""), (6.0, 6, "masks-free")]
)
def test_equal_seconds_are_as_many_steps_as_take_them(tiny_sd15, tmp_path, monkeypatch, pace, steps, log):
    alone(monkeypatch, FIRST, "masks-free")  # which keeps what it is after steps 2 and 4
    monkeypatch.setattr(make, "_pace", lambda plan, name, out: pace if name == FIRST else 4.0)
    made = {(row["row"], row["budget"]): row["steps"] for row in make.make(tiny_sd15, PLAN, tmp_path, [], str)}
    assert made == {(FIRST, STEPS): 4, ("masks-free", STEPS): 4, ("masks-free", SECONDS): steps}
    last = {path.parent.name: checkpoint.last_logged(path.parent) for path in tmp_path.glob("trainings/*/log.csv")}
    assert last == {FIRST: 4, "masks-free": 4, **({log: steps} if log else {})}


def test_the_sheet_of_a_row_is_of_its_first_pictures_after_a_stop_too(tiny_sd15, tmp_path, monkeypatch):
    alone(monkeypatch, "nothing", count=4)
    monkeypatch.setattr(make, "fitting", lambda model: 2)
    first = []
    made = make.make(tiny_sd15, PLAN, tmp_path, [], str, lambda: "stop" if len(first) == 2 else "")
    for row in made:
        first.append(row)
    sheet = (tmp_path / "shown" / "nothing.png").read_bytes()
    rest = [*make.make(tiny_sd15, PLAN, tmp_path, first, str)]
    assert (len(first), len(rest)) == (2, 2)
    assert (tmp_path / "shown" / "nothing.png").read_bytes() == sheet


def test_random_masks_remove_what_the_masks_did_after_equal_steps(tiny_sd15, tmp_path, monkeypatch):
    alone(monkeypatch, RANDOM, MASKS)
    write_log(tmp_path, MASKS, [(1, 0), (2, 0.1), (3, 0), (4, 0.2), (5, 0), (6, 0.3)])
    asked, real = [], make.together
    monkeypatch.setattr(make, "together", lambda *given: asked.extend(given[3]) or real(*given))
    assert next(make.make(tiny_sd15, PLAN, tmp_path, [], str))["row"] == RANDOM
    assert asked[0].settings == {"removed": 0.2}


def test_the_pictures_of_a_plan_are_in_all_groups_and_name_what_must_be_right():
    asked = prompts.asked(SUBJECTS["hat"], 20)
    count = {group: sum(one.group == group for one in asked) for group in (ALONE, BESIDE, CLASS, DRIFT)}
    assert count == {ALONE: 20, BESIDE: 20, CLASS: 20, DRIFT: 28}
    assert len({one.seed for one in asked}) == len(asked)
    beside = [one for one in asked if one.group == BESIDE]
    assert all(one.case.things[0]["shape"] != "cylinder" and "{}" in one.frame for one in beside)
    assert beside[0].prompt("a sks cylinder").startswith("a sks cylinder and a")
    assert all("{}" not in one.frame and one.case is not None for one in asked if one.group in (CLASS, DRIFT))


def rows(name, budget=STEPS, *, subject, right, n=10):
    return [
        {
            "row": name, "budget": budget, "steps": 4, "seconds": 2.0, "group": group, "prompt": "-",
            "seed": 100 * g + i, "subject": i < subject[g], "right": i < right[g],
        }
        for g, group in enumerate((ALONE, BESIDE, CLASS, DRIFT)) for i in range(n)
    ]  # fmt: skip


def test_shares_drift_and_leak_are_counted():
    every = (
        rows("nothing", subject=(0, 0, 0, 0), right=(10, 9, 10, 8))
        + rows(FIRST, subject=(8, 6, 1, 0), right=(10, 7, 9, 6))
        + rows(FREE, subject=(9, 8, 7, 0), right=(10, 5, 2, 3))
    )
    lines = {line["row"]: line for line in report.summarize(every)}
    shares = lines[FIRST]["shares"]
    assert shares["subject"]["value"] == 0.7 and shares["subject"]["n"] == 20
    assert (shares["other"]["value"], shares["both"]["value"], shares["leak"]["value"]) == (0.7, 0.6, 0.1)
    assert shares["subject"]["low"] < 0.5 < 0.8 < shares["subject"]["high"]
    assert lines[FIRST]["drift"][CLASS]["value"] == pytest.approx(-0.1)
    assert lines["nothing"]["drift"][CLASS] is None
    assert report.prior(every) == {"less": 6, "more": 0, "p": 0.03125, "n": 10, "prompts": 1}


def test_the_report_says_how_it_was_made_and_that_the_papers_comparison_is_another(tmp_path):
    about = {"command": "python -m maskunet table dreambooth", "finished": "all of them", "subject": "hat"}
    text = report.save(tmp_path, rows(FIRST, subject=(8, 6, 1, 0), right=(10, 7, 9, 6)), about)
    assert "“a sks cylinder”" in text and "5,000 steps of 4 at 1e-3 without class pictures" in text
    assert "| all weights, class pictures | steps | 4 | 2 | 20 | 0.70 (0.48 to 0.85) |" in text
    assert json.loads((tmp_path / "dreambooth.json").read_text())["summary"][0]["shares"]["leak"]["n"] == 10
    assert (tmp_path / "dreambooth.csv").read_text().startswith("row,budget,steps,seconds,subject_value")
    with pytest.raises(ValueError, match="No row that trains has pictures yet"):
        report.save(tmp_path, rows("nothing", subject=(0,) * 4, right=(0,) * 4), about)


def test_the_command_writes_the_table_and_goes_on(tmp_path, monkeypatch, capsys):
    from maskunet.commands.registry import main
    from maskunet.experiments import judges

    every = rows("nothing", subject=(0,) * 4, right=(9,) * 4) + rows(FIRST, subject=(8, 6, 1, 0), right=(9,) * 4)
    before = []

    def made(model, plan, out, done, tell, should_stop):
        before.append(len(done))
        assert (plan.subject, plan.steps, plan.pictures, dict(plan.changes)) == ("cone", 7, 10, {"ema": 0.5})
        yield from every[: len(every) - len(done)]

    model = type("Model", (), {"guidance": 4.0})
    monkeypatch.setattr(
        judges, "load", lambda *given, **added: (type("Loaded", (), {"model": model}), {"model": "tabletop"})
    )
    monkeypatch.setattr(make, "make", made)
    words = ["table", "dreambooth", "--subject=cone", "--steps=7", "--n=10", "--set", "ema=0.5", "--out", str(tmp_path)]
    assert main(words) == 0 and main(words) == 0
    assert before == [0, len(every)]
    text = (tmp_path / "dreambooth.md").read_text()
    assert "the cone of tabletop" in text and "--subject=cone" in text and text in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["table", "dreambooth", "--model", "sd15", "--out", str(tmp_path)])
    assert "docs/personalize.md" in capsys.readouterr().err
