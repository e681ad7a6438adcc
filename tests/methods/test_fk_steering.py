"""FK steering: potentials, the choice of particles, noise between steps, and the published preset."""

import math

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler

from maskunet import seeds
from maskunet.diffusion import dpmpp_2m_step
from maskunet.methods import SPECS, fk_steering
from maskunet.methods.fk_steering import choice_steps, potentials, resample
from tests.methods.test_methods import Redness, betas
from tests.methods.test_rivals import Seen, picture, run


def test_potentials_by_hand():
    first, second = torch.tensor([1.0, -2.0]), torch.tensor([0.5, 3.0])
    for kind, after_one, after_two in (
        ("difference", [1.0, -2.0], [-0.5, 5.0]),
        ("max", [1.0, -2.0], [1.0, 3.0]),
        ("sum", [1.0, -2.0], [1.5, 1.0]),
    ):
        one, past = potentials(first, None, kind)
        two, _ = potentials(second, past, kind)
        assert (one.tolist(), two.tolist()) == (after_one, after_two)


def test_differences_multiply_to_the_last_reward():
    path = [torch.tensor([0.3, -1.0]), torch.tensor([2.0, 0.1]), torch.tensor([-0.4, 0.7])]
    past, product = None, torch.zeros(2)
    for reward in path:
        potential, past = potentials(reward, past, "difference")
        product = product + potential
    assert product == pytest.approx(path[-1])


@pytest.mark.parametrize(
    ("steps", "given", "expected"),
    [
        (15, {}, {3, 6, 9, 12}),
        (100, {}, {20, 40, 60, 80}),
        (100, {"first": 0.05, "last": 0.3, "every": 0.05}, {5, 10, 15, 20, 25, 30}),
        (15, {"first": 0.05, "last": 0.3, "every": 0.05}, {1, 2, 3, 4}),
        (4, {"first": 0.5, "last": 1.0, "every": 0.5}, {2}),
    ],
)
def test_when_particles_are_chosen(steps, given, expected):
    assert choice_steps(steps, fk_steering.Settings(**given)) == expected


def test_a_first_choice_behind_the_last_is_refused(tiny_sd15):
    with pytest.raises(ValueError, match=r"after 0\.9 of the steps, behind the last after 0\.8"):
        run(tiny_sd15, "fk_steering", settings={"first": 0.9})


def test_particles_are_drawn_in_proportion_to_their_weights():
    stream = torch.Generator().manual_seed(0)
    logs = torch.tensor([0.0, math.log(3.0), -math.inf, math.nan]) + 500.0  # exp(500) would overflow
    drawn = torch.cat([resample(logs, stream) for _ in range(1000)])
    assert set(drawn.tolist()) == {0, 1}
    assert abs((drawn == 1).double().mean() - 0.75) < 5 * math.sqrt(0.75 * 0.25 / len(drawn))
    assert resample(torch.full((3,), math.nan), stream).tolist() == [0, 1, 2]


def test_without_noise_the_stochastic_step_is_the_deterministic_one(tiny_sd15):
    x_t, x0, old, noise = (tiny_sd15.noise(seed) for seed in range(4))
    for history in (None, (old, 700)):
        given = (tiny_sd15.schedule, x_t, x0, history)
        mine, _ = dpmpp_2m_step(*given, 600, 500, eta=0.0, noise=noise)
        assert torch.equal(mine, dpmpp_2m_step(*given, 600, 500)[0])


def test_with_all_noise_its_first_order_is_ddim_with_eta_one(tiny_sd15):
    scheduler = DDIMScheduler(trained_betas=betas(tiny_sd15), clip_sample=False)
    scheduler.set_timesteps(10)
    x_t, eps, noise = (tiny_sd15.noise(seed) for seed in range(3))
    expected = scheduler.step(eps, 600, x_t, eta=1.0, variance_noise=noise).prev_sample
    x0, _ = tiny_sd15.schedule.x0_eps(eps, x_t, 600)
    mine, _ = dpmpp_2m_step(tiny_sd15.schedule, x_t, x0, None, 600, 500, eta=1.0, noise=noise)
    assert torch.allclose(mine, expected, atol=1e-5)


def test_one_particle_without_noise_is_the_plain_picture(tiny_sd15):
    steered = run(tiny_sd15, "fk_steering", settings={"particles": 1, "eta": 0.0})[-1]
    assert np.array_equal(steered.image, run(tiny_sd15, "plain")[-1].image)


def test_a_strict_choice_copies_the_best_particle_with_its_history(tiny_sd15):
    """Without noise all particles then end in the plain picture of one seed, at second order too."""
    settings = {"particles": 4, "eta": 0.0, "strength": 1000.0, "first": 0.5, "last": 0.5}
    seen = Seen()
    run(tiny_sd15, "fk_steering", seen, settings)
    chosen, final = torch.cat(seen.images[:4]), torch.cat(seen.images[4:])
    best = int(Redness()(chosen, [""] * 4)["total"].argmax())
    plain = picture(tiny_sd15, "plain", seed=seeds.of_candidates(3, 4)[best])
    assert torch.equal(final, plain.expand(4, -1, -1, -1))


def test_copies_part_again_with_noise(tiny_sd15):
    settings, seen = {"particles": 3, "strength": 1000.0, "first": 0.5, "last": 0.5}, Seen()
    run(tiny_sd15, "fk_steering", seen, settings)
    final = torch.cat(seen.images[3:])
    assert not torch.equal(final[0], final[1])
    assert not torch.equal(final[1], final[2])


def test_its_published_preset_scores_by_image_reward_alone():
    published = SPECS["fk_steering"].settings("published")
    assert (published.image_reward, published.hpsv2, published.as_published) == (1.0, 0.0, True)


@pytest.mark.parametrize(("kind", "first"), [("max", [0.0, 2.0]), ("difference", [-3.0, 2.0]), ("sum", [-3.0, 2.0])])
def test_as_published_a_path_starts_at_a_reward_of_nothing(kind, first, monkeypatch):
    seen = []
    monkeypatch.setattr(fk_steering, "resample", lambda weights, stream: seen.append(weights) or torch.tensor([0, 1]))
    settings = fk_steering.Settings(as_published=True, potential=kind, strength=1.0)
    fk_steering.Paths(settings, torch.Generator()).choose(torch.tensor([-3.0, 2.0]))
    assert seen[0].tolist() == first


@pytest.mark.parametrize(
    ("kind", "last"),
    [
        ("difference", [0.0 - 1.0, 32.0 - 2.0, 5.0 - 5.0]),
        ("max", [1.0 - 1.0, 32.0 - 2.0, 5.0 - 5.0]),
        ("sum", [1.0 - 1.0, 34.0 - 2.0, 10.0 - 5.0]),
    ],
)
def test_as_published_the_last_weights_make_those_of_a_path_its_ends(kind, last, monkeypatch):
    seen = []
    monkeypatch.setattr(fk_steering, "resample", lambda weights, stream: seen.append(weights) or torch.arange(3))
    monkeypatch.setattr(fk_steering, "LARGEST", 1000.0)
    paths = fk_steering.Paths(fk_steering.Settings(as_published=True, potential=kind, strength=1.0), torch.Generator())
    paths.choose(torch.tensor([1.0, 2.0, 5.0]))
    paths.choose(torch.tensor([0.0, 32.0, 5.0]), last=True)
    assert seen[1].tolist() == last


def test_as_published_the_last_step_chooses_only_where_few_weigh():
    for rewards, chosen in (([0.0, 0.01, 0.02, 0.03], [0, 1, 2, 3]), ([0.0, 0.1, 0.2, 50.0], [3, 3, 3, 3])):
        paths = fk_steering.Paths(fk_steering.Settings(as_published=True), torch.Generator().manual_seed(0))
        assert paths.choose(torch.tensor(rewards), last=True).tolist() == chosen


def test_as_published_copies_part_a_step_later(tiny_sd15):
    """Chosen behind the noise of the step before the last, they end in one picture; chosen before it, in several."""
    at = {"particles": 3, "strength": 1000.0, "first": 0.5, "last": 0.5}
    ends = {}
    for published in (False, True):
        seen = Seen()
        run(tiny_sd15, "fk_steering", seen, {**at, "as_published": published})
        ends[published] = len({image.numpy().tobytes() for image in torch.cat(seen.images)[-3:]})
    assert ends == {False: 3, True: 1}
