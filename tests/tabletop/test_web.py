"""The base that learned from spoiled data: a folder of its own, offered beside tabletop, and a reward that minds spoiling."""

import json

import pytest
import torch
from diffusers import StableDiffusionPipeline

from maskunet.commands.registry import main
from maskunet.experiments.tabletop.train_rewards import held_out, held_out_looks, looks_accuracy
from maskunet.experiments.tabletop.train_unet import RECORD
from maskunet.library.library import Library
from maskunet.library.weights import reward_folders
from maskunet.masks import generator_file
from maskunet.models import SPECS
from maskunet.rewards import load
from maskunet.tabletop.place import MODEL, WEB, WEIGHTS
from maskunet.tabletop.spoiling import Shares

SPEC = SPECS["tabletop_web"]


@pytest.fixture(scope="module")
def model():
    return Library("tabletop_web", device="cpu").load_alone("tabletop_web")


def test_diffusers_own_pipeline_loads_and_samples_it():
    pipe = StableDiffusionPipeline.from_pretrained(WEB / "model", torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    asked = {"num_inference_steps": 2, "generator": torch.Generator().manual_seed(0), "output_type": "np"}
    assert pipe("a red cube", **asked).images[0].shape == (128, 128, 3)


def test_it_is_another_u_net_behind_the_same_autoencoder(model):
    plain = Library("tabletop", device="cpu").load_alone("tabletop")
    assert model.latent_scale == plain.latent_scale and model.latent_shape == plain.latent_shape
    for a, b in zip(model.vae.parameters(), plain.vae.parameters(), strict=True):
        assert torch.equal(a, b)
    assert {n for n in model.weights if n.startswith("unet/") and model.weights[n] == plain.weights[n]} == set()
    assert model.tiny_decoder_file().read_bytes() == plain.tiny_decoder_file().read_bytes()


def test_its_folder_says_what_it_learned_from_and_its_guidance_is_the_measured_one():
    record = json.loads((WEB / "model" / RECORD).read_text())
    Shares(**record["corpus"]["shares"])
    assert record["updates"] > 0 and record["minutes"] > 0
    unet = {name: value for name, value in Library("tabletop").load_alone("tabletop").weights.items() if "unet" in name}
    assert record["onwards_from"] == unet
    assert SPEC.guidance == json.loads((WEB / "curve.json").read_text())["chosen"]


def test_a_generator_of_tabletop_is_refused_in_a_sentence(model):
    path = MODEL / "generators" / "light.safetensors"
    with pytest.raises(ValueError, match="was trained for other weights than these, of tabletop"):
        generator_file.load(path, model.unet, model.weights)


def test_its_own_generator_is_offered_and_fits(model):
    own = model.trained["generator"]
    assert list(own) == ["light"] and own["light"].is_relative_to(WEB)
    assert not generator_file.load(own["light"], model.unet, model.weights).static


def test_its_rewards_know_a_clean_picture_from_a_spoiled_one_and_a_true_caption_from_a_false_one():
    places, looks, (pictures, captions) = reward_folders(SPEC), held_out_looks(20), held_out(50)
    assert places == {"image_reward": WEB, "hpsv2": WEIGHTS}
    for name, folder in places.items():
        reward = load(name, folder=folder, device="cpu")
        true, false = (reward(pictures, [pair[i] for pair in captions]) for i in (0, 1))
        assert sum(looks_accuracy(reward, looks).values()) / len(looks) >= 0.95 and (true > false).float().mean() >= 0.9
    blind = load("image_reward", folder=WEIGHTS, device="cpu")
    assert looks_accuracy(blind, looks)["noisy"] < 0.8  # tabletop's, which never met noise


def test_it_is_listed_and_makes_a_picture(capsys, tmp_path):
    assert {"tabletop", "tabletop_web"} <= {card.name for card in Library("tabletop").cards() if card.available}
    words = ["generate", "--model", "tabletop_web", "--device", "cpu", "--steps", "2", "--prompt", "a red cube"]
    assert main([*words, "--method", "plain", "--out", str(tmp_path / "run")]) == 0
    assert json.loads((tmp_path / "run" / "run.json").read_text())["request"]["model"] == "tabletop_web"
