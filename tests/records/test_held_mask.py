"""A mask that is kept: every weight and its order come back, and nothing else is let in."""

import struct
from dataclasses import replace

import numpy as np
import pytest

from maskunet.records import held_mask
from maskunet.records.disk import trained_file
from maskunet.records.held_mask import HeldMask, mixed
from tests.support import header

SITES = {"up_blocks.2.b.to_q": (40, 50), "up_blocks.1.a.to_k": (20, 30)}  # not in the order of the alphabet
TOTAL = 2600


def places(count, seed=0):
    return np.random.default_rng(seed).permutation(TOTAL)[:count].astype(np.uint32)


@pytest.fixture
def mask():
    steps = {0: places(70), 500: mixed(places(1300, 1)), 999: places(0)}
    weights = {"unet/x": "ab"}
    return HeldMask(model="tabletop", weights=weights, sites=SITES, steps=steps, recipe={"made": "test", "seed": 3})


@pytest.fixture
def saved(mask, tmp_path):
    path = held_mask.place(tmp_path, "tabletop", "mine")
    held_mask.save(mask, path)
    return path


def test_every_weight_its_order_and_the_recipe_come_back(mask, saved):
    again = held_mask.load(saved)
    assert (again.model, again.weights, again.recipe) == (mask.model, mask.weights, mask.recipe)
    assert list(again.sites.items()) == list(SITES.items())
    assert list(again.steps) == [0, 500, 999]
    for timestep, removed in mask.steps.items():
        assert np.array_equal(again.steps[timestep], removed)


def test_what_has_no_order_is_packed_and_what_has_one_is_a_list(saved):
    said, _ = header.read(saved)
    kinds = {number: (said[number]["dtype"], said[number]["shape"]) for number in ("0", "1", "2")}
    assert kinds == {"0": ("U32", [70]), "1": ("U8", [TOTAL // 8]), "2": ("U32", [0])}


def test_the_same_mask_gives_the_same_bytes_and_replaces_the_file_whole(mask, saved, tmp_path):
    held_mask.save(replace(mask, steps=dict(reversed(mask.steps.items()))), tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == saved.read_bytes()
    before = saved.read_bytes()
    with pytest.raises(ValueError, match="twice"):
        held_mask.save(replace(mask, steps={0: np.zeros(2, np.uint32)}), saved)
    assert saved.read_bytes() == before and [p.name for p in saved.parent.iterdir()] == [held_mask.FILE]


def test_a_concept_mask_of_the_embedded_model_is_small(tmp_path):
    sites = {f"up_blocks.{i // 8}.attentions.0.transformer_blocks.{i}.attn1.to_q": (112, 128) for i in range(24)}
    removed = np.random.default_rng(0).permutation(344_064)[:2000].astype(np.uint32)
    weights = {"unet/diffusion_pytorch_model.safetensors": "f" * 64}
    recipe = {"made": "concept", "prompts": ["a blue cube on a wooden table"] * 20}
    held_mask.save(HeldMask(model="t", weights=weights, sites=sites, steps={0: removed}, recipe=recipe), tmp_path / "x")
    assert (tmp_path / "x").stat().st_size < 16_000


def test_steps_of_the_same_weights_share_their_bytes(mask, tmp_path):
    one = replace(mask, steps={0: places(600)})
    held_mask.save(one, tmp_path / "one")
    held_mask.save(replace(one, steps=dict.fromkeys(range(0, 1000, 50), places(600))), tmp_path / "many")
    assert (tmp_path / "many").stat().st_size < (tmp_path / "one").stat().st_size + 500


def test_a_mask_that_could_not_be_read_again_is_not_kept(mask, tmp_path, monkeypatch):
    several = replace(mask, steps={0: places(600), 500: places(300)})
    monkeypatch.setattr(held_mask, "MAX_REMOVED", 900)
    held_mask.save(several, tmp_path / "most")
    assert held_mask.load(tmp_path / "most").steps.keys() == {0, 500}
    monkeypatch.setattr(held_mask, "MAX_REMOVED", 899)
    with pytest.raises(ValueError, match="removes 900 weights over all its steps; allowed are 899"):
        held_mask.save(several, tmp_path / "more")
    assert not (tmp_path / "more").exists()


def test_mixed_is_one_order_of_the_same_weights_whose_beginnings_are_spread_evenly():
    whole = np.arange(100_000, dtype=np.uint32)
    order = mixed(whole)
    assert np.array_equal(np.sort(order), whole)
    assert np.array_equal(order, mixed(np.random.default_rng(0).permutation(whole)))
    some = whole[::7]
    assert np.array_equal(mixed(some), order[np.isin(order, some)])  # so that doses of a part are nested, too
    assert np.histogram(order[:10_000], bins=10, range=(0, 100_000))[0].std() < 50
    assert mixed(whole[:0]).size == 0


def test_a_timestep_has_the_nearest_entry(mask):
    assert [mask.nearest(t) for t in (0, 250, 251, 749, 750, 999)] == [0, 0, 500, 500, 999, 999]
    assert mask.at(999).size == 0 and not mask.static
    assert replace(mask, steps={400: places(3)}).static


def test_it_is_found_as_a_trained_part(saved):
    assert trained_file.by_kind([("mine", saved)]) == {"mask": {"mine": saved}}


@pytest.mark.parametrize("name", ["", "..", "../x", "a/b", ".x", "a\\b", "a\0", "x" * 65, "é", "-x", "a\n"])
def test_names_that_leave_the_folder_are_refused(name, tmp_path):
    with pytest.raises(ValueError, match="cannot be called"):
        held_mask.place(tmp_path, "tabletop", name)


def say(path, **changes):
    header.rewrite(path, lambda h: header.about(h, held_mask.FORMAT, **changes))


def other_format(path):
    header.rewrite(path, lambda h: h.update(__metadata__={"format": "pt"}))


def other_dtype(path):
    header.rewrite(path, lambda h: h["0"].update(dtype="F32"))


def lacking_tensor(path):
    say(path, steps=[[0, 0], [10, 1]])


def foreign_timestep(path):
    say(path, steps=[[0, 0], [10, 1], [1000, 2]])


def no_step(path):
    say(path, steps=[])


def smaller_model(path):
    say(path, sites=[["a", [8, 8]]])


def enormous_model(path):
    say(path, sites=[["a", [10**9, 10**9]]])


def negative(path):
    say(path, sites=[["a", [-40, -65]]])


def no_recipe(path):
    say(path, recipe=7)


def twice(path):
    said, end = header.read(path)
    data, at = bytearray(path.read_bytes()), end + said["0"]["data_offsets"][0]
    data[at : at + 4] = data[at + 4 : at + 8]
    path.write_bytes(data)


def beyond(path):
    said, end = header.read(path)
    data, at = bytearray(path.read_bytes()), end + said["0"]["data_offsets"][0]
    data[at : at + 4] = struct.pack("<I", TOTAL)
    path.write_bytes(data)


@pytest.mark.parametrize(
    "damage",
    [
        header.cut, header.huge, header.nested, header.empty, other_format, other_dtype, lacking_tensor, foreign_timestep, no_step,
        smaller_model, enormous_model, negative, no_recipe, twice, beyond,
    ],
    ids=lambda f: f.__name__,
)  # fmt: skip
def test_a_damaged_or_foreign_file_is_refused_in_one_sentence(saved, damage):
    damage(saved)
    with pytest.raises(ValueError, match="“mine” holds no mask that can be used") as error:
        held_mask.load(saved)
    assert "\n" not in str(error.value) and str(saved.parent) not in str(error.value)


def test_a_huge_file_is_refused_before_it_is_read(saved, monkeypatch):
    monkeypatch.setattr(held_mask, "MAX_BYTES", 100)
    with pytest.raises(ValueError, match="it is larger than"):
        held_mask.load(saved)
    monkeypatch.undo()
    monkeypatch.setattr(held_mask, "MAX_REMOVED", 1369)  # 70 and 1300
    with pytest.raises(ValueError, match="more than 1,369 weights"):
        held_mask.load(saved)


@pytest.mark.parametrize("recipe", [{}, {"made": 3}, {"made": "x", "y": object()}, {"made": "x", "y": "z" * 300_000}])
def test_a_recipe_that_cannot_be_kept_is_refused(mask, tmp_path, recipe):
    with pytest.raises(ValueError, match="recipe"):
        held_mask.save(replace(mask, recipe=recipe), tmp_path / "x")
    assert not any(tmp_path.iterdir())


def test_a_mask_of_another_model_is_refused_and_the_remedy_is_said(mask):
    held_mask.check(mask, "mine", "tabletop", {"unet/x": "ab", "vae/x": "not compared"}, SITES)
    with pytest.raises(ValueError, match="2 sites, this model has 1"):
        held_mask.check(mask, "mine", "sd15", mask.weights, {"up_blocks.1.a.to_k": (20, 30)})
    with pytest.raises(ValueError, match="is 20 x 30 there and 20 x 31 here"):
        held_mask.check(mask, "mine", "sd15", mask.weights, {**SITES, "up_blocks.1.a.to_k": (20, 31)})
    with pytest.raises(ValueError, match="“mine” was made for other weights .* carry it over"):
        held_mask.check(mask, "mine", "tabletop_web", {"unet/x": "cd"}, SITES)
