"""Embeddings (textual inversion): read in three layouts, written in a prompt, and nothing else changes."""

import re
from dataclasses import replace

import pytest
import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline

from maskunet.models.base import embedding, from_folder
from maskunet.models.base.dressed import dressed
from maskunet.prompts.tokens import locate, unread
from maskunet.prompts.words import Group, words_of
from maskunet.records import Request
from maskunet.records.added import Added
from maskunet.rewards.base import WeightedRewards
from maskunet.runs.compare import compare
from maskunet.runs.fine_print import notes
from tests.support import tiny_lora
from tests.support.tiny import tiny_model, tiny_sd_folder, tiny_xl_folder


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("base") / "tiny")


def on(model, *files):
    """The model with embeddings, each a path or a path and a token."""
    given = [each if isinstance(each, tuple) else (each, "") for each in files]
    names = {path.stem: path for path, _ in given}
    added = Added(embeddings=tuple((path.stem, token) for path, token in given))
    return dressed(model, added, {"loras": {}, "embeddings": names}, [])


def states(model, text):
    return model.encode_prompts([text]).states


@pytest.mark.parametrize("name", ["<cat-toy>", "emb_params", "string_to_param.*", "clip_l"])
def test_every_layout_gives_the_vectors_their_token_and_other_prompts_stay_bit_equal(model, tmp_path, name):
    file = tiny_lora.embedding(tmp_path / "fluffy.safetensors", 2, name=name)
    before = {name: value.clone() for name, value in model.text_encoder.state_dict().items()}
    with_it, token = on(model, file), "<cat-toy>" if name.startswith("<") else "fluffy"
    assert with_it.added.embeddings == (("fluffy", token),) and f"embedding/fluffy:{token}" in with_it.weights
    for text in ("a red cube", "", "fluffyness and <cat-toys>", "a dog of a cat " * 5):
        assert torch.equal(states(with_it, text), states(model, text))
    assert not torch.equal(states(with_it, f"a {token}"), states(with_it, "a cat"))
    assert all(torch.equal(value, before[name]) for name, value in model.text_encoder.state_dict().items())
    assert states(with_it, f"a {token.upper()}").equal(states(with_it, f"a {token}"))


def test_diffusers_own_loader_gives_the_same_text_states(model, tmp_path):
    file = tiny_lora.embedding(tmp_path / "fluffy.safetensors", 3)
    pipe = StableDiffusionPipeline.from_pretrained(tiny_sd_folder(tmp_path / "tiny"))
    pipe.load_textual_inversion(str(tmp_path), weight_name=file.name)
    for text in (
        "a <cat-toy> and a red cube",
        "<cat-toy>",
        "a dog of a cat and a <cat-toy> left of a red cube and a sphere",
    ):
        theirs, _ = pipe.encode_prompt(text, "cpu", 1, False)
        assert torch.equal(states(on(model, file), text), theirs)


def test_tokens_are_counted_and_found_with_every_vector(model, tmp_path):
    with_it = on(model, tiny_lora.embedding(tmp_path / "fluffy.safetensors", 3))
    prompt = "a <cat-toy> and a red cube"
    ids = with_it.tokenizer(prompt).input_ids
    plain = model.tokenizer("a and a red cube").input_ids
    size = model.text_encoder.config.vocab_size
    assert ids == [*plain[:2], size, size + 1, size + 2, *plain[2:]]
    words = {word.text: word for word in words_of(prompt)}
    found = locate([Group(words["cube"], (words["red"],))], prompt, with_it.tokenizer)
    assert found.groups[0].noun == (8,) and found.groups[0].modifiers == ((7,),)
    # Of 1 + 3 tokens each 14 are read, of the fourth two.
    assert unread("a <cat-toy> " * 5, with_it.tokenizer) == "a <cat-toy>"
    assert unread("a <cat-toy> " * 3, with_it.tokenizer) == ""
    padded = with_it.tokenizer(
        [prompt, "a cat"], padding="max_length", truncation=True, max_length=16, return_tensors="pt"
    )
    assert (
        padded.input_ids.shape == (2, 16)
        and padded.input_ids[1].tolist() == with_it.tokenizer("a cat", padding="max_length", max_length=16).input_ids
    )


def test_two_embeddings_another_name_and_a_note_if_no_prompt_has_it(model, tmp_path):
    one, two = (tiny_lora.embedding(tmp_path / f"{n}.safetensors", 1, name="emb_params", seed=n) for n in (1, 2))
    with_both = on(model, (one, "<one>"), (two, "<two>"))
    assert not torch.equal(states(with_both, "a <one>"), states(with_both, "a <two>"))
    assert with_both.notes[-1] == "Embedding “2” is written <two> in the prompt."
    request = Request(prompt="a <one>", model="tiny")
    assert "No prompt has <two>: what is not written does nothing." in notes(with_both, WeightedRewards({}), request)
    request = replace(request, negative_prompt="<two>")
    assert not any("does nothing" in note for note in notes(with_both, WeightedRewards({}), request))


@pytest.mark.parametrize(("tensors", "token", "said"), [
    ({"<x>": torch.zeros(1, 1024)}, "", "was made for Stable Diffusion 2.x (1024), this model has 32"),
    ({"<x>": torch.zeros(15, 32)}, "", "has 15 vectors, and a prompt of this model has room for 14"),
    ({"<x>": torch.zeros(65, 32)}, "", "has 65 vectors; an embedding has 1 to 64"),
    ({"<x>": torch.full((1, 32), torch.nan)}, "", "values that are no numbers"),
    ({"cat": torch.zeros(1, 32)}, "", "is called “cat”, which is a word of the model's vocabulary. Give it another name: FILE:<cat>"),
    ({"<x>": torch.zeros(1, 32)}, "red", "is called “red”, which is a word"),
    ({"two words": torch.zeros(1, 32)}, "", "allowed are 1 to 64 characters without spaces"),
    ({"clip_l": torch.zeros(1, 768), "clip_g": torch.zeros(1, 1280)}, "", "was made for SDXL"),
    ({"<x>": torch.zeros(1, 32), "<y>": torch.zeros(1, 32)}, "", "is no embedding but something else"),
    ({"lora_unet_a.lora_down.weight": torch.zeros(1, 32), "lora_unet_a.lora_up.weight": torch.zeros(32, 1)}, "", "is no embedding but a LoRA"),
    ({"model.diffusion_model.a": torch.zeros(3, 3, 3)}, "", "is no embedding but a whole model"),
    ({"<x>": torch.zeros(1, 32, dtype=torch.int8)}, "", "is quantized"),
])  # fmt: skip
def test_others_are_refused_in_a_sentence(model, tmp_path, tensors, token, said):
    file = tiny_lora.write(tmp_path / "odd.safetensors", tensors)
    with pytest.raises(ValueError, match=re.escape(said)):
        on(model, (file, token))


def test_vectors_that_are_far_too_large_end_in_a_sentence_that_names_them(model, tmp_path):
    huge = on(model, tiny_lora.write(tmp_path / "huge.safetensors", {"<huge>": torch.full((1, 32), 1e30)}))
    asked = Request(prompt="a <huge> cube", method="plain", steps=2)
    with pytest.raises(
        ValueError, match="NaN or infinity.*What was put on the model, a LoRA or an embedding, may be damaged"
    ):
        list(compare(huge, WeightedRewards({}), asked))


def test_pickles_damage_and_one_name_for_two_are_refused(model, tmp_path):
    good = tiny_lora.embedding(tmp_path / "good.safetensors")
    (tmp_path / "old.pt").write_bytes(b"PK\x03\x04")
    (tmp_path / "cut.safetensors").write_bytes(good.read_bytes()[:-9])
    for name, said in (("old.pt", "is a pickle"), ("cut.safetensors", "was cut off")):
        with pytest.raises(ValueError, match=said):
            embedding.about(tmp_path / name)
    other = tiny_lora.embedding(tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="Two embeddings are called “<cat-toy>”"):
        on(model, good, other)


def test_sdxl_reads_both_encoders_vectors_as_diffusers_does(tmp_path):
    folder = tiny_xl_folder(tmp_path / "xl")
    xl = from_folder(folder, name="xl", guidance=5.0, device=torch.device("cpu"), dtype=torch.float32)
    stream = torch.Generator().manual_seed(0)
    vectors = {
        key: torch.randn(2, encoder.get_input_embeddings().embedding_dim, generator=stream)
        for key, encoder in (("clip_l", xl.text_encoder), ("clip_g", xl.text_encoder_2))
    }
    file = tiny_lora.write(tmp_path / "fluffy.safetensors", vectors)
    with_it = on(xl, file)
    assert xl.encode_prompts(["a red cube"]).states.equal(with_it.encode_prompts(["a red cube"]).states)
    pipe = StableDiffusionXLPipeline.from_pretrained(folder)
    pipe.load_textual_inversion(
        vectors["clip_l"], token="fluffy", text_encoder=pipe.text_encoder, tokenizer=pipe.tokenizer
    )
    pipe.load_textual_inversion(
        vectors["clip_g"], token="fluffy", text_encoder=pipe.text_encoder_2, tokenizer=pipe.tokenizer_2
    )
    pipe.text_encoder_2.text_model.eos_token_id = pipe.tokenizer_2.eos_token_id  # which the pipeline leaves wrong
    mine = with_it.encode_prompts(["a fluffy and a red cube"])
    theirs, _, pooled, _ = pipe.encode_prompt(
        "a fluffy and a red cube", device="cpu", do_classifier_free_guidance=False
    )
    assert torch.equal(mine.states, theirs) and torch.equal(mine.pooled, pooled)
    for names, said in (
        (["clip_l"], "SDXL needs clip_l and clip_g"),
        (["clip_l", "clip_g"], "in clip_l and 1 in clip_g"),
    ):
        some = {name: vectors[name][: 1 if name == "clip_g" else 2] for name in names}
        with pytest.raises(ValueError, match=said):
            on(xl, tiny_lora.write(tmp_path / "other.safetensors", some))
