"""A LoRA and a fully fine-tuned U-Net as methods: the trained weights act, the base model's stay."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from maskunet.library.library import Library
from maskunet.methods import SPECS
from maskunet.models.base import ModelSpec, fine_tuned
from maskunet.records import Request
from maskunet.runs.compare import compare
from maskunet.runs.replay import check_replay
from maskunet.training import loop
from maskunet.training.recipes import SPECS as RECIPES
from tests.methods.test_methods import Redness
from tests.support.tiny import tiny_sd_folder
from tests.support.tiny_rewards import write_small
from tests.training.test_loop import ABOUT, Four, settings

pytestmark = pytest.mark.usefixtures("short_sheets")

SPEC = SPECS["fine_tuned"]
KINDS = ["lora", "full"]


def trained(model, kind, out, **changes):
    """The U-Net's output at the end of a training, and the file that it left."""
    recipe = RECIPES[kind]
    changed = replace(
        settings(recipe, **{"steps": 3, "learning_rate": 3e-2} | changes),
        **({"rank": 2, "alpha": 8} if kind == "lora" else {}),
    )

    for _ in loop.train(model, recipe, changed, Four(), out, about=ABOUT):
        pass
    return out / "trained.safetensors"


def outputs(model, unet):
    x_t, text = model.noise(1), model.encode_prompts(["a red cube"])
    with torch.no_grad():
        return unet(x_t, 500, **text.arguments).sample


@pytest.mark.parametrize("kind", KINDS)
def test_the_file_holds_what_was_trained_and_the_base_model_stays(tiny_sd15, tmp_path, kind):
    before = {name: value.clone() for name, value in tiny_sd15.unet.state_dict().items()}
    path = trained(tiny_sd15, kind, tmp_path)
    tuned = fine_tuned.load(path, tiny_sd15.unet, tiny_sd15.weights)
    after = tiny_sd15.unet.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert not torch.allclose(outputs(tiny_sd15, tuned), outputs(tiny_sd15, tiny_sd15.unet), atol=1e-3)
    assert not any(p.requires_grad for p in tuned.parameters())
    assert fine_tuned.about(path)["kind"] == kind


def test_a_lora_is_the_one_that_diffusers_reads_with_its_scale(tiny_sd15, tmp_path):
    import copy

    path = trained(tiny_sd15, "lora", tmp_path)
    theirs = copy.deepcopy(tiny_sd15.unet)
    theirs.load_lora_adapter(tmp_path, weight_name=path.name, prefix="unet")
    layer = next(m for n, m in theirs.named_modules() if n.endswith("attn1.to_q"))
    assert layer.scaling == {"default_0": 4.0} or list(layer.scaling.values()) == [4.0]  # alpha 8, rank 2
    merged = fine_tuned.load(path, tiny_sd15.unet, tiny_sd15.weights)
    torch.testing.assert_close(outputs(tiny_sd15, merged), outputs(tiny_sd15, theirs), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_the_method_is_plain_with_the_other_unet(tiny_sd15, tmp_path, kind):
    path = trained(tiny_sd15, kind, tmp_path)
    model = replace(tiny_sd15, trained={"unet": {"mine": path}}, cache={})
    asked = Request(prompt="a red cube", steps=2, seed=4)
    *_, last = SPEC.run(model, Redness(), asked, SPEC.settings())
    other = replace(model, unet=fine_tuned.load(path, model.unet))
    *_, by_hand = SPECS["plain"].run(other, Redness(), asked, SPECS["plain"].settings())
    *_, plain = SPECS["plain"].run(model, Redness(), asked, SPECS["plain"].settings())
    assert np.array_equal(last.image, by_hand.image)
    assert not np.array_equal(last.image, plain.image)
    list(SPEC.run(model, Redness(), asked, SPEC.settings()))
    assert len(model.cache) == 1  # read once


def test_a_run_shows_its_steps_but_no_features_of_the_base_model(tiny_sd15, tmp_path):
    model = replace(tiny_sd15, trained={"unet": {"mine": trained(tiny_sd15, "full", tmp_path)}}, cache={})
    asked, bases = Request(prompt="a red cube", method="fine_tuned", steps=2), {}
    for _ in range(2):  # the second time the plain picture is known
        *_, (_, run) = compare(model, Redness(), asked, bases=bases)
        assert len(run.course.timesteps) == 2 and not run.course.maps
    *_, (_, run) = compare(model, Redness(), replace(asked, method="random_mask"), bases=bases)
    assert run.course.maps.keys() == {0, 1}


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-9]), "no fine-tuned U-Net that can be used"),
        (lambda path: path.write_bytes(b""), "no fine-tuned U-Net that can be used"),
    ],
)
def test_a_damaged_file_is_refused_in_one_sentence(tiny_sd15, tmp_path, damage, text):
    path = trained(tiny_sd15, "lora", tmp_path)
    damage(path)
    with pytest.raises(ValueError, match=text) as error:
        fine_tuned.load(path, tiny_sd15.unet, tiny_sd15.weights)
    assert str(tmp_path) not in str(error.value)


def test_a_file_of_another_base_model_is_refused(tiny_sd15, tmp_path):
    path = trained(tiny_sd15, "full", tmp_path)
    with pytest.raises(ValueError, match="was trained for other weights than these, of"):
        fine_tuned.load(path, tiny_sd15.unet, {"unet/a.safetensors": "3" * 64})
    with pytest.raises(ValueError, match="does not fit this U-Net"):
        fine_tuned.load(path, torch.nn.Linear(2, 2))


def test_without_one_a_sentence_says_how_to_train_it(tiny_sd15):
    model = replace(tiny_sd15, trained={}, cache={})
    with pytest.raises(ValueError, match="no trained fine-tuned U-Net.*train lora"):
        list(SPEC.run(model, Redness(), Request(prompt="a"), SPEC.settings()))


def test_a_run_knows_the_file_it_used_and_is_not_replayed_with_another(tmp_path):
    folder = tiny_sd_folder(tmp_path / "model")
    spec = ModelSpec(
        name="tiny", title="", summary="", license="", folder=folder, rewards=(write_small(tmp_path / "rewards"),)
    )
    library = Library("tiny", device="cpu", specs={"tiny": spec}, trained=tmp_path / "trained")
    alone, mine = library.load_alone("tiny"), tmp_path / "trained" / "tiny" / "mine"
    trained(alone, "full", mine)
    model = library.load("tiny").model
    request = Request(prompt="a red cube", model="tiny", method="fine_tuned", steps=2)
    *_, (_, run) = compare(model, Redness(), request, with_base=False)
    assert run.weights.keys() == {*model.weights, "trained/mine"}
    record, used = {"weights": run.weights}, SPEC.weights(model, SPEC.settings(), Redness())
    check_replay(record, "tiny", used)
    trained(alone, "full", tmp_path / "again", steps=2)
    (tmp_path / "again" / "trained.safetensors").replace(mine / "trained.safetensors")
    with pytest.raises(ValueError, match="trained/mine differs"):
        check_replay(record, "tiny", SPEC.weights(model, SPEC.settings(), Redness()))
