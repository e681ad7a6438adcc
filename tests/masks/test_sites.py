"""Which weights may be masked, counted on the real sizes without their memory."""

from collections import Counter

import pytest
import torch
from diffusers import UNet2DConditionModel
from torch import nn

from maskunet.masks.sites import find_sites
from tests.support.tiny import TEXT_WIDTH, tiny_unet


def full_size(**config):
    """The published U-Net's sizes, written out so that no library default decides them."""
    with torch.device("meta"):
        return UNet2DConditionModel(
            sample_size=64,
            block_out_channels=(320, 640, 1280, 1280),
            layers_per_block=2,
            down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
            up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
            **config,
        )


def test_sd15_has_72_sites_and_49029120_weights():
    sites = find_sites(full_size(cross_attention_dim=768, attention_head_dim=8))
    assert len(sites) == 72
    assert sum(site.weights for site in sites) == 49_029_120
    assert Counter(site.block for site in sites) == {1: 24, 2: 24, 3: 24}
    assert Counter((site.attention, site.role) for site in sites) == {
        (kind, role): 9 for kind in ("self", "cross") for role in ("q", "k", "v", "out")
    }


def test_sd2_has_72_sites_and_52469760_weights():
    unet = full_size(cross_attention_dim=1024, attention_head_dim=[5, 10, 20, 20], use_linear_projection=True)
    sites = find_sites(unet)
    assert (len(sites), sum(site.weights for site in sites)) == (72, 52_469_760)
    assert Counter(site.block for site in sites) == {1: 24, 2: 24, 3: 24}


@pytest.mark.parametrize("like", ["sd15", "sd2"])
def test_a_site_says_where_its_linear_layer_is_and_what_it_does(like):
    unet = tiny_unet(like)
    sites = find_sites(unet)
    order = [name for name, _ in unet.named_modules()]
    assert sites == sorted(sites, key=lambda site: order.index(site.name))
    for site in sites:
        layer = unet.get_submodule(site.name)
        assert type(layer) is nn.Linear
        assert site.shape == tuple(layer.weight.shape)
        assert site.name.startswith(f"up_blocks.{site.block}.")
        assert {"self": ".attn1.", "cross": ".attn2."}[site.attention] in site.name
        assert site.name.endswith({"q": "to_q", "k": "to_k", "v": "to_v", "out": "to_out.0"}[site.role])
        if site.attention == "cross" and site.role in "kv":
            assert site.shape[1] == TEXT_WIDTH[like]


def test_a_wrapped_layer_is_found_at_its_base_and_adapters_are_no_sites():
    unet = tiny_unet()
    plain = {site.name: site.shape for site in find_sites(unet)}
    for name in plain:
        layer = unet.get_submodule(name)
        wrapper = nn.Linear(layer.in_features, layer.out_features)
        wrapper.base_layer = layer
        wrapper.lora_A = nn.ModuleDict({"default": nn.Linear(layer.in_features, 2, bias=False)})
        wrapper.lora_B = nn.ModuleDict({"default": nn.Linear(2, layer.out_features, bias=False)})
        unet.set_submodule(name, wrapper)
    wrapped = {site.name: site.shape for site in find_sites(unet)}
    assert wrapped == {f"{name}.base_layer": shape for name, shape in plain.items()}


def test_adapters_of_peft_are_no_sites():
    peft = pytest.importorskip("peft")
    unet = tiny_unet()
    plain = find_sites(unet)
    unet.add_adapter(peft.LoraConfig(r=2, target_modules=["to_q", "to_k", "to_v", "to_out.0"]))
    assert any("lora_A" in name for name, _ in unet.named_modules())
    found = find_sites(unet)
    assert [s.name for s in found] == [f"{s.name}.base_layer" for s in plain]
    assert [s.shape for s in found] == [s.shape for s in plain]


def test_a_unet_without_attention_in_its_up_blocks_is_refused():
    unet = UNet2DConditionModel(
        block_out_channels=(8, 16),
        norm_num_groups=4,
        layers_per_block=1,
        cross_attention_dim=8,
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
    )
    with pytest.raises(ValueError, match="CrossAttnUpBlock2D"):
        find_sites(unet)
