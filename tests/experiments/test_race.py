"""The race: equal budgets, what is chosen, what is compared, and how a race goes on."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from maskunet import seeds
from maskunet.commands.registry import main
from maskunet.evaluation.intervals import wilson
from maskunet.experiments.race import budget, entrants, make, pictures, report, shown, write
from maskunet.experiments.study import subjects
from maskunet.library.library import Loaded
from maskunet.records import Request
from maskunet.rewards.base import WeightedRewards
from visualize import race, race_sheet

ASKED = Request(prompt="-", model="stub", steps=2)
WEIGHTS = {"image_reward": 1.0, "hpsv2": 2.0}


class Stub:
    """A method whose picture costs a fixed time and whose rewards are those of a table of chance."""

    needs_rewards = False

    def __init__(self, name, seconds=1.0, calls=10, kind="rival"):
        self.kind = kind
        self.entrant, self.name = name, name.partition("/")[0]
        self.seconds, self.calls, self.made = seconds, calls, []

    def settings(self, preset="", given=None):
        return SimpleNamespace()

    def run(self, model, rewards, request, settings):
        if request.steps == ASKED.steps:  # a warm-up takes other steps and counts for nothing
            self.made.append((request.prompt, request.seed))
        rng = np.random.default_rng(request.seed)
        scores = {"image_reward": rng.normal(), "hpsv2": rng.normal(), "total": 0.0}
        yield SimpleNamespace(
            keep_ratio={}, best=True, final=True, image=np.full((4, 4, 3), request.seed % 250, np.uint8),
            step=0, rewards=scores, seconds=self.seconds, unet_calls=self.calls, candidates=None,
        )  # fmt: skip


class Judges:
    """Rewards by chance, the same for the same picture."""

    weights = WEIGHTS

    def only(self, name):
        return self

    def __call__(self, image, prompts):
        drawn = np.random.default_rng(int(image.sum() * 255)).normal(size=3)
        return {name: torch.tensor([value]) for name, value in zip((*WEIGHTS, "total"), drawn, strict=True)}


class Checker:
    def see(self, image):
        return [[] for _ in image]


SEES_NOTHING = Checker()


def entrant_of(stub):
    return entrants.Entrant(name=stub.entrant, spec=stub)


def raced(folder, stubs, prompts=4, seconds=3.0, done=(), stop_after=10**9, checker=SEES_NOTHING, judges=None):
    """The rows of a race of stubs, stopped after some pictures."""
    made = []
    chosen = [entrant_of(stub) for stub in stubs]
    drawn = dict(enumerate(subjects("two,counting", n=prompts // 2, seeds=1)))
    model = SimpleNamespace(guidance=2.5, device="cpu")
    for row in make.make(
        Loaded(model=model, rewards=judges or Judges(), checker=checker), ASKED, chosen, drawn, seconds=seconds, optimized="image_reward",
        folder=folder, done=done, should_stop=lambda: "stop" if len(made) >= stop_after else "",
    ):  # fmt: skip
        made.append(row)
    return made


def row(entrant="plain", number=0, place=0, task="two", reward=0.0, held=0.0, correct=False, seconds=1.0, calls=10):
    return {
        "entrant": entrant, "number": number, "place": place, "task": task, "prompt": f"p{number}", "seed": number,
        "rewards": {"image_reward": reward, "hpsv2": held}, "correct": correct, "seconds": seconds,
        "unet_calls": calls,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("cost", "counts"),
    [
        (1.0, [3, 3, 3, 3]),  # fits
        (0.75, [4, 4, 4, 4]),
        (2.0, [2, 1, 2, 1]),  # three seconds hold one and a half pictures: overdrawn, then made up for
        (5.0, [1, 1, 1, 1]),  # too long: one picture there must be
        (3.4, [1, 1, 1, 1]),  # overdrawn a little each time
    ],
)
def test_what_is_left_of_a_budget_or_overdrawn_goes_over_to_the_next_prompt(tmp_path, cost, counts):
    rows = raced(tmp_path, [Stub("plain", cost)])
    assert [sum(r["number"] == n for r in rows) for n in range(4)] == counts
    within = budget.within(rows, "seconds", 3.0)
    assert [len(pictures) for pictures in within] == counts


@pytest.mark.parametrize("cost", [0.31, 0.7, 1.1, 1.9, 2.9])
def test_all_spend_the_same_give_or_take_half_a_picture(tmp_path, cost):
    rows = raced(tmp_path, [Stub("plain", cost)], prompts=20)
    assert abs(sum(r["seconds"] for r in rows) - 20 * 3.0) <= cost / 2 + 1e-9


def test_what_only_judges_and_what_only_counts_run_when_the_clock_has_stopped(tmp_path):
    """Else whoever looks at its pictures often would pay for looks that it makes no use of."""

    def reward(image, prompts):
        ran.append(in_clock)
        return image.mean((1, 2, 3))

    ran, seen, in_clock = [], {}, False

    class Timed(Stub):
        def settings(self, preset="", given=None):
            return SimpleNamespace(choose="ranks" if self.name == "ranks" else "sum")

        def run(self, model, rewards, request, settings):
            nonlocal in_clock
            seen[self.name] = set(rewards.weights), request.statistics
            in_clock = True
            rewards(torch.zeros(1, 3, 4, 4), ["-"])
            yield from super().run(model, rewards, request, settings)
            in_clock = False

    judges = WeightedRewards(
        {"image_reward": (lambda image, prompts: image.mean((1, 2, 3)), 1.0), "hpsv2": (reward, 2.0)}
    )
    stubs = [Timed("plain"), Timed("ranks")]
    rows = raced(tmp_path, stubs[:1], judges=judges)
    assert seen == {"plain": ({"image_reward"}, False)} and len(ran) == len(rows) and not any(ran)
    assert all(row["rewards"]["hpsv2"] == pytest.approx(row["seed"] % 250 / 255) for row in rows)
    assert "keep_ratio" not in rows[0]
    raced(tmp_path / "both", stubs, judges=judges)
    assert seen["ranks"] == ({"image_reward", "hpsv2"}, False) and any(ran)


def test_without_a_checker_a_race_says_nothing_of_what_is_correct(tmp_path):
    rows = raced(tmp_path, [Stub("plain"), Stub("fk_steering", 2.0), Stub("other", 0.5)], checker=None)
    assert {row["correct"] for row in rows} == {row["any_correct"] for row in rows} == {None}
    found = report.report(rows, "image_reward", "hpsv2", 3.0)
    write.save(tmp_path, found, {"command": "race", "model": "sd15", "device": "cpu", "processes": 1, "asked": 4}, rows)
    text = (tmp_path / "race.md").read_text()
    assert (
        "The checker knows tabletop's renders only" in text and "None" not in text and "against fk_steering" not in text
    )
    line = next(line for line in found["equal_time"] if (line["group"], line["entrant"]) == ("all", "other"))
    assert line["correct"] is line["against"]["plain"]["correct"] is None
    assert line["against"]["plain"]["hpsv2_low"] < line["against"]["plain"]["hpsv2_high"]
    figure = race.draw(found)
    assert len(figure.axes) == 1 and "hpsv2" in figure.axes[0].get_ylabel()


def test_a_smaller_budget_is_the_first_pictures_of_a_larger_one():
    rows = [row(number=n, place=p, calls=10) for n in range(3) for p in range(6)]
    found = budget.within(rows[::-1], "unet_calls", 25)
    assert [[r["place"] for r in pictures] for pictures in found] == [[0, 1, 2], [0, 1], [0, 1, 2]]
    assert [len(pictures) for pictures in budget.within(rows, "seconds", 0.0)] == [1, 1, 1]


def test_chosen_is_the_largest_optimized_reward_and_never_what_is_not_a_number():
    pictures = [
        row(reward=float("nan"), held=9),
        row(place=1, reward=1, held=1),
        row(place=2, reward=3, held=0),
        row(place=3, reward=3, held=5),
    ]
    best = budget.chosen(pictures, "image_reward")
    assert (best["place"], best["pictures"], best["seconds"], best["unet_calls"]) == (2, 4, 4.0, 40)
    assert budget.chosen(pictures[:1], "image_reward")["place"] == 0


def test_all_entrants_have_the_same_seeds_and_the_first_is_the_prompts_own(tmp_path):
    fast, slow = Stub("plain", 0.5), Stub("slow", 1.5)
    rows = raced(tmp_path, [fast, slow])
    assert set(slow.made) < set(fast.made)
    assert len(set(fast.made)) == len(fast.made) == 4 * 6
    firsts = [r["seed"] for r in rows if r["place"] == 0 and r["entrant"] == "plain"]
    assert firsts == [seed for _, seed in subjects("two,counting", n=2, seeds=1)]
    tried = [s for r in rows if (r["entrant"], r["number"]) == ("plain", 0) for s in seeds.of_candidates(r["seed"], 8)]
    assert len(set(tried)) == len(tried)  # no picture begins from a noise that a method tried for the one before


def test_pictures_are_kept_of_each_tasks_first_prompts_only(tmp_path):
    assert shown.numbers({n: ("two", "counting")[n % 2] for n in range(9)}) == [0, 2, 4, 1, 3, 5]
    rows = raced(tmp_path, [Stub("plain", 1.0)], prompts=10, seconds=1.0)
    assert {row["number"] for row in rows} == set(range(10))
    assert len(list(tmp_path.rglob("*.png"))) == 6


def test_the_picture_that_is_kept_is_the_chosen_one(tmp_path):
    from PIL import Image

    rows = raced(tmp_path, [Stub("plain", 0.5)])
    for number in range(4):
        best = budget.chosen([r for r in rows if r["number"] == number], "image_reward")
        kept = np.asarray(Image.open(pictures.picture_path(tmp_path, "plain", number)))
        assert (kept == best["seed"] % 250).all()


@pytest.mark.parametrize("stop", [1, 5, 8, 13])
def test_a_race_that_was_stopped_anywhere_ends_as_one_that_was_not(tmp_path, stop):
    whole = raced(tmp_path / "whole", [Stub("plain", 0.7), Stub("slow", 2.0)])
    first = raced(tmp_path / "parts", [Stub("plain", 0.7), Stub("slow", 2.0)], stop_after=stop)
    later = raced(tmp_path / "parts", [Stub("plain", 0.7), Stub("slow", 2.0)], done=first)
    assert len(first) == stop
    assert [*first, *later] == whole


def test_an_entrant_can_join_later_and_runs_on_the_same_prompts(tmp_path):
    first = raced(tmp_path, [Stub("plain", 0.7)])
    later = raced(tmp_path, [Stub("plain", 0.7), Stub("slow", 2.0)], done=first)
    assert {r["entrant"] for r in later} == {"slow"}
    assert {r["number"] for r in later} == {0, 1, 2, 3}


def races(entrant, rights, held, seconds=1.0, calls=10):
    """One picture for each prompt."""
    each = enumerate(zip(rights, held, strict=True))
    return [row(entrant, n, correct=bool(r), held=h, seconds=seconds, calls=calls) for n, (r, h) in each]


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


def test_the_files_say_what_was_raced_and_mark_who_took_too_long(tmp_path):
    stubs = [Stub("plain", 1.0), Stub("slow", 9.0)]
    rows = raced(tmp_path, stubs)
    found = report.report(rows, "image_reward", "hpsv2", 3.0)
    about = {"command": "race", "model": "stub", "device": "cpu", "processes": 1, "asked": 6}
    write.save(tmp_path, found, about, rows)
    text = (tmp_path / "race.md").read_text()
    assert "slow (over budget)" in text
    assert "4 of 6 prompts are finished" in text
    assert "plain (over budget)" not in text
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


@pytest.fixture
def tiny_judged(monkeypatch, tiny_sd15):
    """What the command loads: a small random model, rewards of color, a checker that sees nothing."""
    from tests.experiments.test_study import Redness

    class Rewards(Redness):
        weights = WEIGHTS

        def only(self, name):
            return self

        def __call__(self, image, prompts):
            found = super().__call__(image, prompts)
            return {
                "image_reward": found["image_reward"],
                "hpsv2": -found["image_reward"],
                "total": found["total"],
            }

    loaded = Loaded(model=tiny_sd15, rewards=Rewards(), checker=Checker())
    found = loaded, {"model": "tiny", "device": "cpu"}
    monkeypatch.setattr("maskunet.experiments.judges.load", lambda *given, **added: found)


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
