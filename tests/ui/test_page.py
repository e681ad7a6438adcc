"""The page as a visitor meets it: a real browser, a real Studio, a small random model."""

import csv
import json
import re
import threading
import time
import zipfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from maskunet.records import JobEvent, Request
from maskunet.ui import to_share
from maskunet.ui.html import live
from maskunet.ui.page import Page, build
from tests.support.serving import SOON, needs_browser, reload
from tests.support.visiting import expect, fill, generate, take_steps

CONTRAST = (Path(__file__).parents[1] / "support" / "contrast.js").read_text()


@needs_browser
def test_one_click_makes_the_pair_with_its_facts_views_and_files(visit):
    tab = visit()
    fill(tab, method="Random mask · control")
    generate(tab)
    tab.wait_for_selector("#beside img", state="visible")
    assert all(image.get_attribute("alt") for image in tab.locator("#beside img").all())
    assert "“a red cube”, seed 7." in tab.locator("#facts .said").inner_text()
    expect(tab.get_by_label("Seed", exact=True)).to_have_value("7")
    assert "ImageReward" in tab.locator("#beside").inner_text() and not tab.locator(".verdict").count()
    tab.get_by_label("Slider").check()
    tab.locator("#slider img").nth(1).wait_for(state="attached")  # both pictures; they are fetched after the facts
    assert "Tiny random" in tab.locator(".under").inner_text()
    tab.get_by_label("Difference").check()
    tab.wait_for_selector("#difference img", state="visible")
    with tab.expect_download() as download:
        tab.get_by_role("button", name="Download run").click()
    assert download.value.suggested_filename.endswith(".zip")
    tab.get_by_role("button", name="Make files to share").click()
    for name, file in (("Card", "card.png"), ("Steps (.webp)", "steps.webp"), ("Steps (.gif)", "steps.gif")):
        with tab.expect_download() as download:
            tab.get_by_role("button", name=name).click()
        assert download.value.suggested_filename == file
    assert (tab.foreign, tab.complaints) == ([], [])


@needs_browser
def test_a_long_prompt_takes_two_lines_below_its_pictures(visit):
    tab = visit("?method=plain&steps=1")
    fill(tab, "a red cube and a blue sphere " * 20)
    generate(tab)
    high = tab.locator("#facts .asked").evaluate(
        "each => each.offsetHeight / parseFloat(getComputedStyle(each).lineHeight)"
    )
    assert round(high) == 2 and tab.locator("#facts .asked").get_attribute("title").startswith("a red cube")


@needs_browser
def test_no_tab_complains_when_it_is_opened(visit):
    tab = visit()
    for name in tab.get_by_role("tab").all_inner_texts():
        tab.get_by_role("tab", name=name, exact=True).click()
        tab.get_by_role("tab", name=name, exact=True, selected=True).wait_for()
        tab.wait_for_function(
            "[...document.querySelectorAll('#tabs [role=tabpanel]')].some((panel) => panel.offsetHeight > 60)"
        )
        assert not tab.get_by_text("Error rendering HTML").count(), name
    assert (tab.foreign, tab.complaints) == ([], [])


@needs_browser
def test_every_update_is_shown_and_stop_keeps_the_best(visit):
    tab = visit()
    fill(tab, method="MaskUNet, training-free")
    take_steps(tab, 100)
    tab.locator("#generate").click()
    tab.wait_for_selector("#stop", state="visible")
    tab.get_by_role("tab", name="Optimize").click()
    tab.wait_for_selector("#optimize .charts svg")
    tab.wait_for_selector("#optimize .strip img")
    tab.locator("#stop").click()
    tab.wait_for_selector("#stop", state="hidden")
    with tab.expect_download() as download:
        tab.get_by_role("button", name="Download numbers").click()
    rows = list(csv.DictReader(Path(download.value.path()).read_text().splitlines()))
    assert {"step", "update", "reward_total", "keep_ratio"} <= set(rows[0])
    tab.get_by_role("tab", name="Compare").click()
    tab.wait_for_selector("#facts .facts", state="visible")
    assert "Stopped" in tab.locator("#facts").inner_text()
    assert re.search(r"training-free, predicted at step \d+ of 100", tab.locator("#beside").inner_text())


@pytest.fixture
def page(lab, monkeypatch):
    """A page's handlers, without a browser."""
    pages, draw = [], Page.draw
    monkeypatch.setattr(Page, "draw", lambda page, demo: pages.append(page) or draw(page, demo))
    build(lab[1], {})
    return pages[0]


def test_a_job_that_moves_fast_is_drawn_now_and_then_with_every_step_in_between(lab, page, monkeypatch):
    _, studio = lab
    monkeypatch.setattr("maskunet.ui.page.PACE", 1000.0)
    asked = Request(prompt="a red cube", model=studio.cards()[0].name, method="maskunet_free", steps=6)
    job = {"id": studio.start(asked, owner="o", address="a"), "prompt": asked.prompt}
    job |= {"model": asked.model, "method": asked.method}
    assert len(list(page.watch(job))) in (1, 2)  # as it is found, and with its first picture
    ended = page.end(job, [])
    assert "Done" in ended[0]
    assert len(re.findall("after step", str(ended))) == 6  # none of which was drawn on the way


def test_without_a_job_or_with_one_that_is_over_what_is_shown_stays(lab, page):
    _, studio = lab
    nothing = {"__type__": "update"}
    asked = Request(prompt="a red cube", model=studio.cards()[0].name, method="random_mask", steps=2)
    over = {"id": studio.start(asked, owner="o", address="a"), "prompt": asked.prompt}
    over |= {"model": asked.model, "method": asked.method}
    *_, last = studio.events(over["id"])
    assert last.phase == "done" and set(map(str, page.begin(over, []))) == {str(nothing)}
    for job in ({}, {**over, "id": "0" * 12}, over):  # no value at all would empty the parts
        assert list(page.watch(job)) == [(nothing,) * 4]
    for job in ({}, {**over, "id": "0" * 12}):
        assert set(map(str, page.end(job, []))) == {str(nothing)}


def test_files_to_share_are_said_to_be_in_the_making_until_they_are_there_or_refused(tmp_path):
    (_, hidden), (goes_on, files) = to_share.drawn(SimpleNamespace(share=lambda run: [tmp_path / "card.png"]), None)
    assert not any(each.visible for each in hidden)
    assert not goes_on and [each.visible for each in files] == [True, False, False]
    told = to_share.drawn(SimpleNamespace(), None)
    assert [next(told)[0], next(told)[0]] == [True, False]
    with pytest.raises(AttributeError):
        next(told)


def test_what_is_left_is_told_from_a_second_on():
    told = {left: live.status(JobEvent(job="a", phase="result", remaining=left)) for left in (None, 0.0, 0.9, 1.0)}
    assert ["left" in each for each in told.values()] == [False, False, False, True]
    assert ", about 1.0 s left" in told[1.0]


def test_a_job_that_left_no_picture_gives_back_what_was_shown_before(lab, page):
    _, studio = lab
    asked = Request(prompt="a red cube", model=studio.cards()[0].name, method="random_mask", steps=2)
    *_, first = studio.events(studio.start(asked, owner="o", address="a"))
    job = {"id": studio.start(replace(asked, prompt="a dog", steps=100), owner="o", address="a"), "prompt": "a dog"}
    studio.stop(job["id"])  # long before there is a masked picture
    *_, last = studio.events(job["id"])
    assert (last.phase, last.run) == ("stopped", None)
    status, *stage, shown, _ = page.end(job, [], first.run.id)
    assert "Stopped on request. No new picture came of it, so the pair from before is shown." in status
    said = " ".join(str(getattr(each, "value", each)) for each in stage)
    assert "“a red cube”" in said and "No picture yet" not in said and shown == first.run.id


def test_a_link_to_a_tab_alone_leaves_the_opening_as_it_is_and_a_job_can_be_stopped_from_any_link(
    lab, page, monkeypatch
):
    _, studio = lab
    *_, last = studio.events(
        studio.start(Request(prompt="a cube", model=studio.cards()[0].name, method="plain", steps=1))
    )
    page.shelf = {last.run.id: last.run}
    *_, shown, _, _, _ = page.arrive({}, [], {"prompt": "", "tab": "race"})
    assert shown == last.run.id
    asked = Request(prompt="a red cube", model=studio.cards()[0].name, method="maskunet_free", steps=100)
    job = {
        "id": studio.start(asked, owner="links"),
        "prompt": asked.prompt,
        "model": asked.model,
        "method": asked.method,
    }
    _, generate, stop, *_ = page.arrive(job, [], {"prompt": "a cube", "run": "0" * 12})
    assert stop.visible and generate.interactive
    studio.stop(job["id"])
    *_, last = studio.events(job["id"])
    _, _, stop, *_ = page.arrive(job, [], {"prompt": "a cube", "run": "0" * 12})
    assert last.phase == "stopped" and not stop.visible


def test_a_page_that_was_loaded_follows_only_what_went_on_when_it_came(lab, page):
    """Whoever clicks Generate before that must not see it drawn twice: the second time takes back what they chose."""
    _, studio = lab
    asked = Request(prompt="a red cube", model=studio.cards()[0].name, method="random_mask", steps=30)
    job = {"id": studio.start(asked, owner="o", address="a"), "prompt": asked.prompt}
    job |= {"model": asked.model, "method": asked.method}
    assert page.arrive(job, [], {})[-1] == job
    assert page.arrive({}, [], {})[-1] == {} == page.arrive(job, [], {"prompt": "a link"})[-1]
    *_, last = studio.events(job["id"])
    for place in ({}, {"prompt": "a link"}):
        *_, kept, late, follows = page.arrive(job, [], place)
        assert follows == {} and [each["id"] for each in kept] == [last.run.id]
    for event in page.demo.fns.values():
        if event.name in ("watch", "end") and page.place in event.inputs:
            raise AssertionError("who follows a job asks what the page's link said then, which changes")


COUNT_FRAMES = """
const ask = window.requestAnimationFrame.bind(window);
window.asked = 0;
window.requestAnimationFrame = (then) => { window.asked++; return ask(then); };
window.loops = (frames) => new Promise((done) => {
    let left = frames;
    const begun = window.asked;
    const next = () => left-- ? ask(next) : done((window.asked - begun) / frames);
    ask(next);
});
"""


@needs_browser
def test_progress_that_nobody_sees_does_not_keep_the_browser_busy(visit, chromium):
    context = chromium.new_context()
    context.add_init_script(COUNT_FRAMES)
    tab = visit(context=context)
    fill(tab, "a red cube", "MaskUNet, training-free")
    take_steps(tab, 2)
    generate(tab)
    tab.wait_for_timeout(1000)
    assert sorted(tab.evaluate("window.loops(60)") for _ in range(3))[1] < 1.5  # gradio itself never ends one
    context.close()


@needs_browser
def test_a_reload_finds_the_job_again_and_a_stranger_sees_nothing_of_it(visit):

    tab = visit()
    fill(tab, "a dog and a cat", "MaskUNet, training-free")
    take_steps(tab, 8)
    tab.locator("#generate").click()
    tab.wait_for_selector("#running .pair, #facts .facts", state="visible")
    reload(tab)
    tab.wait_for_selector("#facts .facts", state="visible")
    assert "a dog and a cat" in tab.locator("#facts .said").inner_text()
    tab.get_by_role("tab", name="Optimize").click()
    expect(tab.locator("#optimize .strip img")).to_have_count(8, timeout=SOON)  # also those of before the reload
    assert tab.complaints == []
    stranger = visit()
    expect(stranger.locator("#running .empty")).to_have_count(1)
    assert "a dog" not in stranger.content()


@needs_browser
def test_stop_works_right_after_a_reload(visit, lab):
    tab = visit()
    fill(tab, "a red dog", "MaskUNet, training-free")
    take_steps(tab, 100)
    tab.locator("#generate").click()
    tab.wait_for_function("document.querySelector('#status').innerText.includes('Masked')")
    reload(tab)
    tab.locator("#stop").click()
    tab.wait_for_selector("#facts .badge.warn", state="visible")
    assert "Stopped on request" in tab.locator("#facts").inner_text()
    assert lab[1].status().running == 0


@needs_browser
def test_a_closed_tab_loses_nothing_and_history_opens_and_forgets(visit):
    tab = visit()
    fill(tab, "a blue sphere", "Unmasked · control")
    tab.locator("#generate").click()
    tab.wait_for_selector("#status .status")
    time.sleep(0.5)
    tab.close()
    again = visit(context=tab.context)
    again.wait_for_selector("#facts .facts", state="visible")
    again.get_by_role("tab", name="History").click()
    again.wait_for_selector("#history article")
    assert "a blue sphere" in again.locator("#history").inner_text()
    again.locator("#history").get_by_role("button", name="Make files to share").click()
    for name, file in (("Card", "card.png"), ("Steps (.webp)", "steps.webp"), ("Steps (.gif)", "steps.gif")):
        with again.expect_download() as download:
            again.locator("#history-share").get_by_role("button", name=name).click()
        assert download.value.suggested_filename == file
    assert "“a blue sphere”, seed" in again.locator("#history-share").inner_text()
    again.get_by_role("button", name="Open").click()
    again.wait_for_selector("#facts .facts", state="visible")
    again.get_by_role("tab", name="History").click()
    again.get_by_role("button", name="Remove from list").click()
    again.wait_for_selector("#history .empty")


@needs_browser
def test_two_windows_of_a_browser_have_one_list_of_runs(visit):
    one = visit()
    two = visit(context=one.context)
    for tab, prompt in ((one, "a red cube"), (two, "a blue cone"), (one, "a green ball")):
        fill(tab, prompt)
        generate(tab)
        tab.wait_for_selector(f"#facts :text('{prompt}')")
    for tab in (one, two):
        tab.get_by_role("tab", name="History").click()
        tab.wait_for_function("document.querySelectorAll('#history article').length === 3")
    two.get_by_role("button", name="Remove from list").first.click()
    for tab in (one, two):
        tab.wait_for_function("document.querySelectorAll('#history article').length === 2")
    reload(one)
    one.get_by_role("tab", name="History").click()
    one.wait_for_function("document.querySelectorAll('#history article').length === 2")
    assert one.complaints == two.complaints == []


@needs_browser
def test_what_is_removed_while_another_answer_is_on_its_way_stays_removed(visit, lab, monkeypatch):
    tab = visit()
    fill(tab, "a green cube", "Unmasked · control")
    generate(tab)
    tab.get_by_role("tab", name="History").click()
    read, opening = lab[1].shelf.read, threading.Event()

    def slow(run_id):
        opening.wait(SOON / 1000)
        return read(run_id)

    monkeypatch.setattr(lab[1].shelf, "read", slow)
    tab.get_by_role("button", name="Open").click()
    tab.get_by_role("button", name="Remove from list").click()
    threading.Timer(1, opening.set).start()
    tab.wait_for_selector("#facts .facts", state="visible")  # it opened in Compare
    tab.get_by_role("tab", name="History").click()
    tab.wait_for_selector("#history .empty")
    tab.wait_for_timeout(500)
    expect(tab.locator("#history article")).to_have_count(0)


@needs_browser
def test_a_link_fills_in_the_fields_and_runs_nothing(visit, lab):
    tab = visit("?prompt=a+blue+cat&seed=18446744073709551615&method=random_mask&preset=light")
    tab.wait_for_function("document.querySelector('#prompt textarea').value === 'a blue cat'")
    expect(tab.get_by_label("Seed", exact=True)).to_have_value(str(2**64 - 1))  # more than a browser counts exactly
    expect(tab.get_by_label("Method")).to_have_value("Random mask · control")
    status = lab[1].status()
    assert (status.running, status.waiting) == (0, 0)


@needs_browser
def test_an_empty_seed_draws_one_and_the_facts_say_which(visit):
    tab = visit()
    fill(tab, method="Random mask · control")
    tab.get_by_label("Seed", exact=True).fill("")
    generate(tab)
    said = tab.locator("#facts .said").inner_text()
    assert re.search(r"seed \d+\.", said) and not tab.complaints


@needs_browser
@pytest.mark.parametrize("prompt", ["<img src=x onerror=alert(1)> & <b>bold</b>", "猫 и кошка", "red; rm -rf"])
def test_any_text_is_only_text(visit, prompt):
    tab = visit()
    tab.on("dialog", lambda d: pytest.fail("a script of the prompt ran"))
    fill(tab, prompt, "Unmasked · control")
    generate(tab)
    assert prompt in tab.locator("#facts .said").inner_text()
    expect(tab.locator("#facts img")).to_have_count(0)


@needs_browser
@pytest.mark.parametrize(
    ("prompt", "sentence"),
    [("", "is empty"), ("x" * 10_000, "10,000 characters"), ("a\x07b", "control characters")],
)
def test_a_bad_prompt_is_refused_in_one_sentence(visit, prompt, sentence):
    tab = visit()
    tab.locator("#prompt textarea").evaluate(
        "(e, v) => { e.value = v; e.dispatchEvent(new Event('input', {bubbles: true})); }", prompt
    )
    tab.locator("#generate").click()
    tab.get_by_text(sentence).first.wait_for()
    expect(tab.locator("#generate")).to_be_enabled()


@needs_browser
def test_speed_and_memory_are_switches_of_the_methods_that_have_them(visit):
    tab = visit()
    tab.get_by_text("More settings").click()
    switches = tab.locator("#set-switches")
    fill(tab, method="Unmasked · control")
    switches.wait_for(state="hidden")
    fill(tab, method="MaskUNet, training-free")
    switches.wait_for(state="visible")
    tab.locator("#steps input").fill("1")
    tab.get_by_label("less memory").check()
    generate(tab)
    with tab.expect_download() as download:
        tab.get_by_role("button", name="Download run").click()
    with zipfile.ZipFile(download.value.path()) as files:
        name = next(name for name in files.namelist() if name.endswith("run.json"))
        assert json.loads(files.read(name))["request"]["settings"] == {"low_memory": True}
    tab.get_by_label("look through the tiny decoder").check()
    tab.locator("#generate").click()
    tab.get_by_text("There is no tiny decoder for tiny here.").first.wait_for()


@needs_browser
def test_a_mask_of_ones_is_measured_on_the_page(visit):
    tab = visit()
    fill(tab, method="Unmasked · control")
    generate(tab)
    tab.get_by_role("button", name="Check: mask of ones").click()
    tab.wait_for_selector("#null .said")
    assert "Largest pixel difference: 0 of 255" in tab.locator("#null").inner_text() and not tab.complaints


@needs_browser
def test_a_word_of_the_vocabulary_is_added_by_a_click(visit):
    tab = visit()
    fill(tab, "a cube and a")
    tab.locator("#vocabulary summary").click()
    tab.locator("#vocabulary button", has_text="blue").click()
    tab.wait_for_function("document.querySelector('#prompt textarea').value !== 'a cube and a'")
    expect(tab.locator("#prompt textarea")).to_have_value("a cube and a blue")


@needs_browser
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1400])
def test_nothing_is_wider_than_the_window_and_every_text_stands_out(visit, theme, width):
    tab = visit(f"?__theme={theme}", viewport={"width": width, "height": 844})
    fill(tab, method="Random mask · control")
    generate(tab)
    for name in ("Compare", "Optimize", "Race", "History"):
        found = tab.get_by_role("tab", name=name)
        if found.is_visible():
            found.click()
            tab.wait_for_timeout(300)
        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert tab.evaluate(CONTRAST) == []
    assert tab.complaints == []


@needs_browser
def test_enter_in_the_prompt_begins_what_the_open_tab_begins(visit):
    tab = visit()
    prompt, facts = tab.locator("#prompt textarea"), tab.locator("#facts")
    fill(tab, "a red cube")
    prompt.press("Enter")
    tab.wait_for_selector("#facts :text('a red cube')", timeout=SOON)
    tab.get_by_role("tab", name="Intervene").click()
    tab.locator("#what textarea").fill("block1")
    fill(tab, "a blue cone")
    prompt.press("Enter")
    tab.locator("#knocked img").nth(1).wait_for(timeout=SOON)
    assert "a blue cone" in tab.locator("#knocked").inner_html() and "block1" in tab.locator("#tried").inner_html()
    tab.get_by_role("tab", name="Grid").click()
    fill(tab, "a green ball")
    prompt.press("Enter")
    tab.get_by_text("Download sheet (.png)").wait_for(timeout=SOON)
    assert "a red cube" in facts.text_content()  # no pair was made beside them
    assert tab.complaints == []


@needs_browser
def test_the_keyboard_reaches_prompt_and_button(visit):
    tab = visit()
    tab.locator("#prompt textarea").focus()
    reached = set()
    for _ in range(30):
        tab.keyboard.press("Tab")
        reached.add(tab.evaluate("document.activeElement.id || document.activeElement.innerText"))
    assert "generate" in reached


@needs_browser
def test_about_says_what_this_machine_has_and_how_fast_it_is(visit):
    tab = visit()
    tab.get_by_role("tab", name="About").click()
    tab.wait_for_selector("#machine .findings")
    said = tab.locator("#machine .findings").inner_text()
    assert all(part in said for part in ("torch 2", "CPU, ", "GB are free", "Tabletop needs about 2 GB"))
    tab.get_by_role("button", name="Measure its speed").click()
    tab.wait_for_selector("#machine .said")
    assert "Unmasked, a step takes" in tab.locator("#machine .said").inner_text()
    assert not tab.complaints
