"""The models that a process holds: chosen, found, loaded once."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
import torch
from huggingface_hub import constants

from maskunet import machine
from maskunet.library import library, weights
from maskunet.library.library import Library
from maskunet.models.base import ModelSpec, from_folder
from tests.support.hub_cache import hub_cache
from tests.support.tiny import Zero, tiny_sd_folder

CPU = torch.device("cpu")


def specs(originals):
    """An embedded model, a public one that is not here, and the folder model."""

    def spec(name, **more):
        return ModelSpec(name=name, title=name, summary="", license="x", rewards=(originals["sd15"],), **more)

    return {
        "folder": spec("folder"),
        "sd15": spec("sd15", repo="nobody/nothing", download_gb=1.0),
        "tabletop": spec("tabletop", folder=originals["sd15"], embedded=True),
    }


@pytest.fixture
def shelf(originals, monkeypatch, tmp_path):
    """A library's ingredients with rewards that need no files."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(weights.rewards, "SPECS", {})
    monkeypatch.setattr(library, "load_rewards", lambda *args: Zero())
    return specs(originals)


def test_auto_takes_the_embedded_model_without_cuda_and_the_public_one_with_it(shelf, originals, monkeypatch, tmp_path):
    assert Library(device="cpu", specs=shelf).default == "tabletop"
    hub_cache(tmp_path / "hub", "nobody/nothing", originals["sd15"])
    assert Library(device="cpu", specs=shelf).default == "tabletop"
    monkeypatch.setattr(machine, "choose_device", lambda name: torch.device("cuda"))
    monkeypatch.setattr(machine, "choose_dtype", lambda device: torch.bfloat16)
    assert Library(specs=shelf).default == "sd15"


def test_a_folder_given_stands_for_one_model_and_a_folder_of_folders_for_each_by_name(shelf, originals, tmp_path):
    given = Library(weights=originals["sd2"], device="cpu", specs=shelf)
    assert given.default == "folder"
    assert given.find("folder")[0] == originals["sd2"]
    assert given.find("tabletop")[0] == originals["sd15"]
    assert "not on this machine" in given.missing("sd15")
    named = Library("sd15", originals["sd2"], "cpu", specs=shelf)
    assert named.find("sd15")[0] == originals["sd2"]
    assert named.load("sd15").model.name == "sd15"
    assert "--weights DIR" in named.missing("folder")
    shutil.copytree(originals["sd2"], tmp_path / "many" / "sd15")
    many = Library(weights=tmp_path / "many", device="cpu", specs=shelf)
    assert many.default == "sd15"
    assert many.find("sd15")[0] == tmp_path / "many" / "sd15"


def test_a_wrong_model_or_folder_is_refused_at_once(shelf, tmp_path):
    with pytest.raises(ValueError, match="There is no model “sd3”. There are: folder, sd15, tabletop"):
        Library("sd3", device="cpu", specs=shelf)
    with pytest.raises(ValueError, match="holds no Stable Diffusion model") as error:
        Library(weights=tmp_path, device="cpu", specs=shelf)
    assert str(tmp_path) not in str(error.value)


def test_a_model_is_loaded_once_and_the_one_unused_longest_leaves_first(shelf, originals):
    shelf["other"] = ModelSpec(**{**_values(shelf["tabletop"]), "name": "other"})
    shelf["third"] = ModelSpec(**{**_values(shelf["tabletop"]), "name": "third"})
    shelf_ = Library(device="cpu", specs=shelf)
    first = shelf_.load("tabletop")
    assert shelf_.load("tabletop") is first
    shelf_.load("other")
    shelf_.load("tabletop")
    shelf_.load("third")
    assert shelf_.is_loaded("tabletop")
    assert not shelf_.is_loaded("other")
    assert shelf_.load("tabletop") is first


def _values(spec):
    return {name: getattr(spec, name) for name in spec.__slots__}


def test_cards_begin_with_the_default_and_say_why_a_model_cannot_be_used(shelf):
    cards = Library(device="cpu", specs=shelf).cards()
    assert [card.name for card in cards] == ["tabletop", "folder", "sd15"]
    assert [card.available for card in cards] == [True, False, False]
    assert "(1.00 GB)" in cards[2].reason
    assert cards[2].download_gb == 1.0


def test_models_that_are_loaded_at_once_leave_torch_as_it_was(tmp_path):
    folder = tiny_sd_folder(tmp_path)
    load = partial(from_folder, folder, name="tiny", guidance=3.0, device=CPU, dtype=torch.float32)
    with ThreadPoolExecutor(4) as pool:
        models = list(pool.map(lambda _: load(), range(12)))
    assert torch.nn.Linear(2, 2).weight.device == CPU
    assert all(p.device == CPU for model in models for p in model.unet.parameters())
