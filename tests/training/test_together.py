"""A word and masks that learn together: both learn, one file has both, and each part is usable where it is today."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from maskunet.library.push import find
from maskunet.masks import generator_file
from maskunet.masks.in_pipeline import apply_masks
from maskunet.models.base import embedding
from maskunet.records import Request
from maskunet.records.disk import trained_file
from maskunet.rewards.base import WeightedRewards
from maskunet.runs.compare import compare
from maskunet.training import checkpoint, dreambooth, loop
from maskunet.training.diffusion import losses
from maskunet.training.objective import Batch
from maskunet.training.recipes import SPECS
from tests.models.test_embedding import on, states
from tests.support.tiny import tiny_model
from tests.training.test_dreambooth import Bare
from tests.training.test_loop import Four, assert_untouched, contents, run, settings

pytestmark = pytest.mark.usefixtures("short_sheets")
TOGETHER, ALONE = SPECS["inversion_masks"], SPECS["inversion"]
BOTH = [TOGETHER, SPECS["dreambooth_masks_word"]]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("together") / "tiny")


@pytest.fixture(scope="module")
def part(model, tmp_path_factory):
    """The file of a short training."""
    out = tmp_path_factory.mktemp("trained") / "mine"
    run(model, TOGETHER, out, steps=3, begin="cat", learning_rate=1e-1, start=-0.36)  # near where masks remove
    return out / checkpoint.PART


def of_word(spec, model, **changes):
    """The gradient to the word, of one batch without anything drawn."""
    noise = torch.randn((4, *model.latent_shape), generator=torch.Generator().manual_seed(0))
    batch = Batch(
        model=model, numbers=[], pairs=[Four()(i, 0) for i in range(4)], captions=["a <mine>", "my <mine>"] * 2,
        noise=noise, t=torch.tensor([10, 300, 600, 990]), draws=[],
    )  # fmt: skip
    with spec.build(model, settings(spec, begin="cat", **changes)) as recipe:
        losses(model, recipe.module, batch.read_by(recipe.encode)).mean().backward()
        return recipe.module.word.rows[0].grad, [p.grad for p in recipe.module.parameters() if p.requires_grad]


@pytest.mark.parametrize("checkpointing", [False, True])
def test_under_masks_that_keep_all_the_word_learns_what_it_learns_alone(model, checkpointing):
    alone, _ = of_word(ALONE, model)
    together, every = of_word(TOGETHER, model, start=10.0, checkpointing=checkpointing)
    assert (alone - together).abs().max() <= 1e-6 * max(1, alone.abs().max()) and alone.abs().max() > 0
    assert all(each is not None for each in every) and len(every) > 1
    masked, _ = of_word(TOGETHER, model, start=0.0)
    assert not torch.allclose(alone, masked, rtol=1e-2)  # through the masks that are on


@pytest.mark.parametrize("spec", BOTH, ids=lambda spec: spec.name)
def test_both_move_the_base_does_not_and_the_same_bytes_come_again(model, tmp_path, spec):
    unet, layers = contents(model), [id(m) for m in model.unet.modules()]
    text = {name: value.clone() for name, value in model.text_encoder.state_dict().items()}
    moved = [{}, {}]
    for number, steps in enumerate((1, 3)):
        run(model, spec, tmp_path / str(steps), steps=steps, every=1, keep_each=True, pairs=Bare())
        moved[number] = load_file(tmp_path / str(steps) / "trained-1.safetensors")
    assert (tmp_path / "1" / "trained-1.safetensors").read_bytes() == (
        tmp_path / "3" / "trained-1.safetensors"
    ).read_bytes()
    last = load_file(tmp_path / "3" / checkpoint.PART)
    changed = {name for name, value in last.items() if not torch.equal(value, moved[1][name])}
    assert "word/<mine>" in changed and any(not name.startswith("word/") for name in changed)
    assert_untouched(model, unet, layers)
    after = model.text_encoder.state_dict()
    assert after.keys() == text.keys() and all(torch.equal(after[name], value) for name, value in text.items())


def test_one_file_is_a_word_and_a_generator(model, part):
    assert trained_file.kinds(part) == ("generator", "embedding")
    known = embedding.about(part)
    assert (known.token, known.vectors) == ("<mine>", 1)
    worded = on(model, part)
    learned = load_file(part)["word/<mine>"]
    assert torch.equal(worded.text_encoder.get_input_embeddings().weight[-1:], learned)
    assert torch.equal(states(worded, "a red cube"), states(model, "a red cube"))
    assert generator_file.load(part, model.unet, worded.weights).settings.variant == "light"


def test_masks_are_put_on_with_the_word_and_without_it_the_run_says_so(model, part):
    asked = Request(
        prompt="a <mine>", model=model.name, method="maskunet_trained", steps=2, settings={"generator": "mine"},
        previews=False,
    )  # fmt: skip
    runs = []
    for each in (model, on(model, part)):
        offered = replace(each, trained={"generator": {"mine": part}}, cache={})
        *_, (_, event) = compare(offered, WeightedRewards({}), asked)
        runs.append(event)
    bare, worded = runs
    assert (
        "The masks “mine” learned together with a word. Put the embedding “mine” on the model too (--embedding)."
        in bare.note
    )
    assert "learned together" not in worded.note
    assert (worded.result_image != worded.base_image).any() and (worded.result_image != bare.result_image).any()


def test_elsewhere_it_is_refused_in_a_sentence(model, part):
    with pytest.raises(ValueError, match="holds a word, with or without masks, which a pipeline cannot be given"):
        apply_masks(SimpleNamespace(unet=model.unet), part)
    library = SimpleNamespace(
        default="tiny", parts=lambda name: {kind: {"mine": part} for kind in ("generator", "embedding")}
    )
    with pytest.raises(ValueError, match="“mine” holds a word, which push cannot upload"):
        find(library, "mine")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"instance_prompt": "a sks cylinder"}, "does not have the word <mine>, which then learns nothing"),
        ({"class_prompt": "a <MINE> cylinder"}, "The class prompt has the word <mine>"),
        ({"token": "cat", "instance_prompt": "a cat"}, "“cat” is a word that the model knows already"),
        ({"batch": 5}, "The batch is 5; with class pictures it must be even."),
    ],
)
def test_dreambooth_asks_for_the_word_before_anything_is_made(model, tmp_path, changes, said):
    with pytest.raises(ValueError, match=said):
        run(model, SPECS["dreambooth_masks_word"], tmp_path / "out", pairs=Bare(), **changes)
    assert not (tmp_path / loop.SHARED).exists()


def test_the_dreambooth_recipes_are_alike_for_tabletop():
    for name in ("dreambooth", "dreambooth_lora", "dreambooth_masks", "dreambooth_masks_word"):
        preset = SPECS[name].presets["tabletop"]
        own = {"instance_prompt"} if SPECS[name].word else set()
        assert {each: getattr(preset, each) for each in dreambooth.TABLETOP.keys() - own} == {
            each: value for each, value in dreambooth.TABLETOP.items() if each not in own
        }
