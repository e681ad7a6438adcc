"""Doubling and the convolution after it as one: diffusers' own layer is the oracle."""

import pytest
import torch
from diffusers.models.upsampling import Upsample2D
from torch import nn

from maskunet.library.library import Library
from maskunet.models.base.upsampling import FoldedUpsample, fold_upsampling, folded


def layer(**given):
    torch.manual_seed(0)
    return Upsample2D(6, **{"use_conv": True, "out_channels": 4, **given}).requires_grad_(False)


def through(layer, states, *others):
    """What a layer makes of states, and the gradient of its squares to them."""
    states = states.clone().requires_grad_()
    out = layer(states, *others)
    out.square().sum().backward()
    return out.detach(), states.grad


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("shape", [(1, 6, 8, 8), (2, 6, 5, 3), (3, 6, 1, 1)])
def test_it_is_the_layer_forward_and_back(shape, memory, bias):
    network = nn.Sequential(layer(bias=bias))
    states = torch.randn(shape).to(memory_format=memory)
    expected = through(network[0], states)
    fold_upsampling(network)
    assert type(network[0]) is FoldedUpsample
    for given, wanted in zip(through(network[0], states), expected, strict=True):
        torch.testing.assert_close(given, wanted)


def test_each_pixels_four_weights_are_the_nine_counted():
    kernel = torch.arange(1.0, 10.0).view(1, 1, 3, 3)
    assert folded(kernel)[0, 0].tolist() == [[9, 17, 15, 7], [15, 28, 24, 11], [9, 16, 12, 5], [3, 5, 3, 1]]


def test_a_size_that_is_asked_for_and_weights_that_learn_go_diffusers_way():
    network = nn.Sequential(layer())
    states = torch.randn(1, 6, 4, 4)
    to_size = through(network[0], states, (7, 9))
    fold_upsampling(network)
    for given, wanted in zip(through(network[0], states, (7, 9)), to_size, strict=True):
        assert torch.equal(given, wanted)
    network.requires_grad_(True)
    network[0](states).sum().backward()
    assert network[0].conv.weight.grad.abs().sum() > 0


@pytest.mark.parametrize(
    "given",
    [
        {"use_conv": False, "out_channels": 6},
        {"use_conv_transpose": True},
        {"interpolate": False},
        {"norm_type": "ln_norm", "eps": 1e-5, "elementwise_affine": True},
        {"kernel_size": 1, "padding": 0},
        {"name": "Conv2d_0"},
    ],
    ids=lambda given: next(iter(given)),
)
def test_another_kind_stays_as_it_is(given):
    network = nn.Sequential(layer(**given))
    fold_upsampling(network)
    assert type(network[0]) is Upsample2D


def test_the_embedded_decoder_is_read_with_it_on_a_cpu_and_keeps_its_weights():
    vae = Library("tabletop", device="cpu").load("tabletop").model.vae
    assert [type(block.upsamplers[0]) for block in vae.decoder.up_blocks[:-1]] == [FoldedUpsample] * 3
    assert not any("folded" in name for name in vae.state_dict())
