"""The bench reports what it says, whatever the times are."""

import json
from dataclasses import replace
from functools import partial

import pytest
import torch

from maskunet import bench
from maskunet.bench import masks, start, statistics, training
from maskunet.bench.base import sd15_unet
from maskunet.commands import bench as bench_command
from maskunet.commands.registry import main
from maskunet.masks.masked_unet import MaskedUNet
from maskunet.masks.sites import find_sites
from maskunet.records import Request
from maskunet.training.recipes import SPECS
from tests.support.tiny import tiny_unet


def test_the_loop_is_timed_if_no_part_is_named(monkeypatch, capsys):
    timed = replace(bench.SPECS["loop"], run=lambda library, size, rounds: {"size": size, "n": rounds})
    monkeypatch.setattr(bench, "SPECS", {"loop": timed})
    assert main(["bench", "--device", "cpu"]) == 0
    assert capsys.readouterr().out.split() == ["size", "tabletop", "n", "9"]


def test_the_overhead_of_statistics_is_spread_over_a_run():
    unet = tiny_unet()
    found = statistics.statistics_overhead(unet, rounds=2)
    assert (found["sites"], found["n"]) == (len(find_sites(unet)), 2)
    assert found["weights"] == sum(site.weights for site in find_sites(unet))
    per_run = found["start_seconds"] + 15 * found["count_seconds"]
    assert found["overhead"] == pytest.approx(per_run / (15 * found["step_seconds"]))


def test_the_full_size_is_stable_diffusions():
    unet = sd15_unet(torch.device("meta"), torch.float32)
    assert sum(p.numel() for p in unet.parameters()) == 859_520_964
    assert sum(site.weights for site in find_sites(unet)) == 49_029_120


def test_the_command_writes_its_figures_with_how_they_were_made(tmp_path, capsys):
    file = tmp_path / "new" / "bench.json"
    assert main(["bench", "statistics", "--rounds", "1", "--device", "cpu", "--out", str(file)]) == 0
    record = json.loads(file.read_text())
    assert record["command"] == (
        "python -m maskunet bench statistics --size=tabletop --rounds=1 --out=bench.json --device=cpu"
    )
    assert record["n"] == 1
    assert record["versions"]["torch"]
    assert record["machine"].startswith("CPU, ")
    assert "overhead" in capsys.readouterr().out


def test_masks_are_timed_between_two_plain_ones(monkeypatch):
    warm_up = [9, 9, 9, 9]
    clock = iter([*warm_up, 1.0, 2.0, 3.0, 1.0, 2.0, 3.0, 6.0, 2.0, 3.0, 3.0, 9.0, 1.0])
    monkeypatch.setattr(masks, "seconds", lambda *work: next(clock))
    works = {"plain": None, "maskunet_trained": None, "random_mask": None}
    found = masks.overhead(None, works, rounds=3)
    assert found["plain_seconds"] == 2
    assert found["maskunet_trained_extra"] == pytest.approx(0.5)  # of 1, 0.5 and 0.5
    assert found["maskunet_trained_low"] == pytest.approx(0.5)
    assert found["maskunet_trained_high"] == pytest.approx(1)
    assert found["maskunet_trained_extra_of_fastest"] == pytest.approx(1)
    assert found["random_mask_extra"] == found["random_mask_low"] == pytest.approx(2)
    assert found["random_mask_high"] == pytest.approx(3.5)


def test_steps_are_timed_under_the_masks_they_name(monkeypatch):
    """A step is one encoding and one decoding, and only random masks remove anything yet."""
    unet, removed = tiny_unet(), []

    def decode(self, features, given=None):
        made = given(1, features) if callable(given) else given
        removed.append(made and 1 - float(next(iter(made.values())).mean()))

    monkeypatch.setattr(MaskedUNet, "decode", decode)
    with masks.steps(unet) as works:
        for name in ("plain", "maskunet_trained", "random_mask"):
            works[name]()
    assert removed[:2] == [None, 0]
    assert removed[2] > 0


def test_masks_are_timed_on_the_embedded_model_and_the_rounds_are_told(monkeypatch, capsys, caplog):
    monkeypatch.setattr(masks, "Request", partial(Request, steps=2))
    assert main(["bench", "masks", "--rounds", "1", "--device", "cpu"]) == 0
    assert "round 1: " in caplog.text
    assert "maskunet_trained_extra" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["statistics", "--rounds", "0"], "--rounds must be at least 1"),
        (["operations", "--size", "tabletop"], "operations takes the size sd15, not tabletop"),
    ],
)
def test_what_cannot_be_timed_is_refused(words, message, capsys):
    with pytest.raises(SystemExit):
        main(["bench", *words])
    assert message in capsys.readouterr().err


def test_a_step_of_training_is_counted_with_its_optimizer(tiny_sd15):
    def counted(name, **changes):
        preset = SPECS[name].presets["sd15"]
        return training.of_a_step(tiny_sd15, SPECS[name], replace(preset, checkpointing=False, **changes))

    weights = sum(p.numel() for p in tiny_sd15.unet.parameters())
    full, lora = counted("dreambooth"), counted("dreambooth_lora")
    assert full["trained"] == weights > lora["trained"]
    # The frozen one and its copy; gradients and both moments of the copy; and one more while the optimizer is at work.
    assert full["peak_gb"] * 1e9 > (4 + 4 * 5) * weights and lora["peak_gb"] < full["peak_gb"] - 3 * 4e-9 * weights
    assert full["operations"] > lora["operations"]
    twice = counted("dreambooth", batch=4)
    assert twice["peak_gb"] == full["peak_gb"] and twice["operations"] == pytest.approx(2 * full["operations"])
    both = counted("inversion_masks")
    assert both["trained"] > counted("inversion")["trained"] == 32


def test_rows_are_printed_as_a_table():
    rows = [{"name": "reference", "seconds": 2.0, "peak": None}, {"name": "exact", "seconds": 0.123456}]
    rows[1]["peak"] = 12
    assert list(bench_command.lines({"n": 3, "variants": rows})) == [
        "n                                3",
        "",
        "name       seconds  peak",
        "reference  2        -",
        "exact      0.12346  12",
    ]


def test_the_page_s_start_is_told_in_times_of_its_imports(monkeypatch):
    """The first round, which warms the disk up, is left out."""
    pages, imports = iter([90.0, 9.0, 12.0, 8.0]), iter([50.0, 6.0, 6.0, 8.0])
    monkeypatch.setattr(start, "until_page", lambda: next(pages))
    monkeypatch.setattr(start, "until_imported", lambda: next(imports))
    found = start.run(None, "tabletop", 3)
    assert (found["n"], found["page_seconds"], found["import_seconds"]) == (3, 9, 6)
    assert (found["times_the_imports"], found["low"], found["high"]) == (1.5, 1, 2)


def test_a_page_that_does_not_come_says_why(monkeypatch):
    monkeypatch.setenv("MASKUNET_AUTH", "short:1")  # a password that the page refuses
    with pytest.raises(RuntimeError, match="(?s)No page came.*at least 8 characters"):
        start.until_page()
