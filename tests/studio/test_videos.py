"""Videos in the studio: both are made and left as files, a stop keeps what is made, and what cannot be is refused."""

import csv
import json
import os
import threading
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from maskunet.commands.registry import main
from maskunet.records import Request
from maskunet.records.video import Motion, Video
from maskunet.runs.command_line import of_video
from maskunet.runs.video import folder
from maskunet.studio import videos
from maskunet.studio.studio import Studio
from tests.support.generated import assert_clear

ASKED = Request(prompt="a red cube", model="tiny", method="random_mask", steps=8, seed=3)
MOTION = Motion(frames=3, t0=700, t1=850)


@pytest.fixture(scope="module")
def studio(library, tmp_path_factory):
    made = Studio(tmp_path_factory.mktemp("videos") / "runs", library=library)
    yield made
    made.close()


def test_the_plain_and_the_masked_video_are_made_and_left_as_files(studio, library, tmp_path, monkeypatch):
    job = studio.videos.start(ASKED, MOTION, owner="a", address="b")
    *_, last = studio.events(job)
    assert last.phase == "done", last.message
    assert [row["method"] for row in last.rows] == ["plain", "random_mask"]
    assert last.rows[0]["removed"] == 0 < last.rows[1]["removed"]
    files = studio.videos.files(job)
    assert {"gif", "webp", "csv", "json"} <= set(files)
    both = Image.open(files["gif"])
    one = Image.open(studio.videos.animations(job)[1])
    assert (both.n_frames, one.n_frames) == (3, 3) and both.width > 2 * one.width
    assert [row["method"] for row in csv.DictReader(files["csv"].read_text().splitlines())] == ["plain", "random_mask"]
    assert len(json.loads(files["json"].read_text())["numbers"]) == 2
    monkeypatch.setattr("maskunet.library.library.Library", lambda *args, **added: library)
    assert main(["video", "--replay", str(files["json"]), "--out", str(tmp_path / "again")]) == 0
    again = Image.open(tmp_path / "again" / "video.webp")
    assert np.array_equal(np.asarray(again), np.asarray(one))


@pytest.mark.parametrize("second_order", [True, False])
def test_plain_is_sampled_by_the_solver_of_the_method_beside_it(studio, second_order):
    asked = replace(ASKED, settings={"second_order": second_order, "guidance_until": 0.5, "removed": 0.0})
    job = studio.videos.start(asked, MOTION)
    *_, last = studio.events(job)
    assert last.phase == "done", last.message
    plain, masked = (Image.open(each) for each in studio.videos.animations(job))
    for frame in range(MOTION.frames):
        plain.seek(frame)
        masked.seek(frame)
        assert np.array_equal(np.asarray(plain.convert("RGB")), np.asarray(masked.convert("RGB")))


def test_plain_is_made_once_and_old_files_make_room(studio, monkeypatch):
    monkeypatch.setattr("maskunet.studio.works.KEPT", 1)
    jobs = []
    for seed in (1, 2, 3):
        jobs.append(studio.videos.start(replace(ASKED, method="plain", seed=seed), MOTION))
        *_, last = studio.events(jobs[-1])
        assert (last.phase, len(last.rows)) == ("done", 1)
        os.utime(studio.shelf.folder / ".videos" / jobs[-1], (seed, seed))
    with pytest.raises(ValueError, match="This video is not here any more"):
        studio.videos.files(jobs[0])
    assert not (studio.shelf.folder / ".videos" / jobs[0]).exists()


@pytest.mark.parametrize(
    ("change", "motion", "said"),
    [
        ({"method": "best_of_n"}, MOTION, "works on one picture and makes no masks"),
        ({"method": "maskunet_free"}, replace(MOTION, mask_per="frame"), "Set mask_per to video"),
        ({"model": "sd15"}, MOTION, "There is no model “sd15”"),
        ({"method": "nothing"}, MOTION, "no method “nothing”"),
        ({"settings": {"removed": 7}}, MOTION, "removed"),
    ],
)
def test_what_cannot_be_is_refused_before_it_is_queued(studio, change, motion, said):
    with pytest.raises(ValueError, match=said) as refused:
        studio.videos.start(replace(ASKED, **change), motion)
    assert_clear(str(refused.value))
    assert studio.status().waiting == studio.status().running == 0


def test_steps_that_are_too_few_fail_in_a_sentence(studio):
    *_, last = studio.events(studio.videos.start(replace(ASKED, steps=1), Motion(frames=2)))
    assert last.phase == "failed" and "Give more steps" in last.message
    assert_clear(last.message)


def test_a_stop_keeps_the_plain_video_and_one_owner_has_one(studio, monkeypatch):
    going, on, make = threading.Event(), threading.Event(), videos.make

    def slow(model, rewards, request, motion):
        if request.method != "plain":
            going.set()
            on.wait(60)
        yield from make(model, rewards, request, motion)

    monkeypatch.setattr(videos, "make", slow)
    job = studio.videos.start(ASKED, MOTION, owner="a")
    assert going.wait(60)
    with pytest.raises(ValueError, match="You have a video in the making already"):
        studio.videos.start(ASKED, MOTION, owner="a")
    studio.stop(job)
    on.set()
    *_, last = studio.events(job)
    assert (last.phase, last.message, len(last.rows)) == ("stopped", "Stopped on request.", 1)
    assert len(studio.videos.animations(job)) == 1 and studio.videos.files(job)["gif"].is_file()


def test_the_limit_ends_a_video(library, tmp_path):
    studio = Studio(tmp_path / "runs", library=library, limit_seconds=0)
    *_, last = studio.events(studio.videos.start(ASKED, MOTION))
    assert last.phase == "stopped" and "limit of 0 seconds" in last.message
    studio.close()


def test_the_command_says_what_was_asked_and_is_read_back(studio):
    motion = Motion(frames=5, right=-0.05, mask_per="frame", cross_frame=False)
    line = studio.command(replace(ASKED, prompt="-a 'red' cube"), motion=motion)
    assert line == of_video(replace(ASKED, prompt="-a 'red' cube"), motion)
    assert "--frames=5 --right=-0.05 --mask-per=frame --alone" in line and "--t0" not in line


def a_square(*places):
    frames = np.full((len(places), 64, 64, 3), 90, np.uint8)
    for frame, (x, y) in zip(frames, places, strict=True):
        frame[y : y + 12, x : x + 12] = (200, 40, 40)
    return Video(request=ASKED, motion=MOTION, frames=frames)


def test_motion_and_consistency_are_measured():
    moving = a_square((20, 20), (23, 18), (26, 16), (29, 14))
    assert moving.moved == pytest.approx((3 / 64, -2 / 64))
    still = a_square((20, 20), (20, 20))
    assert still.moved == (0, 0) and still.consistency == pytest.approx(1)
    assert 0 < moving.consistency < still.consistency
    single = a_square((20, 20))
    assert single.moved == (0, 0) and single.consistency is None and single.same is None
    told = replace(moving, verdict=[{"right": True, "saw": saw} for saw in ("a", "a", "b", "a")])
    assert told.same == pytest.approx(2 / 3) and told.numbers()["right_frames"] == 1


def test_videos_stand_side_by_side():
    left, right = a_square((0, 0)).frames, a_square((40, 40)).frames
    both = folder.beside([left, right])
    assert both.shape == (1, 64, 130, 3) and (both[:, :, 64:66] == 255).all()
    assert np.array_equal(both[:, :, :64], left) and np.array_equal(both[:, :, 66:], right)
