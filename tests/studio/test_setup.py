"""What Stable Diffusion takes that is not here: the model, the rewards, both, or nothing."""

import pytest

from maskunet.library import download
from maskunet.library.library import Library
from maskunet.models import SPECS
from maskunet.records.disk.hub import MissingWeights
from maskunet.studio import setup


@pytest.mark.parametrize("lacking", [(), ("sd15",), ("rewards",), ("sd15", "rewards")])
def test_it_names_what_is_missing_how_much_it_is_and_the_commands_that_get_it(monkeypatch, lacking):
    def rewards(spec):
        if "rewards" in lacking:
            raise MissingWeights("They are not here.")

    monkeypatch.setattr(setup, "reward_folders", rewards)
    monkeypatch.setattr(Library, "missing", lambda library, name, *_: "Not here." * (name in lacking))
    found = [each for each in setup.setups(Library("tabletop", device="cpu")) if each.title == SPECS["sd15"].title]
    assert len(found) == bool(lacking)
    for each in found:
        assert each.commands == tuple(f"python -m maskunet download {name}" for name in lacking)
        assert each.gigabytes == sum(download.plan(name).gigabytes for name in lacking)
        assert len(each.missing) == len(lacking) and each.license == SPECS["sd15"].license
