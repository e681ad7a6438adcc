"""ReNO on a small random model: the published formula, the best kept, the norm held, few steps."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from maskunet.diffusion import dpmpp_2m_step
from maskunet.methods import SPECS, reno
from maskunet.methods.base import to_uint8
from maskunet.methods.base.spec import filled
from maskunet.records import Request
from maskunet.runs.compare import compare
from tests.methods.test_methods import Redness
from tests.support.tiny import tiny_decoder

SPEC = SPECS["reno"]
PROMPT = "a red cube"


def run(model, rewards=None, settings=None, **asked):
    request = Request(prompt=PROMPT, method="reno", **{"seed": 3, "steps": 2, "guidance": 2.0, **asked})
    chosen = SPEC.settings("", {"iterations": 5, **(settings or {})})
    return list(SPEC.run(model, rewards or Redness(), request, chosen))


@pytest.fixture
def seen(monkeypatch):
    """The noise of every iteration."""
    found, own = [], reno.norm_loss
    monkeypatch.setattr(reno, "norm_loss", lambda z: found.append(z.detach().clone()) or own(z))
    return found


def literally(model, steps, iterations, guidance=2.0, rate=5.0, clip=0.1, momentum=0.9, weight=0.01):
    """The paper's formula, written out: the noise before each iteration, and each reward part of the loss."""
    z, speed, noises, losses = model.noise(3).clone(), None, [], []
    text, schedule, d = model.encode(PROMPT), model.schedule, model.noise(3).numel()
    for _ in range(iterations):
        z = z.detach().requires_grad_()
        x, history = z, None
        for t, t_prev in schedule.linspace_pairs(steps):
            empty, prompted = model.unet(torch.cat((x, x)), t, text.states).sample.chunk(2)
            x0 = schedule.x0_eps(empty + guidance * (prompted - empty), x, t)[0]
            x, history = dpmpp_2m_step(schedule, x, x0, history, t, t_prev)
        scores = Redness()(model.decode(x), [PROMPT])
        reward_loss = 5 * (1 - scores["hpsv2"]) + (2 - scores["image_reward"])
        norm = z.square().sum().sqrt()
        loss = reward_loss + weight * (norm**2 / 2 - (d - 1) * norm.log())
        (gradient,) = torch.autograd.grad(loss, z)
        noises.append(z.detach())
        losses.append(float(reward_loss.detach()))
        length = gradient.square().sum().sqrt()
        gradient = gradient * min(1.0, clip / (float(length) + 1e-6))
        speed = gradient if speed is None else momentum * speed + gradient
        z = z - rate * (gradient + momentum * speed)
    return noises, losses


@pytest.mark.parametrize("steps", [1, 3])
def test_five_iterations_are_the_formula(tiny_sd15, seen, steps):
    events = run(tiny_sd15, steps=steps)
    noises, losses = literally(tiny_sd15, steps, 5)
    assert len(seen) == len(noises) == 5
    assert torch.equal(seen[0], tiny_sd15.noise(3))
    for mine, theirs in zip(seen, noises, strict=True):
        assert float((mine - theirs).abs().max()) <= 1e-6
    for event, loss in zip(events, losses, strict=False):
        assert 7 - event.rewards["total"] == pytest.approx(loss, abs=1e-4)
    assert float((seen[-1] - seen[0]).norm()) > 0.5


class Given(Redness):
    """Rewards that say what they are told to say, whatever the picture."""

    def __init__(self, values):
        super().__init__()
        self.values = iter(values)

    def __call__(self, image, prompts):
        value = next(self.values) + 0 * image.mean((1, 2, 3))
        return {"image_reward": value, "hpsv2": 0 * value, "total": value}


def test_the_best_picture_is_kept_and_the_first_one_counts(tiny_sd15):
    for values, best in (([1, 3, 2, 0, 2, 9], 1), ([4, 3, 2, 0, 2, 9], 0), ([1, 1, 1, 1, 1, 9], 0)):
        *events, last = run(tiny_sd15, Given(map(float, values)))
        assert [event.best for event in events].index(True) == 0
        assert max(number for number, event in enumerate(events) if event.best) == best
        assert np.array_equal(last.image, events[best].image) and last.final
        assert [event.update for event in events] == [0, 1, 2, 3, 4]


def test_the_reward_of_the_kept_picture_is_never_below_the_plain_ones(tiny_sd15):
    request = Request(prompt=PROMPT, seed=3, steps=2, guidance=2.0)
    *_, plain = SPECS["plain"].run(tiny_sd15, Redness(), request, SPECS["plain"].settings())
    *events, last = run(tiny_sd15)
    assert np.array_equal(events[0].image, plain.image)
    assert last.rewards["total"] > plain.rewards["total"]


def test_fifty_iterations_hold_the_norm_of_a_normal_draw(tiny_sd15, seen):
    gentle = {"iterations": 50, "image_reward": 0.1, "hpsv2": 0.0}
    run(tiny_sd15, settings=gentle, steps=1, previews=False)
    run(tiny_sd15, settings={**gentle, "regularization": 0.0}, steps=1, previews=False)
    assert len(seen) == 100
    length = math.sqrt(seen[0].numel())
    assert float(seen[49].norm()) == pytest.approx(length, rel=0.05)
    assert float(seen[99].norm()) > 1.2 * length  # which the rewards alone leave


@pytest.mark.parametrize("broken_at", [1, 3])
def test_a_reward_that_is_no_number_ends_it_with_the_best_so_far(tiny_sd15, broken_at):
    *events, last = run(tiny_sd15, Redness(broken_at=broken_at))
    assert len(events) == broken_at and f"at iteration {broken_at}" in events[-1].note
    kept = events[max(broken_at - 2, 0)]
    assert last.final and np.array_equal(last.image, kept.image)


def test_a_stop_keeps_the_best_so_far_and_the_plain_picture_has_as_few_steps(tiny_sd15):
    asked = Request(prompt=PROMPT, method="reno", settings={"iterations": 5}, seed=3)
    events = []

    def stop():
        return "Stopped." if len(events) == 8 else ""  # four of the plain picture, then four iterations

    for told in compare(tiny_sd15, Redness(), asked, should_stop=stop):
        events.append(told[1])
    phase, item = told
    made = [event for event in events[5:-1] if event.best]
    assert (phase, item.request.steps) == ("stopped", 4)
    assert np.array_equal(item.result_image, made[-1].image)
    assert item.course is None  # no iteration is a step of the plain picture
    assert "base_reward_total" not in item.rows[0]


def test_where_a_request_leaves_the_steps_open_they_are_few(tiny_sd15):
    one = dataclasses.replace(tiny_sd15, steps=1)
    for model, steps, expected in ((tiny_sd15, None, 4), (one, None, 1), (tiny_sd15, 6, 6)):
        request = filled(Request(prompt=PROMPT, method="reno", steps=steps), SPEC, model)
        assert request.steps == expected
        assert run(model, settings={"iterations": 1}, steps=steps)[-1].unet_calls == expected
    assert filled(Request(prompt=PROMPT), SPECS["plain"], tiny_sd15).steps == 15


def test_less_memory_gives_the_same_noise_and_the_tiny_decoder_another(tiny_sd15, seen, tmp_path):
    run(tiny_sd15)
    run(tiny_sd15, settings={"low_memory": True})
    assert all(torch.equal(a, b) for a, b in zip(seen[:5], seen[5:], strict=True))
    assert not getattr(tiny_sd15.vae.decoder, "gradient_checkpointing", False)
    model = dataclasses.replace(tiny_sd15, tiny_decoder=tiny_decoder(tmp_path), cache={})
    *events, last = run(model, settings={"tiny_decoder": True})
    assert not torch.equal(seen[-1], seen[4])
    assert not any(np.array_equal(last.image, event.image) for event in events)
    assert last.image.shape == to_uint8(tiny_sd15.decode(tiny_sd15.noise(0)))[0].shape


def test_only_the_rewards_with_a_weight_move_the_noise(tiny_sd15, seen):
    run(tiny_sd15, settings={"image_reward": 0.0, "hpsv2": 0.0, "regularization": 0.0})
    assert torch.equal(seen[0], seen[-1])
    run(tiny_sd15, settings={"hpsv2": 0.0})
    assert not torch.equal(seen[5], seen[-1])
