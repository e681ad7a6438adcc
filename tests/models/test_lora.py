"""LoRA files from elsewhere: read under every name, added to a copy, under masks in both readings; others refused."""

import json
import re
from dataclasses import replace

import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import save_file

from maskunet.library.export import export
from maskunet.library.library import Library
from maskunet.masks import fold, held
from maskunet.masks.masked_unet import MaskedUNet
from maskunet.masks.sites import find_sites
from maskunet.methods import SPECS as METHODS
from maskunet.models.base import fine_tuned, from_folder, lora
from maskunet.models.base.dressed import dressed
from maskunet.models.base.single_file.kinds import UNET
from maskunet.models.base.single_file.names import originals
from maskunet.records import Request
from maskunet.records.added import NOTHING, READINGS, Added
from maskunet.records.disk import trained_file
from maskunet.rewards.base import WeightedRewards
from tests.support import tiny_lora
from tests.support.tiny import tiny_model, tiny_sd_folder, tiny_xl_folder

SITE = "up_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("base") / "tiny")


@pytest.fixture(scope="module")
def found(model):
    return tiny_lora.factors({"unet": model.unet, "text_encoder": model.text_encoder})


@pytest.fixture
def files(tmp_path, found):
    return {
        "kohya": tiny_lora.write(tmp_path / "kohya.safetensors", tiny_lora.kohya(found)),
        "diffusers": tiny_lora.write(tmp_path / "diffusers.safetensors", tiny_lora.diffusers(found)),
    }


@pytest.fixture
def unread(monkeypatch):
    """No tensor may be read."""

    def opened(*args, **options):
        raise AssertionError("a tensor was about to be read")

    monkeypatch.setattr("safetensors.safe_open", opened)


def networks(model):
    return {"unet": model.unet, "text_encoder": model.text_encoder}


def state(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


def same(one, other):
    one, other = (each if isinstance(each, dict) else each.state_dict() for each in (one, other))
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def put_on(model, *given, beside=()):
    return {**networks(model), **lora.put_on(networks(model), given, beside)}


def test_every_layer_has_what_the_formula_says_and_all_else_is_shared(model, found, files):
    before = {name: state(network) for name, network in networks(model).items()}
    made = put_on(model, (files["kohya"], 0.7))
    for (network, layer), (down, up, alpha) in found.items():
        weight = before[network][f"{layer}.weight"]
        scale = 0.7 * (1 if alpha is None else alpha / len(down))
        expected = weight + scale * (up.flatten(1) @ down.flatten(1)).view(weight.shape)
        assert torch.allclose(made[network].get_submodule(layer).weight, expected, atol=1e-6)
    changed = {f"{layer}.weight" for network, layer in found if network == "unet"}
    for name, value in made["unet"].named_parameters():
        assert (value is model.unet.get_parameter(name)) == (name not in changed) and not value.requires_grad
    assert all(same(before[name], network) for name, network in networks(model).items())


def test_names_of_kohya_diffusers_and_single_files_make_the_same_networks_bit_by_bit(model, found, files, tmp_path):
    layers = [f"{layer}.weight" for network, layer in found if network == "unet"]
    places = originals("unet", "sd1", layers, model.unet.config)
    by_place = {n.removesuffix(".weight"): p.name.removeprefix(UNET).removesuffix(".weight") for n, p in places.items()}
    ways = {
        "original": tiny_lora.kohya(found, by_place),
        "old": {
            re.sub(r"\.(to_[qkv]|to_out)(\.0)?\.(down|up)\.weight", r".processor.\1_lora.\3.weight", name): value
            for name, value in tiny_lora.diffusers(found, "down", "up").items()
            if "unet" in name and ".attn" in name
        },
        "peft": {f"base_model.model.{name}": value for name, value in tiny_lora.diffusers(found).items()},
        "linear": tiny_lora.diffusers(found, "lora_linear_layer.down", "lora_linear_layer.up"),
    }
    assert "lora_unet_input_blocks_1_1_proj_in.lora_down.weight" in ways["original"]
    kohya = put_on(model, (files["kohya"], 1.0))
    for way, tensors in ways.items():
        made = put_on(model, (tiny_lora.write(tmp_path / f"{way}.safetensors", tensors), 1.0))
        if way != "old":
            assert same(kohya["unet"], made["unet"]) and same(kohya["text_encoder"], made["text_encoder"])
        else:
            assert torch.equal(kohya["unet"].get_submodule(SITE).weight, made["unet"].get_submodule(SITE).weight)
    assert same(kohya["unet"], put_on(model, (files["diffusers"], 1.0))["unet"])


def test_diffusers_own_loader_and_fuse_agree(tmp_path, model, found):
    """On what it reads of kohya's: it takes one alpha for convolutions, and leaves the text encoder out (transformers 5)."""
    plain = {place: each for place, each in found.items() if place[0] == "unet" and each[2] == 1.0}
    file = tiny_lora.write(tmp_path / "plain.safetensors", tiny_lora.kohya(plain))
    pipe = StableDiffusionPipeline.from_pretrained(tiny_sd_folder(tmp_path / "tiny"))
    pipe.load_lora_weights(str(tmp_path), weight_name=file.name)
    pipe.fuse_lora(lora_scale=0.7)
    pipe.unload_lora_weights()
    made, theirs = put_on(model, (file, 0.7))["unet"].state_dict(), pipe.unet.state_dict()
    assert len(plain) == 3 and all((value - theirs[name]).abs().max() <= 1e-6 for name, value in made.items())


def test_alphas_of_the_header_count_for_all_layers_or_one(model, tmp_path, found):
    tensors = tiny_lora.diffusers({place: (a, b, None) for place, (a, b, _) in found.items()})
    says = {"unet.lora_alpha": 1, "unet.alpha_pattern": {SITE: 6}, "unet.r": 2}
    file = tiny_lora.write(tmp_path / "says.safetensors", tensors, lora_adapter_metadata=json.dumps(says))
    made = put_on(model, (file, 1.0))
    for layer, alpha in ((SITE, 6), ("down_blocks.0.resnets.0.conv1", 1)):
        down, up, _ = found["unet", layer]
        weight = model.unet.get_submodule(layer).weight
        expected = weight + alpha / len(down) * (up.flatten(1) @ down.flatten(1)).view(weight.shape)
        assert torch.allclose(made["unet"].get_submodule(layer).weight, expected, atol=1e-6)


def test_several_files_are_summed_and_a_weight_of_0_is_the_base(model, files, tmp_path):
    other = tiny_lora.write(tmp_path / "other.safetensors", tiny_lora.kohya(tiny_lora.factors(networks(model), seed=1)))
    alone = [
        put_on(model, given)["unet"].get_submodule(SITE).weight for given in ((files["kohya"], 0.5), (other, -2.0))
    ]
    both = put_on(model, (files["kohya"], 0.5), (other, -2.0))["unet"].get_submodule(SITE).weight
    base = model.unet.get_submodule(SITE).weight
    assert torch.allclose(both, alone[0] + alone[1] - base, atol=1e-6)
    assert same(put_on(model, (files["kohya"], 0.0))["unet"], model.unet)


# With masks


def predicted(unet, masks=None):
    stream = torch.Generator().manual_seed(3)
    x_t, text = torch.randn(2, 4, 8, 8, generator=stream), torch.randn(2, 16, 32, generator=stream)
    if masks is None:
        return unet(x_t, 500, text).sample
    with MaskedUNet(unet) as masked:
        return masked.decode(masked.encode(x_t, 500, text), masks)


def test_masks_act_on_the_merged_weights_or_on_the_bases_alone(model, files, found):
    sites = [site.name for site in find_sites(model.unet)]
    merged = put_on(model, (files["kohya"], 0.7))["unet"]
    base = put_on(model, (files["kohya"], 0.7), beside=sites)["unet"]
    ones = {site.name: torch.ones(site.shape) for site in find_sites(model.unet)}
    none = {name: torch.zeros_like(mask) for name, mask in ones.items()}
    assert [site.name for site in find_sites(base)] == sites
    assert torch.equal(predicted(merged, ones), predicted(merged))
    assert (predicted(base, ones) - predicted(merged)).abs().max() <= 1e-5
    assert torch.equal(predicted(base, ones), predicted(base))
    down, up, alpha = found["unet", SITE]
    x = torch.randn(2, 5, 32)
    with MaskedUNet(base) as masked:
        layer = masked.layers[SITE]
        layer.mask = none[SITE]
        expected = x @ (0.7 * alpha / 2 * up @ down).T  # of W m nothing is left, of the LoRA all
        assert torch.allclose(layer(x), expected, atol=1e-5)
    half = {name: (torch.rand(mask.shape) > 0.5).float() for name, mask in ones.items()}
    assert not torch.allclose(predicted(base, half), predicted(merged, half), atol=1e-3)
    assert base.state_dict().keys() == model.unet.state_dict().keys()


def test_a_folded_mask_keeps_what_lies_beside(model, files):
    base = put_on(model, (files["kohya"], 0.7), beside=[site.name for site in find_sites(model.unet)])["unet"]
    mask = held.of_model(
        replace(model, unet=base), {0: held.removed({SITE: torch.zeros(16, 32)}, held.shapes(base))}, {}
    )
    changed = fold.weights(base, mask)
    assert torch.allclose(changed[f"{SITE}.weight"], base.get_submodule(SITE).beside.whole(), atol=1e-6)
    assert len(changed) == 2  # the other site with a LoRA has it added


@pytest.mark.parametrize("reading", READINGS)
def test_an_exported_folder_has_lora_and_mask_in_its_weights(tmp_path, model, files, found, reading):
    folder, sites = tiny_sd_folder(tmp_path / "tiny"), [site.name for site in find_sites(model.unet)]
    on = dressed(
        model, Added((("kohya", 0.7),), (), reading), {"loras": {"kohya": files["kohya"]}, "embeddings": {}}, sites
    )
    zeros = {SITE: torch.zeros(16, 32)}
    mask = held.of_model(on, {0: held.removed(zeros, held.shapes(on.unet))}, {})
    export(on, folder, mask, "folder", tmp_path / "out")
    again = from_folder(tmp_path / "out", name="out", guidance=3.0, device=torch.device("cpu"), dtype=torch.float32)
    down, up, alpha = found["unet", SITE]
    left = 0.7 * alpha / 2 * up @ down if reading == "base" else torch.zeros(16, 32)
    assert torch.allclose(again.unet.get_submodule(SITE).weight, left, atol=1e-6)
    assert same(again.text_encoder, on.text_encoder)
    with MaskedUNet(on.unet) as masked:
        masked.fold({SITE: zeros[SITE]})
        mine = predicted(on.unet)
    assert (predicted(again.unet) - mine).abs().max() <= 1e-5


# On a model, through the library


def drawn(model, method="plain", **settings):
    spec = METHODS[method]
    request = Request(prompt="a red cube", seed=1, steps=2, previews=False, settings=settings)
    *_, last = spec.run(model, WeightedRewards({}), request, spec.settings("", settings))
    return last.image


def library(tmp_path, **added):
    return Library("auto", tiny_sd_folder(tmp_path / "tiny"), "cpu", trained=tmp_path / "trained", **added)


def test_a_model_under_a_lora_is_told_from_its_base_everywhere(tmp_path, files):
    here = library(tmp_path, loras=[f"{files['kohya']}:0.7"])
    base = here.load(here.default, with_rewards=False, added=NOTHING).model
    before = state(base.unet)
    on = here.load(here.default, with_rewards=False).model
    other = here.load(here.default, with_rewards=False, added=Added((("kohya", 0.5),))).model
    assert on.name == base.name and len({json.dumps(each.weights) for each in (base, on, other)}) == 3
    assert "lora/kohya:0.7" in on.weights and on.added == here.added == Added((("kohya", 0.7),))
    assert "LoRA “kohya” at 0.7" in on.notes[-1] and "license unknown" in on.notes[-1]
    pictures = [drawn(each) for each in (base, on, other)]
    assert not (pictures[0] == pictures[1]).all() and not (pictures[1] == pictures[2]).all()
    assert same(before, base.unet) and (drawn(base) == pictures[0]).all()
    assert here.is_loaded(here.default, Added((("kohya", 0.5),))) is bool(here.missing(here.default, with_rewards=True))
    none = here.load(here.default, with_rewards=False, added=Added((("kohya", 0.0),))).model
    assert (drawn(none) == pictures[0]).all()


def test_what_was_trained_for_the_base_fits_under_a_lora_but_not_the_other_way_round():
    base, under = {"unet/a": "1", "vae/b": "2"}, {"unet/a": "1", "lora/metal:0.8": "3"}
    assert trained_file.fits(base, under) and trained_file.fits(under, under)
    assert not trained_file.fits(under, base) and not trained_file.fits({"unet/a": "9"}, under)
    assert not trained_file.fits({**base, "lora/metal:0.5": "3"}, under)


def test_a_generator_of_the_base_runs_under_a_lora_in_both_readings(tmp_path, model, files):
    given = {"loras": {"kohya": files["kohya"]}, "embeddings": {}}
    sites, pictures = [site.name for site in find_sites(model.unet)], []
    for reading in ("merged", "base"):
        on = dressed(model, Added((("kohya", 0.7),), (), reading), given, sites)
        pictures.append(drawn(on, "maskunet_trained", generator="tiny"))
    assert not (pictures[0] == pictures[1]).all()


def test_a_whole_fine_tuned_unet_would_take_the_loras_place(model, files):
    given = {"loras": {"kohya": files["kohya"]}, "embeddings": {}}
    on = dressed(model, Added((("kohya", 0.7),)), given, [])
    with pytest.raises(ValueError, match="would take the LoRA's place"):
        drawn(on, "fine_tuned", training="tiny")
    others = files["kohya"].with_name("dpo.safetensors")
    save_file({name: value.contiguous() for name, value in model.unet.state_dict().items()}, others)
    with pytest.raises(ValueError, match="would take the LoRA's place"):
        fine_tuned.load(others, model.unet, on.weights)
    assert fine_tuned.load(others, model.unet, model.weights) is not model.unet


# What is refused


def odd(model, name, shape=(2, 32), base="lora_unet_up_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k"):
    return {f"{base}.{name}": torch.zeros(shape)}


def with_kohya(found, **more):
    stem = "lora_unet_up_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k"
    return tiny_lora.kohya(found) | {f"{stem}.{name.replace('__', '.')}": torch.zeros(2, 2) for name in more}


WHOLE = "model.diffusion_model.input_blocks.0.0.weight"
REFUSED = {
    "DoRA": (lambda found: with_kohya(found, dora_scale=1), "is a DoRA (it has dora_scale)"),
    "LoHa": (lambda found: with_kohya(found, hada_w1_a=1), "is a LoHa (hada_)"),
    "LoKr": (lambda found: with_kohya(found, lokr_w1=1), "is a LoKr (lokr_)"),
    "OFT": (lambda found: with_kohya(found, oft_diag=1), "is an OFT or BOFT file (oft_)"),
    "Tucker": (lambda found: with_kohya(found, lora_mid__weight=1), "Tucker core (lora_mid)"),
    "IA3": (lambda found: with_kohya(found, on_input=1), "is an (IA)3 file"),
    "GLoRA": (lambda found: with_kohya(found, a1__weight=1), "is a GLoRA"),
    "differences": (lambda found: with_kohya(found, diff=1), "is a file of whole differences (.diff)"),
    "checkpoint": (lambda found: {WHOLE: torch.zeros(2, 4, 3, 3)}, "is no LoRA but a whole model"),
    "embedding": (lambda found: {"emb_params": torch.zeros(1, 768)}, "is no LoRA but an embedding"),
    "VAE": (lambda found: {"decoder.conv_in.weight": torch.zeros(2, 2)}, "is no LoRA but a VAE alone"),
    "FLUX": (lambda found: {"lora_unet_double_blocks_0_img_attn_proj.lora_down.weight": torch.zeros(2, 2)}, "made for FLUX"),
    "nothing": (lambda found: {"x": torch.zeros(1)}, "is no LoRA but something else"),
    "fp8": (lambda found: {name: t.to(torch.float8_e4m3fn) for name, t in tiny_lora.kohya(found).items()}, "is quantized"),
    "SDXL": (
        lambda found: tiny_lora.kohya({("unet", SITE): (torch.zeros(2, 2048), torch.zeros(32, 2), None)}),
        "was made for SDXL (2048), this model has 32",
    ),
    "other layers": (
        lambda found: tiny_lora.kohya({("unet", "up_blocks.7.x"): (torch.zeros(2, 2), torch.zeros(2, 2), None)}),
        "changes 1 layers that this model does not have",
    ),
    "other size": (
        lambda found: tiny_lora.kohya({("unet", SITE): (torch.zeros(2, 32), torch.zeros(8, 2), None)}),
        "does not fit this model",
    ),
    "half": (lambda found: {k: v for k, v in tiny_lora.kohya(found).items() if "lora_up" not in k}, "only one of two factors"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_others_are_refused_in_a_sentence_before_a_tensor_is_read(kind, model, found, tmp_path, unread):
    make, said = REFUSED[kind]
    before = state(model.unet)
    file = tiny_lora.write(tmp_path / "odd.safetensors", make(found))
    with pytest.raises(ValueError, match=re.escape(said)) as told:
        put_on(model, (file, 1.0))
    assert "“odd.safetensors”" in str(told.value) and len(str(told.value)) < 330 and str(told.value).endswith(".")
    assert same(before, model.unet) and not hasattr(model.unet, "peft_config")


def test_pickles_damage_and_what_is_no_number_are_refused(model, found, tmp_path, files):
    before, good = state(model.unet), files["kohya"].read_bytes()
    nan = {
        name: value * float("nan") if "up_blocks" in name else value for name, value in tiny_lora.kohya(found).items()
    }
    huge = {name: value * 1e30 if value.ndim else value for name, value in tiny_lora.kohya(found).items()}
    cases = {
        "x.pt": (b"PK\x03\x04", "is a pickle"), "x.bin": (b"\x80\x02", "is a pickle"), "x.ckpt": (b"", "is a pickle"),
        "cut.safetensors": (good[:-50], "was cut off"), "more.safetensors": (good + b"x", "belong to no weights"), "junk.safetensors": (b"\x08\0\0\0\0\0\0\0not json", "damaged"),
        "nan.safetensors": (nan, "no numbers"), "huge.safetensors": (huge, "no numbers"),
    }  # fmt: skip
    for name, (content, said) in cases.items():
        file = tmp_path / name
        if isinstance(content, dict):
            tiny_lora.write(file, content)
        else:
            file.write_bytes(content)
        with pytest.raises(ValueError, match=said):
            put_on(model, (files["kohya"], 1.0), (file, 1.0))
        assert same(before, model.unet), name


@pytest.mark.parametrize(("given", "said"), [
    (["{}:abc"], "The weight of the LoRA"), (["{}:7"], "from -5 to 5"), (["{}:nan"], "from -5 to 5"),
    (["gone.safetensors"], "is none here"), (["{}", "{}:0.5"], "is named twice"),
    (["{}"] * 5, "at most 4"),
])  # fmt: skip
def test_wrong_words_for_loras_are_told(tmp_path, files, given, said):
    with pytest.raises(ValueError, match=said):
        library(tmp_path, loras=[each.format(files["kohya"]) for each in given])


def test_trigger_words_and_the_license_are_read_from_the_header(tmp_path, found):
    tags = json.dumps({"10_metal": {"metal cube": 3, "shiny": 9}, "5_x": {"metal cube": 8, " bad\x1b[0m": 1}})
    says = {"ss_tag_frequency": tags, "modelspec.license": "CC-BY-4.0"}
    about = lora.about(tiny_lora.write(tmp_path / "a.safetensors", tiny_lora.kohya(found), **says))
    assert about.words == ("metal cube", "shiny", "bad�[0m") and about.note.endswith("license CC-BY-4.0")
    for damaged in ("[]", "{", '{"a": 3}', '{"a": {"b": "x"}}', '{"a": {"b": 1e999}}'):
        file = tiny_lora.write(tmp_path / "b.safetensors", tiny_lora.kohya(found), ss_tag_frequency=damaged)
        assert lora.about(file).note == "no trigger words in its header; license unknown"


def test_xl_takes_one_under_every_name_with_both_text_encoders(tmp_path):
    model = from_folder(
        tiny_xl_folder(tmp_path / "xl"), name="xl", guidance=5.0, device=torch.device("cpu"), dtype=torch.float32
    )
    layer = "up_blocks.0.attentions.0.transformer_blocks.{}.attn2.to_k"
    ranks = {
        "unet": {layer.format(0): 2, layer.format(1): 1},
        "text_encoder": {"encoder.layers.0.self_attn.q_proj": 2},
        "text_encoder_2": {"encoder.layers.0.mlp.fc1": 2},
    }
    found = tiny_lora.factors(model.networks, layers=ranks)
    places = originals("unet", "sdxl", [f"{name}.weight" for name in ranks["unet"]], model.unet.config)
    sgm = {n.removesuffix(".weight"): p.name.removeprefix(UNET).removesuffix(".weight") for n, p in places.items()}
    written = {
        "diffusers": tiny_lora.diffusers(found),
        "kohya": tiny_lora.kohya(found),
        "sgm": tiny_lora.kohya(found, sgm),
    }
    files = {name: tiny_lora.write(tmp_path / f"{name}.safetensors", each) for name, each in written.items()}
    made = [dressed(model, Added(loras=((name, 1.0),)), {"loras": files}, []) for name in files]
    for network, each in model.networks.items():
        first = made[0].networks[network].state_dict()
        assert network == "vae" or any(not torch.equal(value, first[name]) for name, value in each.state_dict().items())
        for other in made[1:]:
            assert all(torch.equal(first[name], value) for name, value in other.networks[network].state_dict().items())
