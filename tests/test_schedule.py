"""The solvers against diffusers', over whole trajectories."""

import pytest
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler

from maskunet.schedule import Schedule, ddim_step, dpmpp_2m_step
from tests.tiny import SCHEDULER

ALPHAS = DDIMScheduler(**SCHEDULER).alphas_cumprod


def network(x, t):
    """A smooth stand-in for a U-Net."""
    return torch.sin(1.7 * x + t / 300)


def noise():
    return torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))


def close(mine, theirs):
    assert float((mine - theirs).abs().max() / theirs.abs().max()) < 5e-6


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_fifty_ddim_steps_equal_diffusers(prediction):
    schedule, x, y = Schedule(ALPHAS, prediction), noise(), noise()
    for t, t_prev in schedule.leading_pairs(50):
        x, _ = ddim_step(schedule, x, network(x, t), t, t_prev)
    theirs = DDIMScheduler(**SCHEDULER, prediction_type=prediction)
    theirs.set_timesteps(50)
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


def test_without_history_the_solver_is_ddim_on_the_same_grid():
    schedule, x = Schedule(ALPHAS), noise()
    t, t_prev = schedule.linspace_pairs(15)[4]
    x0, _ = schedule.x0_eps(network(x, t), x, t)
    first_order, _ = dpmpp_2m_step(schedule, x, x0, None, t, t_prev)
    close(first_order, ddim_step(schedule, x, network(x, t), t, t_prev)[0])


def test_fifteen_steps_start_at_999_and_end_at_the_clean_end():
    pairs = Schedule(ALPHAS).linspace_pairs(15)
    assert [t for t, _ in pairs][:3] == [999, 932, 866]
    assert pairs[-1] == (67, -1)
    assert Schedule(ALPHAS).alpha_bar(-1) == 1.0


def test_an_unknown_prediction_is_refused():
    with pytest.raises(ValueError, match="known are"):
        Schedule(ALPHAS, "flow")
