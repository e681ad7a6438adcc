"""Mask generators: what they compute, what can learn in them, what they depend on, and their files."""

import gc
import json
import math
import weakref

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from maskunet.masks import generator_file
from maskunet.masks.generator import VARIANTS, GeneratorSettings, MaskGenerator
from maskunet.masks.mask import keep_probability, noise_like
from maskunet.masks.masked_unet import MaskedUNet
from maskunet.masks.sites import find_sites
from tests.masks.test_masked_unet import deep_unet, inputs
from tests.masks.test_sites import full_size
from tests.support.tiny import random_generator, tiny_unet

EACH = pytest.mark.parametrize("variant", VARIANTS)
ABOUT = {"model": "tiny", "weights": {"unet/a.safetensors": "1" * 64, "vae/a.safetensors": "2" * 64}}


def stream(seed=0):
    return torch.Generator().manual_seed(seed)


def entering(unet, x_t, t, text):
    """The features that enter each up block with sites, by its index; no weight is masked."""
    found = {}
    with MaskedUNet(unet) as masked:
        masked.decode(masked.encode(x_t, t, text), lambda block, features: found.update({block: features}) or {})
    return found


def all_masks(generator, features, given=None):
    return {name: m for block, each in features.items() for name, m in generator(block, each, given).items()}


def all_logits(generator, features):
    return {name: v for block, each in features.items() for name, v in generator.logits(block, each).items()}


def distance(one, other):
    """The share of all weights in which two sets of masks differ."""
    differing = sum(int((one[name] != other[name]).sum()) for name in one)
    return differing / sum(value.numel() for value in one.values())


def trained(variant, steps=5, **settings):
    """A generator after a few steps of AdamW on noise prediction, and the gradients of one more step."""
    unet, (x_t, _, text) = tiny_unet(), inputs()
    generator = MaskGenerator(unet, GeneratorSettings(variant=variant, **settings)).train()
    optimizer = torch.optim.AdamW(generator.parameters(), lr=0.03)
    target, t = torch.randn(x_t.shape, generator=stream(1)), torch.tensor([100, 900])
    with MaskedUNet(unet) as masked:
        for step in range(steps + 1):
            noise = [stream(10 * step), stream(10 * step + 1)]
            eps = masked.decode(masked.encode(x_t, t, text), lambda b, f: generator(b, f, noise))  # noqa: B023
            optimizer.zero_grad()
            F.mse_loss(eps, target).backward()
            if step < steps:
                optimizer.step()
    return unet, generator.eval(), {name: p.grad for name, p in generator.named_parameters()}


def test_static_masks_are_those_of_their_logits_and_making_them_changes_none():
    unet = deep_unet()
    generator, features = random_generator(unet, variant="static"), entering(unet, *inputs())
    before = [p.detach().clone() for p in generator.parameters()]
    logits, first = all_logits(generator, features), all_masks(generator, features)
    for name, mask in first.items():
        assert torch.equal(mask.bool(), logits[name] > generator.cut)
        assert torch.equal(mask[0], mask[1])
    again = all_masks(generator, features)
    assert all(torch.equal(again[name], mask) for name, mask in first.items())
    assert all(torch.equal(a, b) for a, b in zip(before, generator.parameters(), strict=True))


# Sizes and values


def test_on_sd15_official_has_the_published_number_of_parameters_and_light_under_one_percent():
    unet = full_size(cross_attention_dim=768, attention_head_dim=8)
    whole = sum(p.numel() for p in unet.parameters())
    counts = {}
    for variant in VARIANTS:
        generator = MaskGenerator(unet, GeneratorSettings(variant=variant))
        assert all(p.device.type == "meta" for p in generator.parameters())
        counts[variant] = sum(p.numel() for p in generator.parameters())
    assert whole == 859_520_964
    assert counts["official"] == 84_551_040
    assert counts["official"] - counts["live"] == 16_752_704  # up block 0 has no site
    assert counts["light"] == 2_408_128
    assert counts["light"] < whole / 100
    assert counts["static"] == 49_029_120  # as many as weights that can go


@EACH
@pytest.mark.parametrize("make", [tiny_unet, deep_unet])
def test_there_is_one_mask_per_sample_for_every_site_of_a_block(variant, make):
    unet = make()
    generator, features = random_generator(unet, variant=variant), entering(unet, *inputs())
    for block, each in features.items():
        shapes = {s.name: (2, *s.shape) for s in find_sites(unet) if s.block == block}
        for made in (generator(block, each), generator(block, each, stream()), generator.logits(block, each)):
            assert {name: tuple(value.shape) for name, value in made.items()} == shapes
            assert {value.dtype for value in made.values()} == {torch.float32}
        assert all(set(m.unique().tolist()) <= {0.0, 1.0} for m in generator(block, each, stream()).values())


@EACH
def test_before_training_every_weight_is_kept_and_the_unet_is_the_plain_one(variant):
    unet, given = deep_unet(), inputs()
    generator = MaskGenerator(unet, GeneratorSettings(variant=variant)).eval()
    features = entering(unet, *given)
    start = 2.0 if variant in ("light", "static") else 5.0
    assert all(bool((m == 1).all()) for m in all_masks(generator, features).values())
    assert all(bool((v == start).all()) for v in all_logits(generator, features).values())
    with torch.no_grad(), MaskedUNet(unet) as masked:
        out = masked.decode(masked.encode(*given), generator)
    torch.testing.assert_close(out, unet(*given).sample, atol=1e-5, rtol=0)


@pytest.mark.parametrize("variant", ["official", "live"])
def test_the_published_logits_by_hand(variant):
    unet = tiny_unet()
    generator, (block, features), *_ = (random_generator(unet, variant=variant), *entering(unet, *inputs()).items())
    part = generator.blocks[str(block)]
    z = torch.cat((features.sample, features.skips[-1]), 1).mean((2, 3)) + features.time @ part.time.weight.T
    hidden = (z @ part.hidden.weight.T + part.hidden.bias).clamp(min=0)
    grid = hidden @ part.last.weight.T + part.last.bias
    if variant == "official":
        grid = grid.clamp(min=0)
    layer = unet.up_blocks[block].resnets[0].conv1
    grid = grid.reshape(2, layer.out_channels // 4, layer.in_channels // 4)
    for index, (name, logits) in enumerate(generator.logits(block, features).items()):
        rows, columns = part.rows[index], part.columns[index]
        by_row = torch.einsum("or,brc->boc", rows.weight, grid) + rows.bias[:, None]
        by_hand = torch.einsum("boc,ic->boi", by_row, columns.weight) + columns.bias
        assert part.names[index] == name
        torch.testing.assert_close(logits, by_hand, atol=1e-4, rtol=1e-4)


def test_the_light_logits_by_hand():
    unet = tiny_unet()
    generator = random_generator(unet, rank=3, width=5, start=1.5)
    for block, features in entering(unet, *inputs()).items():
        part = generator.blocks[str(block)]
        pooled = torch.cat((features.sample, features.skips[-1]), 1).mean((2, 3))
        scaled = [
            (value - value.mean(1, keepdim=True)) / (value.var(1, correction=0, keepdim=True) + 1e-5).sqrt()
            for value in (features.time, pooled)
        ]
        context = F.silu(part.mix(F.silu(part.time(scaled[0]) + part.sample(scaled[1]))))
        logits = generator.logits(block, features)
        for group, names in enumerate(part.names):
            gates = part.gates[group](context).reshape(2, len(names), 3)
            for place, name in enumerate(names):
                u, v = part.rows[group][place], part.columns[group][place]
                by_hand = 1.5 + torch.einsum("or,br,ir->boi", u, gates[:, place], v)
                torch.testing.assert_close(logits[name], by_hand, atol=1e-4, rtol=1e-4)


# What can learn


@pytest.mark.parametrize("variant", ["live", "light"])
def test_after_a_few_steps_a_gradient_reaches_every_parameter_and_masks_depend_on_both(variant):
    unet, generator, gradients = trained(variant, steps=3)
    assert all(float(g.abs().max()) > 0 for g in gradients.values()), gradients
    _, generator, _ = trained(variant, steps=60)
    x_t, _, text = inputs()
    early, late = (all_masks(generator, entering(unet, x_t, t, text)) for t in (100, 900))
    assert distance(early, late) > 0
    assert distance({n: m[0] for n, m in early.items()}, {n: m[1] for n, m in early.items()}) > 0


def test_in_light_a_gradient_reaches_every_parameter_after_the_first_update():
    *_, gradients = trained("light", steps=1)
    assert all(float(g.abs().max()) > 0 for g in gradients.values())


def test_the_published_generator_never_learns_and_its_masks_are_static():
    unet, generator, gradients = trained("official", steps=60)
    with_sites = {name: g for name, g in gradients.items() if not name.startswith("blocks.0.")}
    dead = [name for name in with_sites if not any(part in name for part in (".rows.", ".columns."))]
    dead += [name for name in with_sites if ".rows." in name and name.endswith("weight")]
    assert len(dead) == 5 + 16  # time, hidden and last; and what stretches the rows of 16 sites
    assert all(bool((with_sites[name] == 0).all()) for name in dead)
    assert all(float(g.abs().max()) > 0 for name, g in with_sites.items() if name not in dead)
    assert all(g is None for name, g in gradients.items() if name.startswith("blocks.0."))
    x_t, _, text = inputs()
    early, late = (entering(unet, x_t, t, text) for t in (100, 900))
    for make in (all_logits, all_masks):
        one, other = make(generator, early), make(generator, late)
        assert distance(one, other) == 0
        assert distance({n: m[0] for n, m in one.items()}, {n: m[1] for n, m in one.items()}) == 0
    assert min(float(v.detach().min()) for v in all_logits(generator, early).values()) < 5  # it did learn something


# What it depends on


@pytest.mark.parametrize("variant", ["live", "light"])
@pytest.mark.parametrize(("use_temb", "use_sample"), [(True, True), (True, False), (False, True)])
def test_masks_depend_on_the_timestep_and_the_sample_as_they_are_allowed_to(variant, use_temb, use_sample):
    unet, (x_t, t, text) = tiny_unet(), inputs()
    generator = random_generator(unet, variant=variant, use_temb=use_temb, use_sample=use_sample)
    features = entering(unet, x_t, t, text)
    other_time = {i: f._replace(time=f.time.flip(1)) for i, f in features.items()}
    other_sample = {i: f._replace(sample=f.sample.flip(1)) for i, f in features.items()}
    other_skip = {i: f._replace(skips=(*f.skips[:-1], f.skips[-1].flip(1))) for i, f in features.items()}
    logits = all_logits(generator, features)

    def moves(changed):
        return distance(logits, all_logits(generator, changed)) > 0

    assert (moves(other_time), moves(other_sample), moves(other_skip)) == (use_temb, use_sample, use_sample)


def test_with_neither_light_learns_one_static_mask_and_the_others_do_not_exist():
    unet, generator, gradients = trained("light", steps=5, use_temb=False, use_sample=False)
    assert all(float(g.abs().max()) > 0 for g in gradients.values())
    assert {name.split(".")[2] for name in gradients} == {"rows", "columns"}
    x_t, _, text = inputs()
    one, other = (all_logits(generator, entering(unet, x_t, t, text)) for t in (100, 900))
    assert distance(one, other) == 0
    for variant in ("live", "official"):
        with pytest.raises(ValueError, match=f"{variant} needs use_temb or use_sample"):
            GeneratorSettings(variant=variant, use_temb=False, use_sample=False)


# Drawn and deterministic masks


@pytest.mark.parametrize("noise", ["one_sided", "logistic", "none"])
def test_without_noise_a_weight_is_kept_where_the_keep_probability_exceeds_one_half(noise):
    unet = tiny_unet()
    generator, features = random_generator(unet, noise=noise), entering(unet, *inputs())
    logits, masks = all_logits(generator, features), all_masks(generator, features)
    likely = {name: (keep_probability(v, noise) > 0.5).float() for name, v in logits.items()}
    assert distance(masks, likely) == 0
    assert 0.05 < sum(float(m.mean()) for m in masks.values()) / len(masks) < 0.95


def test_drawn_masks_are_kept_as_often_as_the_closed_form_says():
    unet = tiny_unet()
    generator = MaskGenerator(unet, GeneratorSettings(start=0.5)).eval()
    masks = torch.cat([m.flatten() for m in all_masks(generator, entering(unet, *inputs()), stream()).values()])
    expected = 1 - math.exp(-math.exp(0.5))
    assert abs(float(masks.detach().mean()) - expected) < 4 * math.sqrt(expected * (1 - expected) / len(masks))


def test_training_draws_evaluation_does_not_and_a_generator_makes_both_draw():
    unet = tiny_unet()
    generator, features = random_generator(unet), entering(unet, *inputs())
    fixed, drawn = all_masks(generator, features), all_masks(generator, features, stream(1))
    assert distance(fixed, all_masks(generator, features)) == 0
    assert distance(fixed, drawn) > 0
    assert distance(drawn, all_masks(generator, features, stream(2))) > 0
    assert distance(drawn, all_masks(generator.train(), features, stream(1))) == 0
    with torch.random.fork_rng():
        assert distance(all_masks(generator, features), all_masks(generator, features)) > 0


def test_the_gradient_of_a_drawn_mask_is_that_of_the_sigmoid_at_the_temperature():
    unet = tiny_unet()
    generator = random_generator(unet, tau=2.0).train()
    (block, features), *_ = entering(unet, *inputs()).items()
    start = nn.Parameter(torch.tensor(generator.start))
    generator.start = start  # a shift of every logit alike
    masks = generator(block, features, stream(3))
    sum(m.sum() for m in masks.values()).backward()
    expected, noise = 0.0, stream(3)
    logits = generator.logits(block, features)
    for names in generator.blocks[str(block)].names:
        stack = torch.stack([logits[name] for name in names], 1).detach()
        soft = torch.sigmoid((stack + noise_like(stack, "one_sided", noise)) / 2)
        expected += float((soft * (1 - soft) / 2).sum())
    assert float(start.grad) == pytest.approx(expected, rel=1e-4)


def test_with_a_generator_per_sample_the_noise_does_not_depend_on_the_batch():
    unet = tiny_unet()
    generator = random_generator(unet)
    for block, features in entering(unet, *inputs()).items():
        both = generator(block, features, [stream(1), stream(2)])
        alone = features._replace(sample=features.sample[1:], time=features.time[1:],
                                  skips=tuple(s[1:] for s in features.skips))  # fmt: skip
        second = generator(block, alone, [stream(2)])
        assert distance({n: m[1:] for n, m in both.items()}, second) == 0
        with pytest.raises(ValueError, match="zip"):
            generator(block, features, [stream(1)])


# How it behaves beside other things


def test_it_holds_no_unet_and_leaves_the_global_stream_of_random_numbers_alone():
    unet = tiny_unet()
    before = torch.random.get_rng_state()
    generator, again = (MaskGenerator(unet, GeneratorSettings(seed=3)), MaskGenerator(unet, GeneratorSettings(seed=3)))
    other = MaskGenerator(unet, GeneratorSettings(seed=4))
    assert torch.equal(before, torch.random.get_rng_state())
    pairs = zip(generator.parameters(), again.parameters(), strict=True)
    assert all(torch.equal(one, same) for one, same in pairs)
    assert any(not torch.equal(a, b) for a, b in zip(generator.parameters(), other.parameters(), strict=True))
    gone = weakref.ref(unet)
    del unet
    gc.collect()
    assert gone() is None


def test_its_logits_stay_in_float32_beside_a_half_precision_unet_and_under_autocast():
    unet, (x_t, t, text) = tiny_unet(), inputs()
    generator = random_generator(unet)
    features = entering(unet, x_t, t, text)
    with torch.autocast("cpu", torch.bfloat16):
        under = all_logits(generator, features)
    for name, value in all_logits(generator, features).items():
        assert torch.equal(value, under[name])
    half, given = tiny_unet().bfloat16(), (x_t.bfloat16(), t, text.bfloat16())
    with torch.no_grad(), MaskedUNet(half) as masked:
        assert masked.decode(masked.encode(*given), generator).dtype == torch.bfloat16


def test_a_block_without_sites_and_settings_out_of_range_are_refused():
    unet = tiny_unet()
    features = entering(unet, *inputs())[1]
    with pytest.raises(ValueError, match="Up block 0 has no sites; there are masks for 1"):
        random_generator(unet).logits(0, features)
    for given, text in [
        ({"variant": "heavy"}, "variant is 'heavy'; allowed is light, static, live, official"),
        ({"tau": 0.0}, r"tau is 0.0; allowed is 0.01 to 100"),
        ({"rank": 65}, "rank is 65; allowed is 1 to 64"),
        ({"start": math.nan}, "start must be a number, not nan"),
        ({"noise": "gauss"}, "noise is 'gauss'"),
    ]:
        with pytest.raises(ValueError, match=text):
            GeneratorSettings(**given)


# Files


@EACH
def test_a_saved_generator_comes_back_to_the_last_bit(variant, tmp_path):
    unet, path = tiny_unet(), tmp_path / "a.safetensors"
    generator, features = random_generator(unet, variant=variant, seed=2), entering(unet, *inputs())
    generator_file.save(generator, path, {**ABOUT, "step": 7})
    first = path.read_bytes()
    generator_file.save(generator, path, {**ABOUT, "step": 7})
    assert path.read_bytes() == first
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]
    again = generator_file.load(path, unet, ABOUT["weights"])
    assert again.settings == generator.settings
    assert not again.training
    assert distance(all_logits(generator, features), all_logits(again, features)) == 0
    known = generator_file.about(path)
    assert (known["step"], known["model"]) == (7, "tiny")
    assert list(known["weights"]) == ["unet/a.safetensors"]


def test_a_generator_of_another_unet_is_refused_by_its_weights_and_by_its_sizes(tmp_path):
    unet, path = tiny_unet(), tmp_path / "mine.safetensors"
    generator_file.save(random_generator(unet), path, ABOUT)
    other_vae = {**ABOUT["weights"], "vae/a.safetensors": "3" * 64}
    assert generator_file.load(path, unet, other_vae)
    with pytest.raises(ValueError, match="“mine” was trained for other weights than these, of tiny"):
        generator_file.load(path, unet, {"unet/a.safetensors": "3" * 64})
    with pytest.raises(ValueError, match="“mine” does not fit this U-Net of 48 sites as “light”"):
        generator_file.load(path, deep_unet())


def _rewritten(path, change):
    """The file with another header."""
    from safetensors.torch import load_file, save_file

    known = change(generator_file.about(path))
    save_file(load_file(path), path, metadata={generator_file.FORMAT: json.dumps(known)})


def _retyped(path, dtype):
    """The file in another type of number."""
    from safetensors.torch import load_file, save_file

    known = {generator_file.FORMAT: json.dumps(generator_file.about(path))}
    save_file({name: value.to(dtype) for name, value in load_file(path).items()}, path, metadata=known)


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (lambda p: p.write_bytes(p.read_bytes()[:-9]), "something else, or it was cut off"),
        (lambda p: p.write_bytes(p.read_bytes()[:200]), "something else, or it was cut off"),
        (lambda p: p.write_bytes(b"\xff" * 64), "something else, or it was cut off"),
        (lambda p: p.write_bytes(b""), "something else, or it was cut off"),
        (lambda p: _rewritten(p, lambda k: [k]), "something else, or it was cut off"),
        (lambda p: _retyped(p, torch.float8_e4m3fn), "numbers of the type F8_E4M3; F32, F16, BF16, F64 are read"),
        (lambda p: _retyped(p, torch.int64), "numbers of the type I64"),
        (
            lambda p: _rewritten(p, lambda k: k | {"settings": k["settings"] | {"variant": "live"}}),
            "as “live”: it was made for another model or variant",
        ),
        (
            lambda p: _rewritten(p, lambda k: k | {"settings": k["settings"] | {"variant": "heavy"}}),
            "that this version knows",
        ),
        (lambda p: _rewritten(p, lambda k: k | {"settings": {"depth": 3}}), "that this version knows"),
    ],
)
def test_a_damaged_file_is_refused_in_one_sentence_without_its_place(tmp_path, damage, text):
    unet, path = tiny_unet(), tmp_path / "a.safetensors"
    generator_file.save(random_generator(unet), path, ABOUT)
    damage(path)
    with pytest.raises(ValueError, match=text) as error:
        generator_file.load(path, unet, ABOUT["weights"])
    assert str(tmp_path) not in str(error.value)


def test_other_tensors_and_values_that_are_no_numbers_are_refused(tmp_path):
    from safetensors.torch import save_file

    unet, path = tiny_unet(), tmp_path / "a.safetensors"
    save_file({"x": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match="holds no mask generator"):
        generator_file.load(path, unet)
    generator = random_generator(unet)
    generator.blocks["1"].rows[0].data[0, 0, 0] = math.nan
    generator_file.save(generator, path, ABOUT)
    with pytest.raises(ValueError, match="values that are no numbers"):
        generator_file.load(path, unet)


def test_a_full_disk_leaves_the_file_that_was_there(tmp_path, monkeypatch):
    import safetensors.torch

    unet, path = tiny_unet(), tmp_path / "a.safetensors"
    generator_file.save(random_generator(unet), path, ABOUT)
    before = path.read_bytes()

    def full(tensors, file, metadata):
        file.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(safetensors.torch, "save_file", full)
    with pytest.raises(OSError, match="No space"):
        generator_file.save(random_generator(unet, seed=9), path, ABOUT)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]
