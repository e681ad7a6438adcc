"""Where masks may be: the setting of sites, and how much room there is for them."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from diffusers.models.attention_processor import AttnProcessor2_0
from torch import nn

from maskunet.bench.loop.held import peak
from maskunet.masks.mask import unpack
from maskunet.masks.selection import chosen
from maskunet.masks.sites import find_sites, listed
from maskunet.methods import SPECS
from maskunet.methods.maskunet_free import room
from maskunet.models.base import from_folder
from maskunet.rewards.base import WeightedRewards
from tests.methods.test_methods import run
from tests.support.tiny import tiny_unet, tiny_xl_folder, tiny_xl_unet

MASKING = [name for name, spec in SPECS.items() if hasattr(next(iter(spec.presets.values())), "sites")]


def test_sites_are_chosen_by_the_language_for_places(tiny_xl):
    sites = find_sites(tiny_xl.unet)
    assert chosen(sites, "all") == sites
    assert {site.block for site in chosen(sites, "block1")} == {1}
    assert {site.attention for site in chosen(sites, "cross")} == {"cross"}
    assert len(chosen(sites, "block0.self; block1.cross.v")) == sum(
        (s.block, s.attention) == (0, "self") or (s.block, s.attention, s.role) == (1, "cross", "v") for s in sites
    )
    with pytest.raises(ValueError, match="names no sites here. There are all, cross, self, block0, block1"):
        chosen(sites, "block7")
    for text in ("block1.head0", "cross@1-5", "block1=0.5"):
        with pytest.raises(ValueError, match="leave out heads"):
            chosen(sites, text)


@pytest.mark.parametrize("make", [tiny_unet, partial(tiny_unet, "sd2"), tiny_xl_unet, partial(tiny_xl_unet, layers=2)])
def test_sites_are_known_from_a_configuration_alone(make):
    unet = make()
    assert listed(unet.config) == find_sites(unet)


def test_the_mask_methods_have_it_and_refuse_nonsense():
    assert MASKING == ["best_of_n_masks", "maskunet_free", "random_mask", "syngen_maskunet"]
    for name in MASKING:
        with pytest.raises(ValueError, match="says no place in the network"):
            SPECS[name].settings("", {"sites": "everywhere"})


@pytest.mark.parametrize("name", MASKING)
@pytest.mark.parametrize("sites", ["block1", "cross"])
def test_masks_are_at_the_chosen_sites_and_kept_with_all(tiny_xl, name, sites):
    events = run(tiny_xl, name, SPECS[name].settings("", {"sites": sites}), steps=2, keep_masks=True)
    every, some = find_sites(tiny_xl.unet), {s.name for s in chosen(find_sites(tiny_xl.unet), sites)}
    counted = next(event.stats for event in events if event.stats)
    assert set(counted.sites) == some and counted.removed.sum() > 0
    masks = next(event.masks for event in events if event.masks)
    assert list(masks) == [site.name for site in every]
    assert all(bool(unpack(masks[s.name], s.shape).all()) for s in every if s.name not in some)
    default = run(tiny_xl, name, steps=2)[-1].image
    assert not np.array_equal(events[-1].image, default)


def test_all_sites_are_the_default_of_small_models_to_the_last_bit(tiny_sd15):
    for name in MASKING:
        chosen_all = run(tiny_sd15, name, SPECS[name].settings("", {"sites": "all"}), steps=2)
        assert np.array_equal(run(tiny_sd15, name, steps=2)[-1].image, chosen_all[-1].image)


SETTINGS = SPECS["maskunet_free"].settings("official")


def test_memory_chooses_and_says_so(tiny_xl, monkeypatch):
    monkeypatch.setattr(room, "LARGE", 1)
    sites, none = find_sites(tiny_xl.unet), WeightedRewards({})
    takes = {name: room.wanted(tiny_xl, none, SETTINGS, chosen(sites, name)) for name in ("all", "cross", "block1")}
    assert takes["all"] > takes["cross"] > takes["block1"]
    holds = room._bytes([*tiny_xl.networks.values()])

    def with_free(total):
        monkeypatch.setattr(room, "free_memory", lambda device: total - holds)
        return room.sites_for(tiny_xl, none, SETTINGS)

    assert with_free(takes["all"] + 1) == (sites, "")
    for above, name in (("all", "cross"), ("cross", "block1")):
        found, said = with_free(takes[above] - 1)
        assert found == chosen(sites, name) and f"at the sites “{name}” alone" in said and "low_memory" not in said
    found, said = with_free(holds)
    assert found == chosen(sites, "block1") and said.endswith("try low_memory.")
    events = run(tiny_xl, "maskunet_free", steps=2)
    assert "at the sites “block1” alone" in events[0].note and not events[1].note
    explicit = SPECS["maskunet_free"].settings("", {"sites": "all"})
    assert not run(tiny_xl, "maskunet_free", explicit, steps=2)[0].note


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    """The small model with pictures of 256 x 256, nothing but shapes, and what likes a picture."""
    folder = tiny_xl_folder(tmp_path_factory.mktemp("shapes") / "xl", side=128)
    model = from_folder(folder, name="tiny", guidance=5.0, device=torch.device("cpu"), dtype=torch.float16)
    for network in model.networks.values():
        nn.Module.to(network, "meta", torch.float16)
    for network in (model.unet, model.vae):  # as on a GPU
        network.set_attn_processor(AttnProcessor2_0())
    return replace(model, device=torch.device("meta"))


class Judge:
    """Keeps next to nothing."""

    network = nn.Identity()

    def __call__(self, image, prompts):
        return image.mean((1, 2, 3))


@pytest.mark.parametrize("low_memory", [False, True])
@pytest.mark.parametrize("sites", ["all", "block1"])
def test_the_estimate_is_the_count_of_tensors_within_15_percent(shapes, sites, low_memory):
    rewards = WeightedRewards({"image_reward": (Judge(), 1.0)})
    counted = 1e9 * peak(shapes, rewards, low_memory=low_memory, sites=sites)["peak_gb"]
    settings = SPECS["maskunet_free"].settings("official", {"low_memory": low_memory})
    estimate = room.needed_by(shapes, rewards, settings, chosen(find_sites(shapes.unet), sites))
    assert estimate == pytest.approx(counted, rel=0.15)
