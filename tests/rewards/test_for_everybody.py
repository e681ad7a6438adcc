"""`maskunet.rewards.load`: rewards for anybody's pictures, and the judges, beside transformers' own computation."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from maskunet.experiments import judges
from maskunet.library import download
from maskunet.records import Request
from maskunet.records.disk.hub import MissingWeights, file_hash
from maskunet.rewards import JUDGES, SPECS, judged_by, load, load_rewards
from maskunet.rewards.base import WeightedRewards
from maskunet.runs.compare import compare
from maskunet.runs.entrant import entrant
from maskunet.tabletop.place import WEIGHTS
from tests.support.tiny_benchmarks import write_clip
from tests.support.tiny_rewards import CLIP, made, picture, write_small

CPU = torch.device("cpu")
PROMPTS = ["a red cube", "two blue spheres and a dog", "red"]


def pictures(size=16, count=3):
    drawn = np.random.default_rng(0).integers(0, 256, (count, size, size, 3), dtype=np.uint8)
    return [Image.fromarray(each) for each in drawn]


def as_tensor(several):
    return torch.stack([torch.from_numpy(np.array(each)).permute(2, 0, 1).float() / 255 for each in several])


@pytest.fixture(scope="module")
def judge_folder(tmp_path_factory):
    """A folder of rewards with both judges, small ones."""
    place = tmp_path_factory.mktemp("judges")
    for name in JUDGES:
        write_clip(place / name)
    return place


@pytest.mark.parametrize("name", SPECS)
def test_the_embedded_rewards_score_as_they_always_did_for_any_kind_of_picture(name):
    reward, several = load(name, folder=WEIGHTS, device="cpu", batch=2), pictures(128)
    tensors = as_tensor(several).requires_grad_()
    known = load_rewards(WEIGHTS, CPU, torch.float32).parts[name][0]
    one = known(tensors[:1].detach(), PROMPTS[:1])
    assert torch.equal(reward(several[0], PROMPTS[0]), one) and torch.equal(
        reward(np.array(several[0]), PROMPTS[0]), one
    )
    scores = reward(tensors, PROMPTS)
    torch.testing.assert_close(scores, known(tensors, PROMPTS), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(reward(several, PROMPTS), scores.detach(), rtol=1e-5, atol=1e-5)
    (gradient,) = torch.autograd.grad(scores.sum(), tensors)
    assert gradient.isfinite().all() and (gradient.flatten(1).abs().sum(1) > 0).all()
    assert not reward(several, PROMPTS).requires_grad


def test_pictures_of_several_sizes_keep_their_order_and_are_upright_and_on_white():
    reward = load("hpsv2", folder=WEIGHTS, device="cpu")
    tall, wide = (Image.fromarray(np.array(pictures(128)[0])[:y, :x]) for y, x in ((128, 64), (64, 128)))
    alone = torch.cat([reward(each, "a red cube") for each in (tall, wide, tall)])
    torch.testing.assert_close(reward([tall, wide, tall], "a red cube"), alone, rtol=1e-5, atol=1e-5)
    clear = Image.new("RGBA", (64, 64), (255, 0, 0, 0))
    assert torch.equal(reward(clear, "red"), reward(Image.new("RGB", (64, 64), "white"), "red"))


@pytest.mark.parametrize("name", JUDGES)
def test_a_judge_scores_as_transformers_own_processor_and_model(name, judge_folder):
    from transformers import CLIPImageProcessor, CLIPModel, CLIPProcessor, CLIPTokenizer

    folder, several = judge_folder / name, pictures()
    sizes = {"size": {"shortest_edge": 16}, "crop_size": {"height": 16, "width": 16}}
    processor = CLIPProcessor(CLIPImageProcessor(**sizes), CLIPTokenizer.from_pretrained(folder))
    network = CLIPModel.from_pretrained(folder).eval()
    read = {"text": PROMPTS, "return_tensors": "pt", "padding": True, "truncation": True, "max_length": 77}
    reward = load(name, folder=judge_folder, device="cpu")
    with torch.no_grad():
        logits = network(**processor(images=several, **read)).logits_per_image.diagonal()
        larger = torch.rand(3, 3, 40, 24, generator=torch.Generator().manual_seed(0))
        resized = network(**processor(images=list(larger), do_rescale=False, **read)).logits_per_image.diagonal()
    torch.testing.assert_close(reward(several, PROMPTS), logits, rtol=0, atol=1e-5)
    assert len({round(float(each), 4) for each in logits}) == 3
    larger.requires_grad_()
    scores = reward(larger, PROMPTS)
    torch.testing.assert_close(scores.detach(), resized, rtol=0, atol=1e-5)
    (gradient,) = torch.autograd.grad(scores.sum(), larger)
    assert gradient.isfinite().all() and gradient.any()
    assert not any(parameter.requires_grad for parameter in reward.reward.network.parameters())
    assert reward.reward.unread("a " * 90).startswith("a")


def test_a_judge_stands_beside_the_rewards_and_changes_nothing_that_is_optimized(judge_folder, monkeypatch):
    monkeypatch.setattr("maskunet.rewards.rewards_place", lambda: judge_folder)
    assert not JUDGES.keys() & SPECS.keys() and JUDGES.keys() == {"clip_h", "pickscore"}
    known = load_rewards(WEIGHTS, CPU, torch.float32)
    both = judged_by(known, "pickscore", CPU, torch.float32)
    assert both.weights == {**known.weights, "pickscore": 0.0} and judged_by(known, None, CPU, torch.float32) is known
    image = as_tensor(pictures(128)).requires_grad_()
    before, after = known(image, PROMPTS), both(image, PROMPTS)
    assert torch.equal(before["total"], after["total"]) and not after["pickscore"].requires_grad
    torch.testing.assert_close(after["pickscore"], load("pickscore", device="cpu")(image, PROMPTS).detach())


def test_a_race_is_judged_by_one_and_no_method_is_told_of_it(judge_folder, monkeypatch):
    monkeypatch.setattr("maskunet.rewards.rewards_place", lambda: judge_folder)
    loaded, about = judges.load("tabletop", device="cpu", held_out="clip_h")
    assert loaded.rewards.weights == {"hpsv2": 5.0, "image_reward": 1.0, "clip_h": 0.0}
    assert about["judges"]["clip_h/model.safetensors"] == file_hash(judge_folder / "clip_h" / "model.safetensors")
    settings = entrant("maskunet_free/improved").settings("image_reward", loaded.rewards.weights)
    assert (settings.image_reward, settings.hpsv2) == (1.0, 0.0)


def test_pickscore_takes_the_tokenizer_of_its_published_example_where_it_has_none(judge_folder, tmp_path, monkeypatch):
    words = write_clip(tmp_path / "words")
    alone = write_clip(tmp_path / "pickscore")
    for file in ("vocab.json", "merges.txt", "tokenizer.json", "tokenizer_config.json"):
        (alone / file).unlink(missing_ok=True)
    asked = []
    monkeypatch.setattr("maskunet.rewards.base.two_towers.snapshot", lambda repo, file: asked.append(repo) or words)
    scores = [load("pickscore", folder=place, device="cpu")(pictures(), PROMPTS) for place in (tmp_path, judge_folder)]
    assert torch.equal(*scores) and asked == [JUDGES["clip_h"].repo]
    monkeypatch.setattr("maskunet.rewards.base.two_towers.snapshot", lambda repo, file: None)
    with pytest.raises(MissingWeights, match="The tokenizer of pickscore is missing.*download pickscore"):
        load("pickscore", folder=tmp_path, device="cpu")


def test_both_published_versions_of_hpsv2_are_read_by_name_and_the_record_says_which(tmp_path, monkeypatch, tiny_sd15):
    from maskunet.encoders import clip

    monkeypatch.setattr("open_clip.factory.get_model_config", lambda name: CLIP)
    monkeypatch.setattr("maskunet.rewards.rewards_place", lambda: tmp_path)
    with pytest.raises(MissingWeights, match=r"HPSv2 is not on this machine \(2.0 GB\).*download hpsv2-2.0"):
        load("hpsv2-2.0", device="cpu")
    with torch.device("meta"):
        state = made(clip.build(CLIP).state_dict())
    torch.save({"state_dict": {k: -v for k, v in state.items()}}, tmp_path / SPECS["hpsv2"].versions["2.0"])
    assert load("hpsv2", device="cpu").reward.version == "2.0" and SPECS["hpsv2"].is_in(tmp_path)
    torch.save({"state_dict": state}, tmp_path / SPECS["hpsv2"].versions["2.1"])
    found = {name: load(name, device="cpu") for name in ("hpsv2", "hpsv2-2.1", "hpsv2-2.0")}
    assert [each.reward.version for each in found.values()] == ["2.1", "2.1", "2.0"]
    newest, newer, older = (each(picture(), "a red cube") for each in found.values())
    assert torch.equal(newest, newer) and (newer - older).abs() > 1e-3
    scored = WeightedRewards({"hpsv2": (found["hpsv2-2.0"].reward, 1.0)})
    *_, (_, run) = compare(tiny_sd15, scored, Request(prompt="a red cube", method="plain", steps=1), with_base=False)
    assert run.record()["versions"]["hpsv2"] == "2.0"


def test_a_record_says_which_embedded_rewards_scored_it(tiny_sd15):
    embedded, own = load_rewards(WEIGHTS, CPU, torch.float32), load_rewards(WEIGHTS / "web", CPU, torch.float32)
    assert {len(digits) for digits in embedded.versions.values()} == {8}
    assert own.versions["image_reward"] != embedded.versions["image_reward"]
    asked = Request(prompt="a red cube", method="plain", steps=1)
    *_, (_, run) = compare(tiny_sd15, embedded, asked, with_base=False)
    assert embedded.versions.items() <= run.record()["versions"].items()
    assert run.weights == tiny_sd15.weights


@pytest.mark.parametrize(
    ("given", "prompts", "says"),
    [
        (torch.zeros(1, 1, 8, 8), "a", r"must be \(B, 3, H, W\) of floats in \[0, 1\], not \(1, 1, 8, 8\) of float32"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), "a", "not .* of uint8"),
        (torch.full((1, 3, 8, 8), 255.0), "a", "values from 255 to 255; allowed is 0 to 1"),
        (torch.linspace(-1, 1, 192).view(1, 3, 8, 8), "a", "values from -1 to 1; allowed is 0 to 1"),
        (torch.full((1, 3, 8, 8), torch.nan), "a", "values from nan to nan; allowed is 0 to 1"),
        (torch.zeros(2, 3, 8, 8), ["a"], "2 pictures and 1 prompts were given"),
        ([], "a", "0 pictures and 0 prompts were given"),
        ([np.zeros((8, 8))], "a", "not ndarray"),
        ("a picture", "a", "not str"),
    ],
)
def test_what_is_no_picture_is_refused(given, prompts, says, tiny_hpsv2):
    with pytest.raises(ValueError, match=says):
        tiny_hpsv2(given, prompts)


def test_weights_that_are_no_numbers_are_refused(tmp_path):
    folder = write_small(tmp_path)
    file = folder / "hpsv2" / "model.safetensors"
    tensors = load_file(file)
    next(iter(tensors.values())).mul_(torch.nan)
    save_file(tensors, file)
    with pytest.raises(ValueError, match="“model.safetensors” holds values that are no numbers"):
        load("hpsv2", folder=folder, device="cpu")


def test_a_reward_gives_one_number_for_each_picture():
    column = WeightedRewards({"mine": (lambda image, prompts: image.mean((1, 2, 3))[:, None], 1.0)})
    with pytest.raises(ValueError, match=r"The reward mine gave \(2, 1\) for 2 pictures; it must give one number each"):
        column(torch.zeros(2, 3, 8, 8), ["a", "b"])


def test_a_judge_has_its_whole_scale_in_half_precision(judge_folder):
    exact, half = (
        load("clip_h", folder=judge_folder, device="cpu", dtype=dtype).reward.scale
        for dtype in (torch.float32, torch.bfloat16)
    )
    assert half == pytest.approx(float(exact), rel=1e-6)


@pytest.fixture(scope="module")
def tiny_hpsv2(tmp_path_factory):
    return load("hpsv2", folder=write_small(tmp_path_factory.mktemp("small")), device="cpu")


def test_a_reward_that_is_not_there_is_told(tmp_path, judge_folder):
    with pytest.raises(
        ValueError, match="There is no reward “nothing”. There are: clip_h, hpsv2, image_reward, picksc"
    ):
        load("nothing")
    with pytest.raises(MissingWeights, match="“model.safetensors” of clip_h is missing.*download clip_h"):
        load("clip_h", folder=tmp_path, device="cpu")
    (tmp_path / "clip_h").mkdir()
    (tmp_path / "clip_h" / "config.json").write_text(json.dumps({"model_type": "clip"}))
    (tmp_path / "clip_h" / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(ValueError, match="holds no CLIPModel that can be read"):
        load("clip_h", folder=tmp_path, device="cpu")
    with pytest.raises(ValueError, match="batch must be a whole number from 1"):
        load("clip_h", folder=judge_folder, batch=0)


def test_every_reward_can_be_downloaded_alone_and_says_its_license():
    plans = {name: download.plan(name) for name in download.single_rewards()}
    assert plans.keys() == {"hpsv2", "hpsv2-2.1", "hpsv2-2.0", "image_reward", "clip_h", "pickscore"}
    assert all(plan.gigabytes > 1 and "license: " in plan.title for plan in plans.values())
    assert plans["hpsv2-2.0"].files == (("xswu/HPSv2", "", ("HPS_v2_compressed.pt",)),)
    assert plans["pickscore"].files[0] == ("laion/CLIP-ViT-H-14-laion2B-s32B-b79K", "", SPEC_WORDS)
    assert not any(JUDGES[name].repo in dict.fromkeys(r for r, *_ in download.plan("rewards").files) for name in JUDGES)


SPEC_WORDS = JUDGES["pickscore"].also[0][1]
