"""Single files in the original layout: recognized by their header, read exactly, refused in one sentence each."""

import json
import os
import re
import shutil
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from huggingface_hub import constants
from safetensors.torch import load_file, save_file

from maskunet.library import own_models
from maskunet.library.library import Library
from maskunet.masks.sites import find_sites
from maskunet.methods import SPECS as METHODS
from maskunet.models.base import DiffusionModel, from_folder, single_file
from maskunet.models.base.single_file import header, kinds, prediction, read
from maskunet.models.base.single_file.kinds import UNET, VAE, Kind
from maskunet.models.base.single_file.names import originals
from maskunet.records import Request
from maskunet.records.disk import trained_file
from maskunet.records.disk.hub import MissingWeights, file_hash
from maskunet.rewards.base import WeightedRewards
from maskunet.studio.studio import Studio
from tests.support.single_file import write
from tests.support.tiny import tiny_vae

CPU = torch.device("cpu")
HOW = {"name": "mine", "guidance": 3.0, "device": CPU, "dtype": torch.float32}
SAYS = {"sd1": {}, "sd2": {prediction.METADATA: "epsilon"}, "sdxl": {prediction.METADATA: "epsilon"}}
PIPELINES = {"sdxl": StableDiffusionXLPipeline}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Both layouts, each as a folder and as a file."""
    place = tmp_path_factory.mktemp("single")
    for kind in SAYS:
        write(place, kind, **SAYS[kind])
    return place


@pytest.fixture
def small(place, monkeypatch):
    """The place, where the configurations are those of its small models."""
    monkeypatch.setattr(kinds, "CONFIGS", place / "configs")
    return place


@pytest.fixture
def unread(monkeypatch):
    """No tensor may be read."""

    def opened(*args, **options):
        raise AssertionError("a tensor was about to be read")

    monkeypatch.setattr("safetensors.safe_open", opened)


def drawn(model, seed=1):
    request = Request(prompt="a red cube", seed=seed, steps=2, previews=False)
    *_, last = METHODS["plain"].run(model, WeightedRewards({}), request, METHODS["plain"].settings())
    return torch.from_numpy(last.image)


@pytest.mark.parametrize("kind", SAYS)
def test_a_folder_as_a_single_file_makes_the_same_pictures_bit_by_bit(small, kind):
    model = single_file.from_file(small / f"{kind}.safetensors", **HOW)
    folder = from_folder(small / f"{kind}-folder", **HOW)
    for mine, theirs in zip(model.encode("a red cube", "a"), folder.encode("a red cube", "a"), strict=True):
        assert mine is theirs is None or mine.equal(theirs)
    assert model.empty_is_zeros == folder.empty_is_zeros == (kind == "sdxl")
    assert drawn(model).equal(drawn(folder)) and not drawn(model).equal(drawn(model, seed=2))
    assert not any(p.requires_grad for network in model.networks.values() for p in network.parameters())
    digest = file_hash(small / f"{kind}.safetensors")
    assert model.weights["checkpoint"] == digest and digest[:10] in model.notes[0] and digest[:11] not in model.notes[0]


@pytest.mark.parametrize("kind", SAYS)
def test_diffusers_reads_the_same_weights_from_the_file(small, kind):
    theirs = PIPELINES.get(kind, StableDiffusionPipeline).from_single_file(
        str(small / f"{kind}.safetensors"), config=str(small / f"{kind}-folder"), local_files_only=True
    )
    model = single_file.from_file(small / f"{kind}.safetensors", **HOW)
    for part in Kind(name=kind, title=kind).networks:
        mine, other = (getattr(each, part).state_dict() for each in (model, theirs))
        assert all(mine[name].equal(other[name]) for name in other)


@pytest.mark.parametrize(("kind", "counts"), [
    ("sd1", {"unet": (859_520_964, 686), "vae": (83_653_863, 248), "text_encoder": (123_060_480, 196)}),
    ("sd2", {"unet": (865_910_724, 686), "vae": (83_653_863, 248), "text_encoder": (340_387_840, 280)}),
    ("sdxl", {"unet": (2_567_463_684, 1680), "vae": (83_653_863, 248), "text_encoder": (123_060_480, 196),
              "text_encoder_2": (694_659_840, 389)}),
])  # fmt: skip
def test_the_configurations_are_those_of_the_published_models(kind, counts):
    """Parameters of each network, and how many tensors the published checkpoints have of it (SD 2's text: 23 of 24 layers)."""
    for part, (parameters, tensors) in counts.items():
        network = read.empty(Kind(name=kind, title=kind), part)
        assert sum(p.numel() for p in network.parameters()) == parameters
        names = {place.name for place in originals(part, kind, network.state_dict(), network.config).values()}
        assert len(names) == tensors
        last = "output_blocks.5.1.transformer_blocks.1" if kind == "sdxl" else "output_blocks.11.1.transformer_blocks.0"
        assert part != "unet" or UNET + f"{last}.attn2.to_out.0.bias" in names
        assert part != "vae" or VAE + "decoder.up.3.block.0.conv1.weight" in names


def test_the_tokenizer_is_clips():
    from open_clip import SimpleTokenizer

    ours = read.tokenizers(Kind(name="sd2", title="x"))[0]
    theirs = SimpleTokenizer()
    for text in ("a photo of 3 Zebras, don't?", "a café — naïve ☃ 漢字", "x" * 30):
        ids = ours(text, padding="max_length", truncation=True, max_length=77).input_ids
        assert ids[: len(theirs.encode(text)) + 2] == [49406, *theirs.encode(text), 49407]
        assert set(ids[len(theirs.encode(text)) + 2 :]) <= {0}  # Stable Diffusion 2 fills up with “!”
    assert read.tokenizers(Kind(name="sd1", title="x"))[0]("a", padding="max_length").input_ids[-1] == 49407


# What a file predicts


def header_of(names=(), **metadata):
    return header.Header(file="“x”", types={}, shapes=dict.fromkeys(names, ()), metadata=metadata)


@pytest.mark.parametrize(("given", "kind", "type_", "why"), [
    (header_of(), "sd1", "epsilon", "does not say"),
    (header_of(), "sd2", "", ""),
    (header_of(["v_pred"]), "sd1", "v_prediction", "marker “v_pred”"),
    (header_of(["ztsnr"]), "sd2", "v_prediction", "nothing but noise"),
    (header_of(**{prediction.METADATA: "v"}), "sd1", "v_prediction", prediction.METADATA),
    (header_of(**{prediction.KOHYA[0]: "False"}), "sd2", "epsilon", prediction.KOHYA[0]),
])  # fmt: skip
def test_markers_and_metadata_say_what_is_predicted(given, kind, type_, why):
    found = prediction.said(given, kind)
    assert found.type == type_ and why in found.why
    assert found.ends_in_noise == ("ztsnr" in given.shapes)


class OfV(torch.nn.Module):
    """A U-Net of noise as one of v: v = (eps - sigma x_t) / alpha."""

    def __init__(self, model: DiffusionModel):
        super().__init__()
        self.inner, self.schedule = model.unet, model.schedule

    def forward(self, x_t, t, **text):
        alpha, sigma = self.schedule.alpha_sigma(t)
        made = self.inner(x_t, t, **text)
        made.sample = (made.sample - sigma * x_t) / alpha
        return made


def test_what_is_predicted_is_measured_on_a_trained_model(monkeypatch):
    from dataclasses import replace

    monkeypatch.setattr(prediction, "SIDE", 16)
    model = Library("tabletop", device="cpu").load_alone("tabletop")
    assert prediction.measured(model).type == "epsilon"
    found = prediction.measured(replace(model, unet=OfV(model)))
    assert found.type == "v_prediction" and "measured" in found.why


def test_a_file_that_does_not_say_is_measured_and_the_larger_kind_has_its_size(place, tmp_path, monkeypatch):
    shutil.copytree(place / "configs", tmp_path / "configs")
    config = tmp_path / "configs" / "sd2" / "unet" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "sample_size": 64}))
    monkeypatch.setattr(kinds, "CONFIGS", tmp_path / "configs")
    save_file(load_file(place / "sd2.safetensors"), tmp_path / "x.safetensors")
    model = single_file.from_file(tmp_path / "x.safetensors", **HOW)  # of chance: like no model of noise
    assert model.schedule.prediction_type == "v_prediction" and model.latent_shape == (4, 96, 96)
    assert "it predicts v: measured" in model.notes[0]


@pytest.mark.parametrize("kind", ["sd1", "sdxl"])
def test_a_schedule_without_signal_is_taken_from_the_marker(small, tmp_path, kind):
    state = load_file(small / f"{kind}.safetensors") | {"v_pred": torch.zeros(0), "ztsnr": torch.zeros(0)}
    save_file(state, tmp_path / "x.safetensors")
    model = single_file.from_file(tmp_path / "x.safetensors", **HOW)
    assert model.schedule.alpha_bar(999) == pytest.approx(2**-24) and model.schedule.prediction_type == "v_prediction"


def test_an_xl_file_that_does_not_say_is_measured(small, tmp_path):
    save_file(load_file(small / "sdxl.safetensors"), tmp_path / "x.safetensors")
    model = single_file.from_file(tmp_path / "x.safetensors", **HOW)
    assert "is a Stable Diffusion XL checkpoint" in model.notes[0] and "it predicts v: measured" in model.notes[0]


@pytest.mark.parametrize(
    "lacks", ["label_emb.0.2.bias", "embedders.1.model.text_projection", "resblocks.2.attn.in_proj_weight"]
)
def test_an_xl_file_that_lacks_a_weight_is_refused_before_one_is_read(small, tmp_path, monkeypatch, lacks):
    state = load_file(small / "sdxl.safetensors")
    save_file({name: value for name, value in state.items() if not name.endswith(lacks)}, tmp_path / "x.safetensors")
    monkeypatch.setattr("safetensors.safe_open", lambda *args, **options: pytest.fail("a tensor was about to be read"))
    refused(tmp_path / "x.safetensors", rf"lacks \d weights of its .*, such as .*{lacks}")


def test_the_vae_of_an_xl_file_does_not_compute_in_float16(small, tmp_path):
    half = {**HOW, "dtype": torch.float16}
    model = single_file.from_file(small / "sdxl.safetensors", **half)
    assert (model.unet.dtype, model.vae.dtype) == (torch.float16, torch.float32)
    tiny_vae(seed=5).save_pretrained(tmp_path / "vae")
    other = single_file.from_file(small / "sdxl.safetensors", **half, vae=tmp_path / "vae")
    assert other.vae.dtype == torch.float16
    assert not other.vae.decoder.conv_in.weight.equal(model.vae.decoder.conv_in.weight.half())
    assert any(name.startswith("vae_float16/") for name in other.weights)


@pytest.mark.parametrize("kind", SAYS)
def test_where_a_file_can_be_masked_is_known_without_loading_it(small, unread, kind):
    library = Library("auto", small / f"{kind}.safetensors", "cpu")
    network = library.network(library.default)
    unet = read.empty(Kind(name=kind, title=kind), "unet")
    assert list(network.sites) == [site.name for site in find_sites(unet)] and len(network.heads) == len(network.sites)


def test_an_xl_file_has_the_defaults_of_its_kind(small):
    spec = own_models.spec_of(small / "sdxl.safetensors")
    assert (spec.guidance, spec.steps, spec.tiny_decoder) == (5.0, 25, "madebyollin/taesdxl")
    assert own_models.spec_of(small / "sd1.safetensors").guidance == 7.5


def test_old_names_of_the_text_encoder_and_other_weights_beside_are_no_matter(small, tmp_path):
    state = load_file(small / "sd1.safetensors")
    old = {name.replace("transformer.text_model.", "transformer."): value for name, value in state.items()}
    save_file({**old, "model_ema.decay": torch.ones(1)}, tmp_path / "x.safetensors")
    model = single_file.from_file(tmp_path / "x.safetensors", **HOW)
    whole = single_file.from_file(small / "sd1.safetensors", **HOW)
    assert drawn(model).equal(drawn(whole))
    # What was trained on the U-Net fits in another file of it, too.
    assert trained_file.of_unet(model.weights) == trained_file.of_unet(whole.weights) != {}
    assert model.weights["checkpoint"] != whole.weights["checkpoint"]


# What is no such file


def file_of(path, tensors, kind=torch.float16, **metadata):
    save_file(
        {name: torch.zeros(shape, dtype=kind) for name, shape in tensors.items()}, path, metadata=metadata or None
    )


WHOLE = {
    UNET + "input_blocks.0.0.weight": (8, 4, 3, 3),
    VAE + "quant_conv.bias": (8,),
    "cond_stage_model.transformer.x": (8,),
}
DIT = "model.diffusion_model."
FOREIGN = {
    "inpainting": ({**WHOLE, UNET + "input_blocks.0.0.weight": (8, 9, 3, 3)}, "an inpainting model: its U-Net takes 9 channels"),
    "edits": ({**WHOLE, UNET + "input_blocks.0.0.weight": (8, 8, 3, 3)}, "InstructPix2Pix"),
    "depth": ({**WHOLE, UNET + "input_blocks.0.0.weight": (8, 5, 3, 3)}, "depth-to-image"),
    "sdxl_inpainting": ({**WHOLE, UNET + "input_blocks.0.0.weight": (8, 9, 3, 3), UNET + "label_emb.0.0.weight": (8, 8)},
                        "an inpainting model: its U-Net takes 9 channels"),
    "sdxl_without_text": ({**WHOLE, UNET + "label_emb.0.0.weight": (8, 8)}, "lacks the second text encoder and text encoder"),
    "playground": ({**WHOLE, "edm_mean": (4,)}, "a Playground 2.5 model"),
    "refiner": ({**WHOLE, "conditioner.embedders.0.model.logit_scale": (1,)}, "the refiner of Stable Diffusion XL"),
    "flux": ({DIT + "double_blocks.0.img_attn.norm.key_norm.scale": (8,)}, "a FLUX model"),
    "sd3": ({DIT + "joint_blocks.0.context_block.adaLN_modulation.1.bias": (8,)}, "a Stable Diffusion 3 model"),
    "pixart": ({"blocks.0.cross_attn.q_linear.weight": (8, 8)}, "a PixArt model"),
    "z_image": ({"cap_embedder.0.weight": (8,)}, "a Z-Image or Lumina model"),
    "vae": ({"first_stage_model.decoder.conv_in.weight": (8, 4, 3, 3)}, "is a VAE alone"),
    "lora": ({"lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight": (4, 8)}, "is a LoRA, which goes on top"),
    "peft": ({"unet.up_blocks.1.attentions.0.proj_in.lora_A.weight": (4, 8)}, "is a LoRA, which goes on top"),
    "dora": ({"lora_unet_x.lora_down.weight": (4, 8), "lora_unet_x.dora_scale": (8, 1)}, "is a DoRA"),
    "loha": ({"lora_unet_x.hada_w1_a": (4, 8)}, "LoHa, LoKr or OFT"),
    "embedding": ({"emb_params": (2, 768)}, "is an embedding"),
    "embedding_xl": ({"clip_l": (2, 768), "clip_g": (2, 1280)}, "is an embedding"),
    "controlnet": ({"control_model.time_embed.0.weight": (8, 8)}, "is a ControlNet"),
    "diffusers_unet": ({"down_blocks.0.resnets.0.norm1.weight": (8,)}, "one network of a diffusers folder"),
    "unet_alone": ({UNET + "input_blocks.0.0.weight": (8, 4, 3, 3)}, "lacks the text encoder and VAE"),
    "text_alone": ({"text_model.encoder.layers.0.mlp.fc1.bias": (8,)}, "is a text encoder alone"),
    "else": ({"weight": (8, 8, 3)}, "holds no model that is known here \\(its first weight is weight\\)"),
}  # fmt: skip


@pytest.mark.parametrize("name", FOREIGN)
def test_foreign_files_are_refused_by_name_and_no_tensor_is_read(tmp_path, unread, name):
    tensors, says = FOREIGN[name]
    path = tmp_path / f"{name}.safetensors"
    file_of(path, tensors)
    refused(path, says)


def refused(path, says):
    with pytest.raises(ValueError, match=says) as error:
        single_file.from_file(path, **HOW)
    told = str(error.value)
    assert f"“{path.name}”" in told and str(path.parent) not in told and "\n" not in told and len(told) < 400


def test_every_refusal_is_a_sentence_of_its_own(tmp_path):
    told = set()
    for tensors, _ in FOREIGN.values():
        file_of(tmp_path / "x.safetensors", tensors)
        with pytest.raises(ValueError) as error:
            single_file.kind_of(tmp_path / "x.safetensors")
        told.add(str(error.value))
    assert len(told) == len(FOREIGN) - 3  # two forms of a LoRA, of an embedding and of an inpainting model


def pickled(path, whole):
    torch.save({"state_dict": {"x": torch.zeros(1)}}, path)
    return path.replace(path.with_suffix(".ckpt"))


def gguf(path, whole):
    path.write_bytes(b"GGUF" + bytes(100))


def cut(path, whole):
    path.write_bytes(whole[: len(whole) // 2])


def cut_in_the_header(path, whole):
    path.write_bytes(whole[:1000])


def huge(path, whole):
    path.write_bytes((2**24 + 1).to_bytes(8, "little") + b" " * (2**24 + 64))


def nothing(path, whole):
    path.write_bytes(b"")


def no_json(path, whole):
    path.write_bytes((16).to_bytes(8, "little") + b"{" * 16)


def nested(path, whole):
    path.write_bytes((200_000).to_bytes(8, "little") + b"[" * 200_000)


def many_axes(path, whole):
    size = ",".join(["9" * 4000] * 400)  # whose product would take half a minute
    header_of(path, f'{{"x": {{"dtype": "F32", "shape": [{size}], "data_offsets": [0, 4]}}}}')


def digits(path, whole):
    header_of(path, f'{{"x": {{"dtype": "F32", "shape": [{"9" * 5000}], "data_offsets": [0, 4]}}}}')


def header_of(path, text):
    path.write_bytes(len(text).to_bytes(8, "little") + text.encode() + b"0000")


def lying(path, whole):
    entry = json.dumps({"x": {"dtype": "F16", "shape": [2**40], "data_offsets": [0, 4]}}).encode()
    path.write_bytes(len(entry).to_bytes(8, "little") + entry + bytes(4))


def pointer(path, whole):
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")


def fp8(path, whole):
    file_of(path, WHOLE, torch.float8_e4m3fn)


def bytes_(path, whole):
    file_of(path, WHOLE, torch.uint8)


def lacking(path, whole):
    state = load_file(whole_path(path))
    save_file({name: value for name, value in state.items() if not name.endswith("attn1.to_q.weight")}, path)


def lacking_text(path, whole):
    state = load_file(whole_path(path))
    save_file({name: value for name, value in state.items() if "text_model.final_layer_norm" not in name}, path)


def other_size(path, whole):
    state = load_file(whole_path(path))
    state[UNET + "time_embed.0.bias"] = torch.zeros(7)
    save_file(state, path)


def ours(path, whole):
    file_of(path, {"x": (1,)}, **{"maskunet-generator-1": "{}"})


def whole_path(path):
    return path.parent / "whole.safetensors"


@pytest.mark.parametrize(("damage", "says"), [
    (pickled, "is a pickle, which can run programs, .* save its tensors as .safetensors"),
    (gguf, "is a GGUF file"),
    (cut, r"was cut off: its header lists [\d,]+ bytes of weights and [\d,]+ follow"),
    (cut_in_the_header, "was cut off within its header"),
    (huge, "has a header of 16,777,217 bytes; at most 16,777,216"),
    (nothing, "is no .safetensors file"),
    (no_json, "header that is no JSON"),
    (nested, "header that is no JSON"),
    (lying, "header that makes no sense"),
    (many_axes, "header that makes no sense"),
    (digits, "header that is no JSON"),
    (pointer, "is a Git LFS pointer"),
    (fp8, r"is quantized \(F8_E4M3\)"),
    (bytes_, r"is quantized \(U8\)"),
    (lacking, r"lacks \d+ weights of its U-Net, such as model.diffusion_model.input_blocks.1.1.*attn1.to_q.weight"),
    (lacking_text, "lacks 2 weights of its text encoder, such as cond_stage_model.transformer.text_model.final_layer_norm"),
    (other_size, "not of the usual size: .*time_embed.0.bias is 7, not 64|no .* of the usual size: .*time_embed.0.bias is 7"),
    (ours, "is a part that was trained here"),
], ids=lambda value: getattr(value, "__name__", ""))  # fmt: skip
def test_damaged_and_incomplete_files_are_refused_and_no_tensor_is_read(small, tmp_path, monkeypatch, damage, says):
    path = tmp_path / "mine.safetensors"
    shutil.copy(small / "sd1.safetensors", whole_path(path))
    path = damage(path, (small / "sd1.safetensors").read_bytes()) or path
    monkeypatch.setattr("safetensors.safe_open", lambda *args, **options: pytest.fail("a tensor was about to be read"))
    refused(path, says)


def test_weights_that_are_no_numbers_are_refused_and_other_models_are_as_before(small, tmp_path):
    model = single_file.from_file(small / "sd1.safetensors", **HOW)
    before = {name: value.clone() for name, value in model.unet.state_dict().items()}
    picture = drawn(model)
    state = load_file(small / "sd1.safetensors")
    state[UNET + "out.2.bias"][0] = float("nan")
    save_file(state, tmp_path / "x.safetensors")
    with pytest.raises(
        ValueError, match="unet of “x.safetensors” has weights that are no numbers, such as conv_out.bias"
    ):
        single_file.from_file(tmp_path / "x.safetensors", **HOW)
    file_of(tmp_path / "y.safetensors", WHOLE)
    with pytest.raises(ValueError, match="lacks"):
        single_file.from_file(tmp_path / "y.safetensors", **HOW)
    assert all(before[name].equal(value) for name, value in model.unet.state_dict().items())
    assert drawn(model).equal(picture)


# Where models are found


def test_a_file_given_as_weights_is_a_model_of_its_name(small):
    path = small / "sd1.safetensors"
    for model in ("auto", "sd1"):
        library = Library(model, path, "cpu")
        assert library.default == "sd1" and library.load("sd1").model.name == "sd1"
    assert Library("sd15", path, "cpu").load("sd15").model.name == "sd15"
    with pytest.raises(ValueError, match="no model “sd9”"):
        Library("sd9", path, "cpu")


def test_what_cannot_be_read_is_told_when_it_is_given(tmp_path):
    file_of(tmp_path / "x.safetensors", FOREIGN["flux"][0])
    with pytest.raises(ValueError, match="“x.safetensors” is a FLUX model"):
        Library("auto", tmp_path / "x.safetensors", "cpu")


def test_a_repository_is_read_from_the_cache_and_never_fetched(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(MissingWeights, match='hf download some/model --include "\\*.json"'):
        own_models.located(Path("some/model"))
    with pytest.raises(MissingWeights, match='hf download some/model --include "x.safetensors"'):
        own_models.located(Path("some/model/x.safetensors"))
    cached = tmp_path / "models--some--model"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs" / "main").write_text("abc")
    (cached / "snapshots" / "abc").mkdir(parents=True)
    (cached / "snapshots" / "abc" / "x.safetensors").write_bytes(b"")
    assert own_models.located(Path("some/model")) == cached / "snapshots" / "abc"
    assert own_models.located(Path("some/model/x.safetensors")).is_file()
    for other in ("nowhere", "../some/model", "/some/model"):
        assert own_models.located(Path(other)) == Path(other)


def test_a_folder_of_models_is_a_choice_of_cards_and_says_why_one_cannot_be_read(small, tmp_path):
    models = tmp_path / "models"
    models.mkdir()
    shutil.copytree(small / "sd2-folder", models / "my folder")
    (models / "tabletop.safetensors").symlink_to(small / "sd1.safetensors")  # a name that is taken
    file_of(models / "flux.safetensors", FOREIGN["flux"][0])
    (models / "old.ckpt").write_bytes(b"\x80\x02")
    (models / "notes.txt").write_text("no model")
    Path(os.fsdecode(os.fsencode(models / "odd") + b"\xff.safetensors")).write_bytes(b"x")  # a name that is no UTF-8
    studio = Studio(tmp_path / "runs", device="cpu", models=models)
    try:
        cards = {card.name: card for card in studio.cards()}
        assert {"my-folder", "tabletop.safetensors", "flux", "old", "tabletop"} <= cards.keys()
        assert cards["my-folder"].available and "Stable Diffusion 1.x" in cards["tabletop.safetensors"].summary
        assert "odd�" in cards["odd"].title + cards["odd"].reason
        "".join(card.title + card.summary + card.reason for card in cards.values()).encode()
        assert cards["flux"].refused and "a FLUX model" in cards["flux"].reason
        assert cards["old"].refused and "is a pickle" in cards["old"].reason and "notes" not in cards
        with pytest.raises(ValueError, match="a FLUX model"):
            studio.start(Request(prompt="x", model="flux", method="plain"))
        command = studio.command(Request(prompt="x", model="my-folder", method="plain"))
        assert "--model=my-folder '--weights=my folder'" in command or "--weights='my folder'" in command
        assert Library("my-folder", models / "my folder", "cpu").default == "my-folder"
        assert "--weights" not in studio.command(Request(prompt="x", model="tabletop", method="plain"))
    finally:
        studio.close()
    (tmp_path / "none").mkdir()
    with pytest.raises(ValueError, match="“none” holds no models"):
        Library(device="cpu", models=tmp_path / "none")
    with pytest.raises(ValueError, match="--models takes a folder"):
        Library(device="cpu", models=tmp_path / "nowhere")


def test_a_name_is_one_that_requests_take(tmp_path):
    for text in ("my model (v2) – final", "…", "x" * 200, "ünder"):
        name = own_models.named(tmp_path / f"{text}.safetensors", ["sd15"])
        assert re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", name)
        Request(prompt="x", model=name)
    assert own_models.named(Path("sd15.safetensors"), ["sd15", "sd15.safetensors"]) == "sd15-2"
