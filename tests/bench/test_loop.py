"""The bench of the training-free loop: the reference is the same algorithm, and the report says what it measured."""

import json
from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from maskunet import plugins
from maskunet.bench.loop import as_of_a_picture, flops, picture, rows, variants
from maskunet.bench.loop.clock import PHASES, Clock, clocked
from maskunet.bench.loop.full_size import stable_diffusion
from maskunet.bench.loop.held import Held, fused_attention, networks, peak
from maskunet.bench.loop.reference import thawed
from maskunet.bench.loop.size import Size, of
from maskunet.bench.loop.update import update
from maskunet.bench.loop.variants import VARIANTS
from maskunet.models.base import TINY_DECODER
from tests.support.tiny import tiny_decoder

REFERENCE, EXACT = VARIANTS[:2]
TINY = next(variant for variant in VARIANTS if variant.name == "tiny decoder")
SMALL = Size(name="tiny", steps=3, settings={"early_steps": 1, "updates": 3})


@pytest.fixture(scope="module")
def loaded(library, tmp_path_factory):
    found = library.load("tiny")
    tiny = tiny_decoder(tmp_path_factory.mktemp("decoder"))
    return replace(found.model, tiny_decoder=tiny, cache={}), found.rewards


def test_the_reference_finds_the_same_masks_on_the_way_that_ours_shortens(loaded):
    theirs, ours = (list(SMALL.run(variant, *loaded, seed=3)) for variant in (REFERENCE, EXACT))
    losses = [[event.loss for event in events[:-1]] for events in (theirs, ours)]
    assert len(losses[0]) == len(losses[1]) == 7
    # relu(2 - r) + 5 (1 - s) and its form in Eq. 10 differ by 7, so by nothing in the gradient.
    assert losses[0] == pytest.approx([loss + 7 for loss in losses[1]], abs=1e-4)
    assert len({round(loss, 4) for loss in losses[1][-3:]}) == 3  # the masks change from update to update
    assert theirs[-1].rewards == pytest.approx(ours[-1].rewards, abs=1e-4)
    assert (theirs[-1].image.astype(int) - ours[-1].image).max() <= 1


def test_the_reference_leaves_the_model_as_it_was(loaded):
    model, _ = loaded
    events = SMALL.run(REFERENCE, *loaded, seed=0)
    next(events)
    weight = model.unet.conv_in.weight
    assert weight.requires_grad
    assert weight.grad.abs().sum() > 0  # nobody uses it
    events.close()
    assert not any(p.requires_grad or p.grad is not None for p in model.unet.parameters())
    assert not any(module._forward_hooks for module in model.unet.modules())


def test_gradients_that_are_not_kept_are_let_go_of_when_they_are_there():
    layer = nn.Linear(2, 2).requires_grad_(False)
    with thawed([layer], keep_gradients=False):
        layer(torch.ones(1, 2)).sum().backward()
        assert layer.weight.requires_grad
        assert layer.weight.grad is None
    assert not layer.weight.requires_grad


def test_a_picture_is_timed_by_phase(loaded):
    made = picture(SMALL, EXACT, *loaded, seed=0)
    assert made["iterations"] == 7
    assert made["iteration"] == pytest.approx(sum(made[phase] for phase in PHASES))
    assert all(made[phase] > 0 for phase in PHASES)
    assert made["iteration"] < made["picture"]


def test_the_clock_adds_up_what_passes_between_its_readings():
    moments = iter([0, 1, 3, 6, 10])
    clock = Clock(lambda: next(moments))
    clock.lap("forward")
    clock.lap("decode")
    clock.turn()
    clock.lap("forward")
    clock.lap("forward")
    clock.turn()
    nothing = dict.fromkeys(PHASES, 0.0)
    assert clock.iterations == [{**nothing, "forward": 1, "decode": 2}, {**nothing, "forward": 7}]


def test_the_clock_stands_while_garbage_is_collected():
    moments = iter([0, 10, 17, 20])
    clock = Clock(lambda: next(moments))
    clock._collecting("start", {})
    clock._collecting("stop", {})
    clock.lap("forward")
    clock.turn()
    assert clock.iterations[0]["forward"] == 13
    assert clock.collecting == 7


def test_rows_compare_each_round_with_the_reference_of_the_same_round():
    def made(seconds, reward):
        return {
            **dict.fromkeys(PHASES, seconds / 5),
            "iteration": seconds,
            "collecting": 0.1,
            "picture": 3 * seconds,
            "iterations": 3,
            "reward": reward,
        }

    found = {
        "reference": [made(2, 0.0), made(4, 0.5), made(8, 1.0)],
        "exact": [made(1, 0.5), made(1, 1.0), made(2, 1.5)],
    }
    first, second = rows(found)
    assert (first["iteration_times"], first["reward_gain"]) == (1, 0)
    assert (second["iteration_seconds"], second["picture_seconds"]) == (1, 3)
    assert (second["iteration_times"], second["picture_times"]) == (4, 4)
    assert (second["iteration_times_low"], second["iteration_times_high"]) == (2, 4)
    assert (second["reward"], second["reward_gain"]) == (1, 0.5)
    assert set(first) == set(second)
    json.dumps([first, second])


def test_operations_of_an_update_are_counted_and_the_reference_takes_more(loaded):
    theirs, ours = (flops.of_variant(SMALL, variant, *loaded) for variant in (REFERENCE, EXACT))
    assert theirs["decode"] > ours["decode"] > 0  # doubling and convolution as one, on a CPU
    assert theirs["forward"] > 1.5 * ours["forward"]  # the encoder anew, and masked layers twice
    assert theirs["backward"] > 1.5 * ours["backward"]  # weights' gradients
    assert ours["optimizer"] == 0


def test_what_is_written_out_for_the_count_is_what_the_loop_computes(loaded):
    with flops.FlopCounterMode(display=False) as counter:
        clock = Clock(counter.get_total_flops)
        update(*clocked(*loaded, clock))
        clock.lap("backward")
    clock.turn()
    written_out = {phase: count / flops.TERA for phase, count in clock.iterations[-1].items()}
    assert written_out == pytest.approx(flops.of_variant(SMALL, EXACT, *loaded))


def test_operations_fall_with_every_saving(monkeypatch, loaded):
    monkeypatch.setattr(flops, "stable_diffusion", lambda *given: loaded)
    found = list(flops.at_512_pixels())
    sums = [line["sum"] for line in found]
    assert sums == sorted(sums, reverse=True)
    assert len(set(sums)) == len(sums) == 5
    assert found[0]["sum"] == pytest.approx(sum(flops.of_variant(SMALL, REFERENCE, *loaded).values()))
    for line, variant in zip(found[-2:], (EXACT, TINY), strict=True):
        assert line["sum"] == pytest.approx(sum(flops.of_variant(SMALL, variant, *loaded).values()))


def test_the_full_size_has_the_published_sizes():
    model, rewards = stable_diffusion(512, torch.device("meta"), torch.float32)
    networks = {name: reward.network for name, (reward, _) in rewards.parts.items()}
    counts = {
        name: sum(p.numel() for p in network.parameters())
        for name, network in {"vae": model.vae, "text": model.text_encoder, **networks}.items()
    }
    assert counts["vae"] == 83_653_863
    assert counts["text"] == 123_060_480
    assert sum(p.numel() for p in model.cache[TINY_DECODER].parameters()) == 2_445_063  # TAESD's
    assert counts["hpsv2"] == 986_109_441
    assert 440e6 < counts["image_reward"] < 450e6
    assert model.latent_shape == (4, 64, 64)
    assert rewards.weights == {"image_reward": 1.0, "hpsv2": 5.0}


def test_two_updates_stand_for_a_pictures():
    updates = as_of_a_picture({"forward": 3.0}, {"forward": 1.0})
    assert len(updates) == 87  # as `official` makes
    assert sum(each["forward"] == 3.0 for each in updates) == 15  # once per step


def test_only_what_changes_an_update_is_timed_where_no_picture_is_finished():
    assert [variant.name for variant in VARIANTS if variant.other_updates][:2] == ["reference", "exact"]
    assert of("tabletop", torch.device("cpu")).whole
    part = of("sd15", torch.device("cpu"))
    assert not part.whole
    assert (part.dtype, part.keep_gradients) == (torch.bfloat16, False)
    assert of("sd15", torch.device("cuda")) == Size(name="sd15")


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_every_variant_is_one_of_the_methods_settings(variant):
    assert variant.chosen({}) == variants.OURS.settings(variant.preset, variant.settings)


def test_a_switch_and_a_preset_of_the_method_are_timed_by_being_there():
    names = {variant.name for variant in VARIANTS}
    switches = {card.name.replace("_", " ") for card in plugins.cards(variants.OURS.settings()) if card.cost}
    assert {"tiny decoder", "low memory"} <= switches <= names
    assert {"improved", "improved_fast"} <= names


def test_bytes_are_counted_from_their_making_until_they_are_let_go_of():
    with Held() as held:
        first = torch.ones(1000, device="meta")
        view = first[:10]
        assert held.now == 4000  # a view holds nothing of its own
        second = first.half()
        assert held.now == 6000
        del first
        assert held.now == 6000  # the view still holds it
        del view
        assert held.now == 2000
        third = second * 2
    assert (held.now, held.peak) == (4000, 6000)
    del third
    assert held.now == 2000


def test_what_a_gradient_needs_is_counted_until_it_is_there():
    with Held() as held:
        value = torch.ones(1000, device="meta", requires_grad=True)
        loss = value.sigmoid().sum()  # keeps what sigmoid returned
        assert held.now == 8000 + 4
        loss.backward()
        assert held.now == 8000 + 4  # the gradient instead


def test_fused_attention_keeps_no_matrix_and_plain_attention_does():
    def held(fused):
        query = torch.ones(1, 1, 1024, 8, device="meta", dtype=torch.float16, requires_grad=True)
        with fused_attention() if fused else nullcontext(), Held() as held:
            F.scaled_dot_product_attention(query, query, query).sum().backward()
        return held.peak

    matrix = 1024 * 1024 * 2
    assert held(fused=True) < matrix < held(fused=False)
    assert F.scaled_dot_product_attention.__name__ == "scaled_dot_product_attention"


@pytest.mark.long  # half a minute
def test_an_update_at_full_size_fits_on_a_card_of_12_gb_and_sparingly_on_one_of_8():
    parts = networks()
    assert peak(*parts)["peak_gb"] < 12
    assert peak(*parts, low_memory=True)["peak_gb"] < 8
