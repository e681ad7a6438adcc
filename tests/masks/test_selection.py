"""A selection on a U-Net: which entries of the masks it changes, and that heads are what attention calls heads."""

import pytest
import torch

from maskunet.masks.masked_unet import MaskedUNet
from maskunet.masks.selection import heads_of, masks_by_step
from maskunet.masks.sites import find_sites
from maskunet.records.selection import parse
from tests.support.tiny import TEXT_WIDTH, tiny_unet


@pytest.fixture(scope="module")
def unet():
    return tiny_unet()


def masks(unet, text, steps=3):
    return masks_by_step(parse(text), unet, find_sites(unet), steps)


def test_a_site_kept_whole_has_no_mask_and_equal_steps_share_theirs(unet):
    first, second, third = masks(unet, "cross.v@2-")
    assert first == {} and second is third
    assert {site.name for site in find_sites(unet) if site.attention == "cross" and site.role == "v"} == {*second}
    assert all(not mask.any() for mask in second.values())


@pytest.mark.parametrize("head", [0, 1])
def test_a_head_of_k_or_of_out_is_the_head_that_attention_has(unet, head):
    """With its values removed a head gives nothing; with its columns of out removed nobody reads it: the same."""
    noise = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    text = torch.randn(1, 16, TEXT_WIDTH["sd15"], generator=torch.Generator().manual_seed(1))
    assert {*heads_of(unet, find_sites(unet))} == {2}

    def out(what):
        with MaskedUNet(unet) as masked, torch.no_grad():
            return masked.decode(masked.encode(noise, 500, text), masks(unet, what)[0])

    silenced, unread = out(f"v.head{head}"), out(f"out.head{head}")
    torch.testing.assert_close(silenced, unread)
    assert (silenced - out("")).abs().max() > 1e-4
    assert (silenced - out(f"v.head{1 - head}")).abs().max() > 1e-4


def test_a_share_is_kept(unet):
    (half, *_) = masks(unet, "out.head1=0.25")
    for mask in half.values():
        width = mask.shape[1] // 2
        assert (mask[:, :width] == 1).all() and (mask[:, width:] == 0.25).all()


def test_another_models_selection_is_refused(unet):
    with pytest.raises(ValueError, match="means nothing here. In this model block1 has layer0"):
        masks(unet, "block3.cross")
