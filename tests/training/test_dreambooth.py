"""DreamBooth: its loss and its step are those of diffusers' script, and class pictures are kept by what made them."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from maskunet.plugins import chosen
from maskunet.records.training import Preparing
from maskunet.training import class_pictures, dreambooth, loop, shelves, sources
from maskunet.training.class_pictures import Made
from maskunet.training.data import Alternating, Feed
from maskunet.training.recipes import SPECS
from tests.training.test_loop import ABOUT, Four, losses, run, settings

pytestmark = pytest.mark.usefixtures("short_sheets")

DREAMBOOTH = SPECS["dreambooth"]
ALL = [spec for name, spec in SPECS.items() if name.startswith("dreambooth")]


class Bare(Four):
    """Pictures without captions of their own."""

    notes = ()

    def __call__(self, index, draw):
        return replace(super().__call__(index, draw), caption="")


def watched(seen):
    """The recipe, which tells its batches as it learns from them."""
    plain = DREAMBOOTH.objective

    def objective(*given):
        made = plain(*given)

        def told(predict, batch):
            seen.append(batch)
            return made.losses(predict, batch)

        return replace(made, losses=told)

    return replace(DREAMBOOTH, objective=objective)


def by_diffusers(unet, model, batch, prior_weight):
    """The loss of diffusers' train_dreambooth.py: two means; there the subject's pictures are first, here in turn."""
    from diffusers import DDPMScheduler

    kind = model.schedule.prediction_type
    scheduler = DDPMScheduler(trained_betas=betas(model), prediction_type=kind)
    x0, noise, t, text = batch.x0, batch.noise, batch.t, batch.text.states
    output = unet(scheduler.add_noise(x0, noise, t), t, text).sample
    target = noise if kind == "epsilon" else scheduler.get_velocity(x0, noise, t)
    return F.mse_loss(output[::2], target[::2]) + prior_weight * F.mse_loss(output[1::2], target[1::2])


def betas(model):
    a = model.schedule.alphas_cumprod.double()
    return (1 - a / torch.cat((torch.ones(1), a[:-1]))).float().numpy()


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_the_loss_and_one_step_are_those_of_diffusers_script(tiny_sd15, tmp_path, kind):
    tiny_sd15 = replace(tiny_sd15, schedule=replace(tiny_sd15.schedule, prediction_type=kind))
    seen, unet = [], copy.deepcopy(tiny_sd15.unet).requires_grad_(True)
    given = {"steps": 1, "prior_weight": 0.7, "learning_rate": 5e-6, "clip": 1.0}
    (event,) = run(tiny_sd15, watched(seen), tmp_path, pairs=Bare(), **given)
    loss = by_diffusers(unet, tiny_sd15, seen[0], 0.7)
    assert event.loss == pytest.approx(float(loss), rel=1e-6)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(unet.parameters(), 1.0)
    torch.optim.AdamW(unet.parameters(), lr=5e-6, betas=(0.9, 0.999), weight_decay=1e-2, eps=1e-8).step()
    from safetensors.torch import load_file

    made = load_file(tmp_path / "trained.safetensors")
    before, gaps, moved = tiny_sd15.unet.state_dict(), [], []
    for name, p in unet.named_parameters():
        told = p.grad.abs() > 1e-7  # AdamW's first step makes a whole step of the rounding of smaller gradients
        gaps.append((made[name] - p.detach()).abs()[told])
        moved.append((p.detach() - before[name]).abs().flatten())
    assert torch.cat(gaps).max() <= 1e-6 and torch.cat(gaps).quantile(0.99) < 5e-8
    assert len(torch.cat(gaps)) > 0.99 * len(torch.cat(moved)) and torch.cat(moved).median() > 4e-6


def test_without_weight_the_class_pictures_teach_nothing(tiny_sd15, tmp_path):
    seen = []
    (event,) = run(tiny_sd15, watched(seen), tmp_path, pairs=Bare(), steps=1, prior_weight=0.0)
    batch = seen[0]
    alone = by_diffusers(tiny_sd15.unet, tiny_sd15, batch, 0.0)
    assert event.loss == pytest.approx(float(alone), rel=1e-6)
    turned = DREAMBOOTH.objective(tiny_sd15, None, [], None).losses  # the order within a batch does not matter
    predict = lambda x_t, t, text, draws: tiny_sd15.unet(x_t, t, **text.arguments).sample  # noqa: E731
    flip = [3, 2, 1, 0]
    other = replace(
        batch, numbers=[batch.numbers[i] for i in flip], pairs=[batch.pairs[i] for i in flip],
        captions=[batch.captions[i] for i in flip], noise=batch.noise[flip], t=batch.t[flip],
    )  # fmt: skip
    with torch.no_grad():
        both = [(turned(predict, each) * each.weights).mean() for each in (batch, other)]
    assert float(both[0]) == pytest.approx(float(both[1]), rel=1e-6)


def test_half_a_batch_is_the_subject_under_its_prompt_and_half_the_class(tiny_sd15, tmp_path):
    seen = []
    run(tiny_sd15, watched(seen), tmp_path, pairs=Bare(), steps=2, prior_weight=0.5)
    for batch in seen:
        assert batch.captions == ["a sks cylinder", "a cylinder"] * 2
        assert batch.weights.tolist() == [2.0, 1.0] * 2
        assert batch.t.unique().numel() > 1
    own = run(tiny_sd15, watched(seen := []), tmp_path / "own", steps=1, class_pictures=0)
    assert {*seen[0].captions} == {"a red", "a blue", "a cube", "a cat"}  # captions of one's own are kept
    assert seen[0].weights.tolist() == [1.0] * 4 and own[0].loss > 0


@pytest.mark.parametrize("spec", ALL, ids=lambda spec: spec.name)
def test_weights_that_train_are_never_half(tiny_sd15, spec):
    model = replace(tiny_sd15, unet=copy.deepcopy(tiny_sd15.unet).half())
    with spec.build(model, settings(spec)) as recipe:
        assert {p.dtype for p in recipe.module.parameters() if p.requires_grad} == {torch.float32}


# Prompts and batches


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"batch": 5}, "The batch is 5; with class pictures it must be even. Give 6, or set"),
        ({"instance_prompt": ""}, "The instance prompt is empty"),
        ({"class_prompt": " "}, "The class prompt is empty"),
        ({"class_prompt": "a SKS cylinder"}, "would teach that every cylinder is the subject. Give .* “sks cylinder”"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_made(tiny_sd15, tmp_path, changes, said):
    with pytest.raises(ValueError, match=said):
        run(tiny_sd15, DREAMBOOTH, tmp_path / "out", pairs=Bare(), **changes)
    assert not (tmp_path / loop.SHARED).exists()


def test_a_prompt_without_its_class_is_told():
    said = dreambooth.check(chosen(DREAMBOOTH.presets, "", "", {"instance_prompt": "a photo of sks"}))
    assert "does not name the class “cylinder”" in said and "Write “sks cylinder” there" in said
    with pytest.raises(ValueError, match="has 2,001 characters; allowed are 2,000"):
        chosen(DREAMBOOTH.presets, "", "", {"instance_prompt": "x" * 2001})


# Class pictures

HOW = Made(prompt="a cylinder", count=4, seed=3, steps=2)


def made(events):
    while True:
        try:
            next(events)
        except StopIteration as end:
            return end.value


def test_class_pictures_are_the_base_models_and_are_made_once(tiny_sd15, tmp_path, monkeypatch):
    count = []
    plain = class_pictures._made
    monkeypatch.setattr(class_pictures, "_made", lambda *given: count.append(1) or plain(*given))
    first = made(class_pictures.prepare(tiny_sd15, HOW, tmp_path))
    assert len(first) == 4 and first(2, 0).caption == "a cylinder"
    assert np.array_equal(first(2, 0).latents, made(class_pictures.prepare(tiny_sd15, HOW, tmp_path))(2, 9).latents)
    assert np.array_equal(
        first.latents[:2], made(class_pictures.prepare(tiny_sd15, replace(HOW, count=2), tmp_path)).latents
    )
    assert len(count) == 1
    for change in ({"prompt": "a cube"}, {"seed": 4}, {"steps": 3}, {"guidance": 2.0}):
        other = made(class_pictures.prepare(tiny_sd15, replace(HOW, **change), tmp_path))
        assert not np.array_equal(first.latents, other.latents)
    model = replace(tiny_sd15, weights={**tiny_sd15.weights, "unet": "another"})
    made(class_pictures.prepare(model, HOW, tmp_path))
    schedule = replace(tiny_sd15.schedule, alphas_cumprod=tiny_sd15.schedule.alphas_cumprod**2)
    made(class_pictures.prepare(replace(tiny_sd15, schedule=schedule), HOW, tmp_path))
    assert len(count) == 7


def test_a_stop_keeps_the_class_pictures_that_are_made(tiny_sd15, tmp_path, monkeypatch):
    monkeypatch.setattr(shelves, "SHELF", 2)
    whole = made(class_pictures.prepare(tiny_sd15, HOW, tmp_path / "whole"))
    half = class_pictures.prepare(tiny_sd15, HOW, tmp_path / "half")
    assert [next(half).done, next(half).done] == [0, 2]
    half.close()
    told = [*class_pictures.prepare(tiny_sd15, HOW, tmp_path / "half")]
    assert [(each.done, each.total, each.what) for each in told] == [(2, 4, "class pictures"), (4, 4, "class pictures")]
    assert np.array_equal(made(class_pictures.prepare(tiny_sd15, HOW, tmp_path / "half")).latents, whole.latents)
    (shelf, *_) = sorted((tmp_path / "half").rglob("*.safetensors"))
    shelf.write_bytes(b"no picture")
    with pytest.raises(ValueError, match="are damaged. Delete that folder"):
        made(class_pictures.prepare(tiny_sd15, HOW, tmp_path / "half"))


def test_recipes_share_class_pictures(tiny_sd15, tmp_path):
    for spec in ALL:
        chosen = settings(spec, steps=1)
        events = [*loop.train(tiny_sd15, spec, chosen, Bare(), tmp_path / spec.name, about=ABOUT)]
        assert sum(isinstance(event, Preparing) for event in events) == (2 if spec is ALL[0] else 1)
    assert len([*(tmp_path / loop.SHARED).iterdir()]) == 1


# Folders


def test_kohyas_folders_give_their_names_as_captions(tmp_path):
    for name in ("10_sks dog/a.png", "10_sks dog/b.png", "1_dog/c.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (20, 20, 3), np.uint8)).save(tmp_path / name)
    (tmp_path / "10_sks dog" / "b.txt").write_text("sks dog on a sofa")
    pairs, about = sources.find(str(tmp_path), 16, own_pictures=True)
    assert about["examples"] == 3
    assert sorted(pairs(i, 0).caption for i in range(3)) == ["dog", "sks dog", "sks dog on a sofa"]


def test_googles_folder_of_a_subject_is_read_and_its_parent_is_explained(tmp_path):
    (tmp_path / "dataset" / "dog6").mkdir(parents=True)
    for i in range(5):
        Image.fromarray(np.random.default_rng(i).integers(0, 255, (20, 20, 3), np.uint8)).save(
            tmp_path / "dataset" / "dog6" / f"{i:02d}.jpg"
        )
    pairs, _ = sources.find(str(tmp_path / "dataset" / "dog6"), 16, own_pictures=True)
    worded = made(dreambooth.prepare(None, settings(DREAMBOOTH, class_pictures=0), Feed(pairs, 0), None, tmp_path))
    assert not isinstance(worded, Alternating) and worded(0, 0).caption == "a sks cylinder"
    with pytest.raises(ValueError, match="there are pictures in 1 of them, such as “dog6”"):
        sources.find(str(tmp_path / "dataset"), 16, own_pictures=True)


def test_a_resumed_training_makes_no_class_pictures_anew_and_has_the_same_curve(tiny_sd15, tmp_path):
    whole = run(tiny_sd15, DREAMBOOTH, tmp_path / "whole", pairs=Bare(), steps=4)
    run(tiny_sd15, DREAMBOOTH, tmp_path / "half", pairs=Bare(), steps=2)
    rest = run(tiny_sd15, DREAMBOOTH, tmp_path / "half", pairs=Bare(), steps=4, resume=True)
    assert losses(rest) == losses(whole)[2:]
