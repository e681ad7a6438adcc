"""Masks go on and off without a trace, and the two halves are the whole."""

import pytest
import torch
from diffusers.models.attention_processor import AttnProcessor
from torch.func import functional_call

from maskunet import mask
from maskunet.masked_unet import MaskedLinear, MaskedUNet
from tests.tiny import TEXT_WIDTH, tiny_unet


def inputs(batch=2, size=(8, 8), like="sd15"):
    generator = torch.Generator().manual_seed(0)
    x_t = torch.randn(batch, 4, *size, generator=generator)
    return x_t, 400, torch.randn(batch, 16, TEXT_WIDTH[like], generator=generator)


def random_masks(sites, *batch, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return {s.name: mask.bernoulli((*batch, *s.shape), 0.3, generator) for s in sites}


@pytest.mark.parametrize("like", ["sd15", "sd2"])
@pytest.mark.parametrize("size", [(8, 8), (6, 10), (7, 9)])
def test_decode_of_encode_is_the_plain_unet_to_the_last_bit(like, size):
    unet, given = tiny_unet(like), inputs(size=size, like=like)
    with torch.no_grad(), MaskedUNet(unet) as masked:
        halves = masked.decode(masked.encode(*given))
    with torch.no_grad():
        assert torch.equal(halves, unet(*given).sample)


def test_masks_of_ones_change_nothing():
    unet, given = tiny_unet(), inputs()
    with torch.no_grad(), MaskedUNet(unet) as masked:
        features = masked.encode(*given)
        shared = masked.decode(features, {s.name: torch.ones(s.shape) for s in masked.sites})
        single = masked.decode(features, {s.name: torch.ones(2, *s.shape) for s in masked.sites})
        plain = masked.decode(features)
    assert torch.equal(shared, plain)
    torch.testing.assert_close(single, plain, atol=1e-5, rtol=0)


def test_after_leaving_the_same_layer_objects_are_back_also_after_an_exception():
    unet = tiny_unet()
    before, keys = dict(unet.named_modules()), list(unet.state_dict())
    with pytest.raises(RuntimeError, match="in between"), MaskedUNet(unet):
        assert list(unet.state_dict()) == keys
        assert any(isinstance(m, MaskedLinear) for m in unet.modules())
        raise RuntimeError("in between")
    assert all(module is before[name] for name, module in unet.named_modules())


def test_a_masked_unet_equals_one_with_masked_weights():
    unet, given = tiny_unet(), inputs()
    with torch.no_grad(), MaskedUNet(unet) as masked:
        masks = random_masks(masked.sites)
        out = masked.decode(masked.encode(*given), masks)
    weights = {f"{name}.weight": unet.get_submodule(name).weight * m for name, m in masks.items()}
    with torch.no_grad():
        assert torch.equal(out, functional_call(unet, weights, given).sample)


def test_a_batch_with_a_mask_per_sample_equals_its_samples_one_by_one():
    unet, (x_t, t, text) = tiny_unet(), inputs()
    with torch.no_grad(), MaskedUNet(unet) as masked:
        masks = random_masks(masked.sites, 2)
        both = masked.decode(masked.encode(x_t, t, text), masks)
        for i in range(2):
            one = masked.encode(x_t[i : i + 1], t, text[i : i + 1])
            alone = masked.decode(one, {name: m[i] for name, m in masks.items()})
            torch.testing.assert_close(both[i : i + 1], alone, atol=2e-5, rtol=0)


def test_recomputation_in_the_backward_pass_sees_the_masks_of_its_own_call():
    unet, given = tiny_unet(), inputs()

    def gradient(checkpointing):
        with MaskedUNet(unet, checkpointing=checkpointing) as masked:
            logits = [
                {n: m.clone().requires_grad_() for n, m in random_masks(masked.sites, seed=s).items()}
                for s in (1, 2)
            ]
            features = masked.encode(*given)
            loss = sum(masked.decode(features, each).square().sum() for each in logits)
            loss.backward()
        return [value.grad for each in logits for value in each.values()]

    for plain, recomputed in zip(gradient(False), gradient(True), strict=True):
        assert float(plain.abs().max()) > 0
        assert torch.equal(plain, recomputed)


def test_wrong_masks_are_refused_before_anything_is_set():
    unet = tiny_unet()
    with MaskedUNet(unet) as masked:
        features = masked.encode(*inputs())
        good = random_masks(masked.sites)
        name = masked.sites[0].name
        with pytest.raises(ValueError, match="find_sites"):
            masked.decode(features, {**good, name: torch.ones(2, 3)})
        with pytest.raises(ValueError, match="is no site"):
            masked.decode(features, {**good, "conv_in": torch.ones(1)})
        assert all(m.mask is None for m in unet.modules() if isinstance(m, MaskedLinear))


def test_two_contexts_on_one_unet_are_refused():
    unet = tiny_unet()
    with MaskedUNet(unet), pytest.raises(RuntimeError, match="already"), MaskedUNet(unet):
        pass
    assert not any(isinstance(m, MaskedLinear) for m in unet.modules())


def test_decode_outside_the_context_is_refused():
    masked = MaskedUNet(tiny_unet())
    features = masked.encode(*inputs())
    with pytest.raises(RuntimeError, match="with MaskedUNet"):
        masked.decode(features)


def test_masks_survive_another_attention_processor():
    unet, given = tiny_unet(), inputs()
    with torch.no_grad(), MaskedUNet(unet) as masked:
        masks = random_masks(masked.sites)
        before = masked.decode(masked.encode(*given), masks)
        unet.set_attn_processor(AttnProcessor())
        after = masked.decode(masked.encode(*given), masks)
    torch.testing.assert_close(before, after, atol=1e-5, rtol=0)


def test_a_half_precision_unet_takes_float_masks():
    unet, (x_t, t, text) = tiny_unet().bfloat16(), inputs()
    with torch.no_grad(), MaskedUNet(unet) as masked:
        out = masked.decode(masked.encode(x_t.bfloat16(), t, text.bfloat16()), random_masks(masked.sites))
    assert out.dtype == torch.bfloat16


def test_a_unet_with_unknown_conditions_is_refused():
    unet = tiny_unet()
    unet.register_to_config(addition_embed_type="text_time")
    with pytest.raises(ValueError, match="addition_embed_type"):
        MaskedUNet(unet)
