"""The Vote tab: one small study from the first pair to what was what, in a browser and by what a stranger may send."""

import base64
import html
import json
import secrets
from html import escape

import gradio as gr
import httpx
import numpy as np
import pytest

from maskunet.app import arguments
from maskunet.experiments.votes import make
from maskunet.experiments.votes.sources import Made
from maskunet.records.votes.box import FILE, Box
from maskunet.records.votes.moment import Moment, Outcome, Seen, Tally
from maskunet.records.votes.study import read
from maskunet.studio.studio import Studio
from maskunet.ui import page, vote_words
from maskunet.ui.html import vote as views
from tests.experiments.test_votes_make import paint
from tests.support.serving import SOON, complaints_of, needs_browser, reload, served
from tests.support.visiting import expect
from tests.ui.test_security import call

EVIL = '<img src=x onerror="alert(1)">'
METHODS = ("masked " + EVIL, "plain")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A study of two pairs."""
    place = tmp_path_factory.mktemp("votes")
    made = [
        Made(method, paint(place / f"{m}{i}.png", 90 * m + 30 * i, (32, 32)), f"prompt {i} {EVIL}", str(i))
        for m, method in enumerate(METHODS) for i in range(2)
    ]  # fmt: skip
    make.make(made, place / "study", per_voter=5)
    return place / "study"


@pytest.fixture(scope="module")
def lab(library, tmp_path_factory, folder):
    studio = Studio(tmp_path_factory.mktemp("runs"), library=library, votes=folder)
    with served(studio, {}) as url:
        yield url


@needs_browser
def test_a_study_is_voted_by_keys_and_clicks_undone_found_again_and_revealed(lab, folder, chromium):
    context = chromium.new_context(viewport={"width": 390, "height": 844})
    tab = context.new_page()
    asked, tab.complaints = [], complaints_of(tab)
    tab.on("request", lambda r: asked.append(r.url))
    tab.set_default_timeout(SOON)
    tab.goto(f"{lab}/?tab=vote")
    tab.get_by_role("button", name=vote_words.BEGIN, exact=True).click()
    tab.wait_for_selector("#vote .two img")
    at = "document.querySelector('#vote .ballot')?.dataset.at"

    def answered(n):
        tab.wait_for_function(f"n => {at} === String(n)", arg=n)

    assert tab.locator("#vote h3").inner_text() == vote_words.ASKED["looks"]
    sources = tab.locator("#vote .two img").evaluate_all("all => all.map((one) => one.src)")
    assert len(set(sources)) == 2 and all(source.startswith("data:image/png;base64,") for source in sources)
    tab.keyboard.press("ArrowLeft")
    answered(1)
    assert EVIL in tab.locator("#vote h3 q").inner_text()
    assert tab.locator("#vote .two img").evaluate_all("all => all.map((one) => one.src)") == sources
    tab.keyboard.press("Backspace")
    answered(0)
    tab.get_by_role("button", name=vote_words.ANSWERS["right"]).click()
    answered(1)
    tab.locator("#vote .two img").first.click()  # opens it large, where arrow keys mean something else
    tab.wait_for_selector("dialog[open]")
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("Escape")
    tab.wait_for_selector("dialog[open]", state="detached")
    answered(1)
    reload(tab)
    answered(1)
    tab.get_by_role("tab", name=vote_words.TITLE, exact=True).click()  # which keeps the focus
    for n, key in enumerate(("ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight", "ArrowLeft", "ArrowLeft"), 2):
        tab.wait_for_selector("#vote .two img")
        assert "plain" not in tab.locator("#vote").inner_html() and "masked" not in tab.locator("#vote").inner_html()
        assert tab.evaluate("document.documentElement.scrollWidth") <= 390
        tab.keyboard.press(key)
        answered(n)
    for n in range(8, 11):
        tab.get_by_role("button", name=vote_words.ANSWERS["equal"]).click()
        answered(n)
    tab.get_by_role("button", name=vote_words.FINISH).click()
    tab.wait_for_selector("#vote table")
    said = tab.locator("#vote").inner_text()
    assert METHODS[0] in said and f"{METHODS[0]} " in tab.locator("#vote td").nth(1).inner_text()
    expect(tab.locator("#vote .seen article")).to_have_count(2)
    assert not tab.locator("#vote [onerror]").count()
    assert not tab.get_by_role("button", name=vote_words.UNDO).count()
    reload(tab)
    tab.wait_for_selector("#vote table")
    assert tab.complaints == [] and not [url for url in asked if "masked" in url or ".png" in url or str(folder) in url]
    (one,) = Box(folder, read(folder).hash).voters().values()
    assert one.over and len(one.votes) == 10 and one.lines == 13
    context.close()


@pytest.mark.parametrize(
    "sent",
    [
        None, [], "left", {}, {"act": "vote"}, {"act": "vote", "at": "0", "answer": "left"},
        {"act": "vote", "at": True, "answer": "left"}, {"act": "vote", "at": 0, "answer": ["left"]},
        {"act": "vote", "at": 0, "answer": EVIL}, {"act": "undo", "at": None}, {"act": EVIL}, {"act": "end"},
    ],
)  # fmt: skip
def test_what_no_voter_would_send_is_refused_in_a_sentence_and_writes_nothing(lab, folder, sent):
    before = (folder / FILE).read_text() if (folder / FILE).exists() else ""
    with httpx.Client(base_url=lab, timeout=SOON / 1000) as client:
        worked, output = acted(client, "0" * 33, sent)
        assert not worked and "Traceback" not in str(output) and EVIL not in str(output)
        assert html.unescape(output["error"]).endswith(".")
    assert ((folder / FILE).read_text() if (folder / FILE).exists() else "") == before


def acted(client, token, sent):
    """What the tab's handler answers to an event."""
    config = client.get("/config").json()
    found = next(d for d in config["dependencies"] if d["api_name"] == "act" and len(d["inputs"]) == 1)
    session = secrets.token_hex(6)
    body = {"data": [token], "fn_index": found["id"], "session_hash": session, "event_data": sent}
    assert client.post("/gradio_api/queue/join", json=body).status_code == 200
    with client.stream("GET", "/gradio_api/queue/data", params={"session_hash": session}) as told:
        for line in told.iter_lines():
            message = json.loads(line[5:]) if line.startswith("data:") else {}
            if message.get("msg") == "process_completed":
                return message["success"], message["output"]
    raise AssertionError("no answer")


def test_who_has_not_begun_is_told_nothing_of_the_study(lab, folder):
    with httpx.Client(base_url=lab, timeout=SOON / 1000) as client:
        worked, output = call(client, "look", "0" * 32)
        assert worked and vote_words.BEGIN in str(output) and "data:image" not in str(output)
        for address in ("study.json", FILE, "pictures"):
            assert client.get(f"/gradio_api/file={folder / address}").status_code == 403


def test_without_a_study_the_page_has_no_such_tab(library, tmp_path):
    studio = Studio(tmp_path / "runs", library=library)
    try:
        labels = {block.label for block in page.build(studio, {}).blocks.values() if isinstance(block, gr.Tab)}
        assert studio.votes is None and "Compare" in labels and vote_words.TITLE not in labels
    finally:
        studio.close()


def test_a_study_is_named_at_the_start_and_lies_where_nobody_can_download_it(tmp_path, monkeypatch, capsys):
    (tmp_path / "runs" / "study").mkdir(parents=True)
    (tmp_path / "study").mkdir()
    monkeypatch.chdir(tmp_path)
    assert arguments(["--vote", "study"]).vote.name == "study" and arguments([]).vote is None
    monkeypatch.setenv("MASKUNET_VOTE", "study")
    assert arguments([]).vote.name == "study"
    for wrong, said in (("none", "“none” is none"), ("runs/study", "outside --runs")):
        with pytest.raises(SystemExit):
            arguments(["--vote", wrong])
        assert said in capsys.readouterr().err


def test_every_text_is_only_text():
    picture = np.zeros((4, 4, 3), np.uint8)
    png = base64.b64decode(views.pictures.uri(picture, kind="png").partition(",")[2])
    now = Moment(at=1, of=4, item=0, items=2, question="fits", prompt=EVIL, pictures=(png, png), note=EVIL)
    assert f"<q><bdi>{escape(EVIL)}</bdi></q>" in views.moment(now)
    seen = Seen(prompt=EVIL, names=(EVIL, "{left}"), pictures=(png, png), answers={"looks": "left", "fits": "right"})
    tally = Tally(question="looks", names=(EVIL, EVIL), preferred=(1, 0), equal=0, neither=0)
    outcome = Outcome(tallies=[tally], seen=[seen], same=1, repeated=2)
    for drawn in (views.moment(now), views.moment(Moment(at=4, of=4, item=2, items=2, outcome=outcome))):
        assert EVIL not in drawn and escape(EVIL) in drawn
    assert "you preferred {left}" in views.moment(Moment(at=4, of=4, item=2, items=2, outcome=outcome))
