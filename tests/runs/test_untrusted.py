"""Runs that somebody made to do harm: refused in one sentence, nothing unpacked, nothing kept, nothing rendered."""

import errno
import io
import json
import struct
import tracemalloc
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
from maskunet.ui.html import pictures
from maskunet.ui.html.heat_map import heat
from maskunet.ui.html.optimize import still
from maskunet.ui.html.step_pictures import strip
from maskunet.ui.html.story import story
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


def with_arrays(name, file, **changes):
    """Spoils one of the files of arrays; a change is a function of the good array."""

    def spoil(files):
        good = dict(np.load(io.BytesIO(files[file])))
        files[file] = npz(**{key: changes.get(key, lambda a: a)(each) for key, each in good.items()})

    spoil.__name__ = name
    return spoil


def with_record(name, **entries):
    def spoil(files):
        files[run_folder.RECORD] = changed(files, **entries)

    spoil.__name__ = name
    return spoil


def with_table(name, old, new):
    def spoil(files):
        files[run_folder.STEPS] = files[run_folder.STEPS].replace(old, new)

    spoil.__name__ = name
    return spoil


def long_table(files):
    files[run_folder.STEPS] = b"step,final\n" + b"0,\n" * (untrusted.MAX_ROWS + 1)


def another_size(files):
    file = io.BytesIO()
    Image.new("RGB", (8, 4)).save(file, "png")
    files[run_folder.BASE] = file.getvalue()


def claimed_array(files):
    """A header that says 64 GB over 8 bytes."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<i8", "fortran_order": False, "shape": (2**33,)})
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("timesteps.npy", header.getvalue() + bytes(8))
    files[run_folder.MAPS] = packed.getvalue()


def empty_texts(files):
    """A list of a hundred million sites that takes no byte."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<U0", "fortran_order": False, "shape": (10**8,)})
    replaced(files, run_folder.SITES, "sites.npy", header.getvalue())


def many_sites(files):
    file = io.BytesIO()
    np.save(file, np.zeros(10**6, "U1"))
    replaced(files, run_folder.SITES, "sites.npy", file.getvalue())


def replaced(files, name, entry, data):
    packed = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(files[name])) as good,
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for each in good.namelist():
            archive.writestr(each, data if each == entry else good.read(each))
    files[name] = packed.getvalue()


KEPT_NO_MORE = [
    with_record("no_total", rewards={"image_reward": 1.0}),
    with_record("no_total_of_the_base", base_rewards={"image_reward": 1.0}),
    with_record("nan", seconds=float("nan")),
    with_record("infinite", rewards={"total": float("inf")}),
    with_record("400_digits", rewards={"total": 10**400}),
    with_record("400_digits_in_a_count", unet_calls=10**400),
    with_record("more_than_all", keep_ratio=1.5),
    with_record("unknown_state", state="running"),
    with_record("nested_setting", settings={"a": {"b": 1}}),
    with_record("a_verdict_of_another_kind", verdict={"right": "yes", "saw": "a cube"}),
    with_table("nan_in_a_row", b"0.25", b"nan"),
    with_table("text_in_a_row", b"0.25", b"red"),
    with_table("400_digits_in_a_row", b"0.25", b"1" * 400),
    with_table("a_fraction_for_a_step", b"0,1,", b"0.5,1,"),
    with_table("an_open_quote", b"0,0,", b'"0,0,'),
    with_table("no_step", b"step,", b"stop,"),
    with_table("a_formula_for_a_heading", b"loss", b'=HYPERLINK(A1)'),
    with_record("markup_for_a_reward", rewards={"total": 1.0, TAG: 2.0}),
    with_arrays("text_for_timesteps", run_folder.MAPS, timesteps=lambda a: a.astype(str)),
    with_arrays("rank_of_timesteps", run_folder.MAPS, timesteps=lambda a: a[None]),
    with_arrays("no_steps_in_a_row", run_folder.MAPS, columns=lambda a: a * 0),
    with_arrays("more_in_a_row_than_steps", run_folder.MAPS, columns=lambda a: a + 1),
    with_arrays("text_for_columns", run_folder.MAPS, columns=lambda a: a.astype(str)),
    with_arrays("rank_of_columns", run_folder.MAPS, columns=lambda a: a[None]),
    with_arrays("rank_of_maps", run_folder.MAPS, block_1=lambda a: a[0]),
    with_arrays("floats_for_maps", run_folder.MAPS, block_1=lambda a: a.astype(float)),
    with_arrays("nan_for_counts", run_folder.SITES, removed=lambda a: a * np.nan),
    with_arrays("text_for_counts", run_folder.SITES, weights=lambda a: a.astype(str)),
    with_arrays("infinite_std", run_folder.SITES, std=lambda a: a + np.inf),
    with_arrays("rank_of_histogram", run_folder.SITES, histogram=lambda a: a[0]),
    with_arrays("more_shared_than_removed", run_folder.SITES, shared_first=lambda a: a + 1),
    long_table, another_size, claimed_array, empty_texts, many_sites,
]  # fmt: skip


@pytest.mark.parametrize(
    "spoil",
    [
        *KEPT_NO_MORE,
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
    monkeypatch.setattr("maskunet.studio.shelf.MAX_UPLOADS", 1)
    shelf = Shelf(tmp_path / "runs")
    shelf.take(zipped(files | {run_folder.RECORD: changed(files, id="f" * 12)}, tmp_path / "b.zip"))
    files["../../evil.py"] = files["sites.py"] = b"import os"
    assert shelf.take(zipped(files, tmp_path / "a.zip")) == run.id
    assert [path.name for path in shelf.folder.iterdir() if path.is_dir()] == [run.id]
    assert {path.name for path in (shelf.folder / run.id).iterdir()} < {*run_folder.FILES}
    assert not list(tmp_path.rglob("evil.py"))


def test_a_run_of_an_id_that_is_taken_gets_its_own_and_the_same_run_does_not(run, files, tmp_path):
    shelf = Shelf(tmp_path / "runs")
    mine = zipped(files, tmp_path / "mine.zip")
    assert shelf.take(mine) == shelf.take(mine) == run.id
    forged = zipped(files | {run_folder.RECORD: changed(files, note="forged")}, tmp_path / "forged.zip")
    other = shelf.take(forged)
    assert other != run.id and shelf.read(other).id == other
    assert [shelf.read(each).note for each in (run.id, other)] == [run.note, "forged"]


def test_what_was_drawn_of_a_run_goes_with_it(run, files, tmp_path, monkeypatch):
    monkeypatch.setattr("maskunet.studio.shelf.MAX_UPLOADS", 1)
    monkeypatch.setattr("maskunet.studio.figures_process.write", lambda run, out: (out.mkdir() or "Curve" for _ in "1"))
    shelf = Shelf(tmp_path / "runs")
    shelf.take(zipped(files, tmp_path / "a.zip"))
    drawn = [[*shelf.figures(run.id, lambda: run)][-1].file, *shelf.share(run)]
    shelf.take(zipped(files | {run_folder.RECORD: changed(files, id="f" * 12)}, tmp_path / "b.zip"))
    assert len(drawn) > 1 and not any(path.exists() for path in drawn)


def test_runs_that_were_brought_have_so_many_bytes_together(files, tmp_path, monkeypatch):
    monkeypatch.setattr("maskunet.studio.shelf.MAX_BROUGHT", int(2.5 * sum(map(len, files.values()))))
    shelf, ids = Shelf(tmp_path / "runs"), [letter * 12 for letter in "abc"]
    for run_id in ids:
        shelf.take(zipped(files | {run_folder.RECORD: changed(files, id=run_id)}, tmp_path / "a.zip"))
    assert {path.name for path in shelf.folder.iterdir()} == {*ids[1:]}


def test_no_text_of_a_run_becomes_markup_on_the_page(run, files, tmp_path):
    """Prompt, device and note come from the file; names of layers and rewards are checked."""
    request = json.loads(files[run_folder.RECORD])["request"] | {"prompt": TAG, "negative_prompt": TAG}
    texts = dict.fromkeys(("device", "dtype", "created", "note"), TAG)
    texts |= dict.fromkeys(("verdict", "base_verdict"), {"right": True, "saw": TAG, "spoiled": TAG})
    files[run_folder.RECORD] = changed(files, request=request, **texts)
    shelf = Shelf(tmp_path / "runs")
    found = shelf.read(shelf.take(zipped(files, tmp_path / "a.zip")))
    assert found.device == TAG
    kept = remembered.with_run([], found)
    shown = [
        pictures.facts(found, {}), *pictures.said(found, {}), pictures.difference(found), still(found, {}), history.grid(kept),
        heat(found, 1, found.stats.sites[0], found), strip(found, found), story({"a": found}, {}),
        *explore.linked(found, found, {"step": 1, "site": found.stats.sites[0]}), *explore.linked(found, None, {}),
    ]  # fmt: skip
    for html in shown:
        assert "<img src=x" not in html
    assert any("&lt;img src=x" in html for html in shown)


def test_a_zip_with_a_long_list_of_files_is_refused_before_it_is_read(files, tmp_path, monkeypatch):
    more = {f"{number:x}": b"" for number in range(2000)}
    path = zipped(files | more, tmp_path / "a.zip")
    monkeypatch.setattr(zipfile, "ZipFile", lambda *_: pytest.fail("it was read"))
    with pytest.raises(ValueError, match="no run"):
        Shelf(tmp_path / "runs").take(path)


def test_a_zip_with_a_second_larger_list_is_refused_before_it_is_read(files, tmp_path, monkeypatch):
    """Python's zipfile would believe the record for more than 4 GB, wherever the plain one says less."""
    path = zipped(files, tmp_path / "a.zip")
    whole = path.read_bytes()
    large = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 9, 9, 2**31, 0)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, len(whole) - 22, 1)
    path.write_bytes(whole[:-22] + large + locator + whole[-22:])
    monkeypatch.setattr(zipfile, "ZipFile", lambda *_: pytest.fail("it was read"))
    with pytest.raises(ValueError, match="no run"):
        Shelf(tmp_path / "runs").take(path)


def test_a_disk_that_may_only_be_read_is_said_without_a_path(run, files, tmp_path, monkeypatch):
    """As root a folder's rights do not count, so the system call itself is made to refuse."""
    path = zipped(files, tmp_path / "a.zip")
    shelf = Shelf(tmp_path / "runs")
    shelf.keep(replace(run, id="f" * 12))

    def refuse(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system", str(tmp_path))

    monkeypatch.setattr("tempfile.mkdtemp", refuse)
    works = lambda: shelf.take(path), lambda: shelf.keep(run), lambda: [*shelf.figures(run.id, lambda: run)]
    for work in works:
        with pytest.raises(ValueError, match="may only be read") as error:
            work()
        assert str(tmp_path) not in str(error.value)


def test_one_large_picture_at_a_time_stays_within_a_memory_limit(run, tmp_path):
    """The largest pictures that are kept: read, compared and drawn."""
    edge = int(untrusted.MAX_PIXELS**0.5)
    large = np.zeros((edge, edge, 3), np.uint8)
    shelf = Shelf(tmp_path / "runs")
    shelf.keep(replace(run, base_image=large, result_image=large))
    tracemalloc.start()
    found = shelf.read(run.id)
    pictures.difference(found)
    still(found, {})
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 250e6


def no_steps(files):
    files[run_folder.MAPS] = npz(timesteps=np.zeros(0, int))


def broken_stream(files):
    """A zip that is whole, but for the compressed bytes in it."""
    data = bytearray(files[run_folder.MAPS])
    data[80:120] = bytes(40)
    files[run_folder.MAPS] = bytes(data)


def not_a_table(files):
    files[run_folder.STEPS] = b'step,final\n"0'


@pytest.mark.parametrize("spoil", [no_steps, broken_stream, not_a_table, long_table, another_size])
def test_an_old_folder_that_is_damaged_in_any_way_is_one_sentence(files, spoil, tmp_path):
    spoil(files)
    folder = tmp_path / "runs" / "0123456789ab"
    folder.mkdir(parents=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    with pytest.raises(ValueError, match="incomplete or damaged") as error:
        Shelf(folder.parent).read(folder.name)
    assert str(tmp_path) not in str(error.value)
