"""A kept mask on the model: the same bits as its masks by hand, its dose and its place, and what is refused."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from maskunet.masks import held
from maskunet.masks.mask import unpack
from maskunet.masks.masked_unet import MaskedUNet
from maskunet.methods import SPECS
from maskunet.methods.base import Sampled
from maskunet.records import held_mask
from maskunet.records.held_mask import HeldMask
from tests.methods.test_methods import Redness, run


@pytest.fixture(scope="module")
def model(tiny_sd15, tmp_path_factory):
    """The model with one mask for all steps and one that changes, in a dictionary of its own."""
    place = tmp_path_factory.mktemp("masks")
    sites, stream = held.shapes(tiny_sd15.unet), np.random.default_rng(0)
    total = sum(a * b for a, b in sites.values())
    order = [stream.permutation(total)[: total // 5].astype(np.uint32) for _ in range(3)]
    found = {"static": {0: order[0]}, "changing": {999: order[0], 500: order[1], 0: order[2]}}
    found |= {"empty": {0: order[0][:0]}, "full": {0: np.arange(total, dtype=np.uint32)}}
    for name, steps in found.items():
        held_mask.save(held.of_model(tiny_sd15, steps, {"made": "test"}), place / f"{name}.safetensors")
    files = {name: place / f"{name}.safetensors" for name in found}
    return replace(tiny_sd15, trained={"mask": files}, cache={})


def made(model, name, **settings):
    chosen = SPECS["held_mask"].settings("", {"mask": name, **settings})
    return run(model, "held_mask", chosen, keep_masks=True)


def by_hand(model, masks_at):
    """The picture under masks at each timestep, by the plain method."""
    with MaskedUNet(model.unet) as masked:

        def unet(x_t, t, encoder_hidden_states):
            features = masked.encode(x_t, t, encoder_hidden_states)
            return SimpleNamespace(sample=masked.decode(features, masks_at(int(t))))

        return run(replace(model, unet=unet), "plain")[-1].image


def places(event, sites):
    """What an event's masks remove."""
    return np.flatnonzero(np.concatenate([unpack(event.masks[n], s).numpy().ravel() < 0.5 for n, s in sites.items()]))


def test_one_mask_for_all_steps_is_folded_to_the_bits_of_its_masks_by_hand(model, monkeypatch):
    mask = held_mask.load(model.trained["mask"]["static"])
    masks = held.tensors(mask.at(0), mask.sites, torch.ones(()))
    decoded, original = [], MaskedUNet.decode
    monkeypatch.setattr(MaskedUNet, "decode", lambda m, f, given: decoded.append(given) or original(m, f, given))
    events = made(model, "static")
    assert decoded == [None] * 4
    assert np.array_equal(events[-1].image, by_hand(model, lambda t: masks))
    assert np.array_equal(places(events[0], mask.sites), np.sort(mask.at(0)))


def test_a_mask_that_changes_uses_the_entry_nearest_in_time(model):
    mask = held_mask.load(model.trained["mask"]["changing"])
    events = made(model, "changing")
    assert [e.timestep for e in events[:4]] == [999, 749, 500, 250]
    for event, used in zip(events[:4], (999, 500, 500, 0), strict=True):
        assert np.array_equal(places(event, mask.sites), np.sort(mask.steps[used]))
    by_time = {t: held.tensors(mask.at(t), mask.sites, torch.ones(())) for t in (999, 749, 500, 250)}
    assert np.array_equal(events[-1].image, by_hand(model, by_time.__getitem__))


@pytest.mark.parametrize("name", ["static", "changing"])
def test_without_any_dose_it_is_the_plain_picture(model, name):
    assert np.array_equal(made(model, name, dose=0)[-1].image, run(model, "plain")[-1].image)
    assert not np.array_equal(made(model, name)[-1].image, run(model, "plain")[-1].image)


def test_a_dose_takes_the_first_weights_of_all_sites_together(model):
    mask = held_mask.load(model.trained["mask"]["static"])
    for dose in (0.25, 0.6):
        first = mask.at(0)[: round(dose * mask.at(0).size)]
        assert np.array_equal(places(made(model, "static", dose=dose)[0], mask.sites), np.sort(first))


def test_it_is_applied_where_and_when_it_is_asked_to(model):
    mask = held_mask.load(model.trained["mask"]["static"])
    events = made(model, "static", only="cross.v@2-3")
    removed = [places(event, mask.sites) for event in events[:4]]
    where = np.concatenate([np.full(a * b, "attn2.to_v" in name) for name, (a, b) in mask.sites.items()])
    wanted = np.sort(mask.at(0)[where[mask.at(0)]])
    assert not removed[0].size and not removed[3].size
    assert np.array_equal(removed[1], wanted) and np.array_equal(removed[2], wanted)
    everywhere = made(model, "static", only="all")[-1].image
    assert np.array_equal(everywhere, made(model, "static")[-1].image)
    parts = [made(model, "static", only=each, dose=0.5)[0] for each in ("cross", "all; cross=1")]
    both = np.sort(np.concatenate([places(event, mask.sites) for event in parts]))
    assert np.array_equal(both, places(made(model, "static", dose=0.5)[0], mask.sites))  # parts add up


def test_a_share_in_the_selection_weakens_in_place_of_removing(model):
    halved, whole, plain = (made(model, "static", only=only)[0].keep_ratio for only in ("all=0.5", "all", "all=1"))
    for site, share in halved.items():
        assert share == pytest.approx((whole[site] + plain[site]) / 2, abs=1e-6) and plain[site] == 1


def test_an_empty_mask_is_the_plain_picture_and_a_full_one_still_makes_one(model):
    assert np.array_equal(made(model, "empty")[-1].image, run(model, "plain")[-1].image)
    assert made(model, "full")[-1].image.std() > 0
    notes = [held.note(held_mask.load(model.trained["mask"][name])) for name in ("empty", "full", "static")]
    assert notes == [held.EMPTY, held.FULL, ""]


def test_pictures_share_their_calls(model):
    assert isinstance(SPECS["held_mask"].run, Sampled) and SPECS["held_mask"].shares(SPECS["held_mask"].settings())


def test_the_run_names_the_file_by_its_hash(model):
    spec = SPECS["held_mask"]
    weights = spec.weights(model, spec.settings("", {"mask": "static"}), Redness())
    assert len(weights["trained/static"]) == 64 and weights.keys() > model.weights.keys()


# What is refused


def test_without_a_mask_one_sentence_says_how_to_make_one(model):
    with pytest.raises(ValueError, match="no kept mask for tiny here.*python -m maskunet mask make"):
        made(replace(model, trained={}), "")


def test_a_mask_that_is_not_there_is_told(model):
    with pytest.raises(ValueError, match="There is no mask “other”. There are: static, changing"):
        made(model, "other")


@pytest.mark.parametrize("dose", [-0.1, 1.01, "much", None, float("nan")])
def test_a_dose_outside_0_to_1_is_refused(dose):
    with pytest.raises(ValueError, match="dose"):
        SPECS["held_mask"].settings("", {"dose": dose})


def test_a_selection_that_is_none_is_refused_at_once_and_one_that_means_nothing_here_later(model):
    with pytest.raises(ValueError, match="says no place"):
        SPECS["held_mask"].settings("", {"only": "nowhere"})
    with pytest.raises(ValueError, match="means nothing here"):
        made(model, "static", only="block7")


def test_a_mask_of_another_model_is_refused_and_the_model_stays_as_it_was(model, tmp_path):
    mask = held_mask.load(model.trained["mask"]["static"])
    cases = {
        "weights": replace(mask, weights={"unet/x": "1" * 64}, model="sd15"),
        "shape": HeldMask(
            model="sd15",
            weights=mask.weights,
            sites={"a": (2, 2)},
            steps={0: np.zeros(1, np.uint32)},
            recipe=mask.recipe,
        ),
    }
    sentences = {"weights": "“weights” was made for other weights than these, of sd15", "shape": "1 sites, this model"}
    for name, other in cases.items():
        held_mask.save(other, tmp_path / f"{name}.safetensors")
        there = replace(model, trained={"mask": {name: tmp_path / f"{name}.safetensors"}}, cache={})
        with pytest.raises(ValueError, match=sentences[name]):
            made(there, name)


def test_a_damaged_file_is_told(model, tmp_path):
    (tmp_path / "x.safetensors").write_bytes(model.trained["mask"]["static"].read_bytes()[:-9])
    with pytest.raises(ValueError, match="holds no mask that can be used"):
        made(replace(model, trained={"mask": {"x": tmp_path / "x.safetensors"}}), "x")
