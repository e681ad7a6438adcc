"""Runs that somebody made to do harm: refused in one sentence, nothing unpacked, nothing kept, nothing rendered."""

import io
import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from maskunet.records.course import Course
from maskunet.records.disk import untrusted
from maskunet.runs import run_folder
from maskunet.studio.shelf import Shelf
from maskunet.ui import remembered
from maskunet.ui.html import explore as views
from maskunet.ui.html import pictures
from maskunet.ui.html.optimize import still
from maskunet.ui.tabs import explore, history
from tests.runs.test_run_folder import make
from tests.support.tiny_stats import Sites, random_masks, stats_of

TAG = "<img src=x onerror=alert(1)>"


@pytest.fixture
def run():
    masks = [random_masks(sites := Sites({1: (6, 4)}), 0.3)] * 2
    frames, maps = np.zeros((2, 8, 8, 3), np.uint8), {1: np.zeros((2, 2, 4, 4, 3), np.uint8)}
    course = Course(timesteps=(900, 400), base=frames, result=frames, maps=maps)
    return make(stats=stats_of(sites, masks), course=course)


@pytest.fixture
def files(run, tmp_path):
    """The files of a good run by name, to be spoiled and zipped."""
    folder = run_folder.write(run, tmp_path / "good" / run.id)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def zipped(files, path, **options):
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, data in files.items():
            archive.writestr(f"x/{name}", data)
    return path


def npz(**arrays):
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def changed(files, **entries):
    return json.dumps({**json.loads(files[run_folder.RECORD]), **entries}).encode()


def pixel_bomb(files):
    file = io.BytesIO()
    Image.new("1", (9000, 9000)).save(file, "png")
    files[run_folder.RESULT] = file.getvalue()
    assert len(files[run_folder.RESULT]) < 20_000


def larger_pixel_bomb(files):
    file = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(file, "png")
    files[run_folder.BASE] = file.getvalue()


def another_format(files):
    file = io.BytesIO()
    Image.new("RGB", (4, 4)).save(file, "gif")
    files[run_folder.RESULT] = file.getvalue()


def array_bomb(files):
    good = dict(np.load(io.BytesIO(files[run_folder.MAPS])))
    files[run_folder.MAPS] = npz(**good, more=np.zeros(untrusted.MAX_ARRAYS, np.uint8))
    assert len(files[run_folder.MAPS]) < 100_000


def pickled_array(files):
    good = dict(np.load(io.BytesIO(files[run_folder.MAPS])))
    files[run_folder.MAPS] = npz(**{**good, "block_1": np.array([print], dtype=object)})


def damaged_masks(files):
    files[run_folder.MASKS] = b"\x80\x04\x95 pickle"


def markup_for_a_number(files):
    files[run_folder.RECORD] = changed(files, rewards={"total": TAG})


def list_for_the_id(files):
    files[run_folder.RECORD] = changed(files, id=["0123456789ab"])


def path_for_the_id(files):
    files[run_folder.RECORD] = changed(files, id="../../../tmp/x")


def huge_record(files):
    files[run_folder.RECORD] = changed(files, note="x" * 2**20)


def no_request(files):
    files[run_folder.RECORD] = changed(files, request={"prompt": ["a"]})


@pytest.mark.parametrize(
    "spoil",
    [
        pixel_bomb, larger_pixel_bomb, another_format, array_bomb, pickled_array, damaged_masks, markup_for_a_number,
        list_for_the_id, path_for_the_id, huge_record, no_request,
    ],
    ids=lambda f: f.__name__,
)  # fmt: skip
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_run_made_to_do_harm_is_refused_and_leaves_nothing(files, spoil, tmp_path):
    spoil(files)
    shelf = Shelf(tmp_path / "runs")
    with pytest.raises(ValueError, match="This file is no run that was downloaded here") as error:
        shelf.take(zipped(files, tmp_path / "a.zip"))
    assert str(tmp_path) not in str(error.value)
    assert list(shelf.folder.iterdir()) == []


def test_a_zip_that_unpacks_to_more_than_a_run_is_refused(files, tmp_path, monkeypatch):
    small = zipped(files, tmp_path / "a.zip", compression=zipfile.ZIP_DEFLATED)
    monkeypatch.setattr(run_folder, "MAX_ZIP", sum(map(len, files.values())) - 1)
    with pytest.raises(ValueError, match="no run"):
        Shelf(tmp_path / "runs").take(small)


def test_a_zip_of_damaged_data_is_refused(files, tmp_path):
    path = zipped(files, tmp_path / "a.zip", compression=zipfile.ZIP_DEFLATED)
    data = bytearray(path.read_bytes())
    data[60:400] = bytes(340)
    path.write_bytes(data)
    with pytest.raises(ValueError, match="no run"):
        Shelf(tmp_path / "runs").take(path)


def test_a_good_run_is_taken_with_its_files_only_and_makes_room(run, files, tmp_path, monkeypatch):
    monkeypatch.setattr("maskunet.studio.shelf.MAX_RUNS", 1)
    shelf = Shelf(tmp_path / "runs")
    shelf.keep(replace(run, id="f" * 12))
    files["../../evil.py"] = files["sites.py"] = b"import os"
    assert shelf.take(zipped(files, tmp_path / "a.zip")) == run.id
    assert [path.name for path in shelf.folder.iterdir()] == [run.id]
    assert {path.name for path in (shelf.folder / run.id).iterdir()} < {*run_folder.FILES}
    assert not list(tmp_path.rglob("evil.py"))


def test_no_text_of_a_run_becomes_markup_on_the_page(run, files, tmp_path):
    """Prompt, device, note and the names of rewards come from the file; names of layers are checked."""
    request = json.loads(files[run_folder.RECORD])["request"] | {"prompt": TAG, "negative_prompt": TAG}
    rewards = {"total": 1.0, TAG: 2.0}
    texts = dict.fromkeys(("device", "dtype", "created", "note"), TAG)
    files[run_folder.RECORD] = changed(files, request=request, rewards=rewards, base_rewards=rewards, **texts)
    shelf = Shelf(tmp_path / "runs")
    found = shelf.read(shelf.take(zipped(files, tmp_path / "a.zip")))
    assert found.device == TAG
    kept = remembered.with_run([], found)
    shown = [
        pictures.facts(found, {}), pictures.difference(found), still(found, {}), history.grid(kept),
        views.heat(found, 1, found.stats.sites[0]), views.strip(found),
        *explore.linked(found, found, {"step": 1, "site": found.stats.sites[0]}), *explore.linked(found, None, {}),
    ]  # fmt: skip
    for html in shown:
        assert "<img src=x" not in html
    assert any("&lt;img src=x" in html for html in shown)
