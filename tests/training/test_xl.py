"""Trainings of Stable Diffusion XL: what is learned from latents, pictures and rewards, with its text and sizes."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from maskunet.masks.sites import find_sites
from maskunet.methods import SPECS as METHODS
from maskunet.records.disk import trained_file
from maskunet.training.data import Pair, pictured
from maskunet.training.diffusion import HeldOut
from maskunet.training.recipes import SPECS, mask_generator
from tests.methods.test_methods import run as picture
from tests.models.test_embedding import on
from tests.training.test_loop import assert_untouched, contents, run

pytestmark = pytest.mark.usefixtures("short_sheets")


@pytest.mark.parametrize("name", SPECS)
def test_every_recipe_trains_it_and_leaves_the_base_model_as_it_was(tiny_xl, tmp_path, name):
    before, layers = contents(tiny_xl), [id(m) for m in tiny_xl.unet.modules()]
    rewarded = {"samplings": 4} if "reward" in name else {}
    events = run(
        tiny_xl, SPECS[name], tmp_path, steps=2, every=2, batch=2, micro_batch=2, caption_dropout=0.5, **rewarded
    )
    assert events[-1].final and all(math.isfinite(event.loss) for event in events)
    assert_untouched(tiny_xl, before, layers)
    (path,) = tmp_path.glob("trained.safetensors")
    kinds = trained_file.kinds(path)
    if kinds == (trained_file.EMBEDDING,):
        token = next(iter(SPECS[name].presets.values())).token
        with_it, asked = on(tiny_xl, path), [f"a {token}", "a cube"]
        mine, plain = with_it.encode_prompts(asked), tiny_xl.encode_prompts(asked)
        assert with_it.added.embeddings == (("trained", token),)
        assert torch.equal(mine.states[1], plain.states[1]) and not torch.equal(mine.states[0], plain.states[0])
        return
    method = next(m for m, spec in METHODS.items() if {*spec.takes.values()} & {*kinds} and m != "held_mask")
    taken = next(key for key, kind in METHODS[method].takes.items() if kind in kinds)
    own = {kind: {**tiny_xl.trained.get(kind, {}), "mine": path} for kind in kinds}
    model = replace(tiny_xl, trained={**tiny_xl.trained, **own})
    assert picture(model, method, METHODS[method].settings("", {taken: "mine"}), steps=2)[-1].image.std() > 0


def test_it_learns_from_pictures_too_and_no_caption_is_zeros(tiny_xl):
    pictures = [Pair(caption, np.full((16, 16, 3), 40 * n, np.uint8)) for n, caption in enumerate(("a red cube", ""))]
    held = HeldOut(tiny_xl, pictures)
    (batch,) = held._batches
    assert batch.text.states[0].any() and not batch.text.states[1].any() and not batch.text.pooled[1].any()
    assert batch.text.sizes.tolist() == [[16, 16, 0, 0, 16, 16]] * 2
    assert torch.isfinite(held._base).all() and held._base.shape == (2,)


def test_it_is_told_how_each_picture_was_cut(tiny_xl, tmp_path):
    Image.new("RGB", (40, 20)).save(tmp_path / "wide.png")
    Image.new("RGB", (16, 48)).save(tmp_path / "tall.png")
    pairs = [pictured("a cube", tmp_path / f"{name}.png", 16) for name in ("wide", "tall")]
    (batch,) = HeldOut(tiny_xl, [*pairs, Pair("a cube", latents=np.zeros(tiny_xl.latent_shape, np.float32))])._batches
    told = [[20, 40, 0, 8, 16, 16], [48, 16, 16, 0, 16, 16], [16, 16, 0, 0, 16, 16]]  # of latents nothing is known
    assert batch.text.sizes.tolist() == told


@pytest.mark.parametrize(("free", "says"), [(3.5, "Set micro_batch to 3 or less"), (0.5, "Train a LoRA")])
def test_masks_that_do_not_fit_are_refused_before_anything_is_built(tiny_xl, tmp_path, monkeypatch, free, says):
    weights = sum(site.weights for site in find_sites(tiny_xl.unet))
    monkeypatch.setattr(mask_generator, "LARGE", 1)
    monkeypatch.setattr(mask_generator, "free_memory", lambda device: free * mask_generator.STATE * weights)
    layers = [id(m) for m in tiny_xl.unet.modules()]
    with pytest.raises(ValueError, match=f"for each of the 4 samples of a micro-batch.* {says}"):
        run(tiny_xl, SPECS["mask_generator"], tmp_path, steps=2)
    assert [id(m) for m in tiny_xl.unet.modules()] == layers
