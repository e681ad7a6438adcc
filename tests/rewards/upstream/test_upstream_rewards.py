"""The upstream packages write small checkpoints and score them; ours must read them and agree."""

import json
import os
import subprocess
from pathlib import Path

import pytest
import torch

from maskunet.rewards import SPECS, image_reward
from tests.support.tiny_rewards import BLIP, CLIP, PROMPTS, picture

ROOT = Path(__file__).parents[3]
PYTHON = os.environ.get("MASKUNET_UPSTREAM_PYTHON")

pytestmark = pytest.mark.skipif(
    not PYTHON,
    reason="MASKUNET_UPSTREAM_PYTHON is not set; tests/rewards/upstream/README.md says how to make that Python",
)


@pytest.fixture(scope="module")
def upstream(tmp_path_factory):
    """A folder with upstream's checkpoints, and its scores and gradients."""
    folder = tmp_path_factory.mktemp("upstream")
    subprocess.run(
        [PYTHON, str(Path(__file__).with_name("scores.py")), str(folder)],
        check=True,
        timeout=300,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"},
    )
    return folder, json.loads((folder / "scores.json").read_text())


@pytest.mark.parametrize("name", ["image_reward", "hpsv2"])
def test_upstream_checkpoint_scores_and_gradient_are_the_same(name, upstream, monkeypatch):
    monkeypatch.setattr(image_reward, "FULL_SIZE", BLIP)
    monkeypatch.setattr(
        image_reward, "PUBLISHED_TEXT", (("num_attention_heads", BLIP["text_heads"]), ("hidden_act", "gelu"))
    )
    monkeypatch.setattr("open_clip.factory.get_model_config", lambda name: CLIP)
    folder, expected = upstream
    reward = SPECS[name].load(folder, torch.device("cpu"), torch.float32)
    scores = [float(reward(picture(), [prompt])) for prompt in PROMPTS]
    assert scores == pytest.approx(expected[name]["scores"], rel=1e-5, abs=1e-6)
    wide = float(reward(picture(48)[..., :32, :], [PROMPTS[0]]))
    assert wide == pytest.approx(expected[name]["wide"], rel=1e-5, abs=1e-6)

    image = picture().requires_grad_()
    (gradient,) = torch.autograd.grad(reward(image, [PROMPTS[0]]).sum(), image)
    std = torch.tensor((0.26862954, 0.26130258, 0.27577711)).view(3, 1, 1)
    ours = gradient * std  # upstream's gradient is to the normalized pixels
    theirs = torch.tensor(expected[name]["gradient"]).view_as(ours)
    assert (ours - theirs).abs().max() < 1e-4 * theirs.abs().max()
