"""Models distilled for a few steps or one: sampled as diffusers' pipeline samples them with their own scheduler."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import (
    DDIMScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    LCMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
)

from maskunet.diffusion import Schedule
from maskunet.library import own_models, weights
from maskunet.methods import SPECS as METHODS
from maskunet.methods.base.spec import filled
from maskunet.models import SPECS
from maskunet.models.base import from_folder
from maskunet.records import Request
from tests.methods.test_methods import Redness
from tests.support.tiny import SCHEDULER, tiny_sd_folder, tiny_xl_folder

CPU = torch.device("cpu")
TURBO = EulerDiscreteScheduler(
    beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", timestep_spacing="trailing", steps_offset=1
)  # SD-Turbo's
LCM = LCMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
PROMPT = "a red cube and a blue sphere"


@pytest.fixture(scope="module")
def turbo(tmp_path_factory):
    """A small model in Stable Diffusion 2's format with SD-Turbo's scheduler, read as SD-Turbo is."""
    folder = tiny_sd_folder(tmp_path_factory.mktemp("turbo") / "sd-turbo", "sd2")
    TURBO.save_pretrained(folder / "scheduler")
    return folder, weights.load_model(SPECS["sd_turbo"], folder, CPU, torch.float32)


class Kept(Redness):
    """Those rewards, and the last picture that they were shown."""

    def __call__(self, image, prompts):
        self.image = image
        return super().__call__(image, prompts)


def ours(model, **asked):
    seen = Kept()
    request = filled(Request(prompt=PROMPT, seed=7, previews=False, method="plain", **asked), METHODS["plain"], model)
    list(METHODS["plain"].run(model, seen, request, METHODS["plain"].settings()))
    return seen.image


def theirs(folder, model, scheduler, **asked):
    pipe = StableDiffusionPipeline.from_pretrained(folder, scheduler=scheduler, safety_checker=None)
    pipe.set_progress_bar_config(disable=True)
    return torch.from_numpy(
        pipe(PROMPT, latents=model.noise(7), output_type="np", **asked).images.transpose(0, 3, 1, 2)
    )


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("steps", "guidance"), [(1, 1.0), (2, 1.0), (4, 1.0), (4, 3.0)])
def test_pictures_of_few_steps_are_those_of_diffusers_with_the_models_own_scheduler(turbo, steps, guidance):
    folder, model = turbo
    mine = ours(model, steps=steps, guidance=guidance)
    other = theirs(folder, model, TURBO, num_inference_steps=steps, guidance_scale=guidance)
    assert float((mine - other).abs().max()) <= 1e-4
    assert float(mine.std()) > 0.01


def test_sampled_as_any_other_model_its_one_step_is_another(turbo):
    folder, model = turbo
    plain = from_folder(folder, name="x", guidance=1.0, device=CPU, dtype=torch.float32)
    assert not plain.schedule.few_steps  # a scheduler of Euler's alone means nothing: many models have it
    assert float((ours(model) - ours(plain, steps=1)).abs().max()) > 1e-4


def test_a_turbo_model_asks_for_one_step_without_guidance_and_says_nothing_of_its_scheduler(turbo):
    _, model = turbo
    request = filled(Request(prompt=PROMPT), METHODS["plain"], model)
    assert (request.steps, request.guidance, model.notes) == (1, 1.0, ())
    batches = []
    hook = model.unet.conv_in.register_forward_pre_hook(lambda module, given: batches.append(len(given[0])))
    ours(model)
    hook.remove()
    assert batches == [1]


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 7, 8])
@pytest.mark.filterwarnings("ignore")
def test_trailing_timesteps_are_those_of_diffusers(steps):
    TURBO.set_timesteps(steps)
    pairs = Schedule(TURBO.alphas_cumprod).trailing_pairs(steps)
    assert [t for t, _ in pairs] == TURBO.timesteps.long().tolist()
    assert [t for _, t in pairs] == [*(t for t, _ in pairs[1:]), -1]


@pytest.mark.filterwarnings("ignore")
def test_a_consistency_model_is_known_by_its_scheduler_and_walks_without_fresh_noise(tmp_path):
    folder = tiny_sd_folder(tmp_path / "my-lcm")
    LCM.save_pretrained(folder / "scheduler")
    spec = own_models.spec_of(folder)
    model = weights.load_model(spec, folder, CPU, torch.float32)
    assert (model.steps, model.guidance, model.schedule.few_steps) == (4, 1.0, True)
    assert "asks for LCMScheduler" in model.notes[0] and "without fresh noise" in model.notes[0]
    mine = ours(model)
    ddim = DDIMScheduler(**{**SCHEDULER, "set_alpha_to_one": True, "timestep_spacing": "trailing"})
    other = theirs(folder, model, ddim, num_inference_steps=4, guidance_scale=1.0)
    assert float((mine - other).abs().max()) <= 1e-4


def test_methods_with_masks_and_choices_run_at_one_and_four_steps(turbo):
    _, model = turbo
    for name in ("maskunet_free", "best_of_n", "fk_steering", "random_mask"):
        for steps in (1, 4):
            request = Request(prompt=PROMPT, seed=1, steps=steps, previews=False, method=name)
            *_, last = METHODS[name].run(model, Redness(), request, METHODS[name].settings())
            assert last.final and np.isfinite(list(last.rewards.values())).all()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("kind", "steps"), [(EulerAncestralDiscreteScheduler, 1), (EulerDiscreteScheduler, 4)])
def test_sdxl_turbo_is_sampled_as_diffusers_samples_it(tmp_path, kind, steps):
    folder = tiny_xl_folder(tmp_path / "sdxl-turbo")
    scheduler = kind.from_config(TURBO.config)
    scheduler.save_pretrained(folder / "scheduler")
    model = weights.load_model(replace(SPECS["sdxl_turbo"], tiny_decoder="", vae=""), folder, CPU, torch.float32)
    assert (model.steps, model.guidance, model.schedule.few_steps) == (1, 1.0, True)
    assert ("without fresh noise" in " ".join(model.notes)) == (kind is EulerAncestralDiscreteScheduler)
    pipe = StableDiffusionXLPipeline.from_pretrained(folder, scheduler=scheduler, add_watermarker=False)
    pipe.set_progress_bar_config(disable=True)
    pictures = pipe(
        PROMPT, latents=model.noise(7), output_type="np", num_inference_steps=steps, guidance_scale=1.0
    ).images.transpose(0, 3, 1, 2)
    assert float((ours(model, steps=steps) - torch.from_numpy(pictures)).abs().max()) <= 1e-4
