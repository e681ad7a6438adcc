"""The table of videos: its figures by hand, what is missing is made and nothing twice, and what it says of its bars."""

import json
import math

import numpy as np
import pytest

from maskunet.commands.registry import main
from maskunet.experiments.tables import video, video_report
from maskunet.records import Request
from maskunet.records.video import Motion, Video
from maskunet.tabletop.render import project
from maskunet.tabletop.scenes import Thing
from maskunet.tabletop.tasks import Case

CASE = Case("colors", "a red cube", ({"color": "red", "shape": "cube"},))


class Seen:
    """A checker that sees what it is told, frame by frame."""

    def __init__(self, *frames):
        self.frames = frames

    def see(self, images):
        assert len(images) == len(self.frames)
        return [list(things) for things in self.frames]


def of_frames(*things, color=(90, 90, 90)):
    frames = np.full((len(things), 128, 128, 3), color, np.uint8)
    found = Video(request=Request(prompt="a red cube"), motion=Motion(frames=len(things)), frames=frames)
    return video.judged(found, CASE, Seen(*things))


def test_identity_count_and_motion_are_those_computed_by_hand():
    cubes = [Thing("cube", "red", x=x) for x in (-0.6, -0.2, 0.2, 0.6)]
    ball = Thing("sphere", "blue", x=-1.0)
    kept = of_frames(*([cube, ball] for cube in cubes))
    places = project([(cube.x, 0.0, video.MIDDLE * cube.radius) for cube in cubes])[:, 0].tolist()
    slope = np.polyfit(range(4), places, 1)[0] / 2  # of the cube, and none of the ball
    assert (kept["identity"], kept["count"], kept["right"], kept["things"]) == (1, 1, 1, 2)
    assert kept["motion"] == pytest.approx(slope) and slope > 0 and kept["appearance"] == 0
    other = of_frames([cubes[0]], [Thing("cube", "blue")], [ball, cubes[1]], [cubes[2]])
    assert (other["identity"], other["count"], other["right"]) == (1 / 3, 2 / 3, 3 / 4)
    assert other["motion"] is None  # alone of its kind in three frames only
    nothing = of_frames([], [], [], [])
    assert (nothing["identity"], nothing["right"], nothing["motion"]) == (1, 0, None)


def rows_of(figures, ways=video.WAYS):
    """Two videos of every way; `figures` says by way their identity."""
    shared = {"count": 1.0, "motion": 0.02, "appearance": None, "right": 1.0, "asked": 0.0234, "keep_ratio": 0.9}
    return [
        {"row": way, "task": "two", "prompt": f"p{i}", "seed": i, "identity": value, "seconds": 1.0, "unet_calls": 9}
        | shared
        for way in ways
        for i, value in enumerate(figures.get(way, (0.5, 0.5)))
    ]


def test_differences_are_paired_and_the_bars_are_told_as_they_are():
    lines = video.summarize(rows_of({"plain": (1.0, 0.8), "independent seeds": (0.4, 0.2)}))
    plain = next(line for line in lines if line["row"] == "plain")
    assert plain["identity"]["value"] == pytest.approx(0.9) and plain["identity"]["n"] == 2
    against = plain["against"]["independent seeds"]
    assert [against[name] for name in ("value", "low", "high")] == pytest.approx([0.6] * 3)
    assert plain["removed"] == pytest.approx(0.1) and plain["appearance"]["n"] == 0
    about = {
        "model": "a",
        "command": "c",
        "frames": 8,
        "finished": "all",
        "guidance": 2.5,
        "t0": 1,
        "t1": 2,
        "split": "test",
    }
    assert ": 0.90 and +0.60, reached." in video_report.markdown(lines, [], about)
    worse = video.summarize(rows_of({"plain": (1.0, 0.8), "independent seeds": (1.0, 0.6)}))
    assert ": 0.90 and +0.10, not reached." in video_report.markdown(worse, [], about)
    with pytest.raises(ValueError, match="No prompt has a video of every row yet"):
        video.summarize([row for row in rows_of({}) if row["row"] != "no motion"])


def test_what_is_kept_is_told_by_task_pair_by_pair():
    rows = rows_of({"plain": (1.0, 0.8), "independent seeds": (0.4, 0.2)})
    rows += [{**row, "task": "colors", "identity": 1.0} for row in rows] + [{**rows[0], "seed": 9, "task": "colors"}]
    two, colors = video.by_task(rows)
    assert (two["task"], colors["task"]) == ("two", "colors") and two["difference"]["n"] == colors["difference"][
        "n"
    ] == 2
    assert two["difference"]["value"] == pytest.approx(0.6) and colors["difference"]["value"] == 0
    about = {
        "model": "a",
        "command": "c",
        "frames": 8,
        "finished": "all",
        "guidance": 2.5,
        "t0": 1,
        "t1": 2,
        "split": "test",
    }
    page = video_report.markdown(video.summarize(rows_of({})), [two], about)
    assert "| two | 0.90 (0.80 to 1.00) | 0.30 (0.20 to 0.40) | +0.60 (+0.60 to +0.60) | 2 |" in page


def test_the_earliest_times_that_keep_not_clearly_less_than_the_best_are_named():
    ways = video.ROWS["train"]
    kept = {"t0 266, t1 333": (0.7, 1.0), "t0 200, t1 266": (0.9, 0.9)}
    lines = video.summarize(rows_of(kept, ways), ways)
    about = {"model": "a", "command": "c", "frames": 8, "finished": "all", "guidance": 2.5, "t0": 1, "t1": 2}
    page = video_report.markdown(lines, [], {**about, "split": "train"})
    assert (
        "Most identity is kept with t0 200, t1 266: 0.90. The earliest times that keep not clearly less are t0 266"
        in page
    )
    assert ": 0.85, by -0.05 (-0.20 to +0.10)." in page
    still = video.summarize(rows_of({**kept, "independent seeds": (1.0, 1.0)}, ways), ways)
    assert "not clearly less are t0 200, t1 266: 0.90, by -0.10" in video_report.markdown(
        [line for line in still if line["row"] != "t0 266, t1 333"], [], {**about, "split": "train"}
    )
    assert "t0 1, t1 2 where a row does not say others; training prompts." in page and "was meant to" not in page


def test_the_command_makes_the_table_and_goes_on(tmp_path, tiny_judged, monkeypatch, capsys):
    few = ("plain", "independent seeds")
    ways = {name: video.WAYS[name] for name in few}
    ways["masked"] = video.Way("random_mask", {})
    ways["random, as many"] = video.Way("random_mask", {"mask_per": "frame"}, like="masked")
    monkeypatch.setitem(video.ROWS, "test", ways)
    monkeypatch.setattr(video, "TASKS", ("two",))
    words = ["table", "video", "--pictures", "1", "--seeds", "1", "--out", str(tmp_path)]
    assert main(words) == 0
    assert "| independent seeds |" in capsys.readouterr().out
    made = [json.loads(line) for line in (tmp_path / "videos.jsonl").read_text().splitlines()]
    assert [row["row"] for row in made[1:]] == list(ways)
    kept = {row["row"]: row["keep_ratio"] for row in made[1:]}
    assert math.isclose(kept["random, as many"], kept["masked"], abs_tol=0.03) and kept["masked"] < 1
    (tmp_path / "videos.jsonl").write_text("\n".join(map(json.dumps, made[:3])) + "\n{cut")
    assert main(words) == 0  # as after a stop: what is there is not made again
    again = [json.loads(line) for line in (tmp_path / "videos.jsonl").read_text().splitlines()]
    assert again[:3] == made[:3] and [row["row"] for row in again[1:]] == list(ways)
    assert main([*words, "--split", "train"]) == 2
    assert "another split" in capsys.readouterr().err
    monkeypatch.setitem(video.ROWS, "train", {name: video.ROWS["train"][name] for name in (*few, "t0 266, t1 333")})
    assert main([*words, "--split", "train", "--out", str(tmp_path / "times")]) == 0
    assert "The earliest times that keep not clearly less are t0 266, t1 333" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "said"), [(("--model", "sd15"), "is for tabletop"), (("--steps", "3"), "leave out --set and --steps")]
)
def test_mistakes_are_told_before_anything_is_made(tmp_path, capsys, more, said):
    with pytest.raises(SystemExit):
        main(["table", "video", "--out", str(tmp_path / "new"), *more])
    assert said in capsys.readouterr().err and not (tmp_path / "new").exists()
