"""The shipped tabletop models: genuine formats, small files, and trained, which random ones would not pass."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline

from maskunet.experiments.evaluate import evaluate
from maskunet.experiments.tabletop import measure
from maskunet.experiments.tabletop.train_autoencoder import signal_to_noise
from maskunet.library.library import Library
from maskunet.records import Request
from maskunet.tabletop import checker, data
from maskunet.tabletop.place import CHECKER, WEIGHTS
from maskunet.tabletop.render import render


@pytest.fixture(scope="module")
def judge():
    return checker.load(CHECKER)


@pytest.fixture(scope="module")
def loaded(judge):
    return replace(Library("tabletop", device="cpu").load("tabletop"), checker=judge)


def test_every_file_is_under_10_mb_and_all_together_under_64_mib():
    sizes = [path.stat().st_size for path in WEIGHTS.rglob("*") if path.is_file()]
    assert max(sizes) < 10_000_000
    assert sum(sizes) < 64 * 2**20


def test_diffusers_own_pipeline_loads_and_samples_it():
    pipe = StableDiffusionPipeline.from_pretrained(WEIGHTS / "model", torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    image = pipe(
        "a red cube", num_inference_steps=2, generator=torch.Generator().manual_seed(0), output_type="np"
    ).images[0]
    assert image.shape == (128, 128, 3)


def test_whoever_loads_it_with_diffusers_samples_at_the_same_timesteps(loaded):
    scheduler = DPMSolverMultistepScheduler.from_pretrained(WEIGHTS / "model", subfolder="scheduler")
    scheduler.set_timesteps(15)
    assert scheduler.timesteps.tolist() == [t for t, _ in loaded.model.schedule.linspace_pairs(15)]


def test_the_first_up_block_has_no_attention_as_in_stable_diffusion(loaded):
    kinds = [type(block).__name__ for block in loaded.model.unet.up_blocks]
    assert kinds == ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"]


def test_the_judges_know_the_world(loaded):
    found = measure.judges(loaded, count=100)
    assert found["psnr"] > 31
    assert found["checker"]["things"] >= 0.98
    assert all(share >= 0.92 for share in found["rewards"].values())


def test_things_colors_and_pairs_are_mostly_right(loaded):
    request = Request(prompt="-", method="plain", steps=8)
    rows = list(evaluate(loaded, request, tasks="single,two,colors", n=8, seed=77, batch=8))
    right = {task: sum(r["correct"] for r in rows if r["task"] == task) for task in ("single", "two", "colors")}
    assert right["single"] >= 7
    assert right["colors"] >= 7
    assert right["two"] >= 6


def test_the_checker_does_not_see_things_on_an_empty_table_or_in_noise(judge):
    empty = torch.full((1, 3, 128, 128), 0.62)
    noise = torch.from_numpy(np.random.default_rng(0).random((1, 3, 128, 128), dtype=np.float32))
    assert judge.see(empty) == [[]]
    assert len(judge.see(noise)[0]) <= 1


def test_the_tiny_decoder_shows_what_the_full_one_shows(loaded):
    model = loaded.model
    pictures = render(data.training_scenes(measure.FRESH_SHARD)[:16]).float() / 127.5 - 1
    with torch.no_grad():
        latents = model.vae.encode(pictures).latent_dist.mean * model.latent_scale
        tiny, full = model.decode(latents, tiny=True), model.decode(latents)
    assert signal_to_noise(2 * tiny - 1, 2 * full - 1) > 28
    assert model.tiny_decoder_file().stat().st_size < 1_000_000


def test_the_renders_that_judge_are_not_those_that_trained():
    trained = set(data.training_scenes(0))
    assert not trained & set(data.training_scenes(measure.FRESH_SHARD))
