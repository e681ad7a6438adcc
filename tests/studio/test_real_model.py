"""The Studio with a real small model, which stays as it was."""

import re
import threading

import numpy as np
import pytest
import torch

from maskunet.library.library import Loaded
from maskunet.masks.mask import unpack
from maskunet.masks.masked_unet import MaskedUNet
from maskunet.masks.sites import find_sites
from maskunet.records import Request, mask_set
from maskunet.records.added import NOTHING
from maskunet.studio.studio import Studio
from maskunet.studio.work import DeviceWork
from tests.support.machine import FakeLibrary, Machine, ask, finish, soon


class Redness:
    """A differentiable stand-in for the two rewards; breaks at a given call."""

    weights = {"image_reward": 1.0, "hpsv2": 5.0}

    def __init__(self, broken_at=None):
        self.calls, self.broken_at = 0, broken_at

    def optimizing(self, weights):
        return self

    def __call__(self, image, prompts):
        self.calls += 1
        if self.calls == self.broken_at:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        red = (image[:, 0] - image[:, 1]).mean((1, 2))
        return {"image_reward": red, "hpsv2": red, "total": red * 6}


@pytest.fixture
def real(tiny_sd15, tmp_path):
    made = Studio(tmp_path / "runs", library=FakeLibrary(Machine()))
    made.rewards = Redness()
    made._library.load = lambda name, with_rewards=True, added=NOTHING: Loaded(model=tiny_sd15, rewards=made.rewards)
    yield made
    made.close()


REAL = {"method": "maskunet_free", "steps": 3, "settings": {"updates": 2, "early_steps": 0}}


def contents(model):
    tensors = {k: v.clone() for k, v in model.unet.state_dict().items()}
    kinds = {name: type(module) for name, module in model.unet.named_modules()}
    return tensors, kinds, [p.requires_grad for p in model.unet.parameters()]


def assert_untouched(model, before):
    tensors, kinds, grads = contents(model)
    assert kinds == before[1]
    assert grads == before[2]
    assert tensors.keys() == before[0].keys()
    assert all(torch.equal(tensors[k], v) for k, v in before[0].items())
    assert all(p.grad is None for p in model.unet.parameters())


def test_the_model_is_bit_equal_after_a_run_a_stop_and_an_error(real, tiny_sd15):
    before = contents(tiny_sd15)
    first = finish(real, real.start(ask(**REAL)))
    assert first.phase == "done"
    assert 0 < first.run.keep_ratio < 1
    assert_untouched(tiny_sd15, before)
    job = real.start(ask(**{**REAL, "steps": 60}))
    soon(lambda: len(next(real.events(job)).rows) > 2)
    real.stop(job)
    assert finish(real, job).phase == "stopped"
    assert_untouched(tiny_sd15, before)
    real.rewards = Redness(broken_at=6)
    assert finish(real, real.start(ask(**REAL))).message.startswith("Out of memory")
    assert_untouched(tiny_sd15, before)
    real.rewards = Redness()
    again = finish(real, real.start(ask(**REAL))).run
    assert np.array_equal(again.result_image, first.run.result_image)


def test_masks_are_saved_if_asked_for_and_belong_to_this_model(real, tiny_sd15, tmp_path, monkeypatch):
    job = real.start(ask(**REAL, keep_masks=True))
    run = finish(real, job).run
    masks = mask_set.load(tmp_path / "runs" / job / "masks.safetensors")
    shapes = {site.name: site.shape for site in find_sites(tiny_sd15.unet)}
    mask_set.check(masks, run.request.model, tiny_sd15.weights, shapes)
    assert len(masks.steps) == 3
    bits = [unpack(masks.steps[t][name], shape) for t in masks.steps for name, shape in shapes.items()]
    kept = sum(float(b.sum()) for b in bits) / sum(b.numel() for b in bits)
    assert kept == pytest.approx(run.keep_ratio, abs=1e-6)
    monkeypatch.setattr("maskunet.studio.work.KEEP_MASKS", 0)  # as for a large model
    other = finish(real, real.start(ask(**REAL))).run
    assert not (tmp_path / "runs" / other.id / "masks.safetensors").exists()


def gap(studio):
    """The pixel difference that the control finds."""
    last = finish(studio, studio.null_mask(ask(steps=3)))
    assert last.phase == "done" and last.run is None
    return float(re.fullmatch(r"Largest pixel difference: (\S+) of 255\.", last.message)[1])


def test_masks_of_ones_change_no_pixel_and_a_fault_in_them_would_be_seen(real, monkeypatch):
    assert gap(real) == 0.0
    decode = MaskedUNet.decode
    monkeypatch.setattr(MaskedUNet, "decode", lambda *args: decode(*args) + 0.3)
    assert gap(real) > 0
    with pytest.raises(ValueError, match="no model “other”"):
        real.null_mask(ask(model="other"))


def test_the_machine_is_described_and_its_speed_measured_between_pictures(real, monkeypatch):
    found = dict(real.machine())
    assert set(found) == {"Versions", "Device", "Memory", "Disk"}
    assert found["Device"].startswith("CPU, ")
    assert "a picture of 15 steps" in finish(real, real.speed()).message
    monkeypatch.setattr("maskunet.studio.doctor.speed", lambda *given: 1 / 0)
    assert finish(real, real.speed()).phase == "failed"
    assert gap(real) == 0.0  # the model is free again


def test_the_control_stops_when_asked_to_and_at_the_limit_of_time(real, tiny_sd15):
    before = contents(tiny_sd15)
    job = real.null_mask(ask(steps=100))
    soon(lambda: real._queue.get(job).worked)
    real.stop(job)
    last = finish(real, job)
    assert (last.phase, last.message) == ("stopped", "Stopped on request.")
    real._device._limit = 0.01
    last = finish(real, real.null_mask(ask(steps=100)))
    assert (last.phase, last.message) == ("stopped", "Stopped at the limit of 0.01 seconds.")
    assert_untouched(tiny_sd15, before)


def test_the_plain_picture_uses_the_methods_solver(real):
    settings = [{"updates": 0, "second_order": order} for order in (True, False)]
    made = [finish(real, real.start(ask(**{**REAL, "settings": s}))).run for s in settings]
    assert [run.base_settings["second_order"] for run in made] == [True, False]
    assert not np.array_equal(made[0].base_image, made[1].base_image)


def test_a_studio_that_waits_loads_nothing_before_it_begins(library, tmp_path, monkeypatch):
    loaded = threading.Event()
    monkeypatch.setattr(DeviceWork, "warm_up", lambda work: loaded.set())
    studio = Studio(tmp_path / "runs", library=library, waits=True)
    job = studio.start(Request(prompt="a red cube", model="tiny", method="plain", steps=1))
    assert not loaded.is_set() and studio.now(job).phase == "queued"
    studio.begin()
    *_, last = studio.events(job)
    assert loaded.is_set() and last.phase == "done"
    studio.close()
    Studio(tmp_path / "others", library=library, waits=True).close()  # also one that never began
