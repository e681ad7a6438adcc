"""Run folders: everything comes back, bytes repeat, and damaged or foreign files are refused."""

import errno
import io
import json
import zipfile
from dataclasses import dataclass, make_dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from maskunet.machine import versions
from maskunet.records import MaskSet, Request, Run, mask_set
from maskunet.records.course import Course
from maskunet.records.disk import whole
from maskunet.runs import replay, run_folder
from tests.support.tiny_stats import Sites, random_masks, stats_of

PICTURE = np.arange(16 * 16 * 3, dtype=np.uint8).reshape(16, 16, 3)


def make(**changes):
    rows = (
        {"step": 0, "update": 0, "reward_total": -1.5, "loss": None, "best": True, "final": False},
        {"step": 0, "update": 1, "reward_total": 0.25, "loss": 1e-7, "best": False, "extra": 3},
    )
    given = {
        "id": "0123456789ab", "request": Request(prompt="ein rötlicher Würfel 赤", seed=7, steps=4),
        "settings": {"updates": 3}, "state": "done", "created": "2026-11-23T00:00:00+00:00",
        "device": "cpu", "dtype": "float32", "versions": {"torch": "2"},
        "weights": {"unet/x": "ab"},
        "base_rewards": {"total": -1.0}, "rewards": {"total": 0.5}, "keep_ratio": 0.9,
        "unet_calls": 9, "base_unet_calls": 4, "seconds": 1.5, "base_seconds": 0.5, "rows": rows,
        "base_settings": {"second_order": True},
        "result_image": PICTURE, "base_image": PICTURE[::-1],
    }  # fmt: skip
    return Run(**{**given, **changes})


def test_everything_comes_back(tmp_path):
    masks = MaskSet(model="m", weights={}, sites={"a": (2, 4)}, steps={9: {"a": np.array([129], np.uint8)}})
    frames = np.full((2, 8, 8, 3), 60, np.uint8)
    course = Course(
        timesteps=(9, 4),
        base=frames,
        result=frames + 100,
        maps={1: np.arange(96, dtype=np.uint8).reshape(2, 2, 4, 2, 3)},
    )
    sites = Sites({1: (6, 4)})
    stats = stats_of(sites, [random_masks(sites, 0.5)])
    run = make(masks=masks, course=course, stats=stats)
    folder = run_folder.write(run, tmp_path / run.id)
    assert {p.name for p in folder.iterdir()} == set(run_folder.FILES)
    again = run_folder.read(folder)
    for name in Run.__slots__:
        if name not in ("result_image", "base_image", "rows", "masks", "course", "stats"):
            assert getattr(again, name) == getattr(run, name), name
    assert np.array_equal(again.result_image, run.result_image)
    assert np.array_equal(again.base_image, run.base_image)
    for read, wrote in zip(again.rows, run.rows, strict=True):
        assert {k: v for k, v in read.items() if k in wrote} == wrote
        assert {type(read[k]) for k in wrote} == {type(v) for v in wrote.values()}
    assert mask_set.load(folder / run_folder.MASKS).steps[9]["a"].tolist() == [129]
    assert np.array_equal(again.stats.removed, stats.removed)
    assert again.course.timesteps == (9, 4) and np.array_equal(again.course.maps[1], course.maps[1])
    for side in ("base", "result"):  # the step pictures are lossy
        assert np.abs(getattr(again.course, side).astype(int) - getattr(course, side)).max() < 8


def told_apart(steps, height, width):
    """Pictures of both sides at every step, each of its own gray."""
    levels = np.arange(2 * steps, dtype=np.uint8).reshape(2, steps, 1, 1, 1)
    return np.broadcast_to(levels, (2, steps, height, width, 3)).copy()


@pytest.mark.parametrize(("steps", "height", "width"), [(63, 8, 256), (64, 8, 256), (99, 8, 256), (100, 256, 256)])
def test_the_pictures_of_as_many_steps_as_are_allowed_are_kept(tmp_path, steps, height, width):
    base, result = told_apart(steps, height, width)
    course = Course(timesteps=tuple(range(steps)), base=base, result=result, maps={})
    again = run_folder.read(run_folder.write(make(course=course), tmp_path / "x")).course
    for side in ("base", "result"):
        read, wrote = getattr(again, side).astype(int), getattr(course, side)
        assert read.shape == wrote.shape and np.abs(read - wrote).max() < 3


def test_step_pictures_of_an_earlier_file_stand_in_two_rows(tmp_path):
    base, result = told_apart(70, 8, 16)
    rows = np.concatenate([np.concatenate(list(side), axis=1) for side in (base, result)])
    folder = run_folder.write(make(), tmp_path / "x")
    Image.fromarray(rows).save(folder / run_folder.FRAMES, "webp", quality=90)
    np.savez_compressed(folder / run_folder.MAPS, timesteps=np.arange(70))
    found = run_folder.read(folder).course
    assert np.abs(found.base.astype(int) - base).max() < 3 and np.abs(found.result.astype(int) - result).max() < 3


def test_a_run_whose_statistics_are_damaged_can_still_be_seen(tmp_path):
    sites = Sites({1: (6, 4)})
    folder = run_folder.write(make(stats=stats_of(sites, [random_masks(sites, 0.5)])), tmp_path / "x")
    (folder / run_folder.SITES).write_bytes((folder / run_folder.SITES).read_bytes()[:200])
    again = run_folder.read(folder)
    assert again.stats is None and "statistics are missing, damaged" in again.note
    assert np.array_equal(again.result_image, PICTURE)


def test_a_run_without_base_or_masks_has_no_such_files(tmp_path):
    run = make(base_image=None, base_rewards={}, base_unet_calls=0)
    folder = run_folder.write(run, tmp_path / "x")
    assert {p.name for p in folder.iterdir()} == {"result.png", "run.json", "steps.csv"}
    assert run_folder.read(folder).base_image is None


def test_the_pictures_have_the_same_bytes_whenever_and_however_long_it_took(tmp_path):
    later = replace(
        make(), id="ba9876543210", created="2027-01-01T00:00:00+00:00", seconds=99.0, base_seconds=9.0, rows=()
    )
    first, second = run_folder.write(make(), tmp_path / "a"), run_folder.write(later, tmp_path / "b")
    for name in (run_folder.BASE, run_folder.RESULT):
        assert (first / name).read_bytes() == (second / name).read_bytes()
    other = run_folder.write(make(request=Request(prompt="x", seed=8)), tmp_path / "c")
    assert (first / run_folder.RESULT).read_bytes() != (other / run_folder.RESULT).read_bytes()


def test_each_png_says_how_it_was_made(tmp_path):
    folder = run_folder.write(make(), tmp_path / "a")
    result = replay.parse((folder / run_folder.RESULT).read_bytes())
    base = replay.parse((folder / run_folder.BASE).read_bytes())
    assert replay.request_of(result) == make().request
    assert result["rewards"] == {"total": 0.5}
    assert result["settings"] == {"updates": 3}
    assert replay.request_of(base).method == "plain"
    assert replay.request_of(base).prompt == make().request.prompt
    assert (base["rewards"], base["settings"]) == ({"total": -1.0}, {"second_order": True})


def test_writing_is_all_or_nothing_and_a_full_disk_is_one_sentence(tmp_path, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device", "/some/where")

    run_folder.write(make(state="stopped"), tmp_path / "a")
    monkeypatch.setattr(run_folder, "_write_rows", full)
    with pytest.raises(ValueError, match="disk is full") as error:
        run_folder.write(make(), tmp_path / "a")
    assert "/" not in str(error.value)
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    assert run_folder.read(tmp_path / "a").state == "stopped"


def test_an_earlier_run_survives_if_the_new_one_cannot_take_its_place(tmp_path, monkeypatch):
    rename = Path.rename

    def stuck(path, target):
        if path.parent.name.startswith(whole.PART):
            raise OSError(errno.EACCES, "denied", str(path))
        return rename(path, target)

    run_folder.write(make(state="stopped"), tmp_path / "a")
    monkeypatch.setattr(Path, "rename", stuck)
    with pytest.raises(ValueError, match="cannot be written"):
        run_folder.write(make(), tmp_path / "a")
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    assert run_folder.read(tmp_path / "a").state == "stopped"


def test_an_earlier_run_is_replaced_and_other_files_never_are(tmp_path):
    run_folder.write(make(base_image=PICTURE), tmp_path / "a")
    run_folder.write(make(base_image=None), tmp_path / "a")
    assert not (tmp_path / "a" / run_folder.BASE).exists()
    (tmp_path / "a" / "thesis.zip").write_text("years of work")
    for place in (tmp_path / "a", tmp_path / "a" / "thesis.zip"):
        with pytest.raises(ValueError, match="holds other files|is a file"):
            run_folder.write(make(), place)
    assert (tmp_path / "a" / "thesis.zip").read_text() == "years of work"


def test_the_zip_holds_the_files_and_is_made_once(tmp_path):
    folder = run_folder.write(make(), tmp_path / "0123456789ab")
    path = run_folder.run_zip(folder)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        for name in ("base.png", "result.png", "run.json", "steps.csv"):
            inside = archive.read(f"maskunet-0123456789ab/{name}")
            assert inside == (folder / name).read_bytes()
    before = path.stat().st_mtime_ns
    assert run_folder.run_zip(folder) == path
    assert path.stat().st_mtime_ns == before
    with pytest.raises(ValueError, match="not on the disk"):
        run_folder.run_zip(tmp_path / "none")


@pytest.mark.parametrize("lost", ["run.json", "result.png", "steps.csv"])
def test_an_incomplete_or_damaged_run_is_one_sentence(tmp_path, lost):
    folder = run_folder.write(make(), tmp_path / "a")
    (folder / lost).write_bytes(b"\x89PNG\r\n")
    if lost == "steps.csv":
        (folder / lost).unlink()
    with pytest.raises(ValueError, match="incomplete or damaged") as error:
        run_folder.read(folder)
    assert str(tmp_path) not in str(error.value)


def png(text=None, size=(4, 4)):
    info = PngImagePlugin.PngInfo()
    if text is not None:
        info.add_itxt(replay.KEY, text)
    file = io.BytesIO()
    Image.new("L", size).save(file, "png", pnginfo=info)
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "neither a record, such as run.json, nor a PNG"),
        (b"\x80\x04\x95 pickle", "neither a record, such as run.json, nor a PNG"),
        (b"[1, 2]", "no request"),
        (b'{"request": 3}', "no request"),
        (b"[" * 100_000, "neither a record, such as run.json, nor a PNG"),
        (b'{"request": {"prompt": "x", "seed": NaN}}', "has NaN in it, which is no number"),
        (b'{"request": {"prompt": "x"}, "seconds": -Infinity}', "has -Infinity in it"),
        (b" " * (replay.MAX_RECORD + 1), "larger than 1 MB"),
        (png(), "holds no run"),
        (png()[:20], "damaged"),
        (png(text="not json"), "neither a record, such as run.json, nor a PNG"),
        (b"\x89PNG" + b"\0" * replay.MAX_PICTURE, "larger than 32 MB"),
    ],
)
def test_a_file_that_is_no_run_is_refused_in_one_sentence(data, says):
    with pytest.raises(ValueError, match=says) as error:
        replay.parse(data)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        ({"seed": 3}, "no prompt"),
        ({"prompt": "x", "__class__": "y"}, "unknown entry “__class__”"),
        ({"prompt": "x", "seed": 1e99}, "seed is"),
        ({"prompt": "x", "settings": {"a": {"b": 1}}}, "setting a must be"),
    ],
)
def test_a_recorded_request_is_checked_like_a_typed_one(request_, says):
    with pytest.raises(ValueError, match=says):
        replay.request_of(replay.parse(json.dumps({"request": request_}).encode()))


def test_a_run_of_other_weights_is_refused():
    record = {"weights": {"unet/x": "ab", "vae/x": "cd"}}
    replay.check_replay(record, "tabletop", {"unet/x": "ab", "vae/x": "cd"})
    with pytest.raises(ValueError, match=r"other weights than this tabletop \(vae/x differs\)"):
        replay.check_replay(record, "tabletop", {"unet/x": "ab", "vae/x": "ef"})
    with pytest.raises(ValueError, match="other weights"):
        replay.check_replay({}, "tabletop", {"unet/x": "ab"})


def test_a_run_that_another_reward_steered_is_refused_and_one_that_does_not_say_is_not():
    here = {"unet/x": "ab", "rewards/hpsv2": "0123456789"}
    for record in ({"unet/x": "ab"}, here, {**here, "rewards/image_reward": "ef"}):
        replay.check_replay({"weights": record}, "tabletop", here)
    with pytest.raises(ValueError, match=r"steered by another hpsv2 \(98765432, here 01234567\)"):
        replay.check_replay({"weights": {**here, "rewards/hpsv2": "9876543210"}}, "tabletop", here)


@dataclass(frozen=True)
class Settings:
    scale: float = 1.0
    pieces: str = "mean"


@pytest.mark.parametrize(
    ("made", "asked", "moved"),
    [
        ({"scale": 2.0, "pieces": "largest"}, {}, {}),
        ({"scale": 2.0}, {}, {"pieces": "mean"}),  # the setting is younger than the run
        ({"scale": 3.0, "pieces": "largest", "gone": 1}, {}, {"scale": 3.0}),
        ({"scale": 5.0, "pieces": "largest"}, {"scale": 5.0}, {"scale": 5.0}),
        ({}, {}, {}),
        (None, {"scale": 4.0}, {"scale": 4.0}),
    ],
)
def test_what_a_run_was_made_with_stands_above_its_preset(made, asked, moved):
    presets = {"now": Settings(scale=2.0, pieces="largest")}
    for preset in ("", "now"):
        request = Request(prompt="x", preset=preset, settings=asked)
        assert replay.as_made(request, made, presets) == replace(request, settings=moved)
    gone = Request(prompt="x", preset="gone")
    assert replay.as_made(gone, made, presets) is gone


def test_a_reward_younger_than_a_run_weighs_nothing_when_it_is_repeated():
    weighed = make_dataclass("Weighed", [("scale", float, 1.0), ("hpsv2", float, 5.0)])()
    asked = replay.as_made(Request(prompt="x"), {"scale": 1.0}, {"now": weighed})
    assert asked.settings == {"hpsv2": 0.0}


def test_a_run_of_another_version_is_told_which():
    here = versions()
    assert replay.other_versions({"versions": here}, here) == replay.other_versions({}, here) == ""
    said = replay.other_versions({"versions": {**here, "maskunet": "0.1.0", "python": "2.7"}}, here)
    assert said == f"This run was made with maskunet 0.1.0 (here {here['maskunet']}): another picture may come out."


def test_a_run_that_another_reward_scored_is_told_so():
    here = {**versions(), "hpsv2": "2.1", "image_reward": "01234567"}
    assert (
        replay.other_versions({"versions": here}, here) == replay.other_versions({"versions": versions()}, here) == ""
    )
    said = replay.other_versions({"versions": {**here, "image_reward": "89abcdef"}}, here)
    assert said.startswith("It was scored by image_reward 89abcdef (here 01234567)") and "picture" not in said
