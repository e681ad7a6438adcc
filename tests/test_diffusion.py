"""The solvers against diffusers', over whole trajectories."""

import pytest
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler

from maskunet.diffusion import Schedule, ddim_step, dpmpp_2m_step
from tests.support.tiny import SCHEDULER

ALPHAS = DDIMScheduler(**SCHEDULER).alphas_cumprod


def network(x, t):
    """A smooth stand-in for a U-Net."""
    return torch.sin(1.7 * x + t / 300)


def noise():
    return torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))


def close(mine, theirs, tolerance=5e-6):
    assert float((mine - theirs).abs().max() / theirs.abs().max()) < tolerance


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_fifty_ddim_steps_equal_diffusers(prediction):
    schedule, x, y = Schedule(ALPHAS, prediction), noise(), noise()
    for t, t_prev in schedule.leading_pairs(50):
        x, _ = ddim_step(schedule, x, network(x, t), t, t_prev)
    theirs = DDIMScheduler(**SCHEDULER, prediction_type=prediction)
    theirs.set_timesteps(50)
    assert theirs.timesteps.tolist() == [t for t, _ in schedule.leading_pairs(50)]
    for t in theirs.timesteps:
        y = theirs.step(network(y, int(t)), t, y).prev_sample
    close(x, y)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("steps", [15, 25])
@pytest.mark.filterwarnings("ignore:__array__")
def test_dpm_solver_trajectories_equal_diffusers(prediction, steps):
    schedule, x, y, history = Schedule(ALPHAS, prediction), noise(), noise(), None
    for t, t_prev in schedule.linspace_pairs(steps):
        x0, _ = schedule.x0_eps(network(x, t), x, t)
        x, history = dpmpp_2m_step(schedule, x, x0, history, t, t_prev)
    known = {k: v for k, v in SCHEDULER.items() if k.startswith("beta")}
    theirs = DPMSolverMultistepScheduler(**known, algorithm_type="dpmsolver++", prediction_type=prediction)
    theirs.set_timesteps(steps)
    assert theirs.timesteps.tolist() == [t for t, _ in schedule.linspace_pairs(steps)]
    for t in theirs.timesteps:
        y = theirs.step(network(y, int(t)), t, y).prev_sample
    close(x, y)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_without_history_the_solver_is_ddim_on_the_same_grid(prediction):
    schedule, x, y = Schedule(ALPHAS, prediction), noise(), noise()
    for t, t_prev in schedule.linspace_pairs(15)[:-1]:
        x0, _ = schedule.x0_eps(network(x, t), x, t)
        x, _ = dpmpp_2m_step(schedule, x, x0, None, t, t_prev)
        y, _ = ddim_step(schedule, y, network(y, t), t, t_prev)
    close(x, y, 1e-5)


def test_the_history_changes_the_step_and_a_step_leaves_it_alone():
    schedule, x = Schedule(ALPHAS), noise()
    (t_old, t), (_, t_prev) = schedule.linspace_pairs(15)[4:6]
    history = (torch.cos(x), t_old)
    first, kept = dpmpp_2m_step(schedule, x, 0.9 * x, None, t, t_prev)
    second, _ = dpmpp_2m_step(schedule, x, 0.9 * x, history, t, t_prev)
    again, _ = dpmpp_2m_step(schedule, x, 0.9 * x, history, t, t_prev)
    assert float((first - second).abs().max()) > 1e-3
    assert torch.equal(second, again)
    assert torch.equal(kept[0], 0.9 * x)
    assert kept[1] == t


def test_the_last_step_is_the_prediction_itself():
    schedule, x = Schedule(ALPHAS), noise()
    x_prev, _ = dpmpp_2m_step(schedule, x, torch.cos(x), (torch.sin(x), 133), 67, -1)
    assert torch.equal(x_prev, torch.cos(x))


def test_fifteen_steps_are_those_of_diffusers():
    pairs = Schedule(ALPHAS).linspace_pairs(15)
    times = [999, 932, 866, 799, 733, 666, 599, 533, 466, 400, 333, 266, 200, 133, 67]
    assert pairs == list(zip(times, [*times[1:], -1], strict=True))
    assert Schedule(ALPHAS).alpha_bar(-1) == 1.0


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize("t", [1, 400, 999])
def test_clean_latents_and_noise_come_back_from_what_the_network_should_say(prediction, t):
    schedule, x0 = Schedule(ALPHAS.double(), prediction), noise().double()
    eps = torch.cos(9 * x0)
    a, s = float(ALPHAS[t].double().sqrt()), float((1 - ALPHAS[t].double()).sqrt())
    said = {"epsilon": eps, "v_prediction": a * eps - s * x0, "sample": x0}[prediction]
    got_x0, got_eps = schedule.x0_eps(said, a * x0 + s * eps, t)
    torch.testing.assert_close(got_x0, x0, atol=1e-9, rtol=0)
    torch.testing.assert_close(got_eps, eps, atol=1e-9, rtol=0)


def test_an_unknown_prediction_is_refused():
    with pytest.raises(ValueError, match="known are"):
        Schedule(ALPHAS, "flow")
