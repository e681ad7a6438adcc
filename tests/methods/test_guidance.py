"""Guidance in an interval of the steps: outside of it the prompt's half alone, and half of the work."""

import numpy as np
import pytest
import torch

from maskunet.diffusion import dpmpp_2m_step
from maskunet.methods import SPECS
from maskunet.methods.base import Guidance, Solver, guidance_of, to_uint8
from maskunet.records import Request
from maskunet.runs import replay
from tests.methods.test_methods import Redness
from tests.methods.test_rivals import Watched

PROMPT = "a red cube and a blue sphere"
FEW = {
    "iterations": 3,
    "updates": 1,
    "early_updates": 1,
    "n": 2,
    "particles": 2,
    "refinements": 1,
}  # what takes long, where there is it


def run(model, name, **given):
    """All events of a picture in four steps; `given` are settings, `guidance` the request's."""
    request = Request(prompt=PROMPT, seed=3, steps=4, previews=False, guidance=given.pop("guidance", 4.0))
    known = SPECS[name].settings()
    settings = SPECS[name].settings("", {**{k: v for k, v in FEW.items() if hasattr(known, k)}, **given})
    return list(SPECS[name].run(model, Redness(), request, settings))


def by_hand(model, scales):
    """A plain picture whose steps have these guidance scales, None for none, as it is written in the papers."""
    text, x_t, history = model.encode(PROMPT), model.noise(3), None
    unconditional, conditional = text.states.chunk(2)
    for (t, t_prev), scale in zip(model.schedule.linspace_pairs(len(scales)), scales, strict=True):
        with torch.no_grad():
            if scale is None:
                eps = model.unet(x_t, t, encoder_hidden_states=conditional).sample
            else:
                both = torch.cat((unconditional, conditional))
                blind, seeing = model.unet(torch.cat((x_t, x_t)), t, encoder_hidden_states=both).sample.chunk(2)
                eps = blind + scale * (seeing - blind)
            x0, _ = model.schedule.x0_eps(eps, x_t, t)
        x_t, history = dpmpp_2m_step(model.schedule, x_t, x0, history, t, t_prev)
    with torch.no_grad():
        return to_uint8(model.decode(x_t))[0]


@pytest.mark.parametrize(
    ("begin", "end", "scales"),
    [
        (0.0, 1.0, [4.0] * 4),
        (0.0, 0.5, [4.0, 4.0, None, None]),
        (0.25, 0.75, [None, 4.0, 4.0, None]),
        (0.6, 0.6, [None] * 4),
    ],
)
def test_a_picture_is_guided_in_the_interval_alone(tiny_sd15, begin, end, scales):
    with Watched(tiny_sd15) as watched:
        final = run(tiny_sd15, "plain", guidance_from=begin, guidance_until=end)[-1]
    assert np.array_equal(final.image, by_hand(tiny_sd15, scales))
    guided = 4 - scales.count(None)
    assert watched.samples == guided * 2 + (4 - guided)
    assert final.unet_calls == -(-watched.samples // 2)


@pytest.mark.parametrize("name", SPECS)
def test_every_method_without_an_interval_is_itself_without_guidance(tiny_sd15, name):
    none = run(tiny_sd15, name, guidance_from=1.0, guidance_until=1.0)[-1]
    assert np.array_equal(none.image, run(tiny_sd15, name, guidance=1.0)[-1].image)
    half, all_steps = run(tiny_sd15, name, guidance_until=0.5)[-1], run(tiny_sd15, name)[-1]
    assert not np.array_equal(half.image, all_steps.image)
    assert none.unet_calls < half.unet_calls < all_steps.unet_calls


@pytest.mark.parametrize("name", ["plain", "pag", "random_mask", "maskunet_trained"])
def test_pictures_made_together_have_the_same_interval(tiny_sd15, name):
    asked = [Request(prompt=PROMPT, seed=seed, steps=4, previews=False, guidance=4.0) for seed in (3, 4)]
    settings = SPECS[name].settings("", {"guidance_until": 0.5})
    with Watched(tiny_sd15) as watched:
        both = list(SPECS[name].run.together(tiny_sd15, Redness(), asked, settings))
    assert watched.samples == 2 * ((2 * 3 + 2 * 2) if name == "pag" else (2 * 2 + 2))
    final = next(event for number, event in both if number == 0 and event.final)
    alone = run(tiny_sd15, name, guidance_until=0.5)[-1]
    assert np.abs(final.image.astype(int) - alone.image.astype(int)).max() <= 1
    assert final.unet_calls == alone.unet_calls


def test_half_a_call_counts_only_beside_guided_ones():
    guided, none = Guidance(4.0, frozenset({9})), Guidance(1.0, frozenset())
    assert [(guided.at(t), guided.calls(t)) for t in (9, 5)] == [(4.0, 1.0), (1.0, 0.5)]
    assert (none.at(9), none.calls(9)) == (1.0, 1.0)


def test_an_interval_that_ends_before_it_begins_is_refused(tiny_sd15):
    with pytest.raises(ValueError, match=r"ends after 0\.2 of the steps, before it begins after 0\.8"):
        guidance_of(tiny_sd15, Request(prompt="x"), Solver(guidance_from=0.8, guidance_until=0.2))


def test_a_run_of_before_there_was_an_interval_is_guided_at_every_step():
    presets = {"now": Solver(guidance_until=0.5)}
    again = replay.as_made(Request(prompt="x", method="plain"), {"second_order": True}, presets)
    assert again.settings == {"guidance_until": 1.0}
