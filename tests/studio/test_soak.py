"""Runs with stops, closed readers, killed clients, no memory and no numbers: nothing grows, nothing is lost."""

import pytest

from maskunet.library.library import Library
from maskunet.studio.shelf import MAX_RUNS
from tests.support import tiny_library
from tests.support.soak import FAULTS, soak

MEGABYTES, FEW = 64, 6  # how much memory, and how many threads and files, may come on top after the warm-up


def assert_flat(found, n):
    assert found["runs"] == n and sum(found["outcomes"].values()) == n
    ends = {outcome.rpartition(": ")[0]: outcome.rpartition(": ")[2] for outcome in found["outcomes"]}
    assert ends["out of memory"] == "failed" and ends["none"] == ends["client killed"] == "done"
    growth = found["growth_after_warm_up"]
    assert growth["megabytes"] < MEGABYTES and growth["threads"] <= FEW and growth["files"] <= FEW, found["samples"]
    assert found["kept"] <= MAX_RUNS
    assert found["baselines"] > n / 5 and found["baselines_that_differ"] == 0
    assert found["finished"] > n / 4 and found["lost_or_changed"] == 0
    assert set(ends) == set(FAULTS)


def test_a_few_runs_leave_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.support.soak.EVERY", 5)
    monkeypatch.setattr("tests.support.soak.WARM", 2)
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "gradio"))
    library = tiny_library.read(tiny_library.write(tmp_path / "model"))
    *_, found = soak(library, tmp_path / "runs", 12)
    assert_flat(found, 12)


@pytest.mark.long
def test_two_hundred_tabletop_runs_leave_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "gradio"))
    *_, found = soak(Library("tabletop", device="cpu"), tmp_path / "runs", 200)
    assert_flat(found, 200)
