"""The method with a trained generator: which one, under which masks, and what is reported of them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from maskunet.diffusion import classifier_free, dpmpp_2m_step
from maskunet.library.library import Library
from maskunet.masks import generator_file
from maskunet.masks.generator import GeneratorSettings, MaskGenerator
from maskunet.masks.mask import pack
from maskunet.masks.masked_unet import MaskedUNet
from maskunet.masks.sites import find_sites
from maskunet.methods import SPECS
from maskunet.methods.base import mask_generator
from maskunet.models.base import ModelSpec
from maskunet.records import Request
from tests.methods.test_methods import Redness
from tests.support.tiny import random_generator, tiny_generator, tiny_sd_folder
from tests.support.tiny_rewards import write_small

SPEC = SPECS["maskunet_trained"]


def run(model, settings=None, **request):
    asked = Request(prompt="a red cube", method=SPEC.name, **{"seed": 3, "steps": 3, "keep_masks": True} | request)
    return list(SPEC.run(model, Redness(), asked, SPEC.settings("", settings)))


@pytest.fixture
def model(tiny_sd15):
    """The model with nothing loaded and a dictionary of its own for what was trained."""
    trained = {kind: dict(files) for kind, files in tiny_sd15.trained.items()}
    return replace(tiny_sd15, trained=trained, cache={})


def add(model, name, generator, path):
    generator_file.save(generator, path / f"{name}.safetensors", {"model": "tiny", "weights": model.weights})
    model.trained["generator"][name] = path / f"{name}.safetensors"


@pytest.mark.parametrize("halves", ["own", "shared"])
@pytest.mark.parametrize("sampled", [False, True])
def test_the_loop_stepped_by_hand(model, halves, sampled):
    generator = generator_file.load(model.trained["generator"]["tiny"], model.unet, model.weights)
    asked = Request(prompt="a red cube", seed=3)
    noise = mask_generator(asked) if sampled else None
    text, x_t, history, packed = model.encode(asked.prompt), model.noise(3), None, []
    for t, t_prev in model.schedule.linspace_pairs(3):
        made = {}

        def make(block, features, made=made):
            if halves == "shared":
                one = type(features)(features.sample[1:], features.time[1:], features.text[1:],
                                     tuple(s[1:] for s in features.skips), features.forward_size)  # fmt: skip
                masks = {n: m[0] for n, m in generator(block, one, noise).items()}
            else:
                masks = generator(block, features, noise)
            made.update(masks)
            return masks

        with torch.no_grad(), MaskedUNet(model.unet) as masked:
            both = masked.decode(masked.encode(torch.cat((x_t, x_t)), t, text), make)
        x0, _ = model.schedule.x0_eps(classifier_free(both, model.guidance), x_t, t)
        x_t, history = dpmpp_2m_step(model.schedule, x_t, x0, history, t, t_prev)
        packed.append({n: pack(m if m.ndim == 2 else m[1]).tobytes() for n, m in made.items()})
    events = run(model, {"halves": halves, "sampled": sampled})
    # The masks of the prompt's half are the ones that are told.
    assert [{n: bits.tobytes() for n, bits in e.masks.items()} for e in events[:-1]] == packed
    with torch.no_grad():
        expected = (model.decode(x_t)[0].permute(1, 2, 0) * 255).round().byte().numpy()
    assert np.array_equal(events[-1].image, expected)
    assert [e.unet_calls for e in events] == [1, 2, 3, 3]


def test_the_statistics_and_the_ratios_are_those_of_the_masks(model):
    sites = find_sites(model.unet)
    for event in run(model)[:-1]:
        assert set(event.masks) == set(event.keep_ratio) == {s.name for s in sites}
        for index, site in enumerate(sites):
            kept = int(np.unpackbits(event.masks[site.name], count=site.weights).sum())
            assert event.stats.removed[0, index] == site.weights - kept
            assert event.keep_ratio[site.name] == pytest.approx(kept / site.weights, abs=1e-6)
    assert 0 < np.mean(list(event.keep_ratio.values())) < 1


def test_own_shared_sampled_and_plain_are_four_pictures_and_a_seed_repeats_each(model):
    settings = [{}, {"halves": "own"}, {"sampled": True}]
    pictures = [run(model, each)[-1].image for each in settings]
    request = Request(prompt="a red cube", method="plain", seed=3, steps=3)
    plain = SPECS["plain"]
    *_, last = plain.run(model, Redness(), request, plain.settings())
    pictures.append(last.image)
    assert len({picture.tobytes() for picture in pictures}) == 4
    for each, picture in zip(settings, pictures, strict=False):
        assert np.array_equal(run(model, each)[-1].image, picture)


STATIC = [{"variant": "static"}, {"variant": "light", "use_temb": False, "use_sample": False}]


@pytest.mark.parametrize("settings", STATIC, ids=["static", "light"])
def test_static_masks_are_multiplied_once_and_change_no_bit(model, tmp_path, monkeypatch, settings):
    add(model, "fixed", random_generator(model.unet, **settings), tmp_path)
    made, fixed = [], MaskGenerator.fixed
    monkeypatch.setattr(MaskGenerator, "fixed", lambda self: made.append(1) or fixed(self))
    monkeypatch.setattr(MaskGenerator, "forward", None)  # no step makes any
    folded = run(model, {"generator": "fixed"})
    monkeypatch.undo()
    monkeypatch.setattr(MaskGenerator, "static", False)
    unfolded = run(model, {"generator": "fixed"})
    assert len(made) == 1 and 0 < np.mean(list(folded[0].keep_ratio.values())) < 1
    for one, other in zip(folded, unfolded, strict=True):
        assert np.array_equal(one.image, other.image) and one.keep_ratio == other.keep_ratio
    for one, other in zip(folded[:-1], unfolded[:-1], strict=True):
        assert {n: bits.tobytes() for n, bits in one.masks.items()} == {n: b.tobytes() for n, b in other.masks.items()}


def test_an_untrained_generator_gives_the_plain_picture(model, tmp_path):
    add(model, "new", MaskGenerator(model.unet, GeneratorSettings()), tmp_path)
    request = Request(prompt="a red cube", method="plain", seed=3, steps=3)
    plain = SPECS["plain"]
    *_, last = plain.run(model, Redness(), request, plain.settings())
    shared, own = (run(model, {"generator": "new", "halves": h})[-1].image for h in ("shared", "own"))
    assert np.array_equal(shared, last.image)
    assert np.abs(own.astype(int) - last.image).max() <= 1  # a product per sample rounds differently


# Which generator


def test_without_a_trained_generator_one_sentence_says_how_to_train_one(model):
    with pytest.raises(ValueError, match="no trained mask generator for this model here.*python -m maskunet train"):
        run(replace(model, trained={}))


def test_a_generator_that_is_not_there_or_gone_is_told(model, tmp_path):
    with pytest.raises(ValueError, match="There is no mask generator “other”. There are: tiny"):
        run(model, {"generator": "other"})
    model.trained["generator"]["gone"] = tmp_path / "gone.safetensors"
    with pytest.raises(ValueError, match="The file of the mask generator “gone” is gone") as error:
        run(model, {"generator": "gone"})
    assert str(tmp_path) not in str(error.value)


def test_a_generator_of_another_model_is_refused_and_the_model_stays_as_it_was(model, tmp_path):
    about = {"model": "sd15", "weights": {"unet/x.safetensors": "1" * 64}}
    generator_file.save(random_generator(model.unet), tmp_path / "far.safetensors", about)
    model.trained["generator"]["far"] = tmp_path / "far.safetensors"
    with pytest.raises(ValueError, match="“far” was trained for other weights than these, of sd15"):
        run(model, {"generator": "far"})
    assert not model.cache


def test_a_file_is_read_once_and_again_only_when_it_was_written_anew(model, tmp_path, monkeypatch):
    read, real = [], generator_file.load
    monkeypatch.setattr(generator_file, "load", lambda *given: read.append(1) or real(*given))
    add(model, "mine", random_generator(model.unet, seed=1), tmp_path)
    first, again = (run(model, {"generator": "mine"})[-1].image for _ in range(2))
    assert len(read) == 1
    assert np.array_equal(first, again)
    add(model, "mine", random_generator(model.unet, seed=2), tmp_path)
    assert not np.array_equal(run(model, {"generator": "mine"})[-1].image, first)
    assert len(read) == 2


def test_generators_are_found_beside_the_weights_and_among_what_the_user_trained(tmp_path):
    folder = tiny_sd_folder(tmp_path / "model")
    shipped = tiny_generator(folder, "shipped")
    spec = ModelSpec(
        name="tiny", title="", summary="", license="", folder=folder, rewards=(write_small(tmp_path / "rewards"),)
    )
    library = Library("tiny", device="cpu", specs={"tiny": spec}, trained=tmp_path / "trained")
    model = library.load("tiny").model
    assert model.trained == {"generator": {"shipped": shipped}}
    mine = tmp_path / "trained" / "tiny"
    (mine / "second").mkdir(parents=True)
    for place in (mine / "first.safetensors", mine / "second" / "trained.safetensors"):
        place.write_bytes(shipped.read_bytes())
    (tmp_path / "trained" / "other").mkdir()
    assert library.load("tiny").model is model
    assert model.trained["generator"] == {
        "shipped": shipped,
        "first": mine / "first.safetensors",
        "second": mine / "second" / "trained.safetensors",
    }
    images = [run(model, {"generator": name})[-1].image for name in ("", "shipped", "second")]
    assert all(np.array_equal(images[0], image) for image in images)


# Amortized: only what learned from a reward


def amortized(model, settings=None):
    spec = SPECS["maskunet_amortized"]
    asked = Request(prompt="a red cube", method=spec.name, seed=3, steps=3, keep_masks=True)
    return list(spec.run(model, Redness(), asked, spec.settings("", settings)))


def test_the_amortized_method_takes_the_generator_that_learned_from_a_reward(model):
    found, named = amortized(model), run(model, {"generator": "tiny_reward"})
    assert np.array_equal(found[-1].image, named[-1].image)
    assert SPECS["maskunet_amortized"].parts(model, SPECS["maskunet_amortized"].settings()) == {
        "tiny_reward": model.trained["generator_from_reward"]["tiny_reward"]
    }


def test_the_amortized_method_refuses_what_learned_from_pictures(model):
    with pytest.raises(ValueError, match="no mask generator that learned from a reward “tiny”"):
        amortized(model, {"generator": "tiny"})
    with pytest.raises(ValueError, match="train mask_reward"):
        amortized(replace(model, trained={"generator": model.trained["generator"]}))
