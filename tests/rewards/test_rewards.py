"""The two rewards: published formats, gradients, and everything that would silently score wrongly."""

import importlib.util
import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from maskunet.encoders import blip, clip
from maskunet.encoders.pixels import normalized
from maskunet.encoders.reading import read_checkpoint
from maskunet.failures import foreseen
from maskunet.methods.base import objective
from maskunet.plugins import discover
from maskunet.rewards import SPECS, image_reward, load_rewards
from maskunet.rewards.base import PromptCache
from maskunet.rewards.base.reward import CACHED_PROMPTS
from tests.support.tiny_rewards import BLIP, CLIP, PROMPTS, made, picture, write_small, write_vocabulary

CPU, NAMES = torch.device("cpu"), list(SPECS)
# Printed by tests/rewards/upstream/scores.py with image-reward 1.5 and hpsv2 1.2.0, for PROMPTS and `picture`.
UPSTREAM = {
    "hpsv2": (-0.0255724, 0.1434277, 0.1297957),
    "image_reward": (5.6400228, 5.0138807, 5.3930497),
}
UPSTREAM_WIDE = {"hpsv2": -0.0208193, "image_reward": 5.2285519}  # and for 32 by 48 pixels of `picture(48)`


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A folder with both rewards as the training commands write them."""
    return write_small(tmp_path_factory.mktemp("rewards"))


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A folder with both rewards as they were published, and the loader believing they are that small."""
    monkeypatch.setattr(image_reward, "FULL_SIZE", BLIP)
    monkeypatch.setattr(image_reward, "PUBLISHED_TEXT", (("num_attention_heads", BLIP["text_heads"]),))
    monkeypatch.setattr("open_clip.factory.get_model_config", lambda name: CLIP)
    with torch.device("meta"):
        state = blip.to_published(blip.ImageRewardNetwork(BLIP).state_dict())
        towers = clip.build(CLIP).state_dict()
    unused = {
        **{f"blip.{t}_proj.{k}": torch.zeros(2) for t in ("vision", "text") for k in ("weight", "bias")},
        "blip.text_encoder.embeddings.position_ids": torch.arange(64)[None],
    }
    torch.save({**made(state), **unused}, tmp_path / "ImageReward.pt")
    torch.save({"state_dict": made(towers)}, tmp_path / "HPS_v2.1_compressed.pt")
    (tmp_path / "med_config.json").write_text(json.dumps({"num_attention_heads": BLIP["text_heads"]}))
    write_vocabulary(tmp_path)
    return tmp_path


def load(name, folder, dtype=torch.float32):
    return SPECS[name].load(folder, CPU, dtype)


# The list


@pytest.mark.parametrize("name", NAMES)
def test_every_reward_says_its_license_its_source_and_the_size_of_its_files(name):
    spec = SPECS[name]
    assert spec.name == name
    assert all((spec.title, spec.summary, spec.license, spec.source, spec.files))
    assert "/" in spec.repo
    assert 0.1 < spec.download_gb < 10


def test_listing_the_rewards_is_quick_and_imports_no_network_library():
    code = (
        "import sys, time, torch; start = time.process_time(); import maskunet.rewards as r;"
        "spent = time.process_time() - start; heavy = {'transformers', 'open_clip', 'torchvision', 'safetensors'};"
        "print(len(r.SPECS), spent, sorted(heavy & set(sys.modules)))"
    )
    told = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    count, spent, heavy = told.stdout.split(maxsplit=2)
    assert int(count) == len(SPECS)
    assert float(spent) < 0.5
    assert heavy.strip() == "[]"


@pytest.mark.parametrize(
    ("second", "says"), [("", r"b\.py has no SPEC"), ("SPEC = Spec()", r"b\.py and a\.py both call .*“one”")]
)
def test_a_plug_in_without_a_spec_or_with_a_taken_name_is_refused(second, says, tmp_path, monkeypatch):
    package = tmp_path / f"room{len(second)}"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "base.py").write_text("class Spec:\n    name = 'one'\n")
    start = f"from {package.name}.base import Spec\n"
    (package / "a.py").write_text(start + "SPEC = Spec()\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert list(discover(package.name)) == ["one"]
    (package / "b.py").write_text(start + second + "\n")
    importlib.invalidate_caches()
    with pytest.raises(ImportError, match=says):
        discover(package.name)


# The published formats


def layer(prefix, shapes):
    return {f"{prefix}.{n}.{k}": s for n, shape in shapes.items() for k, s in zip(("weight", "bias"), shape)}


def linear(out, into):
    return ((out, into), (out,))


def norm(width):
    return ((width,), (width,))


def image_reward_keys():
    """Names and shapes in ImageReward.pt, from the description of its architecture: 625."""
    w, t = 1024, 768
    keys = {"blip.visual_encoder.cls_token": (1, 1, w), "blip.visual_encoder.pos_embed": (1, 197, w)}
    keys |= layer("blip.visual_encoder", {"patch_embed.proj": ((w, 3, 16, 16), (w,)), "norm": norm(w)})
    for i in range(24):
        keys |= layer(f"blip.visual_encoder.blocks.{i}", {
            "norm1": norm(w), "attn.qkv": linear(3 * w, w), "attn.proj": linear(w, w),
            "norm2": norm(w), "mlp.fc1": linear(4 * w, w), "mlp.fc2": linear(w, 4 * w),
        })  # fmt: skip
    text = "blip.text_encoder"
    keys |= {f"{text}.embeddings.position_ids": (1, 512)}
    keys |= {f"{text}.embeddings.word_embeddings.weight": (30524, t)}
    keys |= {f"{text}.embeddings.position_embeddings.weight": (512, t)}
    keys |= layer(f"{text}.embeddings", {"LayerNorm": norm(t)})
    for i, (kind, width) in itertools.product(range(12), (("attention", t), ("crossattention", w))):
        keys |= layer(f"{text}.encoder.layer.{i}.{kind}", {
            "self.query": linear(t, t), "self.key": linear(t, width), "self.value": linear(t, width),
            "output.dense": linear(t, t), "output.LayerNorm": norm(t),
        })  # fmt: skip
        keys |= layer(
            f"{text}.encoder.layer.{i}",
            {"intermediate.dense": linear(3072, t), "output.dense": linear(t, 3072), "output.LayerNorm": norm(t)},
        )
    keys |= layer("blip", {"vision_proj": linear(256, w), "text_proj": linear(256, t)})
    head = {"0": (1024, t), "2": (128, 1024), "4": (64, 128), "6": (16, 64), "7": (1, 16)}
    return keys | layer("mlp.layers", {n: linear(*shape) for n, shape in head.items()})


def hpsv2_keys():
    """Names and shapes in the HPSv2 checkpoints, ViT-H-14 as open_clip calls them: 686."""
    keys = {"visual.class_embedding": (1280,), "visual.positional_embedding": (257, 1280)}
    keys |= {"visual.proj": (1280, 1024), "visual.conv1.weight": (1280, 3, 14, 14), "logit_scale": ()}
    keys |= {"positional_embedding": (77, 1024), "token_embedding.weight": (49408, 1024)}
    keys |= {
        "text_projection": (1024, 1024),
        **layer("visual", {"ln_pre": norm(1280), "ln_post": norm(1280)}),
    }
    keys |= {"ln_final.weight": (1024,), "ln_final.bias": (1024,)}
    for tower, w, layers in (("visual.transformer", 1280, 32), ("transformer", 1024, 24)):
        for i in range(layers):
            block = f"{tower}.resblocks.{i}"
            keys |= {f"{block}.attn.in_proj_weight": (3 * w, w), f"{block}.attn.in_proj_bias": (3 * w,)}
            keys |= layer(block, {
                "ln_1": norm(w), "ln_2": norm(w), "attn.out_proj": linear(w, w),
                "mlp.c_fc": linear(4 * w, w), "mlp.c_proj": linear(w, 4 * w),
            })  # fmt: skip
    return keys


def shapes(state):
    return {name: tuple(value.shape) for name, value in state.items()}


def test_image_reward_at_full_size_has_the_published_names_and_settings():
    published = {k: torch.empty(s, device="meta") for k, s in image_reward_keys().items()}
    network = blip.without_weights(blip.FULL_SIZE)
    renamed = blip.from_published(published)
    assert (len(published), len(renamed)) == (625, 620)
    assert shapes(renamed) == shapes(network.state_dict())
    assert blip.to_published(renamed).keys() == {k for k in published if not blip.UNUSED.search(k)}
    vision, text = network.vision_model.encoder.layers[0], network.text_encoder.encoder.layer[0]
    assert (vision.self_attn.num_heads, text.crossattention.self.num_attention_heads) == (16, 12)
    assert (vision.layer_norm1.eps, text.output.LayerNorm.eps) == (1e-6, 1e-12)


def test_hpsv2_at_full_size_has_the_published_names():
    network = clip.without_weights(None)
    assert len(hpsv2_keys()) == 686
    assert shapes(network.state_dict()) == hpsv2_keys()
    assert network.visual.transformer.resblocks[0].attn.num_heads == 16
    with torch.device("meta"):
        text = clip.build().attn_mask.shape
    assert torch.equal(network.attn_mask, torch.full(text, float("-inf")).triu(1))


@pytest.mark.parametrize("name", NAMES)
def test_published_checkpoints_score_as_the_upstream_packages_score_them(name, published):
    reward = load(name, published)
    scores = [float(reward(picture(), [prompt])) for prompt in PROMPTS]
    assert scores == pytest.approx(UPSTREAM[name], rel=1e-5, abs=1e-6)
    wide = float(reward(picture(48)[..., :32, :], [PROMPTS[0]]))
    assert wide == pytest.approx(UPSTREAM_WIDE[name], rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_what_training_saves_in_half_precision_scores_as_the_published_file_does(name, small, published):
    ours, theirs = (load(name, folder)(picture(), [PROMPTS[1]]) for folder in (small, published))
    torch.testing.assert_close(ours, theirs)


def test_image_reward_takes_mean_and_std_of_the_score_from_the_configuration(small, tmp_path):
    write_small(tmp_path)
    config = tmp_path / "image_reward" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "mean": 1.0, "std": 4.0}))
    raw = load("image_reward", small)(picture(), [PROMPTS[0]]) * image_reward.STD + image_reward.MEAN
    torch.testing.assert_close(load("image_reward", tmp_path)(picture(), [PROMPTS[0]]), (raw - 1) / 4)


def test_hpsv2_prefers_the_newer_of_the_published_versions(published):
    state = torch.load(published / "HPS_v2.1_compressed.pt")
    state["state_dict"] = {k: -v for k, v in state["state_dict"].items()}
    torch.save(state, published / "HPS_v2_compressed.pt")
    newer = load("hpsv2", published)(picture(), [PROMPTS[0]])
    (published / "HPS_v2.1_compressed.pt").unlink()
    assert float(newer) == pytest.approx(UPSTREAM["hpsv2"][0], abs=1e-6)
    assert abs(load("hpsv2", published)(picture(), [PROMPTS[0]]) - newer) > 1e-3


# The score


@pytest.mark.parametrize("name", NAMES)
def test_the_gradient_to_the_picture_is_the_slope_of_the_score(name, small):
    reward = load(name, small)
    image = F.interpolate(picture(), 40).requires_grad_()
    (gradient,) = torch.autograd.grad(reward(image, [PROMPTS[0]]).sum(), image)
    step = 1e-3 * gradient / gradient.norm()
    with torch.no_grad():
        up, down = (reward(image + s, [PROMPTS[0]]) for s in (step, -step))
    assert float(up - down) == pytest.approx(2e-3 * float(gradient.norm()), rel=0.02)
    assert not any(p.requires_grad or p.is_meta for p in reward.network.parameters())
    assert not any(module.training for module in reward.network.modules())


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_scores_as_its_pictures_alone_though_its_prompts_differ_in_length(name, small):
    reward = load(name, small)
    images = torch.cat((picture(), picture().flip(-1), picture().flip(-2)))
    alone = [reward(images[i : i + 1], [prompt]) for i, prompt in enumerate(PROMPTS)]
    torch.testing.assert_close(reward(images, list(PROMPTS)), torch.cat(alone), rtol=1e-5, atol=1e-5)
    assert len({round(float(score), 3) for score in alone}) == 3


@pytest.mark.parametrize("name", NAMES)
def test_half_precision_networks_still_give_scores_finer_than_half_precision(name, small):
    image = torch.cat([picture().roll(i, -1) for i in range(8)])
    rewards = [load(name, small, dtype) for dtype in (torch.float32, torch.bfloat16)]
    exact, half = (reward(image, [PROMPTS[0]] * 8) for reward in rewards)
    assert half.dtype == torch.float32
    assert (half - exact).abs().max() < 0.1 * exact.abs().max()
    # What the network gave; the normalization of ImageReward's score would hide its rounding.
    raw = half * getattr(rewards[1], "std", 1) + getattr(rewards[1], "mean", 0)
    assert (raw - raw.bfloat16()).abs().max() > 1e-4 * raw.abs().max()


def test_the_text_side_is_computed_once_per_prompt_and_only_so_many_are_kept():
    asked = []
    cache = PromptCache(lambda prompt: asked.append(prompt) or torch.tensor(float(prompt)))
    numbers = [str(i) for i in range(CACHED_PROMPTS)]
    assert [float(cache(n)) for n in numbers + numbers] == [float(n) for n in numbers + numbers]
    assert asked == numbers
    cache("100")
    cache("1")
    assert asked == [*numbers, "100"]
    cache("0")
    assert asked == [*numbers, "100", "0"]


def test_the_weighted_sum_is_equation_10(small):
    rewards = load_rewards(small, CPU, torch.float32)
    assert rewards.weights == {"hpsv2": 5.0, "image_reward": 1.0}
    images, prompts = torch.cat((picture(), picture().flip(-1))), list(PROMPTS[:2])
    found = rewards(images, prompts)
    assert found.keys() == {"hpsv2", "image_reward", "total"}
    for name in NAMES:
        torch.testing.assert_close(found[name], load(name, small)(images, prompts))
    torch.testing.assert_close(found["total"], 5 * found["hpsv2"] + found["image_reward"])
    other = rewards.optimizing({"hpsv2": 0.0})(images, prompts)
    torch.testing.assert_close(other["total"], found["total"])  # one scale, whatever is optimized
    with pytest.raises(ValueError, match="2 pictures and 1 prompts were given"):
        rewards(images, prompts[:1])


def test_a_reward_that_does_not_count_is_seen_without_a_gradient(small):
    rewards = load_rewards(small, CPU, torch.float32)
    image, prompts = picture().requires_grad_(), list(PROMPTS[:1])

    def gradient(weights):
        found = rewards.optimizing(weights)(image, prompts)
        return found, torch.autograd.grad(objective(found, weights).sum(), image)[0]

    found, mine = gradient({"hpsv2": 0.0, "image_reward": 1.0})
    assert not found["hpsv2"].requires_grad and found["image_reward"].requires_grad
    alone = rewards.only("image_reward")(image, prompts)["total"]
    torch.testing.assert_close(mine, torch.autograd.grad(alone.sum(), image)[0])
    assert not gradient({"hpsv2": 0.0, "image_reward": 0.0})[1].any()  # none counts: as nothing to go by


@pytest.mark.parametrize("shape", [(48, 64), (70, 33), (20, 20), (32, 32), (32, 40)])
def test_the_center_crop_is_the_one_of_torchvision_that_image_reward_uses(shape):
    from torchvision import transforms as t

    image = torch.rand(2, 3, *shape, generator=torch.Generator().manual_seed(0))
    mean, std = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    resize = t.Resize(32, t.InterpolationMode.BICUBIC, antialias=True)
    expected = t.Compose([resize, t.CenterCrop(32), t.Normalize(mean, std)])(image)
    torch.testing.assert_close(normalized(image, 32), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("shape", [(48, 64), (70, 33), (20, 20), (32, 32), (20, 31), (20, 32)])
def test_the_whole_picture_is_fitted_and_padded_with_black_as_hpsv2_does(shape):
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms import functional as t

    image = torch.rand(2, 3, *shape, generator=torch.Generator().manual_seed(0))
    height, width = (round(side * 32 / max(shape)) for side in shape)
    small = t.resize(image, [height, width], InterpolationMode.BICUBIC, antialias=True)
    before = (32 - width) // 2, (32 - height) // 2
    padded = t.pad(small, [*before, 32 - width - before[0], 32 - height - before[1]])
    mean, std = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    expected = t.normalize(padded, mean, std)
    torch.testing.assert_close(normalized(image, 32, whole=True), expected, rtol=0, atol=1e-5)


def test_plain_attention_gives_the_same_numbers_without_the_fused_kernel(monkeypatch):
    fused, plain = clip.build(CLIP), clip.build(CLIP, plain_attention=True)
    state = made(fused.state_dict())
    for network in (fused, plain):
        network.load_state_dict(state)
    tokens = clip.tokenizer()(list(PROMPTS))
    expected = fused.encode_text(tokens), fused.encode_image(picture())
    monkeypatch.setattr(F, "scaled_dot_product_attention", None)
    found = plain.encode_text(tokens), plain.encode_image(picture())
    torch.testing.assert_close(found, expected)


# What is refused


def refusal(call) -> str:
    """The message of the ValueError, which must be fit for a visitor: no path in it."""
    with pytest.raises(ValueError) as caught:
        call()
    assert foreseen(caught.value) == str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"text_heads": 5}, "`text_heads` is 5, but it must divide `text_width`, 24"),
        ({"vision_heads": 0}, "`vision_heads` is 0"),
        ({"text_heads": None}, "lacks `text_heads`"),
        ({"vision_layers": 1}, "does not fit its network in 12 entries"),
    ],
)
def test_a_configuration_that_does_not_belong_to_the_weights_is_refused(change, says, tmp_path):
    write_small(tmp_path)
    kept = {k: v for k, v in {**BLIP, **change}.items() if v is not None}
    (tmp_path / "image_reward" / "config.json").write_text(json.dumps(kept))
    assert says in refusal(lambda: load("image_reward", tmp_path))


def test_the_published_checkpoint_with_another_number_of_heads_is_refused(published):
    (published / "med_config.json").write_text(json.dumps({"num_attention_heads": 8}))
    message = refusal(lambda: load("image_reward", published))
    assert "“med_config.json” says `num_attention_heads` is 8; the published ImageReward has 3" in message


@pytest.mark.parametrize("fault", ["missing", "five words", "moved", "doubled"])
def test_a_vocabulary_that_is_not_the_checkpoints_is_refused(fault, published):
    path = published / "vocab.txt"
    words = path.read_text().splitlines()
    if fault == "missing":
        path.unlink()
    else:
        changed = {
            "five words": words[:1] + words[100:104],
            "moved": [words[101], *words[1:101], words[0], *words[102:]],  # [CLS] first
            "doubled": [*words[:-1], words[-2]],
        }
        path.write_text("\n".join(changed[fault]) + "\n")
    lines = {"missing": 0, "five words": 5}.get(fault, len(words))
    assert f"a “vocab.txt” of {len(words)} to" in (message := refusal(lambda: load("image_reward", published)))
    assert f"; {lines} lines were found" in message


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_is_cut_off_or_missing_is_refused(name, small, published, tmp_path_factory):
    path = published / {"image_reward": "ImageReward.pt", "hpsv2": "HPS_v2.1_compressed.pt"}[name]
    path.write_bytes(path.read_bytes()[:9000])
    assert f"“{path.name}” is cut off or no checkpoint: its 9,000 bytes" in refusal(lambda: load(name, published))
    path.unlink()
    assert f"“{path.name}” is missing" in refusal(lambda: load(name, published))
    whole = (small / name / "model.safetensors").read_bytes()
    part = tmp_path_factory.mktemp("part") / "model.safetensors"
    part.write_bytes(whole[: len(whole) // 2])
    assert "“model.safetensors” is cut off" in refusal(lambda: read_checkpoint(part))


class Writes:
    """What a hostile checkpoint would do on being read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_pickled_objects_are_refused_and_not_run(published, tmp_path):
    torch.save({"state_dict": {"x": Writes(tmp_path / "ran")}}, published / "HPS_v2.1_compressed.pt")
    assert "holds Python objects besides tensors" in refusal(lambda: load("hpsv2", published))
    assert not (tmp_path / "ran").exists()
    torch.save([torch.zeros(2)], published / "HPS_v2.1_compressed.pt")
    assert "is no state dict" in refusal(lambda: load("hpsv2", published))


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ("{", "“open_clip_config.json” is no valid JSON"),
        ("[]", "is no JSON object"),
        ("{}", "has no `model_cfg`"),
        ({**CLIP, "depth": 3}, "open_clip cannot build the configuration"),
        ({**CLIP, "text_cfg": {"hf_model_name": "x"}}, "has `hf_model_name`"),
        ({**CLIP, "text_cfg": {**CLIP["text_cfg"], "vocab_size": 90}}, "knows 90 tokens"),
        ({**CLIP, "embed_dim": 8}, "does not fit its network in 2 entries"),
    ],
)
def test_a_clip_configuration_that_cannot_be_used_is_refused(config, says, tmp_path):
    write_small(tmp_path)
    text = config if isinstance(config, str) else json.dumps({"model_cfg": config})
    (tmp_path / "hpsv2" / "open_clip_config.json").write_text(text)
    assert says in refusal(lambda: load("hpsv2", tmp_path))
