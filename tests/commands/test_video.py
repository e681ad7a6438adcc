"""python -m maskunet video: frames, animations and the record from which the same video comes again."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from maskunet.commands.registry import main
from maskunet.records import Request
from maskunet.records.video import Motion, Video
from maskunet.runs.video import folder as video_folder
from tests.support import tiny_library

WORDS = (
    "--prompt=a red cube",
    "--method=random_mask",
    "--steps=6",
    "--frames=3",
    "--right=0.1",
    "--t0=500",
    "--t1=700",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_library.write(tmp_path_factory.mktemp("video") / "model")


@pytest.fixture
def video(folder, tmp_path):
    def command(*words, out="out"):
        return main(["video", *words, f"--weights={folder}", "--device=cpu", f"--out={tmp_path / out}"])

    return command


def test_a_video_is_written_and_comes_again_from_its_record(video, tmp_path, capsys):
    assert not video(*WORDS)
    said = capsys.readouterr().out
    assert "3 frames, video.webp and video.gif" in said and "moving" in said
    out = tmp_path / "out"
    rows = list(csv.DictReader((out / "frames.csv").open()))
    assert [row["frame"] for row in rows] == ["0", "1", "2"] and float(rows[2]["to_the_first"]) > 0
    for name in ("video.webp", "video.gif"):
        with Image.open(out / name) as moving:
            assert moving.n_frames == 3
    record = json.loads((out / "video.json").read_text())
    assert record["motion"]["frames"] == 3 and record["request"]["method"] == "random_mask" and record["weights"]

    assert not video("--replay", str(out / "video.json"), out="again")
    for name in ("frame-02.png", "video.webp", "frames.csv"):
        assert (out / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_a_video_is_not_replaced_by_that_of_another_request(video, tmp_path, capsys):
    assert not video(*WORDS)
    capsys.readouterr()
    for other in ("--seed=2", "--right=0.05"):
        assert video(*WORDS, other) == 2
        assert "“out” holds the video of another request. Give another --out." in capsys.readouterr().err
    assert not video(*WORDS)  # the very same


def test_the_mp4_is_made_where_there_is_a_coder(video, tmp_path, capsys, monkeypatch):
    coder = tmp_path / "bin" / "ffmpeg"
    coder.parent.mkdir()
    monkeypatch.setenv("PATH", str(coder.parent), prepend=":")
    coder.write_text('#!/bin/sh\nfor last; do :; done\ncat > "$last"\n')
    coder.chmod(0o755)
    assert not video(*WORDS)
    edge = Image.open(tmp_path / "out" / "frame-00.png").width
    assert (tmp_path / "out" / "video.mp4").stat().st_size == 3 * edge * edge * 3
    coder.write_text("#!/bin/sh\necho no such codec >&2\nexit 1\n")
    assert not video(*WORDS)
    assert "video.mp4: not made. ffmpeg says: no such codec" in capsys.readouterr().out
    assert not (tmp_path / "out" / "video.mp4").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--t0=700", "--t1=500"], "t0, where frames are moved, must be the smaller one"),
        (["--right=0.2"], "allowed is -0.125 to 0.125"),
        (["--right=0.125", "--frames=24"], "out of it by frame"),
        (["--method=best_of_n"], "makes no masks that other frames could have. Take plain, or a method"),
        (["--frames=30"], "--frames is 30"),
        (["--lora=absent.safetensors"], "absent.safetensors"),
        (["--steps=4", "--t0=441", "--t1=501"], "are the same step"),
    ],
)
def test_a_mistake_is_told_in_a_sentence(video, tmp_path, capsys, words, said):
    try:
        code = video(*WORDS, *words)
    except SystemExit as end:
        code = end.code
    assert code == 2 and said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_records_of_strangers_are_checked(tmp_path):
    for number, (text, said) in enumerate({
        "{}": "no request", '{"request": {"prompt": "x"}}': "does not say how frames move",
        '{"request": {"prompt": "x"}, "motion": {"frames": 1e9}}': "must be a whole number",
        '{"request": {"prompt": "x"}, "motion": {"speed": 1}}': "unknown entry “speed”",
    }.items()):  # fmt: skip
        path = tmp_path / f"{number}.json"
        path.write_text(text)
        with pytest.raises(ValueError, match=said):
            video_folder.read(path)


def test_a_record_keeps_its_prompt_whatever_the_locale(tmp_path, monkeypatch):
    monkeypatch.setattr("io.text_encoding", lambda encoding, *_: encoding or "ascii")  # as where it is no UTF-8
    request = Request(prompt="赤い立方体", method="plain")
    made = Video(request=request, motion=Motion(frames=2), frames=np.zeros((2, 16, 16, 3), np.uint8))
    video_folder.write(made, tmp_path / "one")
    video_folder.write_beside([made, made], tmp_path / "two")
    for name in ("one", "two"):
        assert video_folder.read(tmp_path / name / "video.json")[0].prompt == request.prompt


def test_a_folder_with_other_files_is_left_alone(video, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("mine")
    assert video(*WORDS) == 2 and "holds other files" in capsys.readouterr().err
    assert (tmp_path / "out" / "thesis.tex").read_text() == "mine"
