"""The bench reports what it says, whatever the times are."""

import json
from types import SimpleNamespace

import pytest
import torch

from maskunet import bench
from maskunet.__main__ import main
from maskunet.sites import find_sites
from tests.tiny import tiny_unet


def test_the_overhead_of_statistics_is_spread_over_a_run():
    unet = tiny_unet()
    found = bench.statistics_overhead(unet, rounds=2)
    assert (found["sites"], found["n"]) == (len(find_sites(unet)), 2)
    assert found["weights"] == sum(site.weights for site in find_sites(unet))
    per_run = found["start_seconds"] + 15 * found["count_seconds"]
    assert found["overhead"] == pytest.approx(per_run / (15 * found["step_seconds"]))


def test_the_full_size_is_stable_diffusions():
    with torch.device("meta"):
        unet = bench.sd15_unet()
    assert sum(p.numel() for p in unet.parameters()) == 859_520_964
    assert sum(site.weights for site in find_sites(unet)) == 49_029_120


def test_the_command_writes_its_figures_with_how_they_were_made(tmp_path, capsys):
    file = tmp_path / "new" / "bench.json"
    assert main(["bench", "statistics", "--rounds", "1", "--out", str(file)]) == 0
    record = json.loads(file.read_text())
    assert record["command"] == "python -m maskunet bench statistics --size tabletop --rounds 1"
    assert record["n"] == 1
    assert record["versions"]["torch"]
    assert "overhead" in capsys.readouterr().out


def test_masks_are_timed_between_two_plain_pictures(monkeypatch):
    clock = iter([9, 9, 9, 9, 1.0, 2.0, 3.0, 1.0, 2.0, 3.0, 6.0, 2.0])  # a round to warm up, and two
    monkeypatch.setattr(bench, "_seconds", lambda *work: next(clock))
    found = bench.mask_overhead(SimpleNamespace(device=None), None, rounds=2)
    assert found["plain_seconds"] == 1.5
    assert found["maskunet_trained_extra"] == pytest.approx((1 + 0.5) / 2)
    assert found["random_mask_extra"] == pytest.approx(2)
    assert found["random_mask_low"] == found["random_mask_high"] == pytest.approx(2)


def test_masks_are_timed_on_the_embedded_model(capsys):
    assert main(["bench", "masks", "--rounds", "1", "--device", "cpu"]) == 0
    assert "maskunet_trained_extra" in capsys.readouterr().out


def test_no_rounds_are_refused(capsys):
    with pytest.raises(SystemExit):
        main(["bench", "statistics", "--rounds", "0"])
    assert "--rounds must be at least 1" in capsys.readouterr().err
