"""A run as an animation and as a card: every step in its place, unmasked beside masked, also in the zip of figures."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence

from maskunet.records.course import Course
from maskunet.runs import animation, run_folder

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def run():
    return run_folder.read(next((ROOT / "examples" / "gallery").glob("03-*")))


def gray(levels):
    return np.stack([np.full((16, 16, 3), level, np.uint8) for level in levels])


def test_both_animations_show_every_step_unmasked_beside_masked(run, tmp_path):
    course = Course(timesteps=(9, 5, 1), base=gray([10, 20, 30]), result=gray([200, 210, 220]), maps={})
    lines = list(animation.write(replace(run, course=course), tmp_path))
    assert lines[1] == "Steps as an animation: steps.webp, steps.gif"
    for name in ("steps.webp", "steps.gif"):
        with Image.open(tmp_path / name) as picture:
            shown = [np.asarray(frame.convert("L")) for frame in ImageSequence.Iterator(picture)]
            assert picture.info.get("loop") == 0
        assert len(shown) == 3
        middle = animation.MARGIN + animation.EDGE // 2
        left = [int(frame[middle, middle]) for frame in shown]
        right = [int(frame[middle, middle + animation.EDGE + animation.GAP]) for frame in shown]
        assert np.allclose(left, [10, 20, 30], atol=4) and np.allclose(right, [200, 210, 220], atol=4)
    assert (tmp_path / "steps.webp").stat().st_size < 200_000


def test_many_steps_are_fifty_frames_with_the_first_and_the_last(run):
    levels = np.linspace(0, 200, 100).astype(int)
    course = Course(timesteps=tuple(range(100)), base=gray(levels), result=gray(levels), maps={})
    shown = animation.frames(replace(run, course=course))
    at = (animation.MARGIN + 8, animation.MARGIN + 8)
    assert len(shown) == animation.FRAMES and [shown[i].getpixel(at)[0] for i in (0, -1)] == [0, 200]


def test_a_card_has_the_pictures_and_a_caption_however_long_the_prompt(run, tmp_path):
    short = animation.card(run)
    long = animation.card(replace(run, request=replace(run.request, prompt="a red cube " * 40)))
    assert short.width == long.width and long.height > short.height
    array = np.asarray(short)[animation.MARGIN : animation.MARGIN + animation.CARD, animation.MARGIN :]
    wanted = Image.fromarray(run.base_image).resize((animation.CARD,) * 2, Image.Resampling.LANCZOS)
    assert np.array_equal(array[:, : animation.CARD], np.asarray(wanted))
    assert animation.card(replace(run, base_image=None, base_rewards={})).width < 0.6 * short.width
    lines = list(animation.write(replace(run, course=None), tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == {"card.png"} and "not made" in lines[1]
    with pytest.raises(ValueError, match="kept no pictures of its steps"):
        animation.frames(replace(run, course=None))


def test_a_card_says_what_the_checker_saw_and_whether_that_is_right(run):
    assert animation.verdict({"right": True, "saw": "a cube"}) == "✓ the checker saw a cube"
    assert animation.verdict({"right": None, "saw": "a cube"}) == "the checker saw a cube"
    said = {"right": False, "saw": "a red sphere", "spoiled": "noisy"}
    assert animation.verdict(said) == "✗ the checker saw a red sphere in a noisy picture"
    judged = replace(run, base_verdict=said, verdict={"right": True, "saw": "a cube"})
    plain = replace(run, base_verdict={}, verdict={})
    assert animation.card(judged).height > animation.card(plain).height


def test_what_is_shared_is_made_once_and_the_newest_twenty_are_kept(run, tmp_path):
    small = gray([10, 200])
    mine = replace(run, course=Course(timesteps=(9, 1), base=small, result=small, maps={}))
    files = animation.shared(mine, tmp_path)
    assert [path.name for path in files] == [*animation.NAMES]
    before = [path.stat().st_mtime_ns for path in files]
    assert [path.stat().st_mtime_ns for path in animation.shared(mine, tmp_path)] == before
    assert [path.name for path in animation.shared(replace(run, id="b" * 12, course=None), tmp_path)] == ["card.png"]
    for number in range(animation.MAX_KEPT):
        animation.shared(replace(run, id=f"{number:012}", course=None), tmp_path)
    assert len([*tmp_path.iterdir()]) == animation.MAX_KEPT
