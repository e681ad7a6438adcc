"""The race: equal budgets, what is chosen, and how a race goes on."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from maskunet import seeds
from maskunet.experiments.race import budget, pictures, report, shown, write
from maskunet.experiments.study import subjects
from maskunet.rewards.base import WeightedRewards
from tests.support.races import Stub, raced, row
from visualize import race


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
