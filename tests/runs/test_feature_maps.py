"""Feature maps: three principal components that a closed form knows, the same ones for both runs."""

import numpy as np
import torch

from maskunet.records import Request
from maskunet.runs.compare import compare
from maskunet.runs.feature_maps import Components, UpBlocks, stacked
from tests.methods.test_methods import Redness


def low_rank(height=6, width=5, channels=20, seed=0):
    """Features that vary along three known orthogonal directions with spreads 9, 3 and 1."""
    generator = torch.Generator().manual_seed(seed)
    axes = torch.linalg.qr(torch.randn(channels, 3, generator=generator))[0]
    values = torch.linalg.qr(torch.randn(height * width, 4, generator=generator))[0]
    values = (values - values.mean(0))[:, :3] * torch.tensor([9.0, 3.0, 1.0])
    return (values @ axes.T + 5).T.reshape(channels, height, width), axes


def test_the_components_span_what_varies():
    features, axes = low_rank()
    found = Components.of(features)
    span, wanted = found.axes @ found.axes.T, axes @ axes.T
    assert torch.allclose(span, wanted, atol=1e-4)
    spread = ((features.flatten(1).T - found.center) @ found.axes).std(0)
    assert spread[0] > spread[1] > spread[2]


def test_the_same_features_give_the_same_picture_and_zero_contrast_none():
    features, _ = low_rank()
    a, b = (Components.of(features.clone()).picture(features) for _ in range(2))
    assert np.array_equal(a, b) and a.shape == (6, 5, 3) and a.min() == 0 and a.max() == 255
    flat = torch.ones(20, 6, 5)
    assert np.unique(Components.of(flat).picture(flat)).size == 1


def test_features_that_are_no_numbers_are_drawn_and_break_nothing():
    """The run itself says which network failed."""
    broken = torch.full((6, 4, 4), torch.nan)
    assert Components.of(broken).picture(broken).shape == (4, 4, 3)


def test_stacking_takes_the_steps_that_both_have():
    a, b = (
        {step: {1: np.full((2, 2, 3), value, np.uint8)} for step in steps}
        for steps, value in (((0, 1), 3), ((1, 2), 4))
    )
    assert stacked(a, b)[1][:, :, 0, 0, 0].tolist() == [[3], [4]]
    assert stacked(a, {}) == {}


def test_a_mask_of_ones_sees_the_same_features_and_a_real_one_does_not(tiny_sd15):
    def maps(removed):
        request = Request(prompt="a cube", method="random_mask", steps=3, settings={"removed": removed})
        *_, (_, run) = compare(tiny_sd15, Redness(), request)
        return run.course

    same, other = maps(0.0), maps(0.5)
    assert same.timesteps == other.timesteps and len(same.timesteps) == 3
    assert same.base.shape == (3, 16, 16, 3) and np.array_equal(same.base, same.result)
    for block in same.maps:
        assert np.array_equal(same.maps[block][0], same.maps[block][1])
    assert not np.array_equal(other.maps[1][0], other.maps[1][1])
    assert not np.array_equal(other.base, other.result)


def test_of_a_steps_updates_the_last_one_is_drawn_and_only_that(tiny_sd15, monkeypatch):
    drawn, draw = [], Components.picture

    def drawing(self, features):
        drawn.append(draw(self, features))
        return drawn[-1]

    monkeypatch.setattr(Components, "picture", drawing)
    request = Request(prompt="a cube", method="maskunet_free", preset="paper", steps=2, settings={"updates": 3})
    *events, (_, run) = compare(tiny_sd15, Redness(), request)
    assert sum(phase == "result" for phase, _ in events) > 2 * 3
    assert len(drawn) == 2 * 2 * len(run.course.maps)  # steps x pictures x blocks
    newest = dict(zip(run.course.maps, drawn[-len(run.course.maps) :], strict=True))
    assert all(np.array_equal(maps[1, -1], newest[block]) for block, maps in run.course.maps.items())


def test_hooks_are_gone_afterwards(tiny_sd15):
    with UpBlocks(tiny_sd15.unet):
        assert all(block._forward_hooks for block in tiny_sd15.unet.up_blocks)
    assert not any(block._forward_hooks for block in tiny_sd15.unet.up_blocks)


def test_without_previews_there_are_no_pictures_of_steps_to_see_features_of(tiny_sd15):
    request = Request(prompt="a cube", method="random_mask", steps=3, previews=False)
    *_, (_, run) = compare(tiny_sd15, Redness(), request)
    assert run.course is None and run.stats is not None and run.base_image is not None
