"""What a folder's scheduler asks for besides its noise schedule is told, and nothing where no choice was made."""

import shutil
from pathlib import Path

import pytest
import torch
from diffusers import DPMSolverMultistepScheduler, EulerDiscreteScheduler, UniPCMultistepScheduler

from maskunet.diffusion import Schedule
from maskunet.experiments import picture_folder
from maskunet.models.base import from_folder
from maskunet.prompts.files import Prompt
from maskunet.records import Request
from maskunet.runs.compare import compare
from tests.models.test_models import rewritten
from tests.support.tiny import Zero, tiny_sd_folder


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return tiny_sd_folder(tmp_path_factory.mktemp("scheduler") / "sd15")


@pytest.fixture
def folder(original, tmp_path):
    return Path(shutil.copytree(original, tmp_path / "my-model"))


def load(folder):
    return from_folder(folder, name="mine", guidance=3.0, device=torch.device("cpu"), dtype=torch.float32)


def asks(folder, **values):
    rewritten(folder, "scheduler", **values)


PNDM = {
    "_class_name": "PNDMScheduler", "skip_prk_steps": True, "set_alpha_to_one": False, "steps_offset": 1,
    "timestep_spacing": "leading", "clip_sample": False, "trained_betas": None,
}  # fmt: skip


@pytest.mark.parametrize(
    ("values", "asked"),
    [
        ({}, ""),
        (PNDM, ""),
        ({"_class_name": "DPMSolverMultistepScheduler", **DPMSolverMultistepScheduler().config}, ""),
        ({"timestep_spacing": "trailing"}, ""),
        (
            {"_class_name": "EulerDiscreteScheduler", **EulerDiscreteScheduler(use_karras_sigmas=True).config},
            "EulerDiscreteScheduler with use_karras_sigmas true",
        ),
        ({"_class_name": "EulerAncestralDiscreteScheduler"}, "EulerAncestralDiscreteScheduler"),
        ({"_class_name": "UniPCMultistepScheduler", **UniPCMultistepScheduler().config}, "UniPCMultistepScheduler"),
        (
            {"_class_name": "DPMSolverMultistepScheduler", "algorithm_type": "sde-dpmsolver++", "solver_order": 3},
            "DPMSolverMultistepScheduler with algorithm_type sde-dpmsolver++, solver_order 3",
        ),
        ({"thresholding": True, "sample_max_value": 1.5}, "DDIMScheduler with thresholding true"),
        (
            {"use_lu_lambdas": True, "final_sigmas_type": "sigma_min", "variance_type": "learned_range"},
            "DDIMScheduler with use_lu_lambdas true, final_sigmas_type sigma_min, variance_type learned_range",
        ),
        ({"timestep_spacing": "karras", "new": [1, 2]}, "DDIMScheduler with timestep_spacing karras, new [1, 2]"),
        ({"_class_name": "MyScheduler"}, "MyScheduler"),
    ],
)
def test_what_the_folders_scheduler_asks_for_and_does_not_get_is_one_sentence(folder, values, asked):
    asks(folder, **values)
    said = (
        f"The model's scheduler_config.json asks for {asked}; pictures here are sampled by DPM-Solver++ at evenly spaced "
        "timesteps instead."
    )
    assert load(folder).notes == ((said,) if asked else ())


def test_trailing_timesteps_are_ours_but_for_one():
    """What makes a note on them needless."""
    theirs = DPMSolverMultistepScheduler(timestep_spacing="trailing")
    for steps in (4, 15, 50):
        theirs.set_timesteps(steps)
        ours = [t for t, _ in Schedule(theirs.alphas_cumprod).linspace_pairs(steps)]
        assert max(abs(a - b) for a, b in zip(ours, theirs.timesteps.tolist(), strict=True)) <= 1


def test_a_run_and_a_folder_of_pictures_tell_it(folder, tmp_path):
    asks(folder, _class_name="EulerDiscreteScheduler")
    model, request = load(folder), Request(prompt="a red cube", seed=1, steps=1, method="plain")
    ((state, run),) = [item for item in compare(model, Zero(), request, with_base=False) if item[0] != "result"]
    assert state == "done"
    assert "asks for EulerDiscreteScheduler; pictures" in run.record()["note"]
    first = next(picture_folder.sample(model, Zero(), request, [Prompt("0", "a cat")], tmp_path / "o", seed=1))
    assert any("asks for EulerDiscreteScheduler; pictures" in note for note in first.notes)
