"""The notebook's door, on a small random model: what it makes, what it refuses, and the model left as it was."""

import json
from dataclasses import fields, replace

import numpy as np
import pytest
from PIL import Image

from maskunet.lab import Asked, Lab
from maskunet.methods.base import MethodSpec, Sampled, Solver
from maskunet.methods.plain import looking
from maskunet.records import Request
from maskunet.rewards.base import WeightedRewards
from maskunet.runs.notebook import read, save
from tests.support import tiny_library, tiny_lora
from tests.support.generated import assert_unchanged, weights_of

PROMPT, FEW = "a red cube", {"steps": 3, "seed": 7}
UPDATES = {"updates": 2, "early_updates": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_library.write(tmp_path_factory.mktemp("lab") / "model")


@pytest.fixture
def lab(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Lab(folder, device="cpu")


def vars_of(model):
    return {"unet": model.unet, "text_encoder": model.text_encoder}


def blueness(image, prompts):
    return 20 * (image[:, 2] - image[:, 0]).mean((1, 2))


def test_what_can_be_asked_is_what_a_request_has():
    opened_with = {"model", "loras", "embeddings", "lora_masks"}
    assert {*Asked.__annotations__} == {each.name for each in fields(Request)} - {"prompt", *opened_with}


def test_a_lab_is_opened_with_a_lora_and_refuses_what_asks_for_another(lab, folder, tmp_path):
    file = tiny_lora.write(tmp_path / "metal.safetensors", tiny_lora.kohya(tiny_lora.factors(vars_of(lab.model))))
    on = Lab(
        folder, device="cpu", loras=[f"{file}:0.5"], embeddings=[tiny_lora.embedding(tmp_path / "cat.safetensors")]
    )
    assert on.model.added.loras == (("metal", 0.5),) and on.model.added.embeddings == (("cat", "<cat-toy>"),)
    *_, bare = lab.events(PROMPT, method="plain", **FEW)
    run = on.compare(PROMPT, method="random_mask", **FEW)
    assert run.request.loras == ("metal:0.5",) and not np.array_equal(run.base_image, bare.image)
    *_, again = on.events(run.request, method="plain", preset="", settings=run.base_settings)
    assert np.array_equal(again.image, run.base_image)
    with pytest.raises(ValueError, match="This was made with --lora metal:0.5"):
        next(iter(lab.events(run.request)))


def test_a_lab_is_a_name_or_a_folder(folder):
    given = [Lab(str(folder), device="cpu"), Lab("folder", weights=str(folder), device="cpu")]
    assert [repr(lab) for lab in given] == ["Lab('folder', device='cpu')"] * 2
    with pytest.raises(ValueError, match="There is no model “nowhere”. There are: .*tabletop"):
        Lab("nowhere", device="cpu")


def test_events_come_as_they_happen_and_compare_makes_the_same_picture_beside_the_unmasked_one(lab):
    *_, last = lab.events(PROMPT, settings=UPDATES, **FEW)
    run = lab.compare(Request(prompt=PROMPT, settings=UPDATES), **FEW)
    assert last.final and np.array_equal(last.image, run.result_image)
    assert run.rewards == last.rewards and run.request.steps == 3
    *_, plain = lab.events(PROMPT, method="plain", settings=run.base_settings, **FEW)
    assert np.array_equal(plain.image, run.base_image)


def test_what_is_wrong_is_told_before_anything_is_made(lab):
    with pytest.raises(ValueError, match="There is no method “magic”"):
        lab.events(PROMPT, method="magic")
    with pytest.raises(ValueError, match="has no setting “update”"):
        lab.events(PROMPT, settings={"update": 3})
    with pytest.raises(ValueError, match="The prompt is empty"):
        lab.compare("")
    with pytest.raises(ValueError, match="n is 0; allowed is 1 or more"):
        lab.evaluate("plain", n=0)
    with pytest.raises(ValueError, match="There is no task “three”"):
        lab.evaluate("plain", tasks="three")
    with pytest.raises(ValueError, match="There is no recipe “masks”. There are: .*mask_generator"):
        lab.train("masks", out="out")
    with pytest.raises(ValueError, match="must be more than 0"):
        lab.train("mask_generator", out="out", minutes=0)


def test_what_was_left_in_the_middle_is_ended_by_whatever_comes_next(lab):
    before = weights_of(lab.model)
    left = lab.events(PROMPT, settings=UPDATES, **FEW)
    next(left)
    with pytest.raises(AssertionError):
        assert_unchanged(lab.model, before)  # its masks are on
    run = lab.compare(PROMPT, settings=UPDATES, **FEW)
    assert list(left) == []
    assert_unchanged(lab.model, before)
    assert np.array_equal(run.result_image, lab.compare(PROMPT, settings=UPDATES, **FEW).result_image)


def test_a_run_comes_back_with_its_masks_and_no_folder_of_others_is_written_to(lab, tmp_path):
    run = lab.compare(PROMPT, settings=UPDATES, keep_masks=True, **FEW)
    again = read(str(save(run, "my-run")))
    assert again.rewards == run.rewards and again.masks.steps.keys() == run.masks.steps.keys()
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.txt").write_text("")
    with pytest.raises(ValueError, match="holds other files"):
        save(run, "photos")


@pytest.mark.parametrize("method", ["maskunet_free", "best_of_n", "best_of_n_masks", "fk_steering"])
def test_a_reward_of_ones_own_is_what_is_optimized(lab, method):
    settings = {"learning_rate": 1.0, **UPDATES} if method == "maskunet_free" else {}
    blue = []
    for weight in (2.0, -2.0):
        lab.rewards = WeightedRewards({"blueness": (blueness, weight)})
        *_, last = lab.events(PROMPT, method=method, settings=settings, **FEW)
        assert {*last.rewards} == {"blueness", "total"}
        assert last.rewards["total"] == pytest.approx(weight * last.rewards["blueness"])
        blue.append(last.rewards["blueness"])
    assert blue[0] > blue[1]


def test_a_grid_is_its_sheet_and_makes_no_cell_twice(lab, tmp_path, monkeypatch):
    asked = {"x": "seed=1,2", "y": "method=plain,random_mask", "steps": 1}
    made = lab.grid(PROMPT, out="my-grid", **asked)
    assert made._repr_png_() == (tmp_path / "my-grid" / "grid.png").read_bytes() and len(made.rows) == 4
    *_, last = lab.events(PROMPT, method="random_mask", seed=2, steps=1)
    assert np.abs(made.picture(3).astype(int) - last.image).max() <= 1  # made with another one
    assert lab.grid(PROMPT, out="my-grid", **asked).rows == made.rows  # with the times of the first
    lab.rewards = WeightedRewards({"blueness": (blueness, 1.0)})
    assert {"reward_blueness"} <= {*lab.grid(PROMPT, out="my-grid", **asked).rows[0]}
    name = lab.model.name
    judged = replace(lab._library.spec(name), judge=lambda prompt, pictures: [{"right": prompt == PROMPT}])
    monkeypatch.setitem(lab._library._specs, name, judged)
    assert [row["correct"] for row in lab.grid(PROMPT, out="my-grid", **asked).rows] == [True] * 4
    place = lab.grid(PROMPT, x="seed=1", steps=1).cells.folder
    assert not place.exists()


def test_a_method_of_ones_own_is_compared_and_evaluated(lab):
    lab.methods["mine"] = MethodSpec(
        name="mine", title="Mine", kind="rival", summary="", source="", presets={"only": Solver()}, run=Sampled(looking)
    )
    run = lab.compare(PROMPT, method="mine", **FEW)
    assert np.array_equal(run.base_image, run.result_image)
    mine, plain = (lab.evaluate(name, tasks="two", n=2, steps=2) for name in ("mine", "plain"))
    drawn = [(row["prompt"], row["seed"], row["rewards"]) for row in mine.rows]
    assert drawn == [(row["prompt"], row["seed"], row["rewards"]) for row in plain.rows]
    assert mine.against(plain).startswith("Against the other, 2 pairs: total reward +0.000")


def test_an_evaluation_is_its_table(lab):
    found = lab.evaluate("plain/first_order@1", tasks="two", n=1, steps=2)
    assert repr(found) == found._repr_markdown_() == str(found)
    assert [line["task"] for line in found.summary] == ["two", "all"] and "| two | 1 |" in str(found)
    other = lab.evaluate("plain/first_order@2", tasks="two", n=1, steps=2)
    assert other.rows[0]["rewards"] != found.rows[0]["rewards"]


def test_what_was_trained_is_offered_at_once(lab, tmp_path, short_sheets):
    (tmp_path / "pictures").mkdir()
    for i, picture in enumerate(np.random.default_rng(0).integers(0, 256, (12, 16, 16, 3), np.uint8)):
        Image.fromarray(picture).save(tmp_path / "pictures" / f"{i}.png")
    rows = [json.dumps({"file_name": f"{i}.png", "text": PROMPT}) for i in range(12)]
    (tmp_path / "pictures" / "metadata.jsonl").write_text("\n".join(rows))
    before = weights_of(lab.model)
    asked = {
        "out": "trained/folder/mine",
        "data": "pictures",
        "settings": {"steps": 3, "batch": 2, "every": 1},
    }
    first = next(lab.train("mask_generator", **asked))
    assert first.step == 1 and lab.compare(PROMPT, method="plain", **FEW)  # which ends it
    *_, last = lab.train("mask_generator", resume=True, **asked)
    assert (last.step, last.final) == (3, True)
    assert_unchanged(lab.model, before)
    run = lab.compare(PROMPT, method="maskunet_trained", settings={"generator": "mine"}, **FEW)
    assert run.settings["generator"] == "mine" and "trained/mine" in run.weights


def test_a_mask_is_made_kept_and_put_on_at_once(lab):
    made = lab.make_mask(random="iid", removed=0.2, seed=3)
    assert lab.keep_mask("few", made).is_file() and lab.masks == ("few",)
    assert np.array_equal(lab.mask("few").at(0), made.at(0))
    run = lab.compare(PROMPT, method="held_mask", settings={"mask": "few"}, keep_masks=True, **FEW)
    assert 1 - run.keep_ratio == pytest.approx(0.2, abs=1e-3) and "trained/few" in run.weights
    save(run, "my-run")
    again = lab.make_mask(run="my-run", step=2)
    assert {*again.at(0).tolist()} == {*made.at(0).tolist()}
    with pytest.raises(ValueError, match="There is a mask “few” of folder already"):
        lab.keep_mask("few", made)
    with pytest.raises(ValueError, match="was made for other weights than these, of other"):
        lab.keep_mask("more", replace(made, weights={"unet/x": "1"}, model="other"))
    with pytest.raises(ValueError, match="There is no mask “none” of folder. There are: few"):
        lab.mask("none")
    with pytest.raises(ValueError, match="exactly one of run"):
        lab.make_mask()


def test_a_mask_is_not_made_under_what_was_left_in_the_middle(lab):
    before = weights_of(lab.model)
    next(lab.events(PROMPT, settings=UPDATES, **FEW))
    lab.make_mask(select="cross.v")
    assert_unchanged(lab.model, before)
