"""The rivals that move the latents by attention: Attend-and-Excite, SynGen, and SynGen with MaskUNet."""

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionAttendAndExcitePipeline
from torch.distributions import Categorical, kl_divergence

from maskunet.methods import SPECS
from maskunet.methods.attend_and_excite import THRESHOLDS, excitation_loss, excite
from maskunet.methods.base.attention import binding_loss, gradient_step
from maskunet.prompts.tokens import TokenGroup
from maskunet.records import Request
from tests.methods.test_methods import Redness
from tests.methods.test_rivals import PROMPT, picture, pipeline, run

LONG = "a red cube and a blue sphere and a cat and a dog and a left"


# Moving latents


def test_a_move_goes_down_the_gradient_and_tells_the_loss_before_it():
    x_t = torch.tensor([[1.0, -2.0]])
    moved, loss = gradient_step(x_t, lambda x: x.square().sum(), 0.25)
    assert moved.tolist() == [[0.5, -1.0]]
    assert loss == 5.0
    assert not moved.requires_grad
    assert x_t.tolist() == [[1.0, -2.0]]


def test_a_loss_without_a_number_moves_nothing():
    x_t = torch.tensor([[1.0, -2.0]])
    moved, loss = gradient_step(x_t, lambda x: x.sqrt().sum(), 1.0)
    assert torch.equal(moved, x_t)
    assert np.isnan(loss)


# SynGen


def symmetric(first, second):
    p, q = (Categorical(probs=each) for each in (first, second))
    return float(kl_divergence(p, q) + kl_divergence(q, p)) / 2


def test_the_binding_loss_of_two_groups_is_that_by_hand():
    maps = torch.rand((2, 3, 7), generator=torch.Generator().manual_seed(0)) + 0.01
    line = maps.flatten(0, 1)

    def apart(i, j):
        return symmetric(line[:, i] / line[:, i].sum(), line[:, j] / line[:, j].sum())

    groups = (TokenGroup((2,), ((1,),)), TokenGroup((5,)))  # "red cube and sphere" as <s> 1 2 3 4 5 <e>
    bound = apart(1, 2) - (np.mean([apart(2, o) for o in (3, 4, 5)]) + np.mean([apart(1, o) for o in (3, 4, 5)])) / 2
    alone = -np.mean([apart(5, o) for o in (1, 2, 3, 4)])
    assert float(binding_loss(maps, groups, range(1, 6))) == pytest.approx(bound + alone, rel=1e-5)


def test_of_two_pixels_and_two_words_the_loss_is_a_closed_form():
    """D((1 - p, p), (p, 1 - p)) is (1 - 2 p) log((1 - p) / p)."""
    maps = torch.tensor([[[0.9, 0.8, 0.2], [0.9, 0.2, 0.8]]])
    expected = (1 - 0.4) * np.log(0.8 / 0.2)
    assert float(binding_loss(maps, (TokenGroup((1,), ((2,),)),), (1, 2))) == pytest.approx(expected, rel=1e-5)
    alone = binding_loss(maps, (TokenGroup((1,)), TokenGroup((2,))), (1, 2))
    assert float(alone) == pytest.approx(-2 * expected, rel=1e-5)


def test_of_several_pieces_the_farthest_pair_counts():
    maps = torch.rand((2, 2, 6), generator=torch.Generator().manual_seed(1)) + 0.01
    pairs = [binding_loss(maps, (TokenGroup((n,), ((m,),)),), (n, m)) for n in (3, 4) for m in (1, 2)]
    whole = binding_loss(maps, (TokenGroup((3, 4), ((1, 2),)),), (1, 2, 3, 4))
    assert whole == max(pairs)


def test_of_several_pieces_the_farthest_counts_for_each_other_word_too():
    maps = torch.rand((2, 2, 7), generator=torch.Generator().manual_seed(2)) + 0.01
    line = maps.flatten(0, 1)

    def apart(i, j):
        return symmetric(line[:, i] / line[:, i].sum(), line[:, j] / line[:, j].sum())

    def away(pieces, largest=max):
        return np.mean([largest([apart(piece, other) for piece in pieces]) for other in (4, 5)])

    groups = (TokenGroup((3,), ((1, 2),)),)
    pair = max(apart(1, 3), apart(2, 3))
    for pieces, of in (("largest", max), ("mean", np.mean)):
        expected = pair - (away((3,), of) + away((1, 2), of)) / 2
        assert float(binding_loss(maps, groups, range(1, 6), pieces)) == pytest.approx(expected, rel=1e-5)
    assert float(binding_loss(maps, groups, range(1, 6))) < float(binding_loss(maps, groups, range(1, 6), "mean"))


@pytest.mark.parametrize("name", ["syngen", "syngen_maskunet"])
def test_every_preset_counts_the_pieces_as_published(name):
    assert {preset.pieces for preset in SPECS[name].presets.values()} == {"largest"}


def test_the_loss_is_finite_where_attention_is_zero():
    maps = torch.eye(4).reshape(2, 2, 4).requires_grad_()
    loss = binding_loss(maps, (TokenGroup((1,), ((2,),)),), (1, 2, 3))
    assert torch.isfinite(loss)


def test_syngen_without_moves_or_with_moves_of_no_length_is_plain(tiny_sd15):
    plain = run(tiny_sd15, "plain")[-1].image
    for settings in ({"moved": 0.0}, {"scale": 0.0}):
        assert np.array_equal(run(tiny_sd15, "syngen", settings=settings)[-1].image, plain)


def test_small_moves_lower_the_binding_loss(tiny_sd15):
    """The loss told at a step is the one before its move, after those of the steps before it."""
    still, moved = (
        [event.loss for event in run(tiny_sd15, "syngen", settings={"scale": scale, "moved": 1.0}, steps=6)]
        for scale in (0.0, 500.0)
    )
    assert still[0] == moved[0]
    assert moved[5] < still[5]


def test_groups_are_read_anew_for_every_prompt_and_can_be_edited(tiny_sd15):
    def losses(name, prompt, groups=""):
        request = Request(prompt=prompt, method=name, seed=3, steps=2, previews=False)
        settings = SPECS[name].settings("", {"groups": groups})
        return [event.loss for event in SPECS[name].run(tiny_sd15, Redness(), request, settings)]

    first = losses("syngen", PROMPT)
    assert losses("syngen", "a cat and a red dog") != first
    assert losses("syngen", PROMPT) == first
    assert losses("syngen", PROMPT, "red cube; blue sphere") == first
    assert losses("syngen", PROMPT, "blue cube; red sphere") != first
    assert losses("attend_and_excite", PROMPT, "cube") != losses("attend_and_excite", PROMPT, "sphere")


@pytest.mark.parametrize("name", ["attend_and_excite", "syngen", "syngen_maskunet"])
def test_groups_that_cannot_be_found_are_refused_before_any_work(tiny_sd15, name):
    with pytest.raises(ValueError, match="No noun was found in “under and over”"):
        run_prompt(tiny_sd15, name, "under and over")
    with pytest.raises(ValueError, match="name “green” more often than the prompt does"):
        run_prompt(tiny_sd15, name, PROMPT, groups="green cube")


@pytest.mark.parametrize("name", ["attend_and_excite", "syngen", "syngen_maskunet"])
def test_one_noun_and_nothing_else_is_no_error(tiny_sd15, name):
    """There is nothing to be apart from: SynGen's loss is a constant then, and the latents stay."""
    events = run_prompt(tiny_sd15, name, "cube")
    assert events[-1].final
    if name == "syngen":
        assert np.array_equal(events[-1].image, run_prompt(tiny_sd15, "plain", "cube")[-1].image)


@pytest.mark.parametrize("name", ["attend_and_excite", "syngen", "syngen_maskunet"])
def test_what_the_text_encoder_cuts_off_is_noted_once(tiny_sd15, name):
    notes = [event.note for event in run_prompt(tiny_sd15, name, LONG + " cube")]
    assert "The text encoder reads 16 tokens; cut off is" in notes[0]
    assert not any(notes[1:])


def run_prompt(model, name, prompt, **settings):
    request = Request(prompt=prompt, method=name, seed=3, steps=2, previews=False)
    return list(SPECS[name].run(model, Redness(), request, SPECS[name].settings("", settings)))


# SynGen with MaskUNet


def test_without_moves_it_is_the_training_free_method(tiny_sd15):
    for preset in SPECS["maskunet_free"].presets:
        free = prescribed(tiny_sd15, "maskunet_free", preset, updates=2)
        bound = prescribed(tiny_sd15, "syngen_maskunet", preset, updates=2, moved=0.0)
        assert [event.loss for event in bound] == [event.loss for event in free]
        assert np.array_equal(bound[-1].image, free[-1].image)
        assert bound[-1].unet_calls == free[-1].unet_calls


def prescribed(model, name, preset, **settings):
    request = Request(prompt=PROMPT, method=name, seed=3, steps=3, previews=False)
    return list(SPECS[name].run(model, Redness(), request, SPECS[name].settings(preset, settings)))


def test_with_masks_that_keep_everything_it_is_syngen(tiny_sd15):
    none = {
        "updates": 0,
        "early_updates": 0,
        "noise": "none",
        "second_order": True,
        "scale": 500.0,
        "moved": 1.0,
    }
    bound = picture(tiny_sd15, "syngen_maskunet", none)
    alone = picture(tiny_sd15, "syngen", {"scale": 500.0, "moved": 1.0})
    assert torch.allclose(bound, alone, atol=1e-5)
    assert not torch.allclose(bound, picture(tiny_sd15, "plain"), atol=1e-3)


def test_every_update_moves_the_latents_of_the_step_anew(tiny_sd15):
    """Without noise and without a learning rate worth the name, all updates of a step see one picture."""
    settings = {"updates": 2, "early_steps": 0, "noise": "none", "learning_rate": 1e-5, "use_updated": True}
    events = run(tiny_sd15, "syngen_maskunet", settings={**settings, "scale": 500.0}, steps=2)[:-1]
    for step in (0, 1):
        losses = [event.loss for event in events if event.step == step]
        assert len(losses) == 3
        assert losses == pytest.approx([losses[0]] * 3, abs=1e-5)


# Attend-and-Excite


def test_attend_and_excite_is_that_of_diffusers(tiny_sd15):
    """Moves at 2 of 4 steps, with up to 20 more where a threshold is not reached."""
    own = dict(tiny_sd15.unet.attn_processors)
    thresholds = {round(share * 4): value for share, value in THRESHOLDS.items() if round(share * 4) < 2}
    assert len(thresholds) == 2
    theirs = pipeline(StableDiffusionAttendAndExcitePipeline, tiny_sd15)
    latents = theirs(
        PROMPT, token_indices=[3, 7], num_inference_steps=4, guidance_scale=tiny_sd15.guidance,
        latents=tiny_sd15.noise(3), output_type="latent", max_iter_to_alter=2, thresholds=thresholds,
        scale_factor=20, attn_res=(8, 8),
    ).images  # fmt: skip
    after = tiny_sd15.unet.attn_processors
    assert all(after[name] is own[name] for name in own)
    with torch.no_grad():
        expected = tiny_sd15.decode(latents)[0]
    mine = picture(tiny_sd15, "attend_and_excite")
    assert torch.allclose(mine, expected, atol=1e-4)
    assert not torch.allclose(mine, picture(tiny_sd15, "plain"), atol=1e-3)


def test_the_excitation_loss_is_that_of_diffusers(tiny_sd15):
    maps = torch.rand((8, 8, 16), generator=torch.Generator().manual_seed(0)) / 20
    theirs = pipeline(StableDiffusionAttendAndExcitePipeline, tiny_sd15)
    expected = theirs._compute_loss(theirs._compute_max_attention_per_index(maps.clone(), [3, 7]))
    assert torch.allclose(excitation_loss(maps, [(3,), (7,)]), expected, atol=1e-6)
    assert excitation_loss(maps, [(3, 7)]) <= excitation_loss(maps, [(3,), (7,)])  # pieces of one word: the best


def test_a_noun_that_is_looked_at_everywhere_has_no_loss():
    maps = torch.zeros(4, 4, 6)
    maps[..., 2] = 1
    assert float(excitation_loss(maps, [(2,)])) == pytest.approx(0, abs=1e-6)
    assert float(excitation_loss(maps, [(2,), (3,)])) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(
    ("target", "refinements", "calls", "end"),
    [(np.inf, 20, 1, 7.0), (10.0, 20, 1, 7.0), (6.5, 20, 4, 4.0), (0.0, 3, 4, 4.0)],
)
def test_refinement_goes_on_while_the_loss_before_a_move_is_above_the_target(target, refinements, calls, end):
    """The loss |x| falls by 1 with each move, from 8."""
    x_t, _, made = excite(torch.tensor([8.0]), lambda x: x.abs().sum(), 1.0, target, refinements)
    assert (made, float(x_t)) == (calls, end)
