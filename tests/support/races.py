"""Races of stubs: methods whose pictures cost a fixed time and whose rewards are chance."""

from types import SimpleNamespace

import numpy as np
import torch

from maskunet.experiments.race import entrants, make
from maskunet.experiments.study import subjects
from maskunet.library.library import Loaded
from maskunet.records import Request

ASKED = Request(prompt="-", model="stub", steps=2)
WEIGHTS = {"image_reward": 1.0, "hpsv2": 2.0}


class Stub:
    """A method whose picture costs a fixed time and whose rewards are those of a table of chance."""

    needs_rewards = False

    def __init__(self, name, seconds=1.0, calls=10, kind="rival"):
        self.kind = kind
        self.entrant, self.name = name, name.partition("/")[0]
        self.seconds, self.calls, self.made = seconds, calls, []

    def settings(self, preset="", given=None):
        return SimpleNamespace()

    def least_steps(self, settings):
        return 1

    def run(self, model, rewards, request, settings):
        if request.steps == ASKED.steps:  # a warm-up takes other steps and counts for nothing
            self.made.append((request.prompt, request.seed))
        rng = np.random.default_rng(request.seed)
        scores = {"image_reward": rng.normal(), "hpsv2": rng.normal(), "total": 0.0}
        yield SimpleNamespace(
            keep_ratio={}, best=True, final=True, image=np.full((4, 4, 3), request.seed % 250, np.uint8),
            step=0, rewards=scores, seconds=self.seconds, unet_calls=self.calls, candidates=None,
        )  # fmt: skip


class Judges:
    """Rewards by chance, the same for the same picture."""

    weights = WEIGHTS

    def only(self, name):
        return self

    def __call__(self, image, prompts):
        drawn = np.random.default_rng(int(image.sum() * 255)).normal(size=3)
        return {name: torch.tensor([value]) for name, value in zip((*WEIGHTS, "total"), drawn, strict=True)}


class Checker:
    def see(self, image):
        return [[] for _ in image]


SEES_NOTHING = Checker()


def entrant_of(stub):
    return entrants.Entrant(name=stub.entrant, spec=stub)


def raced(folder, stubs, prompts=4, seconds=3.0, done=(), stop_after=10**9, checker=SEES_NOTHING, judges=None):
    """The rows of a race of stubs, stopped after some pictures."""
    made = []
    chosen = [entrant_of(stub) for stub in stubs]
    drawn = dict(enumerate(subjects("two,counting", n=prompts // 2, seeds=1)))
    model = SimpleNamespace(guidance=2.5, device="cpu")
    for row in make.make(
        Loaded(model=model, rewards=judges or Judges(), checker=checker), ASKED, chosen, drawn, seconds=seconds, optimized="image_reward",
        folder=folder, done=done, should_stop=lambda: "stop" if len(made) >= stop_after else "",
    ):  # fmt: skip
        made.append(row)
    return made


def row(entrant="plain", number=0, place=0, task="two", reward=0.0, held=0.0, correct=False, seconds=1.0, calls=10):
    return {
        "entrant": entrant, "number": number, "place": place, "task": task, "prompt": f"p{number}", "seed": number,
        "rewards": {"image_reward": reward, "hpsv2": held}, "correct": correct, "seconds": seconds,
        "unet_calls": calls,
    }  # fmt: skip


def races(entrant, rights, held, seconds=1.0, calls=10):
    """One picture for each prompt."""
    each = enumerate(zip(rights, held, strict=True))
    return [row(entrant, n, correct=bool(r), held=h, seconds=seconds, calls=calls) for n, (r, h) in each]
