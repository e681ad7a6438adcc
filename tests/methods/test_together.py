"""Pictures made together: the ones made alone, up to rounding; what cannot share a call does not."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from maskunet.methods import SPECS
from maskunet.methods.base import batches, report
from maskunet.methods.base.batches import fitting, together
from maskunet.records import Request
from tests.methods.test_methods import Redness

PROMPTS = ("a red cube", "a blue sphere", "a green cone")
WAYS = [
    ("plain", {}), ("plain", {"second_order": False}), ("freeu", {}), ("pag", {}), ("random_mask", {}),
    ("random_mask", {"kind": "window"}), ("knock_out", {"what": "cross.v; self.k@2-=0.5"}), ("attend_and_excite", {"refinements": 2}), ("best_of_n", {"n": 2}),
]  # fmt: skip


def requests(**asked):
    made = {"steps": 3, "previews": False, **asked}
    return [Request(prompt=prompt, seed=seed, **made) for seed, prompt in enumerate(PROMPTS)]


def finals(events):
    return {number: event for number, event in events if event.final}


@pytest.mark.parametrize(("method", "changes"), WAYS)
@pytest.mark.parametrize("guidance", [1.0, 4.0])
def test_pictures_made_together_are_those_made_alone_up_to_rounding(tiny_sd15, method, changes, guidance):
    spec = SPECS[method]
    settings, asked = spec.settings("", changes), requests(guidance=guidance)
    found = finals(together(spec, tiny_sd15, Redness(), asked, settings))
    for number, request in enumerate(asked):
        *events, alone = spec.run(tiny_sd15, Redness(), request, settings)
        difference = np.abs(alone.image.astype(int) - found[number].image.astype(int))
        assert difference.max() <= 1
        assert found[number].rewards == pytest.approx(alone.rewards, abs=1e-3)
        assert found[number].unet_calls == alone.unet_calls


def test_each_picture_is_told_its_own_masks(tiny_sd15):
    spec, asked = SPECS["random_mask"], requests(keep_masks=True)
    seen = {}
    for number, event in together(spec, tiny_sd15, Redness(), asked, spec.settings()):
        if event.masks:
            seen.setdefault(number, []).append(event.masks)
    for number, request in enumerate(asked):
        alone = [e.masks for e in spec.run(tiny_sd15, Redness(), request, spec.settings()) if e.masks]
        for mine, theirs in zip(seen[number], alone, strict=True):
            assert all(np.array_equal(mine[name], theirs[name]) for name in theirs)


def test_what_they_tell_of_their_time_adds_up_to_all_of_it(tiny_sd15, monkeypatch):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(report, "time", SimpleNamespace(perf_counter=lambda: clock.now))

    class Slow(Redness):
        def __call__(self, images, prompts):
            clock.now += 2.0
            return super().__call__(images, prompts)

    spec = SPECS["plain"]
    found = finals(together(spec, tiny_sd15, Slow(), requests(), spec.settings()))
    assert [event.seconds for event in found.values()] == [2.0, 2.0, 2.0]


def test_they_share_their_calls_of_the_unet(tiny_sd15):
    batches_seen = []
    handle = tiny_sd15.unet.register_forward_pre_hook(lambda unet, given: batches_seen.append(len(given[0])))
    spec = SPECS["plain"]
    list(together(spec, tiny_sd15, Redness(), requests(guidance=4.0), spec.settings()))
    handle.remove()
    assert batches_seen == [6, 6, 6]


@pytest.mark.parametrize("method", ["plain", "pag", "syngen", "best_of_n", "fk_steering"])
def test_without_guidance_nothing_is_computed_twice(tiny_sd15, method):
    seen = []
    handle = tiny_sd15.unet.register_forward_pre_hook(lambda unet, given: seen.append(len(given[0])))
    request = replace(requests()[0], guidance=1.0)
    list(SPECS[method].run(tiny_sd15, Redness(), request, SPECS[method].settings()))
    handle.remove()
    assert set(seen) == ({2} if method == "pag" else {1})  # the one half, and pag's blind one


def test_as_many_share_a_call_as_fit_into_the_free_memory(tiny_sd15, monkeypatch):
    monkeypatch.setattr(batches, "free_memory", lambda device: 0)
    assert fitting(tiny_sd15) == 1
    each = torch.Size(tiny_sd15.latent_shape).numel() * batches.VALUES * 4
    monkeypatch.setattr(batches, "free_memory", lambda device: int(2.5 * each / batches.SHARE))
    assert fitting(tiny_sd15) == 2
    monkeypatch.setattr(batches, "free_memory", lambda device: 10**15)
    assert fitting(tiny_sd15) == batches.MOST["cpu"]


def test_a_base_of_one_step_takes_one(tiny_sd15):
    turbo = replace(tiny_sd15, steps=1, guidance=1.0)
    events = list(SPECS["plain"].run(turbo, Redness(), Request(prompt="a red cube"), SPECS["plain"].settings()))
    assert [event.timestep for event in events] == [999, 999] and events[-1].unet_calls == 1
