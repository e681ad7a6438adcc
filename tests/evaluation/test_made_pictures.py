"""Pictures made from prompts, found where other programs leave them."""

import json

import pytest
from PIL import Image

from maskunet.evaluation.made_pictures import left_out, pictures_of
from maskunet.prompts.files import Prompt

PROMPTS = [Prompt("00000", "a photo of a bench"), Prompt("00001", "a red book and a yellow vase.")]


def save(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4)).save(path)


def found(folder):
    return [(one.file, one.prompt.key, one.image) for one in pictures_of(folder, PROMPTS)]


def test_genevals_own_folders_are_found(tmp_path):
    for key, prompt in ((p.key, p.text) for p in PROMPTS):
        for number in range(2):
            save(tmp_path / key / "samples" / f"{number:04d}.png")
        save(tmp_path / key / "grid.png")
        (tmp_path / key / "metadata.jsonl").write_text(json.dumps({"tag": "x", "prompt": prompt}))
    assert found(tmp_path) == [(f"{k}/samples/{n:04d}.png", k, n) for k in ("00000", "00001") for n in (0, 1)]
    (tmp_path / "00001" / "metadata.jsonl").write_text('{"prompt": "a cat"}')
    with pytest.raises(ValueError, match="“00001/samples/0000.png” was made from “a cat”"):
        pictures_of(tmp_path, PROMPTS)


@pytest.mark.parametrize("inside", ["", "samples"])
def test_t2i_compbenchs_own_names_are_found(tmp_path, inside):
    for number in (7, 3):
        save(tmp_path / inside / f"a red book and a yellow vase_{number:06d}.png")
    names = [(tmp_path / inside / f"a red book and a yellow vase_{n:06d}.png").relative_to(tmp_path) for n in (3, 7)]
    assert found(tmp_path) == [(names[0].as_posix(), "00001", 3), (names[1].as_posix(), "00001", 7)]


def test_all_kinds_of_pictures_are_found_and_others_are_counted(tmp_path):
    for name in ("00000.jpg", "00001-1.webp", "00001-0.tif", "cat.png", "00009.png"):
        save(tmp_path / name)
    assert found(tmp_path) == [("00000.jpg", "00000", 0), ("00001-0.tif", "00001", 0), ("00001-1.webp", "00001", 1)]
    said = left_out(tmp_path, pictures_of(tmp_path, PROMPTS))
    assert said == "Left out: 2 files that no prompt names (endings .png), such as 00009.png."
