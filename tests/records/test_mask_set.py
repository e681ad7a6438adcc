"""Masks on disk: every bit comes back, and nothing else is let in."""

import pickle
import struct
from dataclasses import replace

import numpy as np
import pytest

from maskunet.records import MaskSet, mask_set
from tests.support import header

SITES = {"up_blocks.1.a.to_q": (4, 5), "up_blocks.1.a.to_k": (4, 8)}


@pytest.fixture
def masks():
    rng = np.random.default_rng(0)
    steps = {t: {n: np.packbits(rng.random(int(np.prod(s))) < 0.9) for n, s in SITES.items()} for t in (999, 500, 0)}
    return MaskSet(model="tabletop", weights={"unet/x": "ab"}, sites=SITES, steps=steps)


@pytest.fixture
def saved(masks, tmp_path):
    path = tmp_path / "masks.safetensors"
    mask_set.save(masks, path)
    return path


def test_every_bit_and_the_order_of_steps_come_back(masks, saved):
    again = mask_set.load(saved)
    assert (again.model, again.weights, again.sites) == (masks.model, masks.weights, masks.sites)
    assert list(again.steps) == [999, 500, 0]
    for timestep, sites in masks.steps.items():
        for site, bits in sites.items():
            assert np.array_equal(again.steps[timestep][site], bits)


def test_the_same_masks_give_the_same_bytes(masks, saved, tmp_path):
    mask_set.save(masks, tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == saved.read_bytes()


def say(path, **changes):
    header.rewrite(path, lambda h: header.about(h, mask_set.FORMAT, **changes))


def cut_header(path):
    path.write_bytes(path.read_bytes()[:40])


def long_header(path):
    size = mask_set.MAX_HEADER + 1
    path.write_bytes(struct.pack("<Q", size) + b" " * size)


def pickled(path):
    path.write_bytes(pickle.dumps({"up_blocks": [1, 2, 3]}))


def other_format(path):
    header.rewrite(path, lambda h: h.update(__metadata__={"format": "pt"}))


def no_metadata(path):
    header.rewrite(path, lambda h: h.pop("__metadata__"))


def other_dtype(path):
    header.rewrite(path, lambda h: h["999/up_blocks.1.a.to_q"].update(dtype="I8"))


def other_shape(path):
    header.rewrite(path, lambda h: h["999/up_blocks.1.a.to_q"].update(shape=[1, 3]))


def lacking_site(path):
    say(path, sites={**SITES, "more": [2, 2]})


def wrong_size(path):
    say(path, sites={**SITES, "up_blocks.1.a.to_q": [4, 6000]})


def negative(path):
    say(path, sites={**SITES, "up_blocks.1.a.to_q": [-4, -5]})


def no_sites(path):
    say(path, sites=7)


def test_a_header_of_more_names_than_tensors_is_refused_before_they_are_multiplied_out(masks):
    class Many(dict):
        def __iter__(self):
            raise AssertionError("nothing is made of them")

    header = {f"999/{site}": {} for site in SITES}
    with pytest.raises(ValueError, match="not the sites and timesteps"):
        mask_set._check_header(header, replace(masks, steps=Many.fromkeys(range(10**5))))


@pytest.mark.parametrize(
    "damage",
    [
        header.cut, cut_header, header.huge, long_header, pickled, header.nested, header.empty, other_format,
        no_metadata, other_dtype, other_shape, lacking_site, wrong_size, negative, no_sites,
    ],
    ids=lambda f: f.__name__,
)  # fmt: skip
def test_a_damaged_or_foreign_file_is_refused_in_one_sentence(saved, damage):
    damage(saved)
    with pytest.raises(ValueError, match="no masks that can be used") as error:
        mask_set.load(saved)
    assert "\n" not in str(error.value)
    assert str(saved.parent) not in str(error.value)


def test_masks_of_another_model_are_refused_and_the_remedy_is_said(masks):
    mask_set.check(masks, "tabletop", masks.weights, SITES)
    with pytest.raises(ValueError, match="2 sites, this model has 1"):
        mask_set.check(masks, "sd15", masks.weights, {"up_blocks.1.a.to_q": (4, 5)})
    with pytest.raises(ValueError, match="the weights are others"):
        mask_set.check(masks, "tabletop", {"unet/x": "cd"}, SITES)
    other = {**SITES, "up_blocks.1.a.to_k": (4, 9)}
    with pytest.raises(ValueError, match=r"made for tabletop, not for sd15: .* is 4 x 8 there") as error:
        mask_set.check(masks, "sd15", masks.weights, other)
    assert "Make new masks with sd15" in str(error.value)
