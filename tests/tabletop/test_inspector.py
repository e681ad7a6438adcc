"""The inspector: what is wrong with a picture, on disk, in evaluations, and over guidance scales."""

import json
from types import SimpleNamespace

import numpy as np
import torch

from maskunet.experiments import evaluate
from maskunet.experiments.tabletop import measure_spoiled, train_inspector
from maskunet.library.library import Loaded
from maskunet.tabletop import data, inspector, on_disk
from maskunet.tabletop.inspector import KINDS, Inspector
from maskunet.tabletop.place import INSPECTOR, MODEL
from maskunet.tabletop.spoiling import CLEAN, PICTURES
from maskunet.tabletop.tasks import Case

CASE = Case("single", "a cube", ({"shape": "cube"},))


def test_it_is_saved_small_and_read_again(tmp_path):
    made = Inspector()
    on_disk.save(made, tmp_path)
    read = inspector.load(tmp_path)
    x = torch.rand(2, 3, 128, 128)
    torch.testing.assert_close(read(x), made(x), atol=2e-2, rtol=0)
    assert not any(p.requires_grad for p in read.parameters())
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 1_000_000
    assert len(read.kinds(torch.rand(3, 3, 64, 64))) == 3


def test_it_trains_on_every_kind_and_is_asked_about_each(tmp_path, monkeypatch):
    monkeypatch.setattr(train_inspector, "RECONSTRUCTED", 2)
    monkeypatch.setattr(train_inspector, "reconstructed", lambda vae, pictures: pictures)
    scenes = data.training_scenes(9_100)[:4]
    monkeypatch.setattr(train_inspector.data, "load", lambda *_: (scenes, [np.zeros((4, 3, 128, 128), np.uint8)]))
    monkeypatch.setattr(
        train_inspector,
        "held_out_pictures",
        lambda *_: {"renders": {kind: torch.rand(2, 3, 128, 128) for kind in KINDS}},
    )
    train_inspector.train(tmp_path, tmp_path, minutes=0.001, shards=1)
    asked = (tmp_path / "inspector_state" / "log.csv").read_text().splitlines()[0].split(",")
    assert {f"renders {kind}" for kind in KINDS} <= {*asked}
    assert isinstance(inspector.load(tmp_path / "inspector"), Inspector)


def test_an_evaluation_says_what_pictures_look_like_if_an_inspector_is_there():
    final = SimpleNamespace(
        keep_ratio={}, best=False, final=True, image=np.zeros((128, 128, 3), np.uint8), rewards={"total": 1.0},
        seconds=1.0, unet_calls=1,
    )  # fmt: skip
    sees = SimpleNamespace(see=lambda picture: [[]])
    row = evaluate.judge(CASE, 1, iter([final]), sees, SimpleNamespace(kinds=lambda picture: ["faded"]))
    assert row["looks"] == "faded"
    clean = {**row, "looks": CLEAN}
    line = evaluate.summarize([row, clean, clean, clean])[-1]
    assert line["spoiled"] == 0.25
    assert "| spoiled |" in evaluate.table([line]) and "| 0.250 |" in evaluate.table([line])
    silent = evaluate.judge(CASE, 1, iter([final]), sees)
    assert "looks" not in silent and "spoiled" not in evaluate.table(evaluate.summarize([silent]))


def test_shares_have_an_interval_each_and_the_scale_with_most_correct_is_chosen(tmp_path, monkeypatch):
    right = {1.0: 1, 2.5: 3, 4.0: 5, 7.5: 9, 10.0: 8, 15.0: 8}

    def rows(loaded, request, **asked):
        assert asked["split"] == "train" and loaded.inspector and loaded.checker
        looks = ["faded", "noisy", "noisy", *[CLEAN] * 7]
        return [
            {"prompt": str(i), "correct": i < right[request.guidance], "looks": look} for i, look in enumerate(looks)
        ]

    monkeypatch.setattr(measure_spoiled, "evaluate", rows)
    monkeypatch.setattr(
        "maskunet.library.library.Library",
        lambda *_, **__: SimpleNamespace(load=lambda name: Loaded(model=None, rewards=None)),
    )
    for judge in (measure_spoiled.checker, measure_spoiled.inspector):
        monkeypatch.setattr(judge, "load", lambda folder: "a judge")
    text = measure_spoiled.curve(tmp_path, n=2)
    assert json.loads((tmp_path / "guidance.json").read_text()) == {"guidance": 7.5}
    point = json.loads((tmp_path / "curve.json").read_text())["curve"][3]
    assert (point["n"], point["correct"], point["spoiled"]) == (10, 0.9, 0.3)
    assert {kind: point[kind] for kind in PICTURES} == {**dict.fromkeys(PICTURES, 0.0), "faded": 0.1, "noisy": 0.2}
    low, high = point["intervals"]["noisy"]
    assert 0 < low < 0.2 < high < 1
    assert "0.200 (0.06 to 0.51)" in text and "at guidance 7.5" in text


def test_where_the_curve_is_flat_the_smallest_scale_is_chosen():
    shares = {2.5: (0.3, 0.49), 4.0: (0.4, 0.59), 7.5: (0.45, 0.65), 15.0: (0.58, 0.78)}
    points = [{"guidance": g, "correct": c, "intervals": {"correct": (0, high)}} for g, (c, high) in shares.items()]
    assert measure_spoiled.lowest_scale(points) == 4.0
    assert measure_spoiled.lowest_scale(points[:1]) == 2.5


def test_how_well_the_judges_tell_is_written_by_kind(tmp_path, monkeypatch):
    shown = {what: {kind: torch.zeros(4, 3, 128, 128) for kind in KINDS} for what in ("renders", "reconstructions")}
    monkeypatch.setattr(train_inspector, "held_out_pictures", lambda *_: shown)
    monkeypatch.setattr(inspector, "load", lambda _: SimpleNamespace(kinds=lambda images: [CLEAN, "noisy"] * 2))
    text = measure_spoiled.judge(tmp_path / "judges.md", n=4)
    assert text == (tmp_path / "judges.md").read_text()
    kinds, rewards = text.split("**Rewards**")
    nothing_seen = "0.000 (0.00 to 0.49)"
    assert f"| noisy | 0.500 (0.15 to 0.85) | 0.500 (0.15 to 0.85) | {nothing_seen} |" in kinds
    assert "| faded | 0.000 (" in kinds and "| noisy | 1.000 (0.51 to 1.00) |" in rewards and "| caption | " in rewards


def test_the_shipped_one_knows_every_kind_on_renders_and_reconstructions():
    found = inspector.load(INSPECTOR)
    for what, pictures in train_inspector.held_out_pictures(MODEL / "vae", 5).items():
        assert all(share >= 0.8 for share in inspector.accuracy(found, pictures).values()), what
