"""Masks go on and off without a trace, and the two halves are the whole."""

from dataclasses import replace

import pytest
import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import nn
from torch.func import functional_call

from maskunet.masks import mask
from maskunet.masks.masked_unet import MaskedLinear, MaskedUNet
from maskunet.masks.sites import find_sites
from tests.support.tiny import TEXT_WIDTH, random_generator, tiny_unet

LIKES = pytest.mark.parametrize("like", ["sd15", "sd2"])


def deep_unet(like="sd15"):
    """Three levels, so that the masked half enlarges its picture too, and two layers each, as SD."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        unet = UNet2DConditionModel(
            sample_size=8,
            block_out_channels=(8, 16, 16),
            layers_per_block=2,
            norm_num_groups=4,
            down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
            cross_attention_dim=TEXT_WIDTH[like],
            attention_head_dim=2 if like == "sd15" else [1, 2, 2],
            use_linear_projection=like == "sd2",
        )
    return unet.eval().requires_grad_(False)


def inputs(batch=2, size=(8, 8), like="sd15"):
    generator = torch.Generator().manual_seed(0)
    x_t = torch.randn(batch, 4, *size, generator=generator)
    return x_t, 400, torch.randn(batch, 16, TEXT_WIDTH[like], generator=generator)


def random_masks(sites, *batch, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return {s.name: mask.bernoulli((*batch, *s.shape), 0.3, generator) for s in sites}


def with_masked_weights(unet, given, masks):
    """The oracle: the plain U-Net called with other weights, by PyTorch's own means."""
    weights = {f"{name}.weight": unet.get_submodule(name).weight * m for name, m in masks.items()}
    return functional_call(unet, weights, given).sample


def far(one, other):
    """Whether the masks had an effect, far above rounding."""
    return float((one.float() - other.float()).abs().max()) > 1e-2


@LIKES
@pytest.mark.parametrize("size", [(8, 8), (6, 10), (7, 9)])
@pytest.mark.parametrize("make", [tiny_unet, deep_unet])
def test_decode_of_encode_is_the_plain_unet_to_the_last_bit(make, size, like):
    unet, given = make(like), inputs(size=size, like=like)
    with torch.no_grad():
        plain = unet(*given).sample
        with MaskedUNet(unet) as masked:
            features = masked.encode(*given)
            assert torch.equal(masked.decode(features), plain)
            assert torch.equal(masked.decode(features), plain)  # features may be used again
            assert torch.equal(unet(*given).sample, plain)  # without masks the whole is untouched too


@LIKES
def test_masks_of_ones_change_nothing(like):
    unet, given = deep_unet(like), inputs(like=like)
    with torch.no_grad():
        plain = unet(*given).sample
        with MaskedUNet(unet) as masked:
            features = masked.encode(*given)
            shared = masked.decode(features, {s.name: torch.ones(s.shape) for s in masked.sites})
            single = masked.decode(features, {s.name: torch.ones(2, *s.shape) for s in masked.sites})
    assert torch.equal(shared, plain)
    torch.testing.assert_close(single, plain, atol=1e-5, rtol=0)


@LIKES
@pytest.mark.parametrize("size", [(8, 8), (7, 9)])
def test_a_masked_unet_equals_one_with_masked_weights(size, like):
    unet, given = deep_unet(like), inputs(size=size, like=like)
    with torch.no_grad():
        plain = unet(*given).sample
        with MaskedUNet(unet) as masked:
            masks = random_masks(masked.sites)
            out = masked.decode(masked.encode(*given), masks)
        assert torch.equal(out, with_masked_weights(unet, given, masks))
    assert far(out, plain)


@LIKES
def test_folded_masks_are_the_same_to_the_last_bit_and_leave_the_weights(like):
    unet, given = deep_unet(like), inputs(like=like)
    before = {name: value.clone() for name, value in unet.state_dict().items()}
    with torch.no_grad(), MaskedUNet(unet) as masked:
        masks = random_masks(masked.sites)
        features = masked.encode(*given)
        out = masked.decode(features, masks)
        with pytest.raises(ValueError, match="is no site"):
            masked.fold({**masks, "x": torch.ones(1, 1)})
        masked.fold(masks)
        assert torch.equal(masked.decode(features), out)
    assert all(torch.equal(value, before[name]) for name, value in unet.state_dict().items())


def test_a_site_left_out_keeps_its_plain_weight_also_after_a_call_that_masked_it():
    unet, given = tiny_unet(), inputs()
    with torch.no_grad():
        with MaskedUNet(unet) as masked:
            masks = random_masks(masked.sites)
            few = dict(list(masks.items())[::2])
            features = masked.encode(*given)
            masked.decode(features, masks)
            out = masked.decode(features, few)
        assert torch.equal(out, with_masked_weights(unet, given, few))


def test_masks_on_chosen_sites_only():
    unet, given = deep_unet(), inputs()
    sites = [site for site in find_sites(unet) if site.block == 2 and site.attention == "cross"]
    with torch.no_grad():
        with MaskedUNet(unet, sites) as masked:
            masks = random_masks(masked.sites)
            assert set(masks) == {site.name for site in sites}
            out = masked.decode(masked.encode(*given), masks)
        assert torch.equal(out, with_masked_weights(unet, given, masks))


@LIKES
def test_a_batch_with_a_mask_per_sample_equals_its_samples_one_by_one(like):
    unet, (x_t, t, text) = deep_unet(like), inputs(like=like)
    with torch.no_grad(), MaskedUNet(unet) as masked:
        masks = random_masks(masked.sites, 2)
        both = masked.decode(masked.encode(x_t, t, text), masks)
        for i in range(2):
            one = masked.encode(x_t[i : i + 1], t, text[i : i + 1])
            alone = masked.decode(one, {name: m[i] for name, m in masks.items()})
            other = masked.decode(one, {name: m[1 - i] for name, m in masks.items()})
            torch.testing.assert_close(both[i : i + 1], alone, atol=1e-5, rtol=0)
            assert far(other, alone)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(2, 5, 6), (2, 3, 5, 6)])
def test_a_masked_layer_takes_tokens_in_any_number_of_dimensions(shape, bias):
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng():
        layer = nn.Linear(6, 4, bias=bias)
    masked, x = MaskedLinear(layer), torch.randn(shape, generator=generator)
    masks = mask.bernoulli((2, 4, 6), 0.5, generator)
    assert masked.weight is layer.weight
    for masked.mask in (None, masks[0], masks):
        weight = layer.weight if masked.mask is None else layer.weight * masked.mask
        weights = weight if weight.ndim == 3 else (weight, weight)
        by_hand = torch.stack([nn.functional.linear(one, w, layer.bias) for one, w in zip(x, weights)])
        torch.testing.assert_close(masked(x), by_hand)


@pytest.mark.parametrize("failing", [False, True])
def test_after_leaving_nothing_has_changed_also_after_an_exception(failing):
    unet, given = tiny_unet(), inputs()
    before, keys = dict(unet.named_modules()), list(unet.state_dict())
    values = {name: (value, value.clone()) for name, value in unet.state_dict(keep_vars=True).items()}
    plain = unet(*given).sample
    hook = unet.conv_out.register_forward_pre_hook(lambda *_: 1 / 0) if failing else None

    def use():
        with MaskedUNet(unet) as masked:
            assert list(unet.state_dict()) == keys
            assert not any(module.training for module in unet.modules())
            for site in masked.sites:
                assert isinstance(unet.get_submodule(site.name), MaskedLinear)
            masked.decode(masked.encode(*given), random_masks(masked.sites))

    if failing:
        with pytest.raises(ZeroDivisionError):
            use()
        hook.remove()
    else:
        use()
    assert list(unet.named_modules()) == list(before.items())
    after = unet.state_dict(keep_vars=True)
    assert list(after) == keys
    assert all(after[name] is same and torch.equal(after[name], value) for name, (same, value) in values.items())
    assert not any(value.requires_grad for value in after.values())
    assert torch.equal(unet(*given).sample, plain)


def test_it_can_be_entered_again_and_begins_without_masks():
    unet, given = tiny_unet(), inputs()
    masked = MaskedUNet(unet)
    with torch.no_grad():
        plain = unet(*given).sample
        with masked:
            features = masked.encode(*given)
            first = masked.decode(features, masks := random_masks(masked.sites))
        with masked:
            assert torch.equal(unet(*given).sample, plain)
            assert torch.equal(masked.decode(features, masks), first)


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("batch", [(), (2,)])
def test_the_gradient_of_a_mask_is_that_of_the_masked_weights(checkpointing, batch):
    unet, given = deep_unet(), inputs()
    with MaskedUNet(unet, checkpointing=checkpointing) as masked:
        masks = {n: m.requires_grad_() for n, m in random_masks(masked.sites, *batch).items()}
        masked.decode(masked.encode(*given), masks).square().sum().backward()
    got = {name: m.grad for name, m in masks.items()}

    if not batch:
        oracle = {name: m.detach().clone().requires_grad_() for name, m in masks.items()}
        with_masked_weights(unet, given, oracle).square().sum().backward()
        expected = {name: m.grad for name, m in oracle.items()}
    else:
        each = []
        for i in range(2):
            oracle = {name: m[i].detach().clone().requires_grad_() for name, m in masks.items()}
            one = (given[0][i : i + 1], given[1], given[2][i : i + 1])
            with_masked_weights(unet, one, oracle).square().sum().backward()
            each.append(oracle)
        expected = {name: torch.stack([oracle[name].grad for oracle in each]) for name in masks}
    for name, gradient in got.items():
        assert float(expected[name].abs().max()) > 0
        torch.testing.assert_close(gradient, expected[name], atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize("batch", [(), (2,)])
def test_recomputation_in_the_backward_pass_sees_the_masks_of_its_own_call(batch):
    unet, given = deep_unet(), inputs()

    def gradient(checkpointing):
        with MaskedUNet(unet, checkpointing=checkpointing) as masked:
            calls = [
                {n: m.clone().requires_grad_() for n, m in random_masks(masked.sites, *batch, seed=s).items()}
                for s in (1, 2)
            ]
            features = masked.encode(*given)
            loss = sum(masked.decode(features, each).square().sum() for each in calls)
            masked.decode(features)  # and a last one without masks
            loss.backward()
        return [value.grad for each in calls for value in each.values()]

    for plain, recomputed in zip(gradient(False), gradient(True), strict=True):
        assert float(plain.abs().max()) > 0
        assert torch.equal(plain, recomputed)


def test_masks_may_be_made_block_by_block_from_what_enters_the_block():
    unet, given = deep_unet(), inputs()
    seen, entered = {}, {}
    hooks = [
        block.register_forward_pre_hook(
            lambda _, args, kwargs, index=index: entered.update({index: kwargs}), with_kwargs=True
        )
        for index, block in enumerate(unet.up_blocks)
    ]
    with torch.no_grad(), MaskedUNet(unet) as masked:
        masks = random_masks(masked.sites, 2)

        def make(block, features):
            assert block not in seen
            seen[block] = features
            return {s.name: masks[s.name] for s in masked.sites if s.block == block}

        features = masked.encode(*given)
        out = masked.decode(features, make)
        inside = dict(entered)
        assert torch.equal(out, masked.decode(features, masks))
    for hook in hooks:
        hook.remove()
    assert list(seen) == [1, 2]
    for block, features in seen.items():
        skips = inside[block]["res_hidden_states_tuple"]
        assert features.sample is inside[block]["hidden_states"]
        assert features.time is inside[block]["temb"]
        assert all(a is b for a, b in zip(features.skips[-len(skips) :], skips, strict=True))


def test_masks_made_for_another_block_or_of_a_wrong_shape_are_refused():
    unet = deep_unet()
    with torch.no_grad(), MaskedUNet(unet) as masked:
        features, masks = masked.encode(*inputs()), random_masks(masked.sites)
        with pytest.raises(ValueError, match=r"up_blocks\.2.* or one of another up block.*find_sites"):
            masked.decode(features, lambda block, _: masks)
        with pytest.raises(ValueError, match="has shape"):
            masked.decode(features, lambda block, _: {n: m[:1] for n, m in masks.items() if f".{block}." in n})
    with pytest.raises(RuntimeError, match="with MaskedUNet"):
        masked.decode(features, lambda block, _: {})


@pytest.mark.parametrize("variant", ["light", "live"])
def test_a_generator_gets_the_same_gradient_through_two_checkpointed_calls(variant):
    unet, (x_t, _, text) = deep_unet(), inputs()

    def gradients(checkpointing):
        generator = random_generator(unet, variant=variant).train()
        loss = torch.zeros(())
        with MaskedUNet(unet, checkpointing=checkpointing) as masked:
            for call, t in enumerate((100, 900)):
                noise = torch.Generator().manual_seed(call)
                make = lambda block, features, noise=noise: generator(block, features, noise)  # noqa: E731
                loss = loss + masked.decode(masked.encode(x_t, t, text), make).square().sum()
            masked.decode(masked.encode(x_t, 500, text))  # and a last one without masks
            loss.backward()
        return {name: p.grad for name, p in generator.named_parameters()}

    plain, recomputed = gradients(False), gradients(True)
    for name, gradient in plain.items():
        assert float(gradient.abs().max()) > 0
        torch.testing.assert_close(recomputed[name], gradient, atol=0, rtol=0)


def test_checkpointing_keeps_fewer_activations():
    unet, given = deep_unet(), inputs()

    def kept(checkpointing):
        sizes = []
        with MaskedUNet(unet, checkpointing=checkpointing) as masked:
            masks = {n: m.requires_grad_() for n, m in random_masks(masked.sites).items()}
            features = masked.encode(*given)
            count = lambda x: sizes.append(x.numel()) or x  # noqa: E731
            with torch.autograd.graph.saved_tensors_hooks(count, lambda x: x):
                masked.decode(features, masks)
        return sum(sizes)

    assert kept(True) < kept(False) / 3


def test_wrong_masks_are_refused_before_anything_is_set():
    unet = tiny_unet()
    with MaskedUNet(unet) as masked:
        features, good = masked.encode(*inputs()), random_masks(masked.sites)
        masked.decode(features, good)
        layers = {site.name: unet.get_submodule(site.name) for site in masked.sites}
        before = {name: layer.mask for name, layer in layers.items()}
        last, other = masked.sites[-1], random_masks(masked.sites, seed=9)
        for shape in [(2, 3), (3, *last.shape), (1, *last.shape), (1, 2, *last.shape), last.shape[:1]]:
            with pytest.raises(ValueError, match=f"{last.name}.*find_sites"):
                masked.decode(features, {**other, last.name: torch.ones(shape)})
        with pytest.raises(ValueError, match="`conv_in` is no site.*find_sites"):
            masked.decode(features, {**other, "conv_in": torch.ones(1)})
        assert all(layer.mask is before[name] for name, layer in layers.items())


def test_a_site_that_the_unet_lacks_is_refused_before_anything_is_changed():
    unet = tiny_unet()
    sites = find_sites(unet)
    before = dict(unet.named_modules())
    lacking = replace(sites[-1], name="up_blocks.1.attentions.7.to_q")
    with pytest.raises(AttributeError, match="7"), MaskedUNet(unet, [*sites, lacking]):
        pass
    assert dict(unet.named_modules()) == before


def test_a_second_context_on_one_unet_is_refused_and_the_first_goes_on():
    unet, given = tiny_unet(), inputs()
    before = dict(unet.named_modules())
    with torch.no_grad(), MaskedUNet(unet) as outer:
        features, masks = outer.encode(*given), random_masks(outer.sites)
        first = outer.decode(features, masks)
        with pytest.raises(RuntimeError, match="already"), MaskedUNet(unet):
            pass
        assert torch.equal(outer.decode(features, masks), first)
        with pytest.raises(RuntimeError, match="already"), outer:
            pass
        assert torch.equal(outer.decode(features, masks), first)
    assert dict(unet.named_modules()) == before


def test_decode_outside_the_context_is_refused_before_and_after():
    masked = MaskedUNet(tiny_unet())
    features = masked.encode(*inputs())
    with pytest.raises(RuntimeError, match="with MaskedUNet"):
        masked.decode(features)
    with masked:
        masked.decode(features, random_masks(masked.sites))
    with pytest.raises(RuntimeError, match="with MaskedUNet"):
        masked.decode(features)


@LIKES
def test_masks_survive_another_attention_processor(like):
    unet, given = tiny_unet(like), inputs(like=like)
    with torch.no_grad(), MaskedUNet(unet) as masked:
        features, masks = masked.encode(*given), random_masks(masked.sites)
        before = masked.decode(features, masks)
        unet.set_attn_processor(AttnProcessor())
        after = masked.decode(features, masks)
        assert far(masked.decode(features), after)
    torch.testing.assert_close(before, after, atol=1e-5, rtol=0)


@pytest.mark.parametrize("batch", [(), (2,)])
def test_a_half_precision_unet_takes_float_masks(batch):
    unet, (x_t, t, text) = tiny_unet().bfloat16(), inputs()
    given = (x_t.bfloat16(), t, text.bfloat16())
    with torch.no_grad():
        plain = unet(*given).sample
        with MaskedUNet(unet) as masked:
            masks = {n: m.requires_grad_() for n, m in random_masks(masked.sites, *batch).items()}
            features = masked.encode(*given)
            out = masked.decode(features, masks)
    assert out.dtype == torch.bfloat16
    assert far(out, plain)
    if not batch:
        half = {name: m.detach().bfloat16() for name, m in masks.items()}
        assert torch.equal(out, with_masked_weights(unet, given, half))


def test_the_gradient_through_a_half_precision_unet_comes_back_in_float():
    unet, (x_t, t, text) = tiny_unet().bfloat16(), inputs()
    with MaskedUNet(unet, checkpointing=True) as masked:
        masks = {n: m.requires_grad_() for n, m in random_masks(masked.sites).items()}
        masked.decode(masked.encode(x_t.bfloat16(), t, text.bfloat16()), masks).float().square().sum().backward()
    for m in masks.values():
        assert m.grad.dtype == torch.float32
        assert float(m.grad.abs().max()) > 0


def test_masks_lie_under_adapters_and_leave_them_as_they_are():
    peft = pytest.importorskip("peft")
    unet, given = tiny_unet(), inputs()
    targets = ["to_q", "to_k", "to_v", "to_out.0"]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        unet.add_adapter(peft.LoraConfig(r=2, target_modules=targets, init_lora_weights=False))
    unet.requires_grad_(False)
    before = dict(unet.named_modules())
    with torch.no_grad():
        with MaskedUNet(unet) as masked:
            masks = random_masks(masked.sites)
            out = masked.decode(masked.encode(*given), masks)
        assert torch.equal(out, with_masked_weights(unet, given, masks))
    assert dict(unet.named_modules()) == before


@pytest.mark.parametrize(
    "field",
    [
        "class_embed_type",
        "addition_embed_type",
        "encoder_hid_dim_type",
        "encoder_hid_dim",
        "num_class_embeds",
    ],
)
def test_a_unet_with_unknown_conditions_is_refused(field):
    unet = tiny_unet()
    unet.register_to_config(**{field: "image" if field == "addition_embed_type" else "text_time"})
    with pytest.raises(ValueError, match=field):
        MaskedUNet(unet)
