"""The rivals that guide in another way: LiDAR."""

import math

import numpy as np
import torch

from maskunet import seeds
from maskunet.diffusion import dpmpp_2m_step
from maskunet.methods import lidar
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
