"""Stable Diffusion XL on a small random model: two encoders, sizes, its VAE, and what is no such model."""

import fnmatch
import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, DPMSolverMultistepScheduler, StableDiffusionXLPipeline
from diffusers.models.attention_processor import AttnProcessor

from maskunet import apply_masks, remove_masks
from maskunet.library import download, weights
from maskunet.library.library import Library
from maskunet.masks.masked_unet import MaskedUNet
from maskunet.masks.sites import find_sites, listed
from maskunet.methods import SPECS as METHODS
from maskunet.models import SPECS
from maskunet.models.base import from_folder
from maskunet.models.base.lora.put_on import copied
from maskunet.models.base.single_file import kinds, read
from maskunet.records import Request
from maskunet.rewards.base import WeightedRewards
from maskunet.runs.compare import null_mask
from tests.methods.test_methods import run, state
from tests.support.tiny import (
    POOLED_WIDTH,
    SECOND_WIDTH,
    TEXT_WIDTH,
    tiny_generator,
    tiny_mask,
    tiny_vae,
    tiny_xl_folder,
    tiny_xl_unet,
)

CPU = torch.device("cpu")
WIDTH = TEXT_WIDTH["sdxl"] + SECOND_WIDTH
PROMPT = "a red cube and a cat"


def load(folder, dtype=torch.float32, **more):
    return from_folder(folder, name="mine", guidance=5.0, device=CPU, dtype=dtype, **more)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return tiny_xl_folder(tmp_path_factory.mktemp("xl") / "sdxl")


@pytest.fixture
def folder(original, tmp_path):
    return Path(shutil.copytree(original, tmp_path / "my-xl"))


def amend(path, **values):
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


# The U-Net and its text


@pytest.mark.parametrize("size", [(8, 8), (7, 9)])
@pytest.mark.parametrize("layers", [1, 2])
def test_decode_of_encode_is_the_plain_unet_to_the_last_bit(layers, size, tiny_xl):
    unet, text = tiny_xl_unet(layers=layers), tiny_xl.encode(PROMPT)
    x_t = torch.randn(2, 4, *size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        plain = unet(x_t, 400, **text.arguments).sample
        with MaskedUNet(unet) as masked:
            features = masked.encode(x_t, 400, text)
            assert torch.equal(masked.decode(features), plain)
            assert torch.equal(masked.decode(features, {s.name: torch.ones(s.shape) for s in masked.sites}), plain)
            masks = {s.name: (torch.arange(s.weights) % 7 > 0).float().view(s.shape) for s in masked.sites}
            under = masked.decode(features, masks)
        weights = {f"{name}.weight": unet.get_submodule(name).weight * m for name, m in masks.items()}
        assert torch.equal(torch.func.functional_call(unet, weights, (x_t, 400), text.arguments).sample, under)
    assert not torch.allclose(under, plain, atol=1e-3)


@pytest.mark.parametrize("negative", ["", "a dog"])
def test_a_picture_is_the_one_that_diffusers_makes(original, negative):
    model = load(original)
    pipeline = StableDiffusionXLPipeline.from_pretrained(original)
    pipeline.scheduler = DPMSolverMultistepScheduler.from_config(pipeline.scheduler.config, timestep_spacing="linspace")
    pipeline.unet.set_attn_processor(AttnProcessor())
    pipeline.set_progress_bar_config(disable=True)
    theirs = pipeline(
        PROMPT, negative_prompt=negative or None, num_inference_steps=6, guidance_scale=5.0, height=16, width=16,
        latents=model.noise(3), output_type="pt",
    ).images  # fmt: skip
    request = Request(prompt=PROMPT, negative_prompt=negative, seed=3, steps=6, previews=False)
    *_, last = METHODS["plain"].run(model, WeightedRewards({}), request, METHODS["plain"].settings())
    ours = torch.from_numpy(last.image).permute(2, 0, 1)[None]
    assert (ours - (theirs * 255).round()).abs().max() <= 1
    with torch.no_grad():
        ours = model.decode(_sampled(model, request))
    assert float((ours - theirs).abs().max()) <= 1e-4


def _sampled(model, request):
    """The clean latents of the plain method, before they are a picture in whole numbers."""
    found = []
    spied = replace(model, vae=_Spy(model.vae, found))
    list(METHODS["plain"].run(spied, WeightedRewards({}), request, METHODS["plain"].settings()))
    return found[-1] * model.latent_scale


class _Spy:
    def __init__(self, vae, found):
        self.vae, self.found, self.config, self.dtype = vae, found, vae.config, vae.dtype

    def decode(self, latents):
        self.found.append(latents)
        return self.vae.decode(latents)


def test_no_negative_prompt_is_zeros_and_a_given_one_is_not(folder):
    model = load(folder)
    nothing, told = model.encode(PROMPT), model.encode(PROMPT, "a dog")
    assert nothing.states.shape == (2, 16, WIDTH) and nothing.pooled.shape == (2, POOLED_WIDTH)
    assert not nothing.unconditional.states.any() and not nothing.unconditional.pooled.any()
    assert told.unconditional.states.any() and told.unconditional.pooled.any()
    assert torch.equal(nothing.conditional.states, told.conditional.states)
    amend(folder / "model_index.json", force_zeros_for_empty_prompt=False)
    assert load(folder).encode(PROMPT).unconditional.pooled.any()


def test_both_encoders_are_read_before_their_last_layer_and_padded_each_in_its_way(original):
    model = load(original)
    ids = [t(PROMPT, padding="max_length").input_ids for t in (model.tokenizer, model.tokenizer_2)]
    end = model.tokenizer.eos_token_id
    assert ids[0][-1] == end and ids[1][-1] == 0 and ids[0][: ids[0].index(end)] == ids[1][: ids[1].index(end)]
    found = model.encode_prompts([PROMPT])
    for encoder, given, mine in zip(
        model.text_encoders, ids, found.states.split([TEXT_WIDTH["sdxl"], SECOND_WIDTH], -1), strict=True
    ):
        layers = []
        hook = encoder.get_submodule(
            next(n for n, _ in encoder.named_modules() if n.endswith(f"layers.{encoder.config.num_hidden_layers - 2}"))
        ).register_forward_hook(lambda module, args, out, layers=layers: layers.append(out))
        with torch.no_grad():
            encoder(torch.tensor([given]))
        hook.remove()
        out = layers[0][0] if isinstance(layers[0], tuple) else layers[0]
        assert torch.equal(out.reshape(mine.shape), mine)


def test_a_copy_of_an_encoder_that_was_in_use_reads_as_it_does(tiny_xl):
    before = tiny_xl.encode_prompts(["a red cube"])
    others = {"text_encoder": copied(tiny_xl.text_encoder), "text_encoder_2": copied(tiny_xl.text_encoder_2)}
    after = replace(tiny_xl, **others, cache={}).encode_prompts(["a red cube"])
    assert torch.equal(after.states, before.states) and torch.equal(after.pooled, before.pooled)


def test_sizes_are_the_pictures_and_change_what_is_drawn(original):
    model = load(original)
    text = model.encode(PROMPT)
    assert text.sizes.tolist() == [[16, 16, 0, 0, 16, 16]] * 2
    with torch.no_grad():
        as_is = model.predict(model.noise(1), 500, text, 5.0)
        cropped = model.predict(model.noise(1), 500, text._replace(sizes=text.sizes + 8), 5.0)
    assert not torch.allclose(as_is, cropped, atol=1e-3)


def test_a_null_mask_changes_no_pixel(tiny_xl):
    *_, largest = null_mask(tiny_xl, Request(prompt=PROMPT, steps=2), METHODS["plain"])
    assert largest == 0


@pytest.mark.parametrize("name", METHODS)
def test_every_method_runs_and_leaves_the_model_as_it_was(tiny_xl, name):
    before = state(tiny_xl)
    events = run(tiny_xl, name, steps=2)
    assert events[-1].final and events[-1].image.std() > 0
    assert all(torch.equal(value, before[key]) for key, value in tiny_xl.unet.state_dict().items())


# Its size


def test_the_published_one_has_288_sites_with_482_672_640_weights():
    unet = read.empty(kinds.Kind(name="sdxl", title="SDXL"), "unet")
    sites = find_sites(unet)
    assert (len(sites), sum(site.weights for site in sites)) == (288, 482_672_640)
    assert sum(p.numel() for p in unet.parameters()) == 2_567_463_684
    by_block = {block: sum(s.weights for s in sites if s.block == block) for block in (0, 1, 2)}
    assert listed(unet.config) == sites
    assert by_block == {0: 452_198_400, 1: 30_474_240, 2: 0}


# Its VAE


def test_in_half_precision_the_vae_is_one_that_does_not_overflow(folder, tmp_path):
    model = load(folder, torch.float16)
    assert (model.unet.dtype, model.vae.dtype) == (torch.float16, torch.float32)
    assert model.decode(torch.zeros(1, 4, 8, 8, dtype=torch.float16)).dtype == torch.float16
    assert load(folder, torch.bfloat16).vae.dtype == torch.bfloat16
    amend(folder / "vae" / "config.json", force_upcast=False)
    assert load(folder, torch.float16).vae.dtype == torch.float16
    tiny_vae(seed=5).save_pretrained(tmp_path / "other")
    other = load(folder, torch.float16, vae=tmp_path / "other")
    weight = AutoencoderKL.from_pretrained(tmp_path / "other").decoder.conv_in.weight
    assert torch.equal(other.vae.decoder.conv_in.weight, weight.half())
    assert any(name.startswith("vae_float16/") for name in other.weights)
    assert not torch.equal(load(folder, vae=tmp_path / "other").vae.decoder.conv_in.weight, weight)


def test_a_picture_that_is_no_number_is_told_and_not_shown_black(original):
    model = load(original)
    torch.nn.init.constant_(model.vae.decoder.conv_out.bias, math.nan)
    with pytest.raises(ValueError, match=r"The decoder \(VAE\) gave NaN or infinity, so there is no picture"):
        run(model, "plain", steps=1)


# What is no such model


def inpainting(folder):
    amend(folder / "unet" / "config.json", in_channels=9)


def refiner(folder):
    amend(folder / "model_index.json", requires_aesthetics_score=True)


def refiner_without_its_index(folder):
    shutil.rmtree(folder / "text_encoder")


def playground(folder):
    amend(folder / "vae" / "config.json", latents_mean=[0.1] * 4, latents_std=[1.0] * 4)


def flux(folder):
    amend(folder / "model_index.json", _class_name="FluxPipeline")


@pytest.mark.parametrize(("damage", "says"), [
    (inpainting, "another kind of model: an inpainting model, whose U-Net takes 9 channels"),
    (refiner, "another kind of model: the refiner of Stable Diffusion XL"),
    (refiner_without_its_index, "another kind of model: the refiner of Stable Diffusion XL"),
    (playground, "such as Playground 2.5"),
    (flux, "another kind of model: Flux"),
])  # fmt: skip
def test_relatives_are_refused_by_name_before_a_weight_is_read(folder, monkeypatch, damage, says):
    damage(folder)
    monkeypatch.setattr("maskunet.models.base.folder.read_network", lambda *given: pytest.fail("weights were read"))
    with pytest.raises(ValueError, match=says) as error:
        load(folder)
    assert str(folder) not in str(error.value) and "\n" not in str(error.value)


def test_a_folder_without_its_second_encoder_says_what_is_missing(folder):
    shutil.rmtree(folder / "text_encoder_2")
    with pytest.raises(ValueError, match="it has no text_encoder_2"):
        load(folder)


def test_parts_of_several_models_are_told(folder):
    amend(folder / "unet" / "config.json", addition_time_embed_dim=4)
    with pytest.raises(ValueError, match="another kind of model, or its parts are of several"):
        load(folder)


# Found and downloaded


def test_a_folder_of_ones_own_has_the_defaults_of_its_kind(original):
    library = Library("folder", weights=original, device="cpu")
    model = library.load("folder", with_rewards=False).model
    assert (model.guidance, model.steps) == (SPECS["sdxl"].guidance, SPECS["sdxl"].steps) == (5.0, 25)
    assert library.spec("folder").tiny_decoder == "madebyollin/taesdxl"
    assert SPECS["folder"].guidance == 7.5  # the library's own is another


HUB_FILES = [
    "model_index.json", "sd_xl_base_1.0.safetensors", "scheduler/scheduler_config.json",
    *(f"{part}/{name}" for part in ("text_encoder", "text_encoder_2") for name in
      ("config.json", "model.safetensors", "model.fp16.safetensors", "model.onnx", "flax_model.msgpack")),
    *(f"{part}/{name}" for part in ("unet", "vae") for name in
      ("config.json", "diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.fp16.safetensors", "model.onnx")),
    *(f"{part}/{name}" for part in ("tokenizer", "tokenizer_2") for name in
      ("merges.txt", "special_tokens_map.json", "tokenizer_config.json", "vocab.json")),
    "vae_1_0/diffusion_pytorch_model.safetensors", "vae_decoder/model.onnx",
]  # fmt: skip


def test_its_download_is_half_precision_and_the_other_vae():
    plan = download.plan("sdxl")
    (repo, _, patterns), (vae, _, files) = plan.files
    taken = {f for f in HUB_FILES if any(fnmatch.fnmatch(f, pattern) for pattern in patterns)}
    assert {f for f in taken if f.endswith(".safetensors")} == {
        "text_encoder/model.fp16.safetensors", "text_encoder_2/model.fp16.safetensors",
        "unet/diffusion_pytorch_model.fp16.safetensors", "vae/diffusion_pytorch_model.fp16.safetensors",
    }  # fmt: skip
    assert len(taken) == 4 + 2 + 4 + 8 and "tokenizer_2/vocab.json" in taken
    assert (repo, vae) == ("stabilityai/stable-diffusion-xl-base-1.0", "madebyollin/sdxl-vae-fp16-fix")
    assert files == weights.VAE_FILES
    counts = {part: sum(p.numel() for p in read.empty(kinds.Kind(name="sdxl", title=""), part).parameters())
              for part in ("unet", "vae", "text_encoder", "text_encoder_2")}  # fmt: skip
    assert plan.gigabytes == pytest.approx((2 * sum(counts.values()) + 4 * counts["vae"]) / 1e9, abs=0.01)


@pytest.mark.parametrize(("method", "file"), [("held_mask", "masks"), ("maskunet_trained", "generators")])
def test_masks_go_on_an_xl_pipeline_of_someones_own(folder, method, file):
    path = {"masks": tiny_mask, "generators": tiny_generator}[file](folder)
    model = load(folder)
    asked = Request(prompt=PROMPT, seed=3, steps=3, guidance=3.0, previews=False)
    *_, ours = METHODS[method].run(model, WeightedRewards({}), asked, METHODS[method].settings())
    pipe = StableDiffusionXLPipeline.from_pretrained(folder)
    pipe.scheduler = DPMSolverMultistepScheduler.from_config(pipe.scheduler.config, timestep_spacing="linspace")
    pipe.set_progress_bar_config(disable=True)

    def picture():
        how = {"num_inference_steps": 3, "guidance_scale": 3.0, "height": 16, "width": 16, "output_type": "pt"}
        return (pipe(PROMPT, latents=model.noise(3), **how).images * 255).round()[0].permute(1, 2, 0)

    plain = picture()
    apply_masks(pipe, path)
    assert (picture() - torch.from_numpy(ours.image)).abs().max() <= 1
    assert (picture() - plain).abs().max() > 1
    remove_masks(pipe)
    assert torch.equal(picture(), plain)
