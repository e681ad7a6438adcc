"""What a race says: who is compared with whom, and the files and figures of it."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from maskunet.evaluation.intervals import wilson
from maskunet.experiments.race import budget, make, pictures, report, shown, write
from maskunet.experiments.study import subjects
from maskunet.records import Request
from tests.support.races import Stub, raced, races, row
from visualize import race, race_sheet


def test_paired_differences_and_fixed_and_broken_against_plain():
    rows = races("plain", [0, 0, 1, 1], [0, 0, 0, 0]) + races("other", [1, 1, 0, 1], [1, 1, 1, 1])
    found = report.report(rows, "image_reward", "hpsv2", 1.0)
    line = next(x for x in found["equal_time"] if (x["group"], x["entrant"]) == ("all", "other"))
    against = line["against"]["plain"]
    assert (against["fixed"], against["broken"], against["p"]) == (2, 1, 1.0)
    assert against["correct"] == pytest.approx(0.25)
    assert against["correct_low"] <= 0.25 <= against["correct_high"]
    assert (against["hpsv2"], against["hpsv2_low"], against["hpsv2_high"]) == (1.0, 1.0, 1.0)
    assert (line["n"], line["correct"], line["over_budget"]) == (4, 0.75, False)


def test_the_same_prompt_with_other_noise_is_no_further_trial():
    rows = races("plain", [0] * 6, [0] * 6) + races("other", [1] * 6, [1] * 6)
    rows = [{**each, "prompt": f"p{each['number'] // 3}"} for each in rows]
    found = report.report(rows, "image_reward", "hpsv2", 1.0)
    line = next(x for x in found["equal_time"] if (x["group"], x["entrant"]) == ("all", "other"))
    assert (found["prompts"], found["different"]) == (line["n"], 2) == (6, 2) and line["different"] == 2
    against = line["against"]["plain"]
    assert (against["correct"], against["fixed"], against["broken"], against["p"]) == (1, 2, 0, 0.5)
    assert (line["correct_low"], line["correct_high"]) == wilson(2, 2)


def test_nobody_is_held_against_himself_and_syngen_with_masks_against_syngen():
    names = ["plain", "fk_steering", "syngen/gentle", "syngen_maskunet/gentle"]
    assert report.references("plain", names) == ["fk_steering"]
    assert report.references("syngen_maskunet/gentle", names) == ["plain", "fk_steering", "syngen/gentle"]


def test_the_report_adjusts_p_for_all_lines_that_are_held_against_the_same_entrant():
    right = {"plain": [0] * 8, "better": [1] * 8, "same": [0] * 8, "little": [1] * 6 + [0] * 2}
    rows = [row(name, n, correct=bool(c)) for name, all_of in right.items() for n, c in enumerate(all_of)]
    found = report.report(rows, "image_reward", "hpsv2", 1.0)
    lines = {x["entrant"]: x["against"].get("plain") for x in found["equal_time"] if x["group"] == "all"}
    assert lines["plain"] is None
    assert [lines[name]["p"] for name in ("better", "little", "same")] == [1 / 128, 1 / 32, 1.0]
    assert [lines[name]["p_holm"] for name in ("better", "little", "same")] == [3 / 128, 2 / 32, 1.0]


def test_any_of_n_looks_at_all_finished_pictures_of_an_entrant(tmp_path):
    class Drawing(Stub):
        def run(self, model, rewards, request, settings):
            for event in super().run(model, rewards, request, settings):
                event.candidates = np.stack([event.image, np.full((4, 4, 3), 255, np.uint8)])
                yield event

    class Bright:
        def see(self, image):
            return [["bright"] if float(each.mean()) > 0.99 else [] for each in image]

    case, seed = subjects("two", n=1, seeds=1)[0]
    found = {}
    for stub in (Stub("plain"), Drawing("drawing")):
        (event,) = stub.run(None, None, Request(prompt="-", seed=seed, steps=2), None)
        seen = SimpleNamespace(satisfied=lambda things: things == ["bright"])
        found[stub.name] = make.among(seen, event, Bright(), correct=False)
    assert found == {
        "plain": {"drawn": 1, "any_correct": False},
        "drawing": {"drawn": 2, "any_correct": True},
    }
    rows = raced(tmp_path, [Stub("plain", 1.0), Drawing("drawing", 3.0)])
    assert {(r["entrant"], r["drawn"]) for r in rows} == {("plain", 1), ("drawing", 2)}


def test_any_of_n_is_counted_over_all_pictures_of_a_prompt_and_old_rows_know_their_own():
    rows = [row(place=0, reward=9), row(place=1, correct=True), row(place=2) | {"drawn": 4, "any_correct": False}]
    best = budget.chosen(rows, "image_reward")
    assert (best["correct"], best["any_correct"], best["drawn"], best["pictures"]) == (False, True, 6, 3)
    found = report.report(rows, "image_reward", "hpsv2", 9.0)
    line = next(x for x in found["equal_time"] if x["group"] == "all")
    assert (line["correct"], line["any_correct"], line["drawn"]) == (0.0, 1.0, 6.0)
    about = {"command": "race", "model": "stub", "device": "cpu", "processes": 1, "asked": 1}
    assert "any of N correct" in (text := write.markdown(found, about)) and "1.000 of 6.0" in text
    assert "chooses by hpsv2 too" not in text
    ranks = [row("best_of_n/ranks", place=p) for p in range(3)]
    found = report.report(rows + ranks, "image_reward", "hpsv2", 9.0)
    assert "best_of_n/ranks chooses by hpsv2 too, so that only the checker judges it" in write.markdown(found, about)


def test_equal_calls_are_those_of_the_most_frugal_entrant_within_the_time():
    plain = [row("plain", n, p, calls=10) for n in range(2) for p in range(4)]
    frugal = [row("frugal", n, calls=20, seconds=4.0) for n in range(2)]
    slow = [row("slow", n, calls=5, seconds=40.0) for n in range(2)]
    found = report.report(plain + frugal + slow, "image_reward", "hpsv2", 4.0)
    assert found["calls"] == 20  # not 5: who takes too long sets no measure
    lines = {x["entrant"]: x for x in found["equal_calls"] if x["group"] == "all"}
    assert (lines["plain"]["pictures"], lines["plain"]["unet_calls"]) == (2, 20)
    timed = {x["entrant"]: x["over_budget"] for x in found["equal_time"] if x["group"] == "all"}
    assert timed == {"plain": False, "frugal": False, "slow": True}


def test_only_prompts_that_all_have_finished_are_compared():
    rows = races("plain", [1, 1, 1], [0, 0, 0]) + races("other", [0, 0], [0, 0])
    assert report.report(rows, "image_reward", "hpsv2", 1.0)["prompts"] == 2
    with pytest.raises(ValueError, match="let the race run longer"):
        report.report([row("plain", 0), row("other", 1)], "image_reward", "hpsv2", 1.0)


def test_tasks_are_grouped_as_the_issue_of_binding_counting_and_position():
    rows = [row(task=t) for t in ("counting", "color_attribution", "two", "texture_attribution")]
    assert report.groups_of(rows) == {
        "binding": ("color_attribution", "texture_attribution"),
        "counting": ("counting",),
        "two": ("two",),
        "all": ("counting", "color_attribution", "two", "texture_attribution"),
    }


def test_a_curve_ends_at_the_budget_and_grows_in_cost():
    rows = [row(number=n, place=p, reward=p, held=p) for n in range(3) for p in range(8)]
    points = report.curve(rows, 8.0, "image_reward", "hpsv2")
    assert [p["seconds"] for p in points] == sorted({p["seconds"] for p in points})
    assert (points[0]["pictures"], points[-1]["pictures"], points[-1]["hpsv2"]) == (1, 8, 7)


def test_the_files_say_what_was_raced_and_mark_who_took_too_long(tmp_path):
    stubs = [Stub("plain", 1.0), Stub("slow", 9.0)]
    rows = raced(tmp_path, stubs)
    found = report.report(rows, "image_reward", "hpsv2", 3.0)
    about = {"command": "race", "model": "stub", "device": "cpu", "processes": 1, "asked": 6}
    write.save(tmp_path, found, about, rows)
    text = (tmp_path / "race.md").read_text()
    assert "slow (overspent)" in text
    assert "4 of 6 prompts are finished" in text
    assert "plain (overspent)" not in text
    assert json.loads((tmp_path / "race.json").read_text())["prompts"] == 4
    names = ("race.csv", "race.png", "race.svg", "sheet_two.png", "sheet_counting.png")
    assert all((tmp_path / name).stat().st_size > 500 for name in names)
    assert {r["entrant"] for r in race.table(found)} == {"plain", "slow"}
    before = len(json.loads((tmp_path / "race.json").read_text())["shown"])
    pictures.picture_path(tmp_path, "slow", 0).unlink()
    write.save(tmp_path, found, about, rows)
    assert len(json.loads((tmp_path / "race.json").read_text())["shown"]) == before - 1


def test_lanes_that_are_too_wide_for_one_webp_are_made_smaller(tmp_path):
    lanes = [{"entrant": f"e{number}"} for number in range(17)]
    for lane in lanes:
        pictures.save_picture(tmp_path, lane["entrant"], 0, np.full((8, 1024, 3), 90, np.uint8))
    shown.save(tmp_path, [{"number": 0, "lanes": lanes}])
    with Image.open(tmp_path / "shown" / "0000.webp") as found:
        assert found.width == 17 * (16_383 // 17)


def test_plots_say_what_is_wrong_with_what_they_are_given():
    with pytest.raises(ValueError, match="Nobody has run yet"):
        race.draw({"curves": {}, "held_out": "hpsv2"})
    with pytest.raises(ValueError, match="For 1 prompts and 2 entrants"):
        race_sheet.draw(np.zeros((1, 1, 4, 4, 3)), np.zeros((1, 1)), np.zeros((1, 1)), ["a"], ["b", "c"], "hpsv2")
