"""Folders and files are there whole or not at all: an error, a killed program, two programs at once."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from maskunet.evaluation import features
from maskunet.experiments import evaluate, picture_folder
from maskunet.experiments.race import pictures
from maskunet.records import feature_set
from maskunet.records.disk import trained_file, untrusted, whole
from maskunet.runs import run_folder
from maskunet.training import checkpoint
from tests.evaluation.test_features import one_set
from tests.support.killed import every_touch

MANY = 2**17  # bytes, more than are written at once


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def test_a_text_is_utf8_and_its_folder_is_made(tmp_path):
    whole.write(tmp_path / "a" / "b.md", "“é”\n")
    assert (tmp_path / "a" / "b.md").read_bytes() == "“é”\n".encode()
    whole.write(tmp_path / "a" / "b.md", b"\0")
    assert (tmp_path / "a" / "b.md").read_bytes() == b"\0" and names(tmp_path / "a") == ["b.md"]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_an_error_changes_nothing(tmp_path, kind):
    place = tmp_path / "a"
    if kind == "folder":
        place.mkdir()
    else:
        place.write_text("before")
    with pytest.raises(OSError, match="full"), getattr(whole, kind)(place) as fresh:
        (fresh if kind == "file" else fresh / "b").write_text("half")
        raise OSError("full")
    assert names(tmp_path) == ["a"]
    assert names(place) == [] if kind == "folder" else place.read_text() == "before"


def test_a_link_keeps_its_folder_which_gets_what_is_new(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    for text in ("draft", "whole"):
        with whole.folder(tmp_path / "link") as fresh:
            (fresh / "a").write_text(text)
        assert (tmp_path / "link").is_symlink() and (tmp_path / "real" / "a").read_text() == text
    assert names(tmp_path) == ["link", "real"] and whole.standing(tmp_path / "link") == (tmp_path / "real").resolve()


def test_the_folder_that_the_program_runs_in_is_refused_before_any_work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for place in (".", tmp_path, f"../{tmp_path.name}"):
        with pytest.raises(ValueError, match="where the program runs and cannot be replaced. Give a new one inside it"):
            run_folder.check_place(Path(place))
    monkeypatch.setattr(Path, "is_mount", lambda path: path.name == "disk")
    (tmp_path / "disk").mkdir()
    with pytest.raises(ValueError, match="“disk” is a disk of its own"), whole.folder(tmp_path / "disk"):
        pass
    whole.check(tmp_path / "new")


def test_two_programs_may_write_one_file_at_once(tmp_path):
    path = tmp_path / "a.txt"
    with whole.file(path) as one, whole.file(path) as other:
        one.write_text("one")
        other.write_text("other")
    assert path.read_text() == "one" and names(tmp_path) == ["a.txt"]


def test_a_file_may_wait_in_another_folder(tmp_path):
    with whole.file(tmp_path / "a" / "b.txt", tmp_path) as fresh:
        fresh.write_text("x")
        assert names(tmp_path / "a") == [] and fresh.parent.parent == tmp_path
    assert names(tmp_path) == ["a"] and names(tmp_path / "a") == ["b.txt"]


def test_a_file_can_be_read_by_others_as_any_other(tmp_path):
    (tmp_path / "plain").write_text("x")
    whole.write(tmp_path / "whole", "x")
    assert (tmp_path / "whole").stat().st_mode == (tmp_path / "plain").stat().st_mode


# Killed at every touch of the disk: who writes, and what is then read


def one_feature_row(path, value):
    features._keep(np.full(MANY // 4, value, np.float32), path)


def tensors(path, value):
    trained_file.write(path, {"w": torch.full((MANY // 4,), float(value))}, {"form": "{}"})


def one_picture(path, value):
    picture_folder._write_picture(path.parent, path.name, square(value))


def race_picture(path, value):
    pictures.save_picture(path.parent.parents[1], path.parent.name, int(path.stem), square(value))


def square(value):
    return np.random.default_rng(value).integers(0, 256, (64, 64, 3), np.uint8)


def sets(path, value):
    feature_set.save([one_set(name=str(value))], path)


def pixels(path):
    return untrusted.pixels(path, "PNG")


WRITERS = {
    "a.txt": (lambda path, value: whole.write(path, str(value) * MANY), lambda path: path.read_text()),
    "a.npy": (one_feature_row, np.load),
    "a.safetensors": (tensors, lambda path: load_file(path)["w"].numpy()),
    "a.png": (one_picture, pixels),
    "pictures/plain/0001.png": (race_picture, pixels),
    "a.npz": (sets, lambda path: feature_set.load(path)[0].name),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_whose_writer_is_killed_is_wholly_the_old_or_the_new_one(tmp_path, name):
    write, read = WRITERS[name]
    path = tmp_path / "out" / name
    path.parent.mkdir(parents=True)
    contents = []
    for value in (1, 2):
        write(path, value)
        contents.append(np.array(read(path)))
    write(path, 1)
    seen = set()
    for touch in every_touch(lambda: write(path, 2)):
        now = read(path)
        (which,) = (i for i, known in enumerate(contents) if np.array_equal(now, known))
        seen.add(which)
        whole.tidy(path.parent)
        assert names(path.parent) == [path.name], touch
        write(path, 1)
    assert np.array_equal(read(path), contents[1])  # nobody killed it in the end
    assert seen == {0, 1}


@pytest.mark.parametrize("name", ["a.txt", "pictures/plain/0001.png"])
def test_a_first_file_whose_writer_is_killed_is_whole_or_not_there(tmp_path, name):
    write, read = WRITERS[name]
    path = tmp_path / "out" / name
    there = []
    for _ in every_touch(lambda: write(path, 2)):
        there.append(path.exists())
        if there[-1]:
            read(path)
            path.unlink()
    assert set(there) == {True, False}


def test_a_checkpoint_is_whole_at_any_moment(tmp_path):
    identity = {"recipe": "full", "settings": {"course": "constant"}}

    def save(step):
        state = {"step": step, "trained": torch.full((MANY // 4,), float(step))}
        checkpoint.save(tmp_path, state, identity, lambda path: tensors(path, step))
        checkpoint.keep_part(tmp_path, step, lambda path: tensors(path, step))

    save(1)
    seen = set()
    for touch in every_touch(lambda: save(2)):
        state = checkpoint.load(tmp_path, identity)
        assert (state["trained"] == state["step"]).all(), touch
        assert all(len(set(load_file(p)["w"].tolist())) == 1 for p in tmp_path.glob("*.safetensors")), touch
        seen.add((state["step"], len(checkpoint.parts(tmp_path))))
        checkpoint.cut_log(tmp_path, 0)
        assert not list(tmp_path.glob(f"{whole.PART}*"))
        for _, part in checkpoint.parts(tmp_path)[1:]:
            part.unlink()
        save(1)
    assert {(1, 1), (2, 1), (2, 2)} <= seen


def test_results_that_are_written_anew_are_never_half_there(tmp_path):
    def save(n):
        row = {
            "task": "two", "prompt": "a red cube", "method": "plain", "preset": "", "seed": 0, "correct": True,
            "seconds": 1.0, "peak_bytes": 0, "keep_ratio": 1.0, "unet_calls": 3, "rewards": {"total": 0.5},
        }  # fmt: skip
        evaluate.save(tmp_path, [{**row, "seed": seed} for seed in range(n)], {"n": n})

    save(2)
    for touch in every_touch(lambda: save(40)):
        kept = json.loads((tmp_path / "evaluation.json").read_text())
        assert len(evaluate.load(tmp_path)) == kept["about"]["n"] in (2, 40), touch
        save(2)
