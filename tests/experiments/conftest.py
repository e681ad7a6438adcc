"""What several experiments' commands are tried with."""

import pytest

from maskunet.library.library import Loaded
from tests.support.races import WEIGHTS, Checker


@pytest.fixture
def tiny_judged(monkeypatch, tiny_sd15):
    """What the command loads: a small random model, rewards of color, a checker that sees nothing."""
    from tests.experiments.test_study import Redness

    class Rewards(Redness):
        weights = WEIGHTS

        def only(self, name):
            return self

        def __call__(self, image, prompts):
            found = super().__call__(image, prompts)
            return {
                "image_reward": found["image_reward"],
                "hpsv2": -found["image_reward"],
                "total": found["total"],
            }

    loaded = Loaded(model=tiny_sd15, rewards=Rewards(), checker=Checker())
    found = loaded, {"model": "tiny", "device": "cpu"}
    monkeypatch.setattr("maskunet.experiments.judges.load", lambda *given, **added: found)
