"""The published training's two files become a generator that makes the same masks, or are refused in one sentence."""

import os
import pickle
import re
import zipfile

import pytest
import torch
from torch.nn import functional as F

from maskunet.masks import generator_file, published_file
from maskunet.masks.generator import GeneratorSettings, MaskGenerator
from maskunet.masks.mask import noise_like
from tests.masks.test_generator import all_logits, all_masks, entering, stream
from tests.masks.test_masked_unet import deep_unet, inputs
from tests.masks.test_sites import full_size
from tests.support.tiny import published_pair, published_state, tiny_unet


def generator_of(paths, unet):
    return published_file.generator_of(published_file.read(*paths), unet)


def test_for_sd15_it_has_the_names_and_sizes_that_were_published():
    generator = MaskGenerator(
        full_size(cross_attention_dim=768, attention_head_dim=8), GeneratorSettings(variant="official")
    )
    state = generator.state_dict()
    names = {published_file.published_name(mine, generator): tuple(value.shape) for mine, value in state.items()}
    site = "attentions_2_transformer_blocks_0_attn2_to_out_0"
    assert len(names) == 4 * 5 + 72 * 4
    assert names["0.conv_kernel_mask.2.weight"] == (320 * 640, 64)
    assert names["3.proj_temb.weight"] == (960, 1280)
    assert (names[f"1.{site}.conv_in.weight"], names[f"1.{site}.conv_out.weight"]) == ((1280, 320), (1280, 640))
    assert names["2.attentions_0_transformer_blocks_0_attn2_to_k.conv_out.weight"] == (768, 480)


def by_the_published_formula(networks, adapters, block, features):
    """The logits (B, O, I) of a block's sites by their published names: convolutions over a grid, one side at a time."""
    pooled = F.adaptive_avg_pool2d(torch.cat((features.sample, features.skips[-1]), 1), 1)
    merged = pooled + F.linear(features.time, networks[f"{block}.proj_temb.weight"])[..., None, None]
    for layer in (0, 2):
        name = f"{block}.conv_kernel_mask.{layer}"
        merged = F.conv2d(merged, networks[f"{name}.weight"], networks[f"{name}.bias"]).relu()
    names = {n.split(".")[1] for n in adapters if n.startswith(f"{block}.")}
    found = {}
    for name in names:
        rows, columns = (
            [adapters[f"{block}.{name}.{side}.{kind}"] for kind in ("weight", "bias")]
            for side in ("conv_in", "conv_out")
        )
        grid = merged.view(len(merged), rows[0].shape[1], columns[0].shape[1])
        over_rows = F.conv2d(grid[..., None], *rows)[..., 0]  # (B, O, columns)
        found[name] = F.conv2d(over_rows.transpose(1, 2)[..., None], *columns)[..., 0].transpose(1, 2)
    return found


@pytest.mark.parametrize("like", ["sd15", "sd2"])
@pytest.mark.parametrize("make", [tiny_unet, deep_unet])
def test_its_masks_are_those_of_the_published_formula(make, like, tmp_path):
    unet = make(like)
    generator = generator_of(published_pair(tmp_path, unet, seed=4), unet)
    features = entering(unet, *inputs(like=like))
    logits, masks = all_logits(generator, features), all_masks(generator, features)
    for block, each in features.items():
        for name, expected in by_the_published_formula(*published_state(unet, seed=4), block, each).items():
            (ours,) = (n for n in logits if n.replace(".", "_") == f"up_blocks_{block}_{name}")
            torch.testing.assert_close(logits[ours], expected, rtol=1e-5, atol=1e-5)
            assert torch.equal(masks[ours].bool(), logits[ours] > generator.cut)
    assert {bool(value) for mask in masks.values() for value in mask.unique()} == {False, True}
    first = min(features)
    again = stream(7)
    for name, mask in generator(first, features[first], stream(7)).items():
        noise = noise_like(logits[name][:, None], "one_sided", again)[:, 0]  # threshold .5 at temperature 1
        assert torch.equal(mask.detach().bool(), logits[name] + noise > 0)


def test_half_precision_and_a_files_round_trip_keep_it(tmp_path):
    unet = tiny_unet()
    paths = published_pair(tmp_path, unet)
    for path, state in zip(paths, published_state(unet), strict=True):
        torch.save({name: value.half() for name, value in state.items()}, path)
    generator = generator_of(paths, unet)
    assert {value.dtype for value in generator.state_dict().values()} == {torch.float32}
    generator_file.save(generator, tmp_path / "a.safetensors", {"model": "tiny", "weights": {}})
    again = generator_file.load(tmp_path / "a.safetensors", unet, {})
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in generator.state_dict().items())


class Program:
    def __reduce__(self):
        return os.mkdir, ("ran",)


def spoil(networks, adapters, how):
    """The pair's states with something wrong."""
    first, second = next(iter(networks)), next(iter(adapters))
    if how == "swapped":
        return adapters, networks
    if how == "twice":
        return networks, networks
    if how == "half":
        return networks, {n: v for n, v in adapters.items() if ".conv_out." not in n}
    if how == "more":
        return {**networks, "9.proj_temb.weight": torch.zeros(1)}, adapters
    if how == "nan":
        return networks, {**adapters, second: adapters[second].clone().fill_(torch.nan)}
    if how == "shape":
        return {**networks, first: networks[first][:8]}, adapters
    if how == "whole numbers":
        return {**networks, first: networks[first].int()}, adapters
    if how == "sparse":
        return {**networks, first: networks[first].to_sparse()}, adapters
    if how == "program":
        return {**networks, "x": Program()}, adapters
    return {"list": [networks], "another network": {"conv.weight": torch.zeros(2)}}[how], adapters


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("swapped", "The two files are swapped. Give mask_generators.pth first and adapters.pth second."),
        ("twice", "“adapters.pth” is not what the published training calls adapters.pth."),
        ("half", "it lacks 1.attentions_0_transformer_blocks_0_attn1_to_k.conv_out.bias"),
        ("more", "it has 9.proj_temb.weight besides"),
        ("nan", "“adapters.pth” holds values that are no numbers, in 1.attentions_0"),
        ("shape", "0.conv_kernel_mask.0.weight is 8 x 64 x 1 x 1 and not 64 x 64 x 1 x 1"),
        ("whole numbers", "“mask_generators.pth” holds other numbers than a network's weights"),
        ("sparse", "“mask_generators.pth” holds other numbers than a network's weights"),
        ("program", "“mask_generators.pth” holds Python objects besides tensors, which could run code, so it was not"),
        (
            "list",
            "“mask_generators.pth” is no state dict: tensors by name were expected. Give the published training's",
        ),
        ("another network", "“mask_generators.pth” is not what the published training calls mask_generators.pth"),
    ],
)
def test_what_is_not_the_pair_is_refused_in_one_sentence(how, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    unet, paths = tiny_unet(), published_pair(tmp_path, tiny_unet())
    for path, state in zip(paths, spoil(*published_state(unet), how), strict=True):
        torch.save(state, path)
    with pytest.raises(ValueError, match=re.escape(says)) as refused:
        generator_of(paths, unet)
    assert "\n" not in str(refused.value)
    assert str(tmp_path) not in str(refused.value)
    assert not (tmp_path / "ran").exists()


def cut_off(path):
    path.write_bytes(path.read_bytes()[:-200])


def a_pickle(path):
    path.write_bytes(pickle.dumps(Program()))


def another_zip(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "b")


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (cut_off, "is cut off or no checkpoint: its [0-9,]+ bytes cannot be read. Give the published training's"),
        (another_zip, "is cut off or no checkpoint: its [0-9,]+ bytes cannot be read. Give the published training's"),
        (a_pickle, "is cut off or no checkpoint"),
        (
            lambda path: path.write_bytes(b""),
            "is cut off or no checkpoint: its [0-9,]+ bytes cannot be read. Give the published training's",
        ),
        (lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\n"), "is cut off or no checkpoint"),
        (
            lambda path: path.unlink(),
            "“adapters.pth” is missing. Give the published training's mask_generators.pth and adapters.pth.",
        ),
    ],
)
def test_a_damaged_or_missing_file_is_refused_in_one_sentence(damage, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    unet, paths = tiny_unet(), published_pair(tmp_path, tiny_unet())
    damage(paths[1])
    with pytest.raises(ValueError, match=says) as refused:
        generator_of(paths, unet)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "ran").exists()


def test_a_pair_of_another_unet_is_refused(tmp_path):
    with pytest.raises(ValueError, match="was made for another U-Net than this"):
        generator_of(published_pair(tmp_path, deep_unet()), tiny_unet())
