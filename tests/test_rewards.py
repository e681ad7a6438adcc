"""The reward loaders: key names at full size, the genuine formats at small size, and what is refused."""

import json
import shutil
import subprocess
import sys

import pytest
import torch

from maskunet.encoders import blip, clip
from maskunet.rewards import SPECS, hpsv2, image_reward, load_rewards
from maskunet.rewards.base import WeightedRewards, normalized, read_checkpoint

CPU = torch.device("cpu")
SMALL_BLIP = {
    "image_size": 32, "patch_size": 16, "vision_width": 32, "vision_layers": 2, "vision_heads": 2,
    "text_width": 24, "text_layers": 2, "text_heads": 2, "text_intermediate": 48, "max_positions": 40,
    "head_widths": [16, 12, 8, 4], "max_length": 35,
}  # fmt: skip
SMALL_CLIP = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "patch_size": 16, "width": 32, "head_width": 16, "layers": 2},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2},
}
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "red", "blue", "cube", "sphere", "and"]


def published_keys():
    """The names and shapes in ImageReward.pt, from the architecture: ViT-L/16, BERT base, five layers."""
    keys = {
        "blip.visual_encoder.cls_token": (1, 1, 1024), "blip.visual_encoder.pos_embed": (1, 197, 1024),
        "blip.visual_encoder.patch_embed.proj.weight": (1024, 3, 16, 16),
        "blip.visual_encoder.patch_embed.proj.bias": (1024,),
        "blip.text_encoder.embeddings.position_ids": (1, 512),
        "blip.text_encoder.embeddings.word_embeddings.weight": (30524, 768),
        "blip.text_encoder.embeddings.position_embeddings.weight": (512, 768),
        "blip.vision_proj.weight": (256, 1024), "blip.vision_proj.bias": (256,),
        "blip.text_proj.weight": (256, 768), "blip.text_proj.bias": (256,),
    }  # fmt: skip

    def linear(name, out, into):
        keys.update({f"{name}.weight": (out, into), f"{name}.bias": (out,)})

    def norm(name, width):
        keys.update({f"{name}.weight": (width,), f"{name}.bias": (width,)})

    norm("blip.visual_encoder.norm", 1024)
    norm("blip.text_encoder.embeddings.LayerNorm", 768)
    for i in range(24):
        block = f"blip.visual_encoder.blocks.{i}"
        norm(f"{block}.norm1", 1024)
        norm(f"{block}.norm2", 1024)
        linear(f"{block}.attn.qkv", 3072, 1024)
        linear(f"{block}.attn.proj", 1024, 1024)
        linear(f"{block}.mlp.fc1", 4096, 1024)
        linear(f"{block}.mlp.fc2", 1024, 4096)
    for i in range(12):
        layer = f"blip.text_encoder.encoder.layer.{i}"
        for kind, width in (("attention", 768), ("crossattention", 1024)):
            linear(f"{layer}.{kind}.self.query", 768, 768)
            linear(f"{layer}.{kind}.self.key", 768, width)
            linear(f"{layer}.{kind}.self.value", 768, width)
            linear(f"{layer}.{kind}.output.dense", 768, 768)
            norm(f"{layer}.{kind}.output.LayerNorm", 768)
        linear(f"{layer}.intermediate.dense", 3072, 768)
        linear(f"{layer}.output.dense", 768, 3072)
        norm(f"{layer}.output.LayerNorm", 768)
    for number, (out, into) in zip((0, 2, 4, 6, 7), ((1024, 768), (128, 1024), (64, 128), (16, 64), (1, 16)), strict=True):
        linear(f"mlp.layers.{number}", out, into)
    return keys


def test_every_key_of_the_published_image_reward_has_its_place():
    published = published_keys()
    with torch.device("meta"):
        network = blip.ImageRewardNetwork()
        state = {name: torch.empty(shape) for name, shape in published.items()}
    renamed = {name: tuple(value.shape) for name, value in blip.from_published(state).items()}
    assert len(published) == 625
    assert renamed == {name: tuple(value.shape) for name, value in network.state_dict().items()}
    assert len(renamed) == 620


def test_renaming_back_gives_the_published_names():
    with torch.device("meta"):
        state = {name: torch.empty(shape) for name, shape in published_keys().items()}
    used = {name for name in state if not blip.UNUSED.search(name)}
    assert set(blip.to_published(blip.from_published(state))) == used


def test_hpsv2_is_open_clips_vit_h_14_with_686_entries():
    with torch.device("meta"):
        assert len(clip.build().state_dict()) == 686


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Both rewards, small and random, written in the genuine formats."""
    path = tmp_path_factory.mktemp("rewards")
    config = {**SMALL_BLIP, "vocabulary": len(WORDS)}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        image_reward.save(path, blip.ImageRewardNetwork(config), config, WORDS)
        hpsv2.save(path, clip.build(SMALL_CLIP), SMALL_CLIP)
    return path


def picture(batch=1, size=48):
    return torch.rand(batch, 3, size, size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", SPECS)
def test_a_small_checkpoint_loads_scores_and_sends_a_gradient_to_the_picture(folder, name):
    reward = SPECS[name].load(folder, CPU, torch.float32)
    image = picture(2).requires_grad_()
    score = reward(image, ["a red cube", "a blue sphere and a cube"])
    assert score.shape == (2,)
    score.sum().backward()
    assert float(image.grad.abs().max()) > 0


@pytest.mark.parametrize("name", SPECS)
def test_scores_do_not_depend_on_the_batch_or_its_padding(folder, name):
    reward = SPECS[name].load(folder, CPU, torch.float32)
    prompts = ["a cube", "a red cube and a blue sphere"]
    together = reward(picture(2), prompts)
    alone = torch.cat([reward(picture(2)[i : i + 1], [prompt]) for i, prompt in enumerate(prompts)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


def test_scores_are_what_the_networks_say(folder):
    reward = image_reward.load(folder, CPU, torch.float32)
    states = reward.network.patches(normalized(picture(), 32))
    tokens = reward.tokenizer(["a red cube"], return_tensors="pt")
    raw = reward.network.match(states, tokens.input_ids, tokens.attention_mask)
    torch.testing.assert_close(reward(picture(), ["a red cube"]), (raw - 0.16717362830052426) / 1.0333394966054072)
    pair = hpsv2.load(folder, CPU, torch.float32)
    a = pair.network.encode_image(normalized(picture(), 32))
    b = pair.network.encode_text(pair.tokenizer(["a red cube"]))
    torch.testing.assert_close(pair(picture(), ["a red cube"]), torch.cosine_similarity(a, b))


def test_the_sum_is_weighted_as_in_the_paper_and_can_be_reweighted(folder):
    rewards = load_rewards(folder, CPU, torch.float32)
    scores = rewards(picture(), ["a cube"])
    torch.testing.assert_close(scores["total"], scores["image_reward"] + 5 * scores["hpsv2"])
    other = rewards.reweighted({"hpsv2": 0.0})(picture(), ["a cube"])
    torch.testing.assert_close(other["total"], scores["image_reward"])
    assert isinstance(rewards, WeightedRewards)


def test_the_published_hpsv2_file_layout_is_read(tmp_path):
    network = clip.build(SMALL_CLIP)
    path = tmp_path / "HPS_v2.1_compressed.pt"
    torch.save({"state_dict": network.state_dict(), "epoch": 1}, path)
    state = read_checkpoint(path)
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in state.items())
    assert len(state) == len(network.state_dict())


class Payload:
    def __reduce__(self):
        return print, ("this must never run",)


def test_damaged_missing_and_pickled_files_are_refused_without_a_path(tmp_path, capsys):
    for content in ("missing", "truncated", "object"):
        path = tmp_path / content / "ImageReward.pt"
        path.parent.mkdir()
        if content == "truncated":
            torch.save({"a": torch.zeros(1000)}, path)
            path.write_bytes(path.read_bytes()[:700])
        if content == "object":
            torch.save({"a": Payload()}, path)
        with pytest.raises(ValueError, match=r"ImageReward\.pt") as caught:
            read_checkpoint(path)
        assert str(tmp_path) not in str(caught.value)
    assert "never run" not in capsys.readouterr().out


def test_another_vocabulary_and_another_size_are_refused(folder, tmp_path):
    shutil.copytree(folder / "image_reward", tmp_path / "image_reward")
    (tmp_path / "image_reward" / "vocab.txt").write_text("\n".join(WORDS[:5]))
    with pytest.raises(ValueError, match=r"vocab\.txt"):
        image_reward.load(tmp_path, CPU, torch.float32)
    shutil.copy(folder / "image_reward" / "vocab.txt", tmp_path / "image_reward")
    config = json.loads((folder / "image_reward" / "config.json").read_text())
    (tmp_path / "image_reward" / "config.json").write_text(json.dumps({**config, "vision_width": 64}))
    with pytest.raises(ValueError, match="does not fit its network"):
        image_reward.load(tmp_path, CPU, torch.float32)


@pytest.mark.parametrize("name", SPECS)
def test_every_reward_states_license_source_and_size(name):
    spec = SPECS[name]
    assert spec.license
    assert spec.source
    assert spec.download_gb > 0
    assert spec.files


def test_listing_the_rewards_loads_neither_transformers_nor_open_clip():
    code = "import sys, maskunet.rewards; print([m for m in ('transformers', 'open_clip') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
