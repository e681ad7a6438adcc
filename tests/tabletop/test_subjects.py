"""Subjects that no base model has seen: how they are drawn, and the spotter that finds them."""

import numpy as np
import pytest
import torch

from maskunet.experiments.tabletop import train_spotter
from maskunet.tabletop import checker, data, on_disk, render, spotter
from maskunet.tabletop.captions import VOCABULARY
from maskunet.tabletop.place import CHECKER, SPOTTER
from maskunet.tabletop.scenes import SHAPES, Thing
from maskunet.tabletop.subjects import STACKS, SUBJECTS, lookalike, photos, with_others


@pytest.fixture(scope="module")
def eye():
    return checker.load(CHECKER)


@pytest.fixture(scope="module")
def finder():
    return spotter.load(SPOTTER)


def shown(scenes):
    return render.render(scenes).float() / 255


def test_known_scenes_are_drawn_as_without_the_new_subjects(monkeypatch):
    scenes = [*data.training_scenes(9_300)[:6]]
    now = render.render(scenes, 64)
    monkeypatch.setattr(render, "_disks", lambda shape, z: iter(()))
    assert torch.equal(now, render.render(scenes, 64))
    assert render.DRAWN[: len(SHAPES)] == SHAPES and set(STACKS).isdisjoint({*SHAPES, *VOCABULARY["shape"]})


@pytest.mark.parametrize(("name", "above", "below"), [("hat", "purple", "yellow"), ("mushroom", "pink", "green")])
def test_a_stack_has_the_colors_of_its_disks(name, above, below):
    from maskunet.tabletop.scenes import COLORS

    thing = Thing(name, "red")  # its own color is not looked at
    points = [(0.0, -disk[0] * thing.radius, (disk[1] + disk[2]) / 2 * thing.radius) for disk in STACKS[name]]
    u, v = (render.project(points).clamp(0, 0.999) * 128).long().mT
    lower, upper = (render.render([(thing,)])[0][:, v, u].float().mT / 255).unbind()

    def nearest(pixel):
        return min(COLORS, key=lambda c: -torch.cosine_similarity(pixel, torch.tensor(COLORS[c]), dim=0))

    assert nearest(lower) == below and nearest(upper) == above


def test_photos_show_the_subject_alone_at_different_places():
    scenes = photos(SUBJECTS["hat"], 5)
    assert all(len(scene) == 1 and scene[0].shape == "hat" for scene in scenes)
    assert len({scene[0].x for scene in scenes}) == 5 and {scene[0].size for scene in scenes} == {"small", "large"}
    assert scenes == photos(SUBJECTS["hat"], 5)


def test_the_spotter_finds_the_subjects_and_is_not_fooled_by_their_colors(eye, finder):
    rng = np.random.default_rng(77)
    for name in STACKS:
        there = finder.find(eye, shown([with_others(SUBJECTS[name], rng) for _ in range(12)]))
        assert sum(found == {name} for found in there) >= 11
    others = [lookalike(rng) for _ in range(12)] + [*data.training_scenes(9_301)[:12]]
    assert sum(map(bool, finder.find(eye, shown(others)))) <= 1
    recolored = shown(photos(SUBJECTS["hat"], 6, seed=3))[:, train_spotter.RECOLORED]
    assert not any(finder.find(eye, recolored))
    assert len(finder.find(eye, torch.rand(2, 3, 64, 64))) == 2
    assert sum(path.stat().st_size for path in SPOTTER.iterdir()) < 200_000


def test_the_spotter_learns_and_is_saved_with_its_thresholds(tmp_path, monkeypatch):
    monkeypatch.setattr(train_spotter, "RENDERS", 8)
    monkeypatch.setattr(train_spotter, "GENERATED", 2)
    monkeypatch.setattr(train_spotter, "generated", lambda count, seed: torch.rand(count, 3, 128, 128))
    monkeypatch.setattr(train_spotter, "reconstructed", lambda vae, pictures: pictures)
    made = train_spotter.train(tmp_path, minutes=0.002)
    read = spotter.load(tmp_path / "spotter")
    torch.testing.assert_close(read.threshold, made.threshold, atol=2e-2, rtol=1e-2)
    states = torch.rand(2, 96, 32, 32)
    torch.testing.assert_close(read(states), made(states), atol=5e-2, rtol=1e-2)
    assert made.threshold.abs().min() > 0


def test_the_spotters_errors_are_written_for_every_kind_of_picture(tmp_path, monkeypatch):
    monkeypatch.setattr(train_spotter, "generated", lambda count, seed: torch.rand(count, 3, 128, 128))
    monkeypatch.setattr(train_spotter, "reconstructed", lambda vae, pictures: pictures)
    text = train_spotter.measure(tmp_path / "spotter.md", n=2)
    assert text == (tmp_path / "spotter.md").read_text()
    assert "| hat | with a hat | 2 | 1.000" in text and "| mushroom | generated | 2 |" in text
    assert text.count("\n| ") == 1 + 2 * 11


def test_a_judge_is_saved_small(tmp_path):
    on_disk.save(spotter.Spotter(), tmp_path)
    assert not any(p.requires_grad for p in spotter.load(tmp_path).parameters())
