"""Masks in diffusers pipelines of someone's own: our pictures while they are on, the pipeline's own before and after."""

import copy

import numpy as np
import pytest
import torch
from diffusers import (
    ControlNetModel,
    DPMSolverMultistepScheduler,
    StableDiffusionControlNetPipeline,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionPipeline,
)
from PIL import Image

from maskunet import apply_masks, remove_masks
from maskunet.masks import fold, generator_file, held, in_pipeline
from maskunet.methods import SPECS as METHODS
from maskunet.models.base import DiffusionModel, from_folder
from maskunet.models.base.folder import hashes
from maskunet.records import Request, held_mask
from maskunet.rewards.base import WeightedRewards
from tests.support.single_file import tiny_pipeline
from tests.support.tiny import random_generator, tiny_unet

CPU = torch.device("cpu")
HOW = {"num_inference_steps": 3, "guidance_scale": 3.0, "output_type": "np"}
PROMPT, SEED = "a red cube", 7
PICTURE = Image.fromarray(np.arange(16 * 16 * 3, dtype=np.uint8).reshape(16, 16, 3))


def mask_of(model: DiffusionModel, steps):
    """Random removals, another third of the weights for each timestep."""
    total = sum(a * b for a, b in held.shapes(model.unet).values())
    chosen = np.random.default_rng(0)
    each = {t: np.sort(chosen.choice(total, total // 3, replace=False)).astype(np.uint32) for t in steps}
    return held.of_model(model, each, {"made": "hand"})


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A model's folder; a mask for all steps, one of each step's own, and a generator, as the model's trained parts."""
    place = tmp_path_factory.mktemp("pipeline")
    pipe = tiny_pipeline("sd1")
    pipe.save_pretrained(place / "model")
    model = read(place)
    held_mask.save(mask_of(model, [0]), place / "model" / "masks" / "still.safetensors")
    held_mask.save(mask_of(model, [999, 666, 333]), place / "model" / "masks" / "moving.safetensors")
    (place / "model" / "generators").mkdir()
    base = {"model": "tiny", "weights": hashes(place / "model")}
    generator_file.save(random_generator(model.unet), place / "model" / "generators" / "made.safetensors", base)
    return place


def read(place):
    return from_folder(place / "model", name="tiny", guidance=3.0, device=CPU, dtype=torch.float32)


@pytest.fixture
def pipe(place):
    pipe = StableDiffusionPipeline.from_pretrained(place / "model", local_files_only=True)
    pipe.scheduler = DPMSolverMultistepScheduler.from_config(pipe.scheduler.config, timestep_spacing="linspace")
    pipe.set_progress_bar_config(disable=True)
    return pipe


def text_to_image(pipe):
    return pipe(PROMPT, height=16, width=16, generator=torch.Generator().manual_seed(1), **HOW).images


def image_to_image(pipe):
    made = StableDiffusionImg2ImgPipeline(**pipe.components, requires_safety_checker=False)
    made.set_progress_bar_config(disable=True)
    return made(PROMPT, image=PICTURE, strength=0.9, generator=torch.Generator().manual_seed(1), **HOW).images


def controlled(pipe):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        control = ControlNetModel.from_unet(tiny_unet(), conditioning_embedding_out_channels=(8, 16))
        for layer in (*control.controlnet_down_blocks, control.controlnet_mid_block):
            torch.nn.init.normal_(layer.weight, std=0.1)  # they begin at zero, which would control nothing
    made = StableDiffusionControlNetPipeline(
        **pipe.components, controlnet=control.eval(), requires_safety_checker=False
    )
    made.set_progress_bar_config(disable=True)
    return made(PROMPT, image=PICTURE, height=16, width=16, generator=torch.Generator().manual_seed(1), **HOW).images


@pytest.mark.parametrize("call", [text_to_image, image_to_image, controlled])
@pytest.mark.parametrize("file", ["masks/still", "masks/moving", "generators/made"])
def test_masks_are_on_in_every_pipeline_until_they_are_taken_off(place, pipe, call, file):
    layers = dict(pipe.unet.named_modules())
    plain = call(pipe)
    apply_masks(pipe, place / "model" / f"{file}.safetensors")
    masked = call(pipe)
    assert np.abs(masked - plain).max() > 1 / 255
    if file == "masks/still":  # as with weights that were multiplied for good
        other = copy.copy(pipe)
        other.unet = type(pipe.unet).from_pretrained(place / "model" / "unet")
        state, mask = other.unet.state_dict(), held_mask.load(place / "model" / f"{file}.safetensors")
        other.unet.load_state_dict({**state, **fold.weights(other.unet, mask)})
        assert np.abs(call(other) - masked).max() < 1e-5
    remove_masks(pipe)
    assert np.array_equal(call(pipe), plain)
    assert all(pipe.unet.get_submodule(name) is layer for name, layer in layers.items())


@pytest.mark.parametrize(("file", "method", "setting"), [
    ("masks/still", "held_mask", {"mask": "still"}),
    ("masks/moving", "held_mask", {"mask": "moving"}),
    ("generators/made", "maskunet_trained", {"generator": "made"}),
])  # fmt: skip
def test_a_pipeline_with_masks_makes_the_labs_picture(place, pipe, file, method, setting):
    model, spec = read(place), METHODS[method]
    asked = Request(prompt=PROMPT, seed=SEED, steps=3, guidance=3.0, previews=False)
    *_, last = spec.run(model, WeightedRewards({}), asked, spec.settings("", setting))
    apply_masks(pipe, place / "model" / f"{file}.safetensors")
    made = pipe(PROMPT, latents=model.noise(SEED), height=16, width=16, **HOW).images[0]
    assert np.abs(np.round(made * 255) - np.asarray(last.image, dtype=float)).max() <= 1


def test_several_pictures_and_no_guidance_work_too(place, pipe):
    apply_masks(pipe, place / "model" / "generators" / "made.safetensors")
    both = {**HOW, "num_inference_steps": 1}
    assert pipe([PROMPT, "a dog"], height=16, width=16, **both).images.shape == (2, 16, 16, 3)
    assert pipe([PROMPT] * 2, height=16, width=16, **{**both, "guidance_scale": 1.0}).images.shape == (2, 16, 16, 3)


def test_new_masks_take_the_place_of_those_that_are_on_and_the_type_may_change(place, pipe):
    plain = text_to_image(pipe)
    still = place / "model" / "masks" / "still.safetensors"
    apply_masks(pipe, place / "model" / "generators" / "made.safetensors")
    apply_masks(pipe, still)
    once = text_to_image(pipe)
    apply_masks(pipe, str(still))
    assert np.array_equal(text_to_image(pipe), once)
    pipe.to(torch.float64)
    apply_masks(pipe, place / "model" / "generators" / "made.safetensors")
    assert text_to_image(pipe).std() > 0  # the generator reads it in its own type
    remove_masks(pipe)
    assert {value.dtype for value in pipe.unet.parameters()} == {torch.float64}
    pipe.to(torch.float32)
    remove_masks(pipe)  # with none on, nothing happens
    assert np.array_equal(text_to_image(pipe), plain)


def test_what_does_not_fit_is_refused_and_nothing_is_changed(place, pipe, tmp_path):
    plain = text_to_image(pipe)
    with pytest.raises(ValueError, match="neither a kept mask nor a mask generator"):
        apply_masks(pipe, place / "model" / "unet" / "diffusion_pytorch_model.safetensors")
    with pytest.raises(ValueError, match="neither"):
        apply_masks(pipe, tmp_path / "nothing.safetensors")
    other = copy.copy(pipe)
    other.unet = tiny_unet("sd2")
    with pytest.raises(ValueError, match="is .* there and .* here"):
        apply_masks(other, place / "model" / "masks" / "still.safetensors")
    with pytest.raises(ValueError, match="does not fit this U-Net"):
        apply_masks(other, place / "model" / "generators" / "made.safetensors")
    with pytest.raises(ValueError, match="no U-Net"):
        apply_masks(object(), place / "model" / "masks" / "still.safetensors")
    pipe.fuse_qkv_projections(vae=False)
    with pytest.raises(ValueError, match="unfuse_qkv_projections"):
        apply_masks(pipe, place / "model" / "masks" / "still.safetensors")
    pipe.unfuse_qkv_projections(vae=False)
    assert not hasattr(pipe.unet, in_pipeline.ON) and np.array_equal(text_to_image(pipe), plain)
