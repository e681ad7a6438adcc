"""A device that computes nothing, and a Studio over it."""

import dataclasses
import threading
import time
from types import SimpleNamespace

import numpy as np
import torch

from maskunet.library.library import Loaded
from maskunet.methods.base import MethodSpec
from maskunet.records import Card, Request, StepEvent
from maskunet.records.added import NOTHING
from maskunet.studio.studio import Studio
from tests.support.tiny import tiny_tokenizer, tiny_unet

WAIT = 60  # seconds; nothing here takes one, except where many programs share a core
UNET, TOKENIZER = tiny_unet(), tiny_tokenizer()


@dataclasses.dataclass(frozen=True)
class Settings:
    updates: int = 3
    second_order: bool = True


@dataclasses.dataclass(frozen=True)
class PlainSettings:
    second_order: bool = True


class Machine:
    """A fake device: counts who computes, and does at each update what the test asks for."""

    def __init__(self):
        self.active = self.peak = self.closed = self.loads = self.plains = 0
        self.events = []
        self.gate = threading.Semaphore(0)
        self.free = True  # do not wait at the gate
        self.at = {}  # (step, update) -> function
        self.previews = True
        self.reward = 0.5

    def run(self, model, rewards, request, settings):
        self.active += 1
        self.peak = max(self.peak, self.active)
        updates = getattr(settings, "updates", 1)
        try:
            for step in range(request.steps):
                for update in range(updates):
                    if not self.free:
                        assert self.gate.acquire(timeout=WAIT)
                    time.sleep(0.001)
                    self.at.get((step, update), lambda: None)()
                    yield self.event(request, step, update, updates)
            yield self.event(request, request.steps - 1, 0, 0, final=True)
        finally:
            self.active -= 1
            self.closed += 1

    def plain(self, model, rewards, request, settings):
        self.plains += 1
        yield from self.run(model, rewards, request, settings)

    def event(self, request, step, update, updates, final=False):
        self.events.append((request.method, step, update))
        image = np.full((8, 8, 3), request.seed % 200 + step, np.uint8)
        return StepEvent(
            step=step, steps=request.steps, timestep=900 - step, update=update, updates=updates,
            image=image if self.previews or final else None, rewards={"total": self.reward},
            best=True, final=final, unet_calls=len(self.events), seconds=0.01 * len(self.events),
        )  # fmt: skip


class FakeLibrary:
    default, device, dtype = "fake", torch.device("cpu"), torch.float32
    files = {}

    def __init__(self, machine):
        self.machine, self.failure = machine, None

    def cards(self):
        return [Card(name="fake", title="Fake", summary="")]

    def find(self, name, with_rewards=True):
        if name != "fake":
            raise ValueError(f"There is no model “{name}”. There are: fake.")

    def find_added(self, added):
        assert added == NOTHING

    def own(self, name):
        return None

    def stays_here(self, name):
        return False

    def where(self, name):
        return self.device, self.dtype

    def is_loaded(self, name, added):
        return False

    def load(self, name, with_rewards=True, added=NOTHING):
        self.machine.loads += 1
        if self.failure:
            raise self.failure
        model = SimpleNamespace(
            name="fake",
            judge=None,
            weights={"unet/x": "ab"},
            device=self.device,
            dtype=self.dtype,
            guidance=3.5,
            unet=UNET,
            tokenizer=TOKENIZER,
            notes=(),
            added=NOTHING,
        )
        return Loaded(model=model, rewards=None)

    def clear(self):
        pass


def open_studio(machine, folder, **limits):
    def spec(name, run, settings):
        return MethodSpec(
            name=name, title=name, kind="control", summary="", source="", presets={"usual": settings}, run=run
        )

    plain, slow = (
        spec("plain", machine.plain, PlainSettings()),
        spec("slow", machine.run, Settings()),
    )
    methods = {"plain": plain, "slow": slow}
    return Studio(folder / "runs", library=FakeLibrary(machine), methods=methods, **limits)


def ask(seed=1, **changes):
    given = {"prompt": "a red cube", "model": "fake", "method": "slow", "steps": 4, "seed": seed}
    return Request(**{**given, **changes})


def finish(studio, job):
    *_, last = studio.events(job)
    return last


def until(studio, job, phase):
    return next(e for e in studio.events(job) if e.phase == phase)


def soon(condition):
    deadline = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def hold(studio, monkeypatch):
    """Let no step of a real model's picture end before the event that is given back."""
    held_up, original = threading.Event(), studio._device._why
    monkeypatch.setattr(
        studio._device, "_why", lambda job: held_up.wait(WAIT) and original(job)
    )  # asked after every step
    return held_up
