"""A style LoRA under masks: what it learns from, which pictures are made, and the two by two table."""

from dataclasses import replace

import numpy as np
import pytest

from maskunet.experiments.style import make, report
from maskunet.library.library import Loaded
from maskunet.rewards.base import WeightedRewards
from maskunet.runs.entrant import entrant
from maskunet.tabletop.scenes import TEXTURES, Thing
from tests.support import tiny_lora

MASKS = "random_mask"


class Eye:
    """Sees a metal cube and a matte sphere on every picture."""

    looks = 0

    def see(self, images):
        self.looks += len(images)
        return [[Thing("cube", "red", "metal"), Thing("sphere", "blue")] for _ in images]


@pytest.fixture
def study(tiny_sd15, tmp_path):
    model = replace(tiny_sd15, steps=2)
    rewards = WeightedRewards({})
    study = make.Study(
        loaded=Loaded(model=model, rewards=rewards, checker=Eye()), plain=entrant("plain"), masks=[entrant(MASKS)],
        steps=1, n=1, seed=5, out=tmp_path,
    )  # fmt: skip
    tiny_lora.write(
        study.file, tiny_lora.kohya(tiny_lora.factors({"unet": model.unet, "text_encoder": model.text_encoder}))
    )
    return study


def test_the_style_is_on_every_thing_and_in_no_caption():
    pairs = make.Styled()
    captions = [pairs(index, index).caption for index in range(40)]
    assert not any(texture in caption for texture in TEXTURES for caption in captions)
    scene = make.styled((Thing("cube", "red", "striped"), Thing("cone", "blue")))
    assert [thing.texture for thing in scene] == ["metal", "metal"] and scene[0].shape == "cube"
    assert not np.array_equal(pairs(0, 0).image, pairs(1, 0).image)
    assert all(not any("texture" in thing for thing in case.things) for row in make.subjects(3, 5) for case, _ in row)


def test_every_arm_has_every_prompt_once_with_the_same_noise(study):
    rows = list(make.make(study, set()))
    arms = {}
    for row in rows:
        arms.setdefault((row["lora"], row["method"]), []).append((row["prompt"], row["seed"]))
    assert list(arms) == [("", "plain"), ("merged", "plain"), ("", MASKS), ("merged", MASKS), ("base", MASKS)]
    assert all(each == arms["", "plain"] and len(each) == 6 for each in arms.values())
    assert {row["style"] for row in rows} == {0.5} and study.loaded.model.added.loras == ()
    assert list(make.make(study, {make.key(row) for row in rows})) == []
    left = {make.key(row) for row in rows if row["lora"] != "base"}
    assert [row["lora"] for row in make.make(study, left)] == ["base"] * 6


def test_masks_are_drawn_at_the_guidance_scale_that_is_named(study, monkeypatch):
    asked = []
    monkeypatch.setattr(make, "drawn", lambda loaded, spec, each, settings: asked.extend(each) or [])
    list(make.make(replace(study, masks=[entrant(f"{MASKS}@4")]), set()))
    assert {(one.method, one.guidance) for _, one in asked} == {("plain", None), (MASKS, 4.0)}


def test_the_interaction_is_what_both_do_beyond_the_sum(tmp_path):
    shares = {
        ("", "plain"): 0.1,
        ("merged", "plain"): 0.7,
        ("", MASKS): 0.2,
        ("merged", MASKS): 0.6,
        ("base", MASKS): 0.8,
    }
    rows = [
        {
            "lora": lora,
            "method": method,
            "task": "two",
            "prompt": f"{i}",
            "seed": i,
            "style": share,
            "correct": i % 2 == 0,
        }
        for (lora, method), share in shares.items()
        for i in range(4)
    ]
    lines = report.summarize(rows, "plain")
    found = {(line["acts_on"], line["figure"]): line for line in lines}
    assert len(lines) == 4 and all(line["n"] == 4 for line in lines)
    assert found["merged", "style"]["interaction"] == pytest.approx([-0.2] * 3)
    assert found["base", "style"]["interaction"] == pytest.approx([0.0] * 3)
    assert found["base", "correct"]["both"][0] == 0.5 and found["base", "correct"]["interaction"] == [0, 0, 0]
    text = report.save(tmp_path, lines, {"command": "python -m maskunet style", "lora_steps": 100})
    assert "| no masks | 0.100 (0.100 to 0.100) | 0.700 (0.700 to 0.700) |" in text
    assert "Interaction -0.200 (-0.200 to -0.200)." in text and (tmp_path / "style.json").is_file()
    unequal = [row for row in rows if (row["lora"], row["prompt"]) != ("base", "3")]
    assert {line["n"] for line in report.summarize(unequal, "plain") if line["acts_on"] == "base"} == {3}
