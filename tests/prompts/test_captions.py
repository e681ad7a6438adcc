"""The captions of a folder's pictures: wherever they are written, and the same ones for every command."""

import json
from pathlib import Path

import pytest
from PIL import Image

from maskunet.evaluation.features import read_folder
from maskunet.prompts import captions, files
from maskunet.training.data import Feed, Folder

ROWS = [{"file_name": "0.png", "text": "a red cube"}, {"file_name": "1.png", "text": "a blue\u2028sphere\x85here"}]


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "val"
    place.mkdir()
    for number in range(2):
        Image.new("RGB", (20, 20), (200 * number, 0, 0)).save(place / f"{number}.png")
    return place


def coco(annotations, names=("0.png", "1.png")):
    images = [{"id": i, "file_name": name} for i, name in enumerate(names)]
    kept = [dict(zip(("id", "image_id", "caption"), one, strict=True)) for one in annotations]
    return json.dumps({"images": images, "annotations": kept})


def told(folder):
    """The captions as measuring and training see them."""
    measured = read_folder(folder)
    trained = {entry.file: entry.text for entry in Folder(folder, 16).entries}
    assert dict(zip(measured.files, measured.captions, strict=True)) == trained
    return trained


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("metadata.jsonl", "\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS)),
        ("metadata.jsonl", "\ufeff" + "\r\n".join(map(json.dumps, ROWS))),
        ("metadata.jsonl", "\n".join(json.dumps({"image": r["file_name"], "Prompt": [r["text"], "x"]}) for r in ROWS)),
        ("metadata.csv", "file_name,caption\n0.png,a red cube\n1.png,a blue\u2028sphere\x85here\n"),
        ("captions_val.json", coco([(9, 0, "later"), (3, 0, "a red cube"), (5, 1, ROWS[1]["text"])])),
        ("captions.json", "\ufeff" + coco([(9, 0, "later"), (3, 0, "a red cube"), (5, 1, ROWS[1]["text"])])),
    ],
)
def test_every_command_reads_the_same_captions(folder, name, content):
    (folder / name).write_bytes(content.encode())
    assert told(folder) == {row["file_name"]: row["text"] for row in ROWS}


def test_a_text_beside_each_picture_is_its_caption(folder):
    (folder / "0.txt").write_bytes("\ufeffa red cube\r\na box\r\n".encode())
    (folder / "1.caption").write_text("a blue sphere")
    (folder / "README.txt").write_text("not a caption")
    assert told(folder) == {"0.png": "a red cube", "1.png": "a blue sphere"}
    assert Folder(folder, 16).notes == (
        "Of several captions in the .txt beside them the first is taken, for 1 of the pictures.",
    )
    (folder / "1.caption").write_bytes(b"caf\xe9")
    with pytest.raises(ValueError, match="Line 1 of “1.caption” is no UTF-8 text. Save the file as UTF-8"):
        Folder(folder, 16)


def test_coco_gives_prompts_measures_and_trainings_one_caption(folder, tmp_path):
    place = tmp_path / "annotations" / "captions_val.json"
    place.parent.mkdir()
    place.write_text(coco([(9, 0, "late"), (7, 0, "early"), (8, 1, "only")]))
    assert [prompt.text for prompt in files.read(place)] == ["early", "only"]
    assert told(folder) == {"0.png": "early", "1.png": "only"}
    assert read_folder(folder).captions_from == "captions_val.json, the first of several by id"


def test_latin_1_is_refused_alike_by_every_reader(folder):
    (folder / "metadata.jsonl").write_bytes(b'{"file_name": "0.png", "text": "a"}\n{"text": "caf\xe9"}\n')
    for reader in (
        lambda: read_folder(folder),
        lambda: Folder(folder, 16),
        lambda: files.read(folder / "metadata.jsonl"),
    ):
        with pytest.raises(ValueError, match="Line 2 of “metadata.jsonl” is no UTF-8 text"):
            reader()


def test_pictures_without_a_caption_are_counted_with_the_keys_that_are_there(folder):
    rows = [
        ROWS[0],
        {"file_name": "1.png", "additional_feature": "a sphere"},
        {"file_name": "gone.png", "text": "gone"},
    ]
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    Image.new("RGB", (20, 20)).save(folder / "2.png")
    assert Folder(folder, 16).notes == ("“metadata.jsonl” does not list 1 of the pictures, such as 2.png.",)
    feed = Feed(Folder(folder, 16), seed=0)
    assert {feed(number).caption for number in range(6)} == {"a red cube"}
    assert set(feed.skipped) == {
        "no caption under prompt, text or caption: it has the keys file_name, additional_feature",
        "a picture that is not there",
    }


def test_metadata_in_parquet_gives_measures_and_trainings_the_same_caption(folder):
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    pixels = [{"bytes": b"no picture", "path": "x"}] * 2
    rows = {"file_name": ["1.png", "0.png"], "Text": ["a sphere", "a red cube"], "image": pixels, "n": [1, 2]}
    parquet.write_table(arrow.table(rows), folder / "metadata.parquet")
    assert told(folder) == {"0.png": "a red cube", "1.png": "a sphere"}
    found = read_folder(folder)
    assert found.captions_from == "metadata.parquet" and found.notes == ()
    parquet.write_table(
        arrow.table({"file_name": ["0.png"], "captions": [["one", "two"]]}), folder / "metadata.parquet"
    )
    assert Folder(folder, 16).notes == (
        "Of several captions in “metadata.parquet” the first is taken, for 1 of the pictures.",
        "“metadata.parquet” does not list 1 of the pictures, such as 1.png.",
    )
    (folder / "metadata.parquet").write_bytes(b"PAR1")
    with pytest.raises(ValueError, match="“metadata.parquet” cannot be read as Parquet"):
        read_folder(folder)


REPEATS = "The numbers in the folders' names ask for repeats; here every picture counts once."


def test_kohyas_folders_inside_a_folder_are_read_for_training(folder, tmp_path):
    parent = tmp_path / "parent"
    parent.mkdir()
    folder.rename(parent / "10_sks dog")
    for name in ("3_cat", "other"):
        (parent / name).mkdir()
        Image.new("RGB", (20, 20), (9, 9, 9)).save(parent / name / "c.png")
    (parent / "10_sks dog" / "1.txt").write_text("a red dog")
    found = Folder(parent, 16)
    texts = {entry.file: entry.text for entry in found.entries}
    assert texts == {"10_sks dog/0.png": "sks dog", "10_sks dog/1.png": "a red dog", "3_cat/c.png": "cat"}
    assert found.notes == (
        "Where a caption is missing the name of the folder is taken, for 2 of the pictures.",
        REPEATS,
        "Folders inside “parent” are not searched; there are pictures in 1 of them, such as “other”.",
    )
    assert [found(index, 0).image[0, 0, 0] for index in range(3)] == [0, 200, 9]


def test_other_folders_inside_a_folder_are_named_as_not_searched(folder, tmp_path, monkeypatch):
    parent = tmp_path / "parent"
    parent.mkdir()
    folder.rename(parent / "cube")
    told = "Folders inside “parent” are not searched; there are pictures in 1 of them, such as “cube”."
    with pytest.raises(ValueError, match=told):
        Folder(parent, 16)
    Image.new("RGB", (20, 20)).save(parent / "0.png")
    (parent / "0.txt").write_text("a cube")
    assert Folder(parent, 16).notes == read_folder(parent).notes == (told,)
    listed = Path.iterdir

    def closed(path):
        if path.name == "lost+found":
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    (parent / "lost+found").mkdir()
    monkeypatch.setattr(Path, "iterdir", closed)
    assert Folder(parent, 16).notes == (told,)


def test_a_folder_without_captions_says_where_they_are_looked_for(folder):
    assert captions.read(folder, ["0.png"]).entries == ()
    with pytest.raises(ValueError, match=r"has no metadata .*parquet.* no .txt beside .* COCO's"):
        Folder(folder, 16)
