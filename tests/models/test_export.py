"""Models with a mask folded in: what other programs read makes the pictures that the lab makes."""

import numpy as np
import pytest
import torch
from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline, StableDiffusionXLPipeline
from safetensors.torch import load_file

from maskunet.commands import registry
from maskunet.commands.export import FORMS
from maskunet.library import export
from maskunet.library.library import Library
from maskunet.masks import fold, held
from maskunet.methods import SPECS as METHODS
from maskunet.models.base.single_file import header, kinds
from maskunet.records import Request, held_mask
from maskunet.rewards.base import WeightedRewards
from maskunet.runs import mask_sources
from tests.support.single_file import write
from tests.support.tiny import random_generator

NOISE = {"modelspec.prediction_type": "epsilon"}
SAYS = {"sd1": {}, "sd2": NOISE, "sdxl": NOISE}
PIPELINES = {"sdxl": StableDiffusionXLPipeline}
STEPS, SEED, PROMPT = 3, 7, "a red cube"


@pytest.fixture(scope="module", params=SAYS)
def base(request, tmp_path_factory):
    """A model with a kept mask: its kind, its place, and the library that reads its single file."""
    place = tmp_path_factory.mktemp("export")
    with pytest.MonkeyPatch.context() as m:
        m.setattr(kinds, "CONFIGS", place / "configs")
        write(place, request.param, **SAYS[request.param])
        library = Library("auto", place / f"{request.param}.safetensors", "cpu", trained=place / "trained")
        model = library.load_alone(library.default)
        mask = mask_sources.by_chance(model, "iid", 0.4, 1)
        held_mask.save(mask, held_mask.place(library.trained, model.name, "chance"))
        yield request.param, place, library, mask


def ours(library):
    model = library.load(library.default, with_rewards=False).model
    asked = Request(prompt=PROMPT, seed=SEED, steps=STEPS, guidance=3.0, previews=False)
    spec = METHODS["held_mask"]
    *_, last = spec.run(model, WeightedRewards({}), asked, spec.settings("", {"mask": "chance"}))
    *_, plain = METHODS["plain"].run(model, WeightedRewards({}), asked, METHODS["plain"].settings())
    return np.asarray(last.image), np.asarray(plain.image), model


def theirs(pipe, model):
    """The picture of a diffusers pipeline from the same noise, by the same solver."""
    pipe.scheduler = DPMSolverMultistepScheduler.from_config(pipe.scheduler.config, timestep_spacing="linspace")
    pipe.set_progress_bar_config(disable=True)
    size = {"height": 16, "width": 16}
    how = {"num_inference_steps": STEPS, "guidance_scale": 3.0, "output_type": "np"}
    image = pipe(PROMPT, latents=model.noise(SEED), **size, **how).images[0]
    return np.round(image * 255).astype(int)


def opened(form, out, folder, kind):
    pipeline = PIPELINES.get(kind, StableDiffusionPipeline)
    if form == "folder":
        return pipeline.from_pretrained(out, local_files_only=True)
    if form == "file":
        return pipeline.from_single_file(str(out), config=str(folder), local_files_only=True)
    pipe = pipeline.from_pretrained(folder, local_files_only=True)
    # As ComfyUI looks a difference up: lora_unet_, diffusers' name with underscores, .diff; added at strength 1.
    known = {f"lora_unet_{n.removesuffix('.weight').replace('.', '_')}.diff": n for n in pipe.unet.state_dict()}
    state, found = pipe.unet.state_dict(), load_file(out)
    assert found and found.keys() <= known.keys()
    for name, value in found.items():
        state[known[name]].add_(value)
    return pipe


@pytest.mark.parametrize("form", FORMS)
def test_what_is_exported_makes_our_picture_through_diffusers(base, tmp_path, form):
    kind, place, library, mask = base
    picture, plain, model = ours(library)
    assert (picture != plain).any()
    before = {name: value.clone() for name, value in model.unet.state_dict().items()}
    out = tmp_path / ("made" if form == "folder" else "made.safetensors")
    source = library.find(library.default, with_rewards=False)[0]
    made = export.export(model, source, mask, form, out)
    assert all(before[name].equal(value) for name, value in model.unet.state_dict().items())
    seen = theirs(opened(form, out, place / f"{kind}-folder", kind), model)
    assert np.abs(seen - picture.astype(int)).max() <= 1
    assert np.abs(seen - plain.astype(int)).max() > 1
    assert made.removed == round(0.4 * made.sites) or abs(made.removed / made.sites - 0.4) < 0.05
    with pytest.raises(ValueError, match="is there already"):
        export.export(model, source, mask, form, out)


def test_an_exported_file_has_the_names_of_the_original_layout_and_is_a_base_model(base, tmp_path):
    kind, place, library, mask = base
    model, source = library.load_alone(library.default), library.find(library.default, with_rewards=False)[0]
    export.export(model, source, mask, "file", tmp_path / "x.safetensors", half=True)
    read, whole = header.read(tmp_path / "x.safetensors"), header.read(source)
    assert read.shapes == whole.shapes
    assert {read.types[name] for name in read.types if "position_ids" not in name} == {"F16"}
    again = Library("auto", tmp_path / "x.safetensors", "cpu").load_alone("x")
    zeros = sum(int((again.unet.get_submodule(name).weight == 0).sum()) for name in mask.sites)
    assert zeros == len(mask.at(0)) and again.schedule.prediction_type == "epsilon"


def test_a_mask_of_several_steps_becomes_its_majority_and_says_how_far_it_is_off(tiny_sd15):
    total = sum(a * b for a, b in held.shapes(tiny_sd15.unet).values())
    often, once = np.arange(0, 10, dtype=np.uint32), np.arange(10, 14, dtype=np.uint32)
    steps = {900: np.concatenate([often, once]), 500: often, 100: np.zeros(0, np.uint32)}
    mask, differs = fold.over_time(held.of_model(tiny_sd15, steps, {"made": "hand"}))
    assert mask.static and sorted(mask.at(0)) == list(often)
    assert differs == pytest.approx((10 + 4) / (3 * total)) and mask.recipe["over_time"] == 3
    assert fold.over_time(mask) == (mask, 0.0)


def test_the_command_exports_a_kept_mask_and_a_generators(base, tmp_path, monkeypatch, capsys):
    from maskunet.masks import generator_file

    kind, place, library, _ = base
    model = library.load_alone(library.default)
    made = random_generator(model.unet)
    generator_file.save(
        made, place / "trained" / model.name / "mine.safetensors", {"model": model.name, "weights": model.weights}
    )
    monkeypatch.chdir(place)
    how = ["export", "--weights", f"{kind}.safetensors"]
    assert registry.main([*how, "--mask", "chance", "--out", str(tmp_path / "a.safetensors")]) == 0
    assert "weights are 0 now" in capsys.readouterr().out
    asked = ["--generator", "mine", "--prompt", PROMPT, "--steps", "3", "--form", "difference"]
    assert registry.main([*how, *asked, "--out", str(tmp_path / "b.safetensors")]) == 0
    assert "changes over 3 steps" in capsys.readouterr().out
    base = {"model": model.name, "weights": model.weights, "token": "<x>"}
    generator_file.save(made, place / "trained" / model.name / "both.safetensors", base, {"<x>": torch.zeros(1, 32)})
    asked[1] = "both"
    assert registry.main([*how, *asked, "--out", str(tmp_path / "d.safetensors")]) == 2
    assert "The masks “both” learned together with a word, and a word is no part of a model" in capsys.readouterr().err
    assert registry.main([*how, "--mask", "nothing", "--out", str(tmp_path / "c.safetensors")]) == 2
    assert "nothing" in capsys.readouterr().err and not (tmp_path / "c.safetensors").exists()


def test_the_commands_forms_are_the_librarys():
    assert FORMS == export.FORMS
