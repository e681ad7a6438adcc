"""The rivals that guide in another way: LiDAR and DATE."""

import math

import numpy as np
import pytest
import torch

from maskunet import seeds
from maskunet.diffusion import dpmpp_2m_step
from maskunet.methods import lidar
from maskunet.models.base import DiffusionModel
from tests.methods.test_methods import Redness
from tests.methods.test_rivals import PROMPT, Seen, Watched, run


def literal(model, prompt_states, x_t, steps, change=lambda x_t, x0, t: x0):
    """Plain sampling step by step; `change` has the predicted x0 before the solver."""
    history = None
    for t, t_prev in model.schedule.linspace_pairs(steps):
        with torch.no_grad():
            both = model.unet(torch.cat((x_t, x_t)), t, encoder_hidden_states=prompt_states).sample
            eps = both[:1] + model.guidance * (both[1:] - both[:1])
            x0, _ = model.schedule.x0_eps(eps, x_t, t)
        x0 = change(x_t, x0, t)
        x_t, history = dpmpp_2m_step(model.schedule, x_t, x0, history, t, t_prev)
    return x_t


def guide(x, looks, rewards, strength, a):
    """The guide of the paper, literally and in double precision."""
    far = [-float((x - math.sqrt(a) * x0).double().square().sum()) / (2 * (1 - a)) for x0 in looks]
    w = torch.tensor(far, dtype=torch.float64).softmax(0)
    v = (torch.tensor(far, dtype=torch.float64) + strength * rewards.double()).softmax(0)
    return math.sqrt(a) / (1 - a) * sum(float(v[k] - w[k]) * looks[k].double() for k in range(len(looks)))


# LiDAR


def test_lidar_is_its_equations(tiny_sd15):
    model, settings = tiny_sd15, {"looks": 4, "look_steps": 2, "strength": 140.0, "image_reward": 0.0, "hpsv2": 100.0}
    text = model.encode(PROMPT).states
    looks = [literal(model, text, model.noise(seed), 2) for seed in seeds.of_candidates(3, 5)[1:]]
    with torch.no_grad():
        scores = Redness()(torch.cat([model.decode(x0) for x0 in looks]), [PROMPT] * 4)
    moves = []

    def change(x_t, x0, t):
        a = model.schedule.alpha_bar(t)
        given = guide(x_t, looks, 100 * scores["hpsv2"], settings["strength"], a)
        score = -(x_t - math.sqrt(a) * x0) / (1 - a) + given  # of the model, and the guide added to it
        moves.append(float(given.abs().max()))
        return ((x_t + (1 - a) * score) / math.sqrt(a)).to(x0)

    with torch.no_grad():
        expected = model.decode(literal(model, text, model.noise(3), 4, change))[0]
    seen = Seen()
    with Watched(model) as watched:
        events = run(model, "lidar", seen, settings)
    assert watched.samples == 2 * (4 * 2 + 4) and events[-1].unet_calls == 4 * 2 + 4
    assert torch.allclose(seen.images[-1][0], expected, atol=2e-3)
    assert moves[0] > 0 and not np.array_equal(events[-1].image, run(model, "plain")[-1].image)
    assert torch.allclose(torch.cat(seen.images[:4]), torch.cat([model.decode(x0) for x0 in looks]), atol=1e-5)


def test_lidar_without_strength_is_the_plain_picture(tiny_sd15):
    still = run(tiny_sd15, "lidar", settings={"looks": 3, "look_steps": 2, "strength": 0.0})[-1]
    assert np.array_equal(still.image, run(tiny_sd15, "plain")[-1].image)


def test_lidar_moves_the_picture_to_the_look_that_is_liked_best(tiny_sd15):
    """With all strength, at the first step every look is about as near, so x0 moves from their mean to the best."""
    ahead = torch.cat([tiny_sd15.noise(seed) for seed in range(4)])
    moved = lidar.shift(tiny_sd15.noise(9), ahead, torch.tensor([0.0, 1e6, 0.0, 0.0]), 1e-8)
    assert torch.allclose(moved[0], ahead[1] - ahead.mean(0), atol=1e-2)


def test_lidar_never_follows_a_look_whose_reward_is_not_a_number():
    assert lidar.logits(torch.tensor([math.nan, 2.0]), 3.0).tolist() == [-math.inf, 6.0]
    assert lidar.logits(torch.tensor([math.nan, math.nan]), 3.0).tolist() == [0.0, 0.0]


def test_the_looks_have_the_same_interval_of_guidance(tiny_sd15):
    settings = {"looks": 2, "look_steps": 2, "guidance_until": 0.5}
    with Watched(tiny_sd15) as watched:
        run(tiny_sd15, "lidar", settings=settings)
    assert watched.samples == 2 * (2 + 1) + (2 + 2 + 1 + 1)


# DATE


@pytest.mark.parametrize(
    "settings", [{}, {"updates": 2}, {"keeps": False}, {"keeps": False, "updates": 2}, {"image_reward": 0.0}]
)
def test_date_is_its_equation(tiny_sd15, settings):
    """Every second of four steps: c + rho g / |g|, g the gradient of the rewards of x0 to the prompt's text states."""
    model, given = tiny_sd15, {"every": 2, "length": 3.0, **settings}
    unconditional, prompt = model.encode(PROMPT).states.chunk(2)
    text, x_t, history = prompt, model.noise(3), None

    def eps(text):
        blind, seeing = (model.unet(x_t, t, encoder_hidden_states=each).sample for each in (unconditional, text))
        return blind + model.guidance * (seeing - blind)

    for step, (t, t_prev) in enumerate(model.schedule.linspace_pairs(4)):
        if step in (0, 2) and not given.get("keeps", True):
            text = prompt
        for _ in range(given.get("updates", 1) if step in (0, 2) else 0):
            moving = text.clone().requires_grad_()
            a = model.schedule.alpha_bar(t)
            image = model.decode((x_t - math.sqrt(1 - a) * eps(moving)) / math.sqrt(a))
            scores = Redness()(image, [PROMPT])
            aim = given.get("image_reward", 1.0) * scores["image_reward"] + 5.0 * scores["hpsv2"]
            (g,) = torch.autograd.grad(aim.sum(), moving)
            text = text + given["length"] * g / g.square().sum().sqrt()
        with torch.no_grad():
            x0, _ = model.schedule.x0_eps(eps(text), x_t, t)
        x_t, history = dpmpp_2m_step(model.schedule, x_t, x0, history, t, t_prev)
    with torch.no_grad():
        expected = model.decode(x_t)[0]
    seen, moves = Seen(), 2 * given.get("updates", 1)
    with Watched(model) as watched:
        events = run(model, "date", seen, given)
    assert torch.allclose(seen.images[-1][0], expected, atol=1e-4)
    assert watched.samples == 2 * 4 + moves and events[-1].unet_calls == 4 + moves // 2
    assert [event.update for event in events if event.step == 0] == list(range(moves // 2 + 1))
    assert not np.array_equal(events[-1].image, run(model, "plain")[-1].image)


def test_date_without_a_length_is_the_plain_picture(tiny_sd15):
    still = run(tiny_sd15, "date", settings={"length": 0.0})[-1]
    assert np.abs(still.image.astype(int) - run(tiny_sd15, "plain")[-1].image).max() <= 1


def test_date_leaves_the_prompts_own_text_states_as_they_were(tiny_sd15, monkeypatch):
    given = []
    encode = DiffusionModel.encode

    def watched(model, *words):
        given.append(encode(model, *words))
        return given[-1]

    monkeypatch.setattr(DiffusionModel, "encode", watched)
    run(tiny_sd15, "date", settings={"every": 1})
    (text,) = given
    assert torch.equal(text.states, encode(tiny_sd15, PROMPT).states)
    assert not text.states.requires_grad


def test_a_reward_without_a_number_leaves_the_text_where_it_is(tiny_sd15):
    broken = Redness(broken_at=1)
    events = run(tiny_sd15, "date", broken, {"every": 4})
    assert "not a number at step 1" in events[0].note and events[-1].final
    assert np.abs(events[-1].image.astype(int) - run(tiny_sd15, "plain")[-1].image).max() <= 1


@pytest.mark.parametrize("broken", [1, 12])
def test_a_look_that_is_no_picture_is_not_followed(tiny_sd15, monkeypatch, broken):
    ahead = lidar._ahead

    def some_broken(*given):
        looks = yield from ahead(*given)
        looks[:broken] = torch.nan
        return looks

    monkeypatch.setattr(lidar, "_ahead", some_broken)
    *_, last = run(tiny_sd15, "lidar", steps=2)
    assert last.final and last.image.std() > 0
