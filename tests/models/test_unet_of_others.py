"""U-Nets that others fine-tuned, in the formats in which they are published: found, checked, drawn with, recorded."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel
from huggingface_hub import constants
from safetensors.torch import save_file

from maskunet.library import checkpoints, download
from maskunet.library.library import Library
from maskunet.methods import SPECS
from maskunet.models.base import ModelSpec
from maskunet.records import Request
from maskunet.records.disk.hub import file_hash
from maskunet.runs.compare import compare
from tests.methods.test_methods import Redness
from tests.support.hub_cache import hub_cache
from tests.support.tiny import tiny_fine_tuned, tiny_sd_folder, tiny_unet
from tests.support.tiny_rewards import write_small

REQUEST = Request(prompt="a red cube", model="tiny", method="fine_tuned", steps=2, seed=4)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    root = tmp_path_factory.mktemp("foreign")
    write_small(root / "rewards")
    return tiny_sd_folder(root / "model")


@pytest.fixture(scope="module")
def tuned(base):
    """Another U-Net of the same kind."""
    unet = UNet2DConditionModel.from_pretrained(base / "unet")
    with torch.no_grad():
        for parameter in unet.parameters():
            parameter.mul_(0.9)
    return unet


@pytest.fixture
def library(base, tmp_path):
    spec = ModelSpec(name="tiny", title="", summary="", license="", folder=base, rewards=(base.parent / "rewards",))
    return Library("tiny", device="cpu", specs={"tiny": spec}, trained=tmp_path / "trained")


def drawn(library, name):
    *_, (_, run) = compare(
        library.load("tiny").model, Redness(), replace(REQUEST, settings={"training": name}), with_base=False
    )
    return run


def as_folder(unet, place):
    unet.save_pretrained(place)
    return place / "diffusion_pytorch_model.safetensors"


def as_pipeline(unet, place):
    return as_folder(unet, place / "unet")


def as_file(unet, place):
    place.parent.mkdir(parents=True, exist_ok=True)
    path = place.with_suffix(".safetensors")
    save_file(unet.state_dict(), path)
    return path


@pytest.mark.parametrize("write", [as_folder, as_pipeline, as_file])
def test_a_unet_of_others_is_drawn_with_and_its_hash_is_in_the_record(library, tuned, tmp_path, write):
    path = write(tuned, tmp_path / "trained" / "tiny" / "dpo")
    assert library.parts("tiny")["unet"] == {"dpo": path}
    before = {name: value.clone() for name, value in library.load("tiny").model.unet.state_dict().items()}
    run = drawn(library, "dpo")
    assert run.weights["trained/dpo"] == file_hash(path)
    model = library.load("tiny").model
    assert all(torch.equal(before[name], value) for name, value in model.unet.state_dict().items())
    by_hand = replace(model, unet=tuned.requires_grad_(False))
    *_, last = SPECS["plain"].run(by_hand, Redness(), REQUEST, SPECS["plain"].settings())
    assert np.abs(run.result_image.astype(int) - last.image).max() <= 1
    *_, plain = SPECS["plain"].run(model, Redness(), REQUEST, SPECS["plain"].settings())
    assert not np.array_equal(run.result_image, plain.image)


def test_half_precision_is_taken_where_there_is_nothing_else(library, tuned, tmp_path):
    place = tmp_path / "trained" / "tiny" / "spo"
    state = {name: value.half() for name, value in tuned.state_dict().items()}
    place.mkdir(parents=True)
    save_file(state, place / "diffusion_pytorch_model.fp16.safetensors")
    assert drawn(library, "spo").result_image.std() > 0
    whole = as_folder(tuned, place)
    assert library.parts("tiny")["unet"]["spo"] == whole


def pickled(unet, place):
    place.mkdir(parents=True)
    (place / "diffusion_pytorch_model.bin").write_bytes(b"never opened")


def of_sd2(unet, place):
    as_folder(tiny_unet("sd2"), place)


def larger(unet, place):
    state = {**unet.state_dict(), "class_embedding.weight": torch.zeros(2, 2)}
    place.mkdir(parents=True)
    save_file(state, place / "diffusion_pytorch_model.safetensors")


def broken(unet, place):
    state = {name: value.clone() for name, value in unet.state_dict().items()}
    state["conv_in.bias"][0] = float("nan")
    place.mkdir(parents=True)
    save_file(state, place / "diffusion_pytorch_model.safetensors")


def cut_off(unet, place):
    path = as_folder(unet, place)
    path.write_bytes(path.read_bytes()[:-9])


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (pickled, "is there as diffusion_pytorch_model.bin only. Such a file can run programs and is not read"),
        (
            of_sd2,
            r"is of another kind of model: \d+ of its tensors do not fit, such as .*, \(16, 16\) there and \(16, 16, 1, 1\) here",
        ),
        (larger, r"1 of its tensors do not fit, such as class_embedding.weight, \(2, 2\) there and unknown here"),
        (broken, "U-Net “bad” has weights that are no numbers, such as conv_in.bias"),
        (cut_off, "holds no fine-tuned U-Net that can be used: it is something else, or it was cut off"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence_and_the_base_model_stays(library, tuned, tmp_path, write, said):
    write(tuned, tmp_path / "trained" / "tiny" / "bad")
    model = library.load("tiny").model
    before = {name: value.clone() for name, value in model.unet.state_dict().items()}
    with pytest.raises(ValueError, match=said) as error:
        drawn(library, "bad")
    assert str(tmp_path) not in str(error.value)
    assert all(torch.equal(before[name], value) for name, value in model.unet.state_dict().items())


def test_a_file_that_holds_no_unet_is_not_offered_and_one_trained_here_is_as_before(library, base, tmp_path):
    place = tmp_path / "trained" / "tiny"
    place.mkdir(parents=True)
    save_file({"lora_unet_x.alpha": torch.zeros(1)}, place / "lora.safetensors")
    made = tiny_fine_tuned(shutil.copytree(base, tmp_path / "copy"), "mine")
    made.rename(place / "mine.safetensors")
    assert library.parts("tiny")["unet"] == {"mine": place / "mine.safetensors"}


# The published ones


def test_each_says_its_license_and_size_before_it_is_fetched():
    for name, checkpoint in checkpoints.SPECS.items():
        plan = download.plan(name)
        assert checkpoint.license in plan.title and plan.gigabytes in (checkpoints.WHOLE, checkpoints.HALF)
        assert ("not stated" in plan.title) == (name == "inpo")
        ((repo, revision, patterns),) = plan.files
        assert repo.count("/") == 1 and not revision and "unet/*.safetensors" in patterns
        with pytest.raises(ValueError, match=rf"takes {plan.gigabytes} GB. To agree: .* download {name} --yes"):
            download.download(name)
    with torch.device("meta"):
        size = 4 * sum(p.numel() for p in UNet2DConditionModel(cross_attention_dim=768).parameters()) / 1e9
    assert size == pytest.approx(checkpoints.WHOLE, abs=0.006) and size / 2 == pytest.approx(
        checkpoints.HALF, abs=0.006
    )


def test_a_downloaded_one_is_offered_for_its_base_model_alone(base, tuned, tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    as_pipeline(tuned, tmp_path / "repo")
    place = hub_cache(tmp_path / "hub", checkpoints.SPECS["dpo"].repo, tmp_path / "repo")
    specs = {
        name: ModelSpec(name=name, title="", summary="", license="", folder=base, rewards=(base.parent / "rewards",))
        for name in ("sd15", "tiny")
    }
    library = Library("sd15", device="cpu", specs=specs, trained=tmp_path / "trained")
    assert library.parts("sd15")["unet"] == {"dpo": place / "unet" / "diffusion_pytorch_model.safetensors"}
    assert "unet" not in library.parts("tiny")
    request = replace(REQUEST, model="sd15", settings={"training": "dpo"})
    *_, (_, run) = compare(library.load("sd15").model, Redness(), request, with_base=False)
    assert run.state == "done" and len(run.weights["trained/dpo"]) == 64
