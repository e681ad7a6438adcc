"""Textual inversion: the published arithmetic, a file that others read, and nothing else changes."""

import copy
from dataclasses import replace

import pytest
import torch
from diffusers import DDPMScheduler, StableDiffusionPipeline
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F

from maskunet.models.base.new_word import NewWord
from maskunet.records.disk import trained_file
from maskunet.training import checkpoint
from maskunet.training.data import Feed
from maskunet.training.diffusion import HeldOut
from maskunet.training.objective import Objective
from maskunet.training.recipes import SPECS
from tests.models.test_embedding import on, states
from tests.support.tiny import tiny_model, tiny_sd_folder
from tests.training.test_loop import Four, run

pytestmark = pytest.mark.usefixtures("short_sheets")
SPEC = SPECS["inversion"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("inverted") / "tiny")


def train(model, out, *, spec=SPEC, **changes):
    run(model, spec, out, **{"begin": "cat", "learning_rate": 1e-2, "every": 5, "steps": 5, **changes})
    return out / checkpoint.PART


def recorded(batches):
    """The recipe, whose training batches are kept."""

    def objective(*given):
        usual = SPEC.objective(*given)

        def losses(predict, batch):
            batches.append(batch)
            return usual.losses(predict, batch)

        return Objective(losses=losses, exam=usual.exam)

    return replace(SPEC, objective=objective)


def published(model, word, batches, rate):
    """The published script: AdamW on the whole table, then all other rows put back. Returns the table."""
    scheduler = DDPMScheduler.from_config({"num_train_timesteps": 1000})
    scheduler.alphas_cumprod = model.schedule.alphas_cumprod.float()
    encoder = copy.deepcopy(model.text_encoder)
    old = encoder.get_input_embeddings().weight.detach().clone()
    table = nn.Embedding(len(old) + len(word), old.shape[1], _weight=torch.cat([old, word]))
    encoder.set_input_embeddings(table)
    encoder.requires_grad_(False)
    table.weight.requires_grad_(True)
    optimizer = torch.optim.AdamW(table.parameters(), lr=rate, betas=(0.9, 0.999), weight_decay=1e-2, eps=1e-8)
    tokenizer = NewWord(model, "<mine>", "cat", len(word)).model.tokenizer
    for batch in batches:
        ids = tokenizer(batch.captions, padding="max_length", truncation=True, max_length=16, return_tensors="pt")
        x_t = scheduler.add_noise(batch.x0, batch.noise, batch.t)
        output = model.unet(x_t, batch.t, encoder_hidden_states=encoder(ids.input_ids)[0]).sample
        F.mse_loss(output.float(), batch.noise.float(), reduction="mean").backward()
        optimizer.step()
        optimizer.zero_grad()
        with torch.no_grad():
            table.weight[: len(old)] = old
    return table.weight.detach()


@pytest.mark.parametrize("vectors", [1, 3])
def test_five_steps_are_those_of_adamw_on_the_table_with_all_other_rows_put_back(model, tmp_path, vectors):
    before = {name: value.clone() for name, value in model.text_encoder.state_dict().items()}
    batches = []
    part = train(model, tmp_path, spec=recorded(batches), vectors=vectors, caption_dropout=0.2)
    first = NewWord(model, "<mine>", "cat", vectors).rows[0].detach()
    batches = [batch for batch in batches if batch.draws]
    assert len(batches) == 5 and all(len(batch.captions) == 4 for batch in batches)
    table = published(model, first, batches, 1e-2)
    (learned,) = load_file(part).values()
    assert learned.shape == (vectors, 32)
    assert (learned - table[-vectors:]).abs().max() <= 1e-6 < 1e-3 < (learned - first).abs().max()
    after = model.text_encoder.state_dict()
    assert after.keys() == before.keys() and all(torch.equal(after[name], value) for name, value in before.items())
    assert torch.equal(on(model, part).text_encoder.get_input_embeddings().weight[:-vectors], table[:-vectors])


@pytest.mark.parametrize("vectors", [1, 3])
def test_diffusers_reads_the_file_and_its_text_states_are_the_same(model, tmp_path, vectors):
    part = train(model, tmp_path, vectors=vectors, steps=2)
    pipe = StableDiffusionPipeline.from_pretrained(tiny_sd_folder(tmp_path / "tiny"))
    pipe.load_textual_inversion(str(tmp_path), weight_name=part.name)
    for text in ("<mine>", "a <mine> left of a red cube", "a photo of a <mine> and a <mine>"):
        theirs, _ = pipe.encode_prompt(text, "cpu", 1, False)
        assert torch.equal(states(on(model, part), text), theirs)


def test_the_file_is_loaded_at_once_and_other_prompts_stay_bit_equal(model, tmp_path):
    part = train(model, tmp_path / "my-cat", steps=2, token="<my-cat>")
    assert trained_file.kinds(part) == ("embedding",)
    assert [*load_file(part)] == ["<my-cat>"]  # one tensor, which A1111 and ComfyUI take whatever its name
    about = trained_file.about(part, "maskunet-embedding-1", "embedding")
    assert (about["token"], about["begin"], about["model"]) == ("<my-cat>", "cat", model.name)
    for text in ("a red cube", "", "a my-cat"):
        assert torch.equal(states(on(model, part), text), states(model, text))
    assert not torch.equal(states(on(model, part), "a <my-cat>"), states(model, "a cat"))


def test_the_learning_model_reads_as_the_loaded_one(model, tmp_path):
    word = NewWord(model, "<x>", "cat", 2)
    word.save(tmp_path / "x.safetensors", {"model": model.name, "weights": model.weights})
    assert torch.equal(
        word.model.encode_prompts(["a <x> on it"]).states, states(on(model, tmp_path / "x.safetensors"), "a <x> on it")
    )
    assert torch.equal(word.model.encode_prompts(["a red cube"]).states, states(model, "a red cube"))
    # It begins as the word that it begins from, said twice.
    assert torch.equal(word.model.encode_prompts(["a <x>"]).states, states(model, "a cat cat"))


def test_held_out_pictures_are_measured_against_the_first_word(model):
    pairs = [replace(Four()(i, 0), caption="a <x>") for i in (0, 1, 2)]
    word = NewWord(model, "<x>", "cat", 1)
    held = HeldOut(model, pairs, lambda text: text.replace("<x>", "cat"))
    change = held.change(
        lambda x_t, t, text, draws: model.unet(x_t, t, **text.arguments).sample, word.model.text_states
    )
    assert change["held_out_loss_change"] == pytest.approx(0, abs=1e-4)
    with torch.no_grad():
        word.rows[0] += 3
    moved = held.change(lambda x_t, t, text, draws: model.unet(x_t, t, **text.arguments).sample, word.model.text_states)
    assert moved["held_out_loss_change"] != change["held_out_loss_change"]


@pytest.mark.parametrize(
    ("token", "text", "known"),
    [
        ("<mine>", "a photo of <MINE> and a <mine>", r"a photo of a\1 and a a\1"),
        ("Sks", "a sks, not asks", r"a a\1, not asks"),
        ("<a.b+>", "my <A.B+> and <axb>", r"my a\1 and <axb>"),
    ],
)
def test_the_base_model_reads_a_known_word_wherever_the_new_one_is_read(token, text, known):
    settings = replace(SPEC.presets["tabletop"], token=token, begin=r"a\1")
    assert SPEC.before(settings, text) == known
    assert SPEC.before(replace(settings, begin=""), text) == known.replace(r"a\1", "thing")


class Captioned(Four):
    """Pictures of which some have captions of their own."""

    def __call__(self, index, draw):
        return replace(super().__call__(index, draw), caption=("a {} on a mat", "my <mine>", "a dog", "")[index])


def test_captions_of_ones_own_are_kept_where_they_have_the_word(model):
    settings = SPEC.presets["tabletop"]
    work = SPEC.prepare(model, settings, Feed(Captioned(), 0), None, None)
    with pytest.raises(StopIteration) as ended:
        next(work)
    worded = ended.value.value
    assert (worded(0, 1).caption, worded(1, 1).caption) == ("a <mine> on a mat", "my <mine>")
    said = {worded(index, draw).caption for index in (2, 3) for draw in range(40)}
    assert len(said) == 6 and all("<mine>" in text and "dog" not in text for text in said)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"token": "my cat"}, "without spaces"),
        ({"token": ""}, "allowed are 1 to 64 characters"),
        ({"token": "cat"}, "“cat” is a word that the model knows already. Give the new one a name of its own, such as <cat-1>"),
        ({"token": "<|EndOfText|>"}, "Give the new one a name of its own, such as <EndOfText-1>"),
        ({"begin": "red cube"}, "“red cube” is 2 tokens of this model: “red”, “cube”. Begin from one of them"),
        ({"vectors": 15}, "A word of 15 vectors does not fit: 1 to 14 are allowed"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_new_word_is_refused_in_a_sentence(model, tmp_path, changes, said):
    with pytest.raises(ValueError, match=said):
        train(model, tmp_path, **changes)
    assert not (tmp_path / checkpoint.PART).exists()


def test_as_many_first_tokens_as_vectors_are_taken(model):
    rows = NewWord(model, "<x>", "red cube", 2).rows[0]
    ids = model.tokenizer("red cube", add_special_tokens=False).input_ids
    assert torch.equal(rows, model.text_encoder.get_input_embeddings().weight[ids])


def test_a_word_that_an_embedding_has_is_taken(model, tmp_path):
    part = train(model, tmp_path, steps=1)
    with pytest.raises(ValueError, match="“<MINE>” is a word that the model knows already"):
        NewWord(on(model, part), "<MINE>", "cat", 1)
    again = NewWord(on(model, part), "<other>", "cat", 1).model
    assert torch.equal(again.encode_prompts(["a <mine>"]).states, states(on(model, part), "a <mine>"))
