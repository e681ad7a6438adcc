"""Where weights are found."""

import shutil
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants

from maskunet.library import weights
from maskunet.models import SPECS
from maskunet.models.base import from_folder
from maskunet.records.disk.hub import MissingWeights
from tests.support.hub_cache import hub_cache
from tests.support.tiny import tiny_decoder

CPU = torch.device("cpu")


def load(folder, dtype=torch.float32):
    return from_folder(folder, name="mine", guidance=3.0, device=CPU, dtype=dtype)


def test_weights_in_the_hugging_face_cache_are_found_and_an_incomplete_download_is_not(
    originals, tmp_path, monkeypatch
):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(MissingWeights, match=r"\(4\.27 GB\).*maskunet download sd15"):
        weights.model_folder(SPECS["sd15"])
    snapshot = hub_cache(tmp_path, SPECS["sd15"].repo, originals["sd15"])
    assert weights.model_folder(SPECS["sd15"]) == snapshot
    assert load(snapshot).weights == load(originals["sd15"]).weights
    (snapshot / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(MissingWeights):
        weights.model_folder(SPECS["sd15"])


def test_the_tiny_decoder_is_the_models_own_or_the_downloaded_one(originals, tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    folder = Path(shutil.copytree(originals["sd15"], tmp_path / "sd15"))
    look = lambda: weights.load_model(SPECS["sd15"], folder, CPU)  # noqa: E731
    assert look().tiny_decoder is None
    snapshot = hub_cache(tmp_path / "cache", "madebyollin/taesd", tiny_decoder(tmp_path))
    assert (model := look()).tiny_decoder == snapshot
    assert model.decode(model.noise(1), tiny=True).shape == (1, 3, 16, 16)
    assert tiny_decoder(folder) == look().tiny_decoder


def test_public_rewards_are_found_in_their_place_or_the_size_and_the_command_are_said(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path))
    with pytest.raises(MissingWeights, match="download rewards"):
        weights.reward_folders(SPECS["sd15"])
    place = tmp_path / "maskunet" / "rewards"
    place.mkdir(parents=True)
    (place / "ImageReward.pt").touch()
    with pytest.raises(MissingWeights, match=r"The rewards HPSv2 are not .* \(2\.0 GB\)"):
        weights.reward_folders(SPECS["sd15"])
    (place / "HPS_v2.1_compressed.pt").touch()
    assert weights.reward_folders(SPECS["sd15"]) == {"image_reward": place, "hpsv2": place}
