"""ReVersion: its contrast by hand, its timesteps by count, and textual inversion where both are left out."""

import json
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scipy.stats import chisquare

from maskunet.models.base.new_word import NewWord
from maskunet.training import checkpoint, sources, steering
from maskunet.training.own_pictures import OwnPictures
from maskunet.training.recipes import SPECS, inversion, reversion
from tests.models.test_embedding import on, states
from tests.support.tiny import tiny_model, tiny_tokenizer
from tests.training.test_inversion import recorded
from tests.training.test_loop import Four, losses, run
from tests.training.test_own_pictures import striped

pytestmark = pytest.mark.usefixtures("short_sheets")
SPEC = SPECS["reversion"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("related") / "tiny")


class Related(Four):
    """Pictures whose captions name two things around the word."""

    def __call__(self, index, draw):
        return replace(super().__call__(index, draw), caption=("a cube {} a cat", "a dog {} a sphere")[index % 2])


def test_the_contrast_of_three_vectors_is_that_of_a_calculation_by_hand():
    word, near, far = ([2.0, 0, 0, 0], [0.6, 0.8, 0, 0], [0.0, 3.0, 4.0, 0])
    vectors = [torch.tensor([each], dtype=torch.float64) for each in (word, near, far)]
    by_hand = -math.log(math.exp(0.6 / 0.07) / (math.exp(0.6 / 0.07) + math.exp(0 / 0.07)))
    assert float(steering.contrast(*vectors)) == pytest.approx(by_hand, rel=1e-12)
    # A second positive and two vectors of the word.
    more = torch.tensor([[0.0, 0, 0, 5.0]], dtype=torch.float64)
    shares = []
    for own in (vectors[0], more):
        cosines = [float(torch.cosine_similarity(own, other)) for other in (vectors[1], more, vectors[2])]
        near, other, far = (math.exp(cosine / 0.07) for cosine in cosines)
        shares.append(-math.log((near + other) / (near + other + far)))
    found = steering.contrast(torch.cat([vectors[0], more]), torch.cat([vectors[1], more]), vectors[2])
    assert float(found) == pytest.approx(sum(shares) / 2, rel=1e-12)


def test_only_the_word_gets_a_gradient_and_it_moves_towards_prepositions(model):
    table = model.text_encoder.get_input_embeddings().weight
    word = NewWord(model, "<x>", "and", 1)
    steer, captions = steering.Steering(model), ["a cube <x> a cat", "a dog <x> a sphere"]
    table.requires_grad_(True)
    try:
        before = steer(word, captions, [1, 2])
        before.backward()
        assert table.grad is None
    finally:
        table.requires_grad_(False)
    assert word.rows[0].grad.abs().max() > 0
    assert not [name for name, value in word.named_parameters() if value.grad is not None and "rows" not in name]
    with torch.no_grad():
        word.rows[0] -= 1e-2 * word.rows[0].grad
    assert steer(word, captions, [1, 2]) < before


def test_things_are_what_a_caption_names_and_padding_is_none(model):
    word = NewWord(model, "<x>", "and", 2)
    known = len(model.text_encoder.get_input_embeddings().weight)

    def named(tokenizer, caption):
        return [tokenizer.decode([number]).strip() for number in steering.content(tokenizer, caption, known)]

    tokenizer = word.model.tokenizer
    assert named(tokenizer, "a red cube <x> a cat, and a cube's dog!") == ["red", "cube", "cat", "cube", "dog"]
    assert named(tokenizer, "a cat left of a dog") == ["cat", "left", "dog"]
    assert named(tokenizer, "") == []
    assert named(tiny_tokenizer(pad_token="!"), "! a cat !") == ["cat"]
    assert len(named(tokenizer, "cat " * 40)) == 14  # what the text encoder reads


def test_each_sample_draws_its_own_prepositions_and_all_are_pooled(monkeypatch):
    drawn = [steering._drawn(range(9), draw) for draw in range(40)]
    assert all(len({*each}) == 4 for each in drawn) and len({tuple(each) for each in drawn}) > 20
    assert drawn[:3] == [steering._drawn(range(9), draw) for draw in range(3)]
    sizes = []
    monkeypatch.setattr(steering, "contrast", lambda *given: sizes.append([*map(len, given)]) or torch.zeros(()))
    tokenizer = tiny_tokenizer()
    encoder = torch.nn.Embedding(len(tokenizer), 4)
    encoder.get_input_embeddings = lambda: encoder
    read = SimpleNamespace(readers=((encoder, tokenizer),))
    word = SimpleNamespace(model=read, rows=[torch.zeros(1, 4)])
    steering.Steering(read)(word, ["a cat {} a dog", "a cube {} a red sphere"], [1, 2])
    assert sizes == [[1, 2, 5]]  # "of" is the only preposition of that vocabulary, once for each sample


def test_timesteps_come_as_often_as_the_formula_says():
    rng = torch.Generator().manual_seed(3)
    count, n = 1000, 100_000
    drawn = np.bincount([reversion.mostly_noisy(rng, count) for _ in range(n)], minlength=count)
    p = 1 - 0.5 * np.cos(np.pi * np.arange(count) / count)
    wanted = n * p / p.sum()
    assert chisquare(drawn, wanted).pvalue > 0.01
    assert chisquare(drawn, np.full(count, n / count)).pvalue < 1e-6
    assert drawn[-100:].sum() / drawn[:100].sum() == pytest.approx(3, rel=0.1)


def test_without_steering_and_with_even_timesteps_it_is_textual_inversion_to_the_last_bit(model, tmp_path):
    own = {"token": "<x>", "begin": "and", "steps": 2, "every": 2, "learning_rate": 1e-2}
    plain = run(model, SPECS["inversion"], tmp_path / "inversion", pairs=Related(), **own)
    even = {"steering": 0.0, "often_noisy": False}
    same = run(model, replace(SPEC, name="same"), tmp_path / "same", pairs=Related(), **own, **even)
    assert losses(plain) == losses(same)
    parts = [load_file(tmp_path / name / checkpoint.PART)["<x>"] for name in ("inversion", "same")]
    assert torch.equal(*parts)
    for name, change in (("steered", {"steering": 0.01}), ("noisy", {"often_noisy": True})):
        other = run(
            model, replace(SPEC, name="same"), tmp_path / name, pairs=Related(), **own | even | change | {"steps": 1}
        )
        assert losses(other)[0] != losses(plain)[0]


def test_the_loss_is_the_diffusion_loss_and_the_weighted_contrast(model, tmp_path):
    batches, plain = [], []
    run(model, recorded(batches), tmp_path / "a", pairs=Related(), steps=1, token="<x>", begin="and")
    (batch,) = [one for one in batches if one.draws]
    word = NewWord(model, "<x>", "and", 1)
    batch = replace(batch, encode=word.model.text_states)
    settings = replace(SPEC.presets["tabletop"], token="<x>", steering=0.5)
    with torch.no_grad():
        for chosen in (replace(settings, steering=0.0), settings):
            plain.append(SPEC.objective(model, chosen, [], None).losses(inversion.Inverted(model, word), batch))
        more = 0.5 * steering.Steering(model)(word, batch.captions, batch.draws)
    assert torch.allclose(plain[1] - plain[0], more.expand(4), atol=1e-6) and more > 0.01


def test_the_word_is_read_by_whatever_reads_an_embedding(model, tmp_path):
    run(model, SPEC, tmp_path, pairs=Related(), steps=2)
    part = tmp_path / checkpoint.PART
    assert [*load_file(part)] == ["<relates>"]
    assert not torch.equal(states(on(model, part), "a cube <relates> a cat"), states(model, "a cube and a cat"))
    assert torch.equal(states(on(model, part), "a red cube"), states(model, "a red cube"))


@pytest.fixture
def folder(tmp_path):
    for number in range(3):
        striped().save(tmp_path / f"{number}.jpg")
    return tmp_path


def read(model, folder, **changes):
    pairs, _ = sources.find(str(folder), 16, own_pictures=True)
    settings = replace(SPEC.presets["tabletop"], token="<x>", **changes)
    work = SPEC.prepare(model, settings, SimpleNamespace(pairs=pairs), None, None)
    with pytest.raises(StopIteration) as ended:
        next(work)
    return ended.value.value


def test_captions_are_read_from_metadata_texts_and_the_published_layout(model, folder):
    (folder / "text.json").write_text(
        json.dumps({f"{n}.jpg": ["a cat {} a box", f"the {n} {{}} a box"] for n in range(3)})
    )
    pairs = read(model, folder)
    assert {pairs(1, draw).caption for draw in range(20)} == {"a cat <x> a box", "the 1 <x> a box"}
    assert pairs(1, 5).caption == pairs(1, 5).caption and pairs(1, 3).image[:, :4].mean() > 200  # never mirrored
    for number in range(3):
        (folder / f"{number}.txt").write_text(f"a dog {{}} box {number}")
    assert read(model, folder)(2, 0).caption == "a dog <x> box 2"
    lines = [json.dumps({"file_name": f"{n}.jpg", "text": f"a <X> {n}"}) for n in range(2)]
    (folder / "metadata.jsonl").write_text("\n".join(lines))
    pairs = read(model, folder, caption="a cube {} a sphere")
    assert [pairs(n, 0).caption for n in range(3)] == ["a <X> 0", "a <X> 1", "a cube <x> a sphere"]


@pytest.mark.parametrize(
    ("text", "changes", "said"),
    [
        ({}, {}, "“a cat {} a box”. 0.jpg has none. Write them into metadata.jsonl, text.json or a .txt beside each"),
        ({"0.jpg": "a cat {} a box"}, {}, "1.jpg has none"),
        ({f"{n}.jpg": ["a cat {} a box", "a cat"] for n in range(3)}, {}, "0.jpg says “a cat”"),
        ({}, {"caption": "a cat on a box"}, "The caption “a cat on a box” has no {} in place of the relation"),
        ({"0.jpg": 3}, {}, "“text.json” must give each picture a list of captions"),
        ({"0.jpg": ["a {} b", None]}, {}, "that of 0.jpg is none"),
    ],
)  # fmt: skip
def test_a_caption_without_a_place_for_the_relation_is_refused_in_a_sentence(model, folder, text, changes, said):
    (folder / "text.json").write_text(json.dumps(text))
    with pytest.raises(ValueError) as refused:
        read(model, folder, **changes)
    assert said in str(refused.value)


def test_a_text_json_about_other_things_is_let_be(folder):
    (folder / "text.json").write_text('{"title": "my pictures"}')
    assert OwnPictures(folder, 16)(0, 0).caption == ""
    (folder / "text.json").write_text("[" * 5000)
    assert OwnPictures(folder, 16)(0, 0).caption == ""


def test_a_model_without_prepositions_is_told(model, monkeypatch):
    monkeypatch.setattr(steering, "PREPOSITIONS", ("beside",))
    with pytest.raises(ValueError, match="No preposition is one token of this model.* Set steering to 0"):
        steering.Steering(model)
