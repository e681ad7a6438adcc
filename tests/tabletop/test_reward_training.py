"""The training of the rewards: a picture must score above itself spoiled, whatever the reward is."""

import json
from dataclasses import asdict
from functools import partial

import numpy as np
import pytest
import torch

from maskunet.commands.registry import main
from maskunet.experiments.tabletop import train_rewards
from maskunet.experiments.tabletop.train_rewards import Examples, held_out, held_out_looks, looks_accuracy
from maskunet.tabletop import data
from maskunet.tabletop.render import render
from maskunet.tabletop.spoiling import PICTURES


@pytest.fixture(scope="module")
def pairs():
    return held_out_looks(4)


def test_the_held_out_pairs_are_spoiled_in_every_way_and_nothing_else_differs(pairs):
    assert set(pairs) == set(PICTURES)
    for plain, worse, texts in pairs.values():
        assert plain.shape == worse.shape == (4, 3, 128, 128) and len(texts) == 4
        assert not torch.equal(plain, worse) and torch.equal(plain, pairs["noisy"][0])


def test_a_judge_of_quality_is_told_from_one_that_looks_away(pairs):
    sharp = looks_accuracy(lambda images, texts: -(images - pairs["noisy"][0]).square().mean((1, 2, 3)), pairs)
    assert set(sharp.values()) == {1.0}
    blind = looks_accuracy(lambda images, texts: torch.zeros(len(images)), pairs)
    assert set(blind.values()) == {0.0}


@pytest.fixture
def scenes(tmp_path, monkeypatch):
    """A training folder with a few rendered scenes."""
    monkeypatch.setattr(train_rewards, "BATCH", 6)
    few = data.training_scenes(0)[:12]
    (tmp_path / "scenes").mkdir()
    (tmp_path / "scenes" / "0000.json").write_text(json.dumps([[asdict(thing) for thing in scene] for scene in few]))
    np.save(tmp_path / "scenes" / "0000.npy", render(list(few)).numpy())
    return tmp_path


def test_a_batch_shows_each_picture_and_the_same_spoiled(scenes):
    pictures, worse, drawn, texts = Examples(scenes / "scenes", 1, None, 1)(torch.Generator().manual_seed(0))
    assert pictures.shape == worse.shape == (6, 3, 128, 128) and len(drawn) == len(texts) == 6
    apart = (pictures - worse).abs().mean((1, 2, 3))
    assert (apart > 0.005).all() and worse.min() >= 0 and worse.max() <= 1


@pytest.mark.parametrize(("name", "train"), [
    ("image_reward", train_rewards.train_image_reward), ("hpsv2", train_rewards.train_hpsv2),
])  # fmt: skip
def test_a_training_goes_on_from_the_shipped_reward_and_prints_what_it_knows(name, train, scenes, monkeypatch):
    assert main(["tabletop", "restore_rewards", "--folder", str(scenes)]) == 0
    monkeypatch.setattr(train_rewards, "held_out", partial(held_out, 24))
    monkeypatch.setattr(train_rewards, "held_out_looks", partial(held_out_looks, 4))
    train(scenes, minutes=0.001, shards=1)
    (line,) = np.genfromtxt(scenes / f"{name}_state" / "log.csv", delimiter=",", names=True, ndmin=1)
    assert line["held_out"] >= 0.75  # it began where the shipped one is, not from nothing
    assert {*PICTURES, "looks"} <= set(line.dtype.names)
    assert (scenes / "rewards" / name / "model.safetensors").exists()
