"""Base models by the real loading path: found, refused, loaded once, downloaded with consent."""

import hashlib
import json
import os
import pickle
import re
import shutil
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, DPMSolverMultistepScheduler, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel

from maskunet.masks.sites import find_sites
from maskunet.methods import SPECS as METHODS
from maskunet.models import SPECS
from maskunet.models.base import from_folder
from maskunet.records import Request
from tests.methods.test_methods import Redness
from tests.support.tiny import Zero, tiny_sd_folder

CPU = torch.device("cpu")


@pytest.fixture
def folder(originals, tmp_path):
    return Path(shutil.copytree(originals["sd15"], tmp_path / "my-model"))


def load(folder, dtype=torch.float32):
    return from_folder(folder, name="mine", guidance=3.0, device=CPU, dtype=dtype)


# The real loading path


@pytest.mark.parametrize("like", ["sd15", "sd2"])
def test_a_folder_in_sd_format_loads_frozen_and_makes_a_picture(originals, like):
    model = load(originals[like])
    parts = (model.unet, model.vae, model.text_encoder)
    assert not any(p.requires_grad for part in parts for p in part.parameters())
    assert not any(part.training for part in parts)
    assert model.encode("a red cube").states.shape == (2, 16, {"sd15": 32, "sd2": 48}[like])
    assert {site.block for site in find_sites(model.unet)} == {1}
    request = Request(prompt="a red cube", steps=2)
    *_, last = METHODS["plain"].run(model, Zero(), request, METHODS["plain"].settings())
    assert last.image.shape == (16, 16, 3)
    assert last.image.std() > 0


def test_weights_are_identified_by_the_sha256_of_each_file(folder):
    names = {
        "unet/diffusion_pytorch_model.safetensors",
        "vae/diffusion_pytorch_model.safetensors",
        "text_encoder/model.safetensors",
    }
    (folder / "safety_checker").mkdir()
    (folder / "safety_checker" / "model.safetensors").write_bytes(b"not ours")
    expected = {n: hashlib.sha256((folder / n).read_bytes()).hexdigest() for n in names}
    assert load(folder).weights == expected


def test_the_prediction_type_and_the_noise_schedule_are_the_folders(tmp_path):
    model = load(tiny_sd_folder(tmp_path / "v", "sd2", prediction="v_prediction"))
    assert model.schedule.prediction_type == "v_prediction"
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    assert torch.allclose(model.schedule.alphas_cumprod, (1 - betas).cumprod(0), atol=1e-6)


def test_the_hubs_tokenizer_files_give_the_same_tokens(folder):
    """The hub's Stable Diffusion folders have vocab.json and merges.txt, no tokenizer.json."""
    before = load(folder).tokenizer("a red cube and a sphere").input_ids
    data = json.loads((folder / "tokenizer" / "tokenizer.json").read_text())["model"]
    (folder / "tokenizer" / "tokenizer.json").unlink()
    (folder / "tokenizer" / "vocab.json").write_text(json.dumps(data["vocab"]))
    merges = "\n".join(m if isinstance(m, str) else " ".join(m) for m in data["merges"])
    (folder / "tokenizer" / "merges.txt").write_text(f"#version: 0.2\n{merges}\n")
    model = load(folder)
    assert model.tokenizer("a red cube and a sphere").input_ids == before
    assert len(set(before)) > 4
    assert model.encode("a red cube").states.shape == (2, 16, 32)


def test_a_tokenizer_that_states_no_length_gets_the_text_encoders(folder):
    path = folder / "tokenizer" / "tokenizer_config.json"
    config = json.loads(path.read_text())
    config.pop("model_max_length")
    path.write_text(json.dumps(config))
    assert load(folder).encode("a red cube " * 50).states.shape == (2, 16, 32)


def test_a_folder_with_half_precision_files_only_loads(folder):
    for path in folder.glob("*/*.safetensors"):
        state = {k: v.half() for k, v in load_file(path).items()}
        save_file(state, path.with_suffix(".fp16.safetensors"), metadata={"format": "pt"})
        path.unlink()
    model = load(folder)
    assert model.unet.dtype == torch.float32
    assert all(name.endswith(".fp16.safetensors") for name in model.weights)


def test_a_seed_means_the_same_noise_and_another_seed_another(originals):
    model = load(originals["sd15"])
    assert model.noise(7).shape == (1, 4, 8, 8)
    assert torch.equal(model.noise(7), model.noise(7))
    assert not torch.equal(model.noise(7), model.noise(8))


# What is no such folder


def empty(folder):
    shutil.rmtree(folder)
    folder.mkdir()


def without_unet(folder):
    shutil.rmtree(folder / "unet")


def truncated_unet(folder):
    path = folder / "unet" / "diffusion_pytorch_model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])


def truncated_text_encoder(folder):
    path = folder / "text_encoder" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:100])


def lacking_weights(folder):
    path = folder / "unet" / "diffusion_pytorch_model.safetensors"
    state = {k: v for k, v in load_file(path).items() if "to_q" not in k}
    save_file(state, path, metadata={"format": "pt"})


def lacking_text_weights(folder):
    path = folder / "text_encoder" / "model.safetensors"
    state = {k: v for k, v in load_file(path).items() if "layers.1" not in k}
    save_file(state, path, metadata={"format": "pt"})


def broken_config(folder):
    (folder / "vae" / "config.json").write_text("{")


def without_vocabulary(folder):
    (folder / "tokenizer" / "tokenizer.json").unlink()


def inpainting(folder):
    unet = UNet2DConditionModel.from_pretrained(folder / "unet")
    UNet2DConditionModel.from_config({**unet.config, "in_channels": 9}).save_pretrained(folder / "unet")


def other_text_width(folder):
    unet = UNet2DConditionModel.from_pretrained(folder / "unet")
    config = {**unet.config, "cross_attention_dim": 64}
    UNet2DConditionModel.from_config(config).save_pretrained(folder / "unet")


def rewritten(folder, part, **values):
    path = next((folder / part).glob("*config.json"))
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def without_signal(folder):
    rewritten(folder, "scheduler", rescale_betas_zero_snr=True)


def flow(folder):
    (folder / "scheduler" / "scheduler_config.json").write_text('{"_class_name": "FlowMatchEulerDiscreteScheduler"}')


def unknown_betas(folder):
    rewritten(folder, "scheduler", beta_schedule="sigmoid")


def broken_scheduler(folder):
    (folder / "scheduler" / "scheduler_config.json").write_text("[")


def no_size(folder):
    rewritten(folder, "unet", sample_size=[8, 0])


def channels_in_a_list(folder):
    rewritten(folder, "unet", in_channels=[4])


def distilled(folder):
    unet = UNet2DConditionModel.from_pretrained(folder / "unet")
    UNet2DConditionModel.from_config({**unet.config, "time_cond_proj_dim": 8}).save_pretrained(folder / "unet")


def no_number(folder):
    path = folder / "vae" / "diffusion_pytorch_model.safetensors"
    state = load_file(path)
    state["decoder.conv_out.bias"][0] = float("nan")
    save_file(state, path, metadata={"format": "pt"})


def pointers(folder):
    path = folder / "text_encoder" / "model.safetensors"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (without_signal, "ends in nothing but noise .* set v_prediction"),
        (flow, "scheduler of “my-model” is FlowMatchEulerDiscreteScheduler, which has no noise schedule of betas"),
        (unknown_betas, "make no noise schedule, such as beta_schedule “sigmoid”. Known are linear"),
        (broken_scheduler, "scheduler of “my-model” cannot be read"),
        (no_size, r"The sample_size of “my-model” is \[8, 0\]"),
        (channels_in_a_list, "unet of “my-model” cannot be read"),
        (distilled, "takes? the guidance scale as an input"),
        (no_number, "vae of “my-model” has weights that are no numbers, such as decoder.conv_out.bias"),
        (pointers, "text_encoder of “my-model” is a Git LFS pointer .* git lfs pull"),
        (empty, "is not a Stable Diffusion folder: it has no unet, vae, text_encoder, tokenizer"),
        (without_unet, "it has no unet. Give the folder that holds model_index.json"),
        (truncated_unet, "unet of “my-model” cannot be read"),
        (truncated_text_encoder, "text_encoder of “my-model” cannot be read"),
        (lacking_weights, "unet of “my-model” lacks"),
        (lacking_text_weights, "text_encoder of “my-model” lacks"),
        (broken_config, "vae of “my-model” cannot be read"),
        (without_vocabulary, "vocabulary is missing or damaged"),
        (inpainting, "another kind of model"),
        (other_text_width, "another kind of model"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_damaged_or_foreign_folder_is_one_sentence_without_a_path(folder, damage, says):
    damage(folder)
    with pytest.raises(ValueError, match=says) as error:
        load(folder)
    assert str(folder.parent) not in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("variant", ["fp16", "non_ema"])
@pytest.mark.parametrize("sharded", [False, True])
def test_any_variant_of_the_weights_is_read_where_there_is_no_other(folder, originals, variant, sharded):
    unet = UNet2DConditionModel.from_pretrained(folder / "unet")
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    unet.save_pretrained(folder / "unet", variant=variant, max_shard_size="100KB" if sharded else "10GB")
    assert all(variant in path.name for path in (folder / "unet").glob("*.safetensors"))
    read, whole = (load(each).unet.state_dict() for each in (folder, originals["sd15"]))
    assert read.keys() == whole.keys() and all(torch.equal(read[name], whole[name]) for name in whole)


def test_a_schedule_that_ends_in_nothing_but_noise_is_sampled_as_diffusers_does(tmp_path):
    folder = tiny_sd_folder(tmp_path / "zero", prediction="v_prediction")
    without_signal(folder)
    model = load(folder)
    theirs = DPMSolverMultistepScheduler.from_pretrained(folder, subfolder="scheduler")
    assert model.schedule.alpha_bar(999) == pytest.approx(float(theirs.alphas_cumprod[-1]), rel=1e-6)
    request = Request(prompt="a red cube", seed=1, steps=3, guidance=2.0)
    *_, last = METHODS["plain"].run(model, Zero(), request, METHODS["plain"].settings())
    assert last.image.std() > 0


@pytest.mark.parametrize(("size", "shape"), [([8, 12], (16, 24, 3)), (None, (128, 128, 3))])
def test_pictures_have_the_size_of_the_configuration(folder, size, shape):
    rewritten(folder, "unet", sample_size=size)
    request = Request(prompt="a red cube", seed=1, steps=1)
    model = load(folder)
    *_, last = METHODS["plain"].run(model, Zero(), request, METHODS["plain"].settings())
    assert last.image.shape == shape
    if size:
        *_, last = METHODS["maskunet_free"].run(
            model, Redness(), request, METHODS["maskunet_free"].settings("improved")
        )
        assert last.image.shape == shape


@pytest.mark.parametrize(("part", "told"), [("vae", "The decoder (VAE) gave NaN"), ("unet", "The U-Net gave NaN")])
def test_a_picture_that_is_no_number_is_no_result(folder, part, told):
    model = load(folder)
    next(iter(getattr(model, part).parameters())).data.fill_(float("nan"))
    if part == "vae":
        model.vae.decoder.conv_out.bias.data.fill_(float("nan"))
    request = Request(prompt="a red cube", seed=1, steps=1, previews=False)
    with pytest.raises(ValueError, match=re.escape(told)):
        list(METHODS["plain"].run(model, Zero(), request, METHODS["plain"].settings()))


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("harmless", [False, True])
def test_a_pickle_is_refused_and_never_run(folder, tmp_path, harmless):
    for path in folder.glob("*/*.safetensors"):
        stem = "pytorch_model" if path.parent.name == "text_encoder" else path.stem
        if harmless:
            torch.save(load_file(path), path.parent / f"{stem}.bin")
        else:
            (path.parent / f"{stem}.bin").write_bytes(pickle.dumps(Bomb(tmp_path / "exploded")))
        path.unlink()
    with pytest.raises(ValueError, match="not in safetensors format"):
        load(folder)
    assert not (tmp_path / "exploded").exists()


# The specs


@pytest.mark.parametrize("name", SPECS)
def test_every_model_says_what_it_is_and_under_which_license(name):
    spec = SPECS[name]
    assert (spec.name, bool(spec.title), bool(spec.summary), bool(spec.license)) == (
        name,
        *[True] * 3,
    )
    assert bool(spec.repo) == (spec.download_gb > 0)
    assert 1 <= spec.guidance <= 30


UNETS = {
    "sd15": {"cross_attention_dim": 768, "attention_head_dim": 8},
    "sd2": {
        "cross_attention_dim": 1024,
        "attention_head_dim": [5, 10, 20, 20],
        "use_linear_projection": True,
    },
}
TEXTS = {
    "sd15": {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12},
    "sd2": {"hidden_size": 1024, "num_hidden_layers": 23, "num_attention_heads": 16},
}
VAE = {
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
}


@pytest.mark.parametrize("name", UNETS)
def test_the_stated_download_is_the_size_of_the_weights_in_float32(name):
    text = TEXTS[name]
    config = CLIPTextConfig(intermediate_size=4 * text["hidden_size"], **text)
    with torch.device("meta"):
        parts = UNet2DConditionModel(**UNETS[name]), CLIPTextModel(config), AutoencoderKL(**VAE)
    size = sum(p.numel() * 4 for part in parts for p in part.parameters()) / 1e9
    assert SPECS[name].download_gb == pytest.approx(size, abs=0.006)
