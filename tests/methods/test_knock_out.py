"""Knocking out places: nothing without any, the same as the masks by hand with some, and a sentence for a wrong one."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from maskunet.masks.masked_unet import MaskedUNet
from maskunet.masks.selection import masks_by_step
from maskunet.masks.sites import find_sites
from maskunet.methods import SPECS
from maskunet.records.selection import parse
from tests.methods.test_methods import run


def knocked(model, what, **request):
    return run(model, "knock_out", SPECS["knock_out"].settings("", {"what": what}), **request)


@pytest.mark.parametrize("what", ["", "cross.v=1"])
def test_without_a_place_it_is_the_plain_picture(tiny_sd15, what):
    assert np.array_equal(knocked(tiny_sd15, what)[-1].image, run(tiny_sd15, "plain")[-1].image)


def test_a_place_that_is_out_at_all_steps_is_folded_to_the_same_bits(tiny_sd15, monkeypatch):
    folded = knocked(tiny_sd15, "block1.cross.v; self.out.head1=0.5")[-1].image
    calls = []
    monkeypatch.setattr(MaskedUNet, "fold", lambda masked, masks: calls.append(masks))
    sites = find_sites(tiny_sd15.unet)
    by_step = masks_by_step(parse("block1.cross.v; self.out.head1=0.5"), tiny_sd15.unet, sites, 4)
    original = MaskedUNet.decode
    monkeypatch.setattr(MaskedUNet, "decode", lambda masked, features, masks: original(masked, features, by_step[0]))
    assert np.array_equal(knocked(tiny_sd15, "block1.cross.v; self.out.head1=0.5")[-1].image, folded)
    assert len(calls) == 1
    assert not np.array_equal(folded, run(tiny_sd15, "plain")[-1].image)


def test_it_acts_at_the_steps_that_are_named_only(tiny_sd15, monkeypatch):
    seen, original = [], MaskedUNet.decode

    def decode(masked, features, masks):
        seen.append(sorted(masks or {}))
        return original(masked, features, masks)

    monkeypatch.setattr(MaskedUNet, "decode", decode)
    knocked(tiny_sd15, "self.q@2,4")
    assert [bool(names) for names in seen] == [False, True, False, True]
    assert all("attn1.to_q" in name for name in seen[1])


def test_statistics_count_what_is_gone_and_curves_what_is_left(tiny_sd15):
    events = knocked(tiny_sd15, "cross.v; cross.k.head0=0.5", keep_masks=True)
    stats, names = events[0].stats, events[0].stats.sites
    for site, removed, weights in zip(names, stats.removed[0], stats.weights, strict=True):
        assert removed == (weights if site.endswith("attn2.to_v") else 0)
        assert events[0].keep_ratio[site] == pytest.approx(
            0.0 if site.endswith("attn2.to_v") else 0.75 if site.endswith("attn2.to_k") else 1.0
        )
        assert bool(events[0].masks[site].any()) == (not site.endswith("attn2.to_v"))


def test_everything_may_be_knocked_out(tiny_sd15):
    assert knocked(tiny_sd15, "all")[-1].image.dtype == np.uint8


@pytest.mark.parametrize(
    ("what", "said"),
    [("blok", "says no place in the network"), ("q" * 2000, "2,000 characters; allowed are 1,000"), ([], "must be a text")],
)  # fmt: skip
def test_a_wrong_text_is_refused_before_anything_is_made(what, said):
    with pytest.raises(ValueError, match=said):
        SPECS["knock_out"].settings("", {"what": what})


@pytest.mark.parametrize("what", ["block3.cross", "head7", "all@5-6"])
def test_a_place_of_another_model_is_refused_with_what_there_is(tiny_sd15, what):
    with pytest.raises(ValueError, match="means nothing here. In this model block1 has layer0.* steps 1 to 4"):
        knocked(tiny_sd15, what)


def test_a_model_without_attention_in_its_up_blocks_is_refused(tiny_sd15):
    bare = SimpleNamespace(up_blocks=[torch.nn.Identity()])
    with pytest.raises(ValueError, match="No up block of this U-Net has attention layers to mask"):
        find_sites(bare)
