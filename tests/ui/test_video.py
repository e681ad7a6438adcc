"""The Video tab in a real browser, and the endpoint /video with a real client."""

import csv
import math
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import pytest
from gradio_client import Client
from PIL import Image

from maskunet.records import JobEvent, Request
from maskunet.records.video import Motion
from maskunet.studio.studio import Studio
from maskunet.ui import links
from maskunet.ui.html import video as views
from maskunet.ui.tabs import video
from maskunet.ui.tabs.video import motion
from tests.support.generated import assert_clear
from tests.support.serving import needs_browser, reload
from tests.support.visiting import expect

EVIL = '<img src=x onerror="alert(1)">'
LINK = "/?prompt=a+cat&seed=5&model=tiny&method=random_mask&steps=8&tab=video&frames=3&right=-0.05&down=0.02&mask_per=frame"


@needs_browser
def test_a_link_fills_the_form_and_its_video_is_made_downloaded_and_found_after_a_reload(lab, tab):
    tab.context.grant_permissions(["clipboard-read", "clipboard-write"])
    tab.goto(lab[0] + LINK)
    tab.wait_for_function("document.querySelector('#video-form input[type=number]')?.value === '3'")
    assert [box.input_value() for box in tab.locator("#video-form input[type=number]").all()] == ["3", "-5", "2"]
    expect(tab.locator("#video-form input[type=radio]:checked")).to_have_value("frame")
    names = tab.locator("#tabs button[role=tab]:visible").all_inner_texts()
    assert names.index("Video") == names.index("Grid") + 1 and names[-1] == "About"  # none hides in a menu
    tab.locator("#make-video").click()
    tab.wait_for_selector("#video-files button:visible")
    expect(tab.locator("#video figure img")).to_have_count(2)
    assert tab.locator("#video thead th").all_inner_texts() == ["Unmasked", "Random mask"]
    assert "Requested per frame: -5.0% right, +2.0% down" in tab.locator("#video .said").inner_text()
    assert "--right=-0.05 --down=0.02 --mask-per=frame" in tab.locator("#video-command").inner_text().replace("\n", "")
    with tab.expect_download() as download:
        tab.get_by_text("GIF", exact=True).click()
    assert Image.open(download.value.path()).n_frames == 3
    with tab.expect_download() as download:
        tab.get_by_text("Numbers (.csv)").click()
    rows = [*csv.DictReader(Path(download.value.path()).read_text().splitlines())]
    assert [row["right_asked"] for row in rows] == ["-0.05", "-0.05"] and all(row["right_measured"] for row in rows)
    tab.locator("#copy-link").click()
    tab.get_by_text("Link copied").wait_for()
    known, place = links.read(tab.evaluate("navigator.clipboard.readText()").partition("?")[2])
    assert (known["prompt"], known["method"], place["frames"], place["mask_per"]) == (
        "a cat",
        "random_mask",
        "3",
        "frame",
    )
    reload(tab)
    tab.wait_for_function("document.querySelectorAll('#video figure img').length === 2")
    assert tab.complaints == []


def test_a_page_shows_a_video_that_the_queue_has_forgotten(library, tmp_path, monkeypatch):
    studio = Studio(tmp_path / "runs", library=library)
    job = studio.videos.start(Request(prompt="a red cube", model="tiny", method="plain", steps=8), Motion(frames=1))
    [*studio.events(job)]
    monkeypatch.setattr(studio._queue, "get", lambda job: None)
    tab = video.VideoTab(SimpleNamespace(studio=studio, titles={}), (), *[None] * 6, (None,) * 5, None)
    (told,) = tab.follow(job)
    assert (told[0].interactive, told[1].visible) == (True, False) and "data:image/webp" in told[3]
    (told,) = tab.follow("0" * 12)
    assert len(told) == 12 and all(each == gr.skip() for each in told)
    studio.close()


ASKED = {"prompt": "a red cube", "frames": 2, "model": "tiny", "method": "random_mask", "seed": "1"}


def test_a_program_makes_a_video_and_hears_how_far_it_is(lab, tmp_path):
    client = Client(lab[0], verbose=False, download_files=str(tmp_path), analytics_enabled=False)
    job = client.submit(**ASKED, api_name="/video")
    animation, facts = job.result(timeout=120)
    assert Image.open(animation).n_frames == 2
    assert (facts["phase"], [each["method"] for each in facts["videos"]]) == ("done", ["plain", "random_mask"])
    assert {told[1]["phase"] for told in job.outputs()[:-1]} >= {"first", "frames"}
    for change, said in (
        ({"frames": 25}, "25"),
        ({"frames": 2.5}, "frames"),
        ({"frames": None}, "frames"),
        ({"frames": 24, "right": 0.125}, "out of it by frame"),
        ({"right": 7}, "right"),
        ({"mask_per": "x"}, "mask_per"),
        ({"method": "best_of_n"}, "works on one picture"),
        ({"prompt": ""}, "The prompt is empty"),
    ):
        with pytest.raises(Exception, match=said) as refused:
            client.predict(**{**ASKED, **change}, api_name="/video")
        assert_clear(str(refused.value))


@pytest.mark.parametrize(
    "values",
    [(0, 0, 0, "video"), (25, 0, 0, "video"), (2.5, 0, 0, "video"), (None, 0, 0, "video"), (8, math.nan, 0, "video"),
     (8, math.inf, 0, "video"), (8, "3", 0, "video"), (8, 13, 0, "video"), (24, 12, 0, "video"), (8, 0, 0, "both"),
     (8, 0, 0, None), (True, 0, 0, "video"), (10**400, 0, 0, "video"), (8, 10**400, 0, "video"), (math.nan, 0, 0, "video")],
)  # fmt: skip
def test_a_motion_that_cannot_be_is_refused_in_a_sentence(values):
    with pytest.raises(ValueError) as refused:
        motion(*values)
    assert_clear(str(refused.value))


def test_percents_become_shares_and_a_link_says_them():
    found = motion(5.0, -5, 2.34, "frame")
    assert found == Motion(frames=5, right=-0.05, down=0.0234, mask_per="frame")
    assert links.motion(found) == "&frames=5&right=-0.05&down=0.0234&mask_per=frame"


def test_nothing_that_a_visitor_writes_is_taken_for_html(tmp_path):
    numbers = {"method": EVIL, "right_measured": 0.0, "down_measured": 0.0, "consistency": None, "same_as_first": None}
    numbers |= {"right_frames": None, "removed": 0.0, "seconds": 1.0}
    request = Request(prompt=EVIL, method="plain")
    drawn = views.shown([tmp_path / "0.webp"], [numbers], request, Motion(), {})  # whose file is gone
    drawn += views.status(JobEvent(job="a", phase="failed", message=EVIL), "plain")
    assert "<img" not in drawn and "&lt;img" in drawn


def test_a_figure_that_one_video_lacks_is_said_and_one_that_both_lack_left_out(tmp_path):
    plain = {"method": "plain", "right_measured": 0.1, "down_measured": 0.0, "consistency": 0.9, "same_as_first": None}
    plain |= {"right_frames": None, "removed": 0.0, "seconds": 1.0}
    masked = plain | {"method": "random_mask", "same_as_first": 0.5}
    paths = [tmp_path / "0.webp", tmp_path / "1.webp"]
    drawn = views.shown(paths, [plain, masked], Request(prompt="a cube", method="random_mask"), Motion(), {})
    assert "<td>not measured</td><td>50.0%</td>" in drawn and "Frames that show the prompt" not in drawn
