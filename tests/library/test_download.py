"""What is downloaded, and only with consent."""

import fnmatch
import shutil

import pytest
import torch
from diffusers import AutoencoderTiny
from huggingface_hub import constants

from maskunet.library import download
from maskunet.models import SPECS

HUB_FILES = [
    "model_index.json",
    "README.md",
    "v1-5-pruned.ckpt",
    "v1-5-pruned-emaonly.safetensors",
    "feature_extractor/preprocessor_config.json",
    "safety_checker/config.json",
    "safety_checker/model.safetensors",
    "scheduler/scheduler_config.json",
    "text_encoder/config.json",
    "text_encoder/model.safetensors",
    "text_encoder/model.fp16.safetensors",
    "text_encoder/pytorch_model.bin",
    "tokenizer/merges.txt",
    "tokenizer/special_tokens_map.json",
    "tokenizer/tokenizer_config.json",
    "tokenizer/vocab.json",
    "unet/config.json",
    "unet/diffusion_pytorch_model.bin",
    "unet/diffusion_pytorch_model.safetensors",
    "unet/diffusion_pytorch_model.fp16.safetensors",
    "unet/diffusion_pytorch_model.non_ema.safetensors",
    "vae/config.json",
    "vae/diffusion_pytorch_model.bin",
    "vae/diffusion_pytorch_model.safetensors",
]


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A hub that notes what is asked of it; online, with room for everything."""
    calls = []
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *a, **k: calls.append((a, k)))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path))
    monkeypatch.setattr(download.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(9, 0, 9e10))
    return calls


def test_a_download_brings_what_is_needed_and_nothing_else(hub):
    download.download("sd15", consent=True)
    (((repo,), options),) = hub
    assert repo == "stable-diffusion-v1-5/stable-diffusion-v1-5"
    assert options["local_dir"] is None
    patterns = options["allow_patterns"]
    taken = {f for f in HUB_FILES if any(fnmatch.fnmatch(f, pattern) for pattern in patterns)}
    assert taken == {
        "model_index.json", "scheduler/scheduler_config.json", "text_encoder/config.json",
        "text_encoder/model.safetensors", "tokenizer/merges.txt",
        "tokenizer/special_tokens_map.json", "tokenizer/tokenizer_config.json",
        "tokenizer/vocab.json", "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors", "vae/config.json",
        "vae/diffusion_pytorch_model.safetensors",
    }  # fmt: skip


def test_the_rewards_and_their_vocabulary_come_into_one_folder(hub, tmp_path):
    download.download("rewards", consent=True)
    assert {args[0] for args, _ in hub} == {"google-bert/bert-base-uncased", "THUDM/ImageReward", "xswu/HPSv2"}
    assert {options["local_dir"] for _, options in hub} == {tmp_path / "maskunet" / "rewards"}


def test_the_tiny_decoder_is_a_download_of_its_own(hub):
    download.download("tiny_decoder", consent=True)
    (((repo,), options), ((of_xl,), _)) = hub
    assert repo == SPECS["sd15"].tiny_decoder == SPECS["sd2"].tiny_decoder
    assert of_xl == SPECS["sdxl"].tiny_decoder
    assert all(o["allow_patterns"] == ["config.json", "diffusion_pytorch_model.safetensors"] for _, o in hub)
    with torch.device("meta"):
        size = 2 * sum(p.numel() * 4 for p in AutoencoderTiny().parameters()) / 1e9
    assert download.plan("tiny_decoder").gigabytes == pytest.approx(size, abs=0.001)


def test_nothing_is_downloaded_without_consent_offline_or_onto_a_full_disk(hub, monkeypatch):
    with pytest.raises(ValueError, match=r"takes 4\.27 GB\. To agree: .* download sd15 --yes"):
        download.download("sd15")
    with monkeypatch.context() as m:
        m.setattr(constants, "HF_HUB_OFFLINE", True)
        with pytest.raises(ValueError, match="HF_HUB_OFFLINE is set"):
            download.download("sd15", consent=True)
    monkeypatch.setattr(download.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(9, 0, 2e9))
    with pytest.raises(ValueError, match="only 2.0 GB are free"):
        download.download("sd15", consent=True)
    for name in ("tabletop", "folder", "sd99"):
        with pytest.raises(
            ValueError, match="cannot be downloaded. There are: sd15, sd2, sd_turbo, sdxl, sdxl_turbo, rewards"
        ):
            download.download(name, consent=True)
    assert hub == []


def test_a_broken_download_is_one_sentence(hub, monkeypatch):
    def broken(*args, **options):
        raise ConnectionError("https://host/very/long: /root/.cache")

    monkeypatch.setattr("huggingface_hub.snapshot_download", broken)
    with pytest.raises(ValueError, match=r"broke \(ConnectionError\)") as error:
        download.download("sd2", consent=True)
    assert "/root" not in str(error.value)
