"""Cross-attention maps: the right layers, the right numbers, and the U-Net's own processors back."""

from types import SimpleNamespace

import pytest
import torch
from diffusers.models.attention_processor import AttnProcessor
from diffusers.pipelines.deprecated.stable_diffusion_attend_and_excite.pipeline_stable_diffusion_attend_and_excite import (
    AttendExciteAttnProcessor,
    AttentionStore,
)

from maskunet.masks.masked_unet import MaskedUNet
from maskunet.methods.base.attention import CrossAttentionMaps, map_size


def blocks(*attend):
    return SimpleNamespace(up_blocks=[SimpleNamespace(has_cross_attention=each) for each in attend])


@pytest.mark.parametrize(
    ("attend", "latent", "size"),
    [
        ((False, True, True, True), (64, 64), (16, 16)),  # Stable Diffusion 1.x and 2.x at 512
        ((False, True, True, True), (96, 72), (24, 18)),  # at 768 x 576
        ((False, True, True), (16, 16), (8, 8)),  # tabletop
        ((False, True, True, True), (65, 61), (17, 16)),  # a convolution of stride 2 rounds up
        ((True, True), (8, 8), (4, 4)),
    ],
)
def test_the_maps_are_those_of_the_first_up_block_that_attends_to_the_text(attend, latent, size):
    assert map_size(blocks(*attend), latent) == size


def test_the_size_is_one_that_the_network_has(tiny_sd15):
    unet, size = tiny_sd15.unet, map_size(tiny_sd15.unet, tiny_sd15.latent_shape[1:])
    assert size == (8, 8)
    with torch.no_grad(), CrossAttentionMaps(unet, size) as maps:
        unet(tiny_sd15.noise(1).repeat(2, 1, 1, 1), 500, tiny_sd15.encode("a red cube").states)
    mean = maps.mean()
    assert mean.shape == (2, 8, 8, 16)
    assert mean.sum(-1) == pytest.approx(1, abs=1e-5)


def test_the_mean_is_that_of_the_published_store(tiny_sd15):
    unet, x_t, text = (
        tiny_sd15.unet,
        tiny_sd15.noise(1).requires_grad_(),
        tiny_sd15.encode("a red cube").states[1:],
    )
    with CrossAttentionMaps(unet, (8, 8)) as maps:
        unet(x_t, 500, text)
    own, store = dict(unet.attn_processors), AttentionStore((8, 8))
    places = {name: name.split("_", 1)[0] for name in own}
    unet.set_attn_processor({n: AttendExciteAttnProcessor(store, place) for n, place in places.items()})
    store.num_att_layers = len(own)
    unet(x_t, 500, text)
    unet.set_attn_processor(own)
    assert torch.allclose(maps.mean()[0], store.aggregate_attention(["up", "down", "mid"]), atol=1e-6)


def test_reading_changes_nothing_and_carries_a_gradient(tiny_sd15):
    unet, x_t, text = (
        tiny_sd15.unet,
        tiny_sd15.noise(1).requires_grad_(),
        tiny_sd15.encode("a red cube").states[1:],
    )
    before = unet(x_t, 500, text).sample
    with CrossAttentionMaps(unet, (8, 8)) as maps:
        assert torch.allclose(unet(x_t, 500, text).sample, before, atol=1e-5)
    (gradient,) = torch.autograd.grad(maps.mean()[..., 2].amax(), x_t)
    assert gradient.abs().sum() > 0


def test_the_own_processors_are_back_also_after_an_exception(tiny_sd15):
    own = dict(tiny_sd15.unet.attn_processors)
    with pytest.raises(RuntimeError, match="stop"), CrossAttentionMaps(tiny_sd15.unet, (8, 8)):
        assert not any(isinstance(each, AttnProcessor) for each in tiny_sd15.unet.attn_processors.values())
        raise RuntimeError("stop")
    after = tiny_sd15.unet.attn_processors
    assert after.keys() == own.keys()
    assert all(after[name] is own[name] for name in own)


def test_a_size_that_no_layer_has_is_said(tiny_sd15):
    with torch.no_grad(), CrossAttentionMaps(tiny_sd15.unet, (3, 3)) as maps:
        tiny_sd15.unet(tiny_sd15.noise(1), 500, tiny_sd15.encode("a red cube").states[1:])
    with pytest.raises(RuntimeError, match="No cross-attention of 3 x 3 queries"):
        maps.mean()


def test_maps_are_those_of_the_masked_layers(tiny_sd15):
    x_t, text = tiny_sd15.noise(1), tiny_sd15.encode("a red cube").states[1:]
    seen = []
    for keep in (1.0, 0.0):
        with torch.no_grad(), MaskedUNet(tiny_sd15.unet) as masked:
            masks = {s.name: torch.full(s.shape, keep) for s in masked.sites if s.role == "k"}
            with CrossAttentionMaps(tiny_sd15.unet, (8, 8)) as maps:
                masked.decode(masked.encode(x_t, 500, text), masks)
        seen.append(maps.mean())
    assert not torch.allclose(*seen)
