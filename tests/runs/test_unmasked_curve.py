"""The reward of the unmasked picture at every step is kept beside the masked one's."""

from dataclasses import replace

import pytest
import torch

from maskunet.records import Request
from maskunet.runs import run_folder
from maskunet.runs.compare import compare
from tests.methods.test_methods import Redness
from visualize import reward_curve

ASKED = Request(prompt="a cube", method="maskunet_free", preset="official", steps=3, settings={"updates": 1})


def made(model, request, bases=None):
    *_, (_, run) = compare(model, Redness(), request, bases=bases)
    return run


def test_rows_have_the_unmasked_pictures_reward_at_the_same_step(tiny_sd15, tmp_path):
    bases = {}
    other = made(tiny_sd15, replace(ASKED, method="random_mask", preset="", settings={}), bases)
    assert not any("base_reward_total" in row for row in other.rows)  # nothing there is scored on the way
    run = made(tiny_sd15, ASKED, bases)
    pictures = torch.from_numpy(run.course.base.copy()).permute(0, 3, 1, 2) / 255
    wanted = Redness()(pictures, [ASKED.prompt] * 3)["total"].tolist()
    before = [row for row in run.rows if row["step"] < 2]  # the last one is scored before it is rounded to bytes
    assert [row["base_reward_total"] for row in before] == pytest.approx(wanted[:2], abs=1e-5) and len(before) == 2
    assert run.rows[-1]["base_reward_total"] == run.base_rewards["total"]
    assert run_folder.read(run_folder.write(run, tmp_path / run.id)).rows == run.rows
    assert made(tiny_sd15, ASKED, bases).rows[0]["base_reward_total"] == run.rows[0]["base_reward_total"]


def test_the_figure_draws_it_behind_the_masked_ones(tiny_sd15):
    run = made(tiny_sd15, ASKED)
    shown = [row for row in run.rows if not row["final"]]
    behind, masked = reward_curve.draw(run).axes[0].lines[-2:]
    assert behind.get_ydata().tolist() == [row["base_reward_total"] for row in shown]
    assert masked.get_ydata().tolist() == [row["reward_total"] for row in shown]


def test_without_an_unmasked_picture_there_is_no_curve_of_it(tiny_sd15):
    *_, (_, run) = compare(tiny_sd15, Redness(), ASKED, with_base=False)
    assert not any("base_reward_total" in row for row in run.rows)
