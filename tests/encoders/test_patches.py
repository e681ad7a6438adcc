"""Patch embeddings as matrix products: torch's own convolution is the oracle."""

import pytest
import torch
from torch import nn

from maskunet.encoders.patches import PatchEmbedding, as_products
from maskunet.rewards import load_rewards
from tests.support.tiny_rewards import write_small


def through(layer, picture):
    """What a layer makes of a picture, and the gradient of its squares to the picture."""
    picture = picture.clone().requires_grad_()
    out = layer(picture)
    out.square().sum().backward()
    return out.detach(), picture.grad


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("shape", [(1, 3, 12, 16), (2, 3, 15, 9)])
def test_it_is_the_convolution_forward_and_back(shape, memory, bias):
    torch.manual_seed(0)
    layer = nn.Conv2d(3, 8, 4, stride=4, bias=bias)
    picture = torch.randn(shape).to(memory_format=memory)
    expected = through(layer, picture)
    as_products(layer)
    for given, wanted in zip(through(layer, picture), expected, strict=True):
        torch.testing.assert_close(given, wanted)


def test_only_kernels_side_by_side_are_turned_and_the_weights_stay():
    layers = {
        "patches": nn.Conv2d(3, 8, 4, stride=4),
        "overlapping": nn.Conv2d(3, 8, 4, stride=2),
        "padded": nn.Conv2d(3, 8, 4, stride=4, padding=1),
        "grouped": nn.Conv2d(4, 8, 4, stride=4, groups=2),
        "dilated": nn.Conv2d(3, 8, 4, stride=4, dilation=2),
        "pointwise": nn.Conv2d(3, 8, 1),
    }
    network = nn.ModuleDict(layers)
    before = {name: id(each) for name, each in network.named_parameters()}
    as_products(network)
    turned = [name for name, layer in network.items() if isinstance(layer, PatchEmbedding)]
    assert turned == ["patches"]
    assert {name: id(each) for name, each in network.named_parameters()} == before


def test_both_rewards_are_read_with_it_on_a_cpu(tmp_path):
    rewards = load_rewards(write_small(tmp_path), torch.device("cpu"), torch.float32)
    for name, (reward, _) in rewards.parts.items():
        turned = [module for module in reward.network.modules() if isinstance(module, PatchEmbedding)]
        assert len(turned) == 1, name
