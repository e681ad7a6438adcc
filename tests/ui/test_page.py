"""The page as a visitor meets it: a real browser and a real client, a real Studio, a small random model."""

import csv
import json
import re
import shlex
import shutil
import subprocess
import threading
import time
import zipfile
from collections import defaultdict
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from maskunet.commands.registry import main
from maskunet.lab import Lab
from maskunet.masks import held
from maskunet.records import Card, Request, held_mask
from maskunet.runs import mask_sources
from maskunet.runs.notebook import read, save
from maskunet.studio.studio import Studio
from maskunet.ui import links, snippets
from maskunet.ui.page import Page, build
from tests.support import tiny_lora
from tests.support.serving import SOON, complaints_of, needs_browser, reload, served
from tests.support.tiny import tiny_text_encoder, tiny_unet

CONTRAST = (Path(__file__).parents[1] / "support" / "contrast.js").read_text()


@pytest.fixture(scope="module")
def lab(library, tmp_path_factory):
    """The address of a running page, and its studio."""
    studio = Studio(tmp_path_factory.mktemp("runs"), library=library, max_waiting=2)
    with served(studio, {}) as url:
        yield url, studio


@pytest.fixture(scope="module")
def idle():
    """Browsers kept for the next test, by their options; a new one would have to fetch the whole program again."""
    kept = defaultdict(list)
    yield kept
    for context in chain(*kept.values()):
        context.close()


def forget(context, url):
    """A browser that has closed its pages and remembers nothing but files of the program."""
    for tab in context.pages:
        tab.close()
    context.clear_cookies()
    tab = context.new_page()
    tab.goto(url + "/theme.css")
    tab.evaluate("localStorage.clear()")
    tab.close()
    return context


@pytest.fixture
def visit(chromium, lab, idle):
    """Open the page in a browser of its own; what it asks for and complains about is kept."""
    used = []

    def open_page(query="", *, context=None, **options):
        if context is None:
            kind = repr(options)
            options = {"viewport": {"width": 1280, "height": 900}, **options}
            context = idle[kind].pop() if idle[kind] else chromium.new_context(**options)
            used.append((kind, context))
        tab = context.new_page()
        tab.set_default_timeout(SOON)
        tab.foreign, tab.complaints = [], complaints_of(tab)
        tab.on("request", lambda r: r.url.startswith((lab[0], "data:", "blob:")) or tab.foreign.append(r.url))
        tab.goto(lab[0] + "/" + query)
        tab.wait_for_selector("#generate")
        tab.wait_for_selector("#running .empty, #running .pair, #facts .facts")
        return tab

    yield open_page
    for kind, context in used:
        idle[kind].append(forget(context, lab[0]))


def unfold(tab):
    """On a phone the settings are folded away."""
    button = tab.locator("#fold-settings [aria-expanded=false]")
    if button.is_visible():
        button.click()


def fill(tab, prompt="a red cube", method=None):
    tab.locator("#prompt textarea").fill(prompt)
    if method:
        unfold(tab)
        tab.get_by_label("Method").click()
        tab.get_by_role("option", name=method, exact=True).click()


def take_steps(tab, steps):
    """A run of so many; of many, where something is to happen to it while it goes on."""
    tab.get_by_text("More settings").click()
    tab.locator("#steps input").fill(str(steps))


def generate(tab):
    tab.locator("#generate").click()
    tab.wait_for_selector("#facts .facts", state="visible")


@needs_browser
def test_one_click_makes_the_pair_with_its_facts_views_and_files(visit):
    tab = visit()
    fill(tab, method="Random mask · control")
    generate(tab)
    tab.wait_for_selector("#beside img", state="visible")
    assert all(image.get_attribute("alt") for image in tab.locator("#beside img").all())
    assert "“a red cube”, seed 7." in tab.locator("#facts .said").inner_text()
    assert tab.get_by_label("Seed", exact=True).input_value() == "7"
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
    from playwright.sync_api import expect

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
    assert stranger.locator("#running .empty").count() == 1
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
    again.get_by_role("button", name="Remove from list").click()
    again.wait_for_selector("#history .empty")


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
    tab.get_by_text("Opened in Compare").wait_for()
    tab.wait_for_selector("#history .empty")
    tab.wait_for_timeout(500)
    assert tab.locator("#history article").count() == 0


@needs_browser
def test_a_link_fills_in_the_fields_and_runs_nothing(visit, lab):
    tab = visit("?prompt=a+blue+cat&seed=18446744073709551615&method=random_mask&preset=light")
    tab.wait_for_function("document.querySelector('#prompt textarea').value === 'a blue cat'")
    assert tab.get_by_label("Seed", exact=True).input_value() == str(2**64 - 1)  # more than a browser counts exactly
    assert tab.get_by_label("Method").input_value() == "Random mask · control"
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
    assert tab.locator("#facts img").count() == 0


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
    assert tab.locator("#generate").is_enabled()


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
    assert tab.locator("#prompt textarea").input_value() == "a cube and a blue"


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
def test_the_keyboard_reaches_prompt_and_button(visit):
    tab = visit()
    tab.locator("#prompt textarea").focus()
    reached = set()
    for _ in range(30):
        tab.keyboard.press("Tab")
        reached.add(tab.evaluate("document.activeElement.id || document.activeElement.innerText"))
    assert "generate" in reached


@pytest.fixture(scope="module")
def client(lab, tmp_path_factory):
    from gradio_client import Client

    downloads = str(tmp_path_factory.mktemp("downloads"))
    return Client(lab[0], verbose=False, download_files=downloads, analytics_enabled=False)


ASK = {
    "prompt": "a red cube", "negative_prompt": "", "seed": 7, "model": "tiny", "method": "random_mask",
    "preset": "", "api_name": "/compare",
}  # fmt: skip


def test_there_are_four_endpoints(client):
    named = client.view_api(return_format="dict")["named_endpoints"]
    assert set(named) == {"/compare", "/intervene", "/grid", "/video"}


def test_the_client_gets_previews_and_then_both_pictures_with_their_numbers(client):
    job = client.submit(**ASK)
    base, result, facts = job.result(timeout=120)
    assert base
    assert result
    assert set(facts) >= {"base_rewards", "rewards", "keep_ratio", "unet_calls", "seconds", "run_id"}
    assert 0.9 < facts["keep_ratio"] < 0.97
    assert any(facts.get("phase") == "base" for _, _, facts in job.outputs())


def test_a_kept_mask_gives_the_same_bytes_through_the_page_the_command_and_python(
    client, lab, library, tmp_path, monkeypatch
):
    model = library.load("tiny").model
    made = mask_sources.by_chance(model, "iid", 0.3, seed=2)
    held_mask.save(made, tmp_path / "few.safetensors")
    monkeypatch.setitem(model.trained, "mask", {"few": tmp_path / "few.safetensors"})
    monkeypatch.setattr("maskunet.library.library.Library", lambda *given, **added: library)
    monkeypatch.chdir(tmp_path)
    facts = client.predict("a red cube", seed=7, model="tiny", method="held_mask", preset="half", api_name="/compare")[
        2
    ]
    asked = ["--prompt=a red cube", "--seed=7", "--model=tiny"]
    assert main(["generate", *asked, "--method=held_mask", "--preset=half", "--out=command"]) == 0
    python = Lab().compare("a red cube", seed=7, method="held_mask", preset="half")
    save(python, "python")
    (page,) = (p for p in lab[1].shelf.folder.iterdir() if p.name == facts["run_id"])
    pictures = [(folder / "result.png").read_bytes() for folder in (page, Path("command"), Path("python"))]
    assert pictures[0] == pictures[1] == pictures[2]
    assert main(["mask", "apply", "few", "--dose=0.5", *asked, "--out=applied"]) == 0
    assert np.array_equal(read("applied").result_image, python.result_image)
    assert not np.array_equal(python.base_image, python.result_image)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"prompt": ""}, "prompt is empty"),
        ({"prompt": "x" * 2000}, "2,000 characters"),
        ({"seed": -2}, "seed"),
        ({"seed": 2**64}, "seed"),
        ({"seed": 1.5}, "whole number"),
        ({"model": "../etc"}, "must be a name"),
        ({"model": "sd99"}, "no model"),
        ({"method": "magic"}, "no method"),
        ({"preset": "best"}, "no preset"),
        ({"steps": 1000}, "number of steps"),
        ({"steps": 1.5}, "whole number"),
        ({"guidance": 99}, "guidance scale"),
        ({"settings": {"magic": 1}}, "no setting"),
        ({"settings": {"removed": 7}}, "removed"),
    ],
)
def test_bad_calls_get_one_clear_sentence(client, change, sentence):
    with pytest.raises(Exception, match=sentence) as caught:
        client.predict(**{**ASK, **change})
    assert "Traceback" not in str(caught.value)


def test_every_argument_but_the_prompt_has_a_default(client):
    for name, endpoint in client.view_api(return_format="dict")["named_endpoints"].items():
        asked = {one["parameter_name"]: one["parameter_has_default"] for one in endpoint["parameters"]}
        needed = [] if name == "/grid" else ["prompt"]  # prompts may be an axis of a grid
        assert [each for each, has_default in asked.items() if not has_default] == needed


KNOCK = {"prompt": "a red cube", "seed": 7, "model": "tiny", "api_name": "/intervene"}


def test_a_caller_knocks_a_part_out(client, lab):
    base, result, facts = client.predict(**KNOCK, what="block1.cross.v@2-=0.5")
    run = lab[1].run(facts["run_id"])
    assert (run.request.method, run.settings["what"]) == ("knock_out", "block1.cross.v@2-=0.5")
    assert (run.base_image != run.result_image).any() and base and result


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"what": "blok1"}, "says no place in the network"),
        ({"what": "block7"}, "means nothing here. In this model block1 has layer0"),
        ({"what": "q" * 50_000}, "50,000 characters; allowed are 1,000"),
        ({"what": "q" * 10_000_000}, "413"),  # refused at the door
        ({"concept": "red", "dose": -1}, "no mask to erase “red”"),
        ({"what": "block1", "concept": "red", "dose": -1}, "either what is out, or a concept"),
        ({"dose": 0.5}, "either what is out, or a concept"),
        ({"model": "sd99"}, "no model"),
    ],
)
def test_a_bad_wish_gets_one_clear_sentence(client, given, sentence):
    with pytest.raises(Exception, match=sentence):
        client.predict(**{**KNOCK, **given})


@pytest.mark.parametrize(("given", "used"), [("8", 8), (2**64 - 1, 2**64 - 1), (str(2**64 - 1), 2**64 - 1), (8.0, 8)])
def test_seeds_of_other_programs_are_taken(client, given, used):
    assert client.predict("a cube", seed=given, method="plain", model="tiny", api_name="/compare")[2]["seed"] == used


def test_steps_guidance_and_settings_are_taken_and_the_snippet_runs_as_printed(client, lab):
    asked = {"method": "random_mask", "model": "tiny", "steps": 2, "guidance": 2.5, "settings": {"removed": 0.5}}
    made = lab[1].run(client.predict("a cube", **asked, api_name="/compare")[2]["run_id"])
    assert (made.request.steps, made.request.guidance, made.settings["removed"]) == (2, 2.5, 0.5)
    printed: dict[str, Any] = {}
    exec(snippets.python(made.request, lab[0]), printed)
    again = lab[1].run(printed["facts"]["run_id"])
    assert again.request == made.request and again.settings == made.settings


@pytest.mark.skipif(not shutil.which("curl"), reason="no curl on this machine")
def test_the_curl_and_the_replay_run_as_printed(lab, library, tmp_path, monkeypatch):
    asked = Request(
        prompt='it\'s a "cube"; $HOME & 猫',
        seed=5,
        model="tiny",
        method="random_mask",
        steps=2,
        guidance=2.5,
        settings={"removed": 0.5},
    )
    said = subprocess.run(
        ["sh", "-c", snippets.curl(asked, lab[0])], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    made = lab[1].run(re.findall(r'"run_id": *"(\w+)"', said)[-1])
    assert links.fields(made.request) == links.fields(replace(asked, preset=made.request.preset))
    with zipfile.ZipFile(lab[1].shelf.zip(made.id)) as files:
        files.extractall(tmp_path)
    monkeypatch.setattr("maskunet.library.library.Library", lambda *given, **added: library)
    monkeypatch.chdir(tmp_path)
    assert main(shlex.split(snippets.replay(made))[3:]) == 0
    assert np.array_equal(read("again").result_image, made.result_image)


@pytest.fixture(scope="module")
def added(lab, library, tmp_path_factory):
    """A LoRA and an embedding in the folder of models, and what a call of every endpoint says of them."""
    place = tmp_path_factory.mktemp("models")
    found = tiny_lora.factors({"unet": tiny_unet(), "text_encoder": tiny_text_encoder(300)})
    files = {
        "loras": {"metal": tiny_lora.write(place / "metal.safetensors", tiny_lora.kohya(found))},
        "embeddings": {"cat": tiny_lora.embedding(place / "cat.safetensors")},
    }
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(library, "_files", files)
        yield {"loras": ["metal:0.7"], "embeddings": ["cat:<pet>"], "lora_masks": "base"}


SMALL = {"prompt": "a <pet>", "model": "tiny", "method": "random_mask", "steps": 2}


def test_a_call_puts_lora_files_and_embeddings_on_the_model_and_the_snippets_do_as_printed(client, lab, added):
    made = lab[1].run(client.predict(**SMALL, **added, api_name="/compare")[2]["run_id"])
    assert {"lora/metal:0.7 (base)", "embedding/cat:<pet>"} <= {*made.weights}
    bare = lab[1].run(client.predict(**SMALL, api_name="/compare")[2]["run_id"])
    assert not bare.request.loras and (bare.base_image != made.base_image).any()
    assert "lora" not in snippets.python(bare.request, lab[0]) and "embedding" not in snippets.curl(bare.request, "")
    printed: dict[str, Any] = {}
    exec(snippets.python(made.request, lab[0]), printed)
    again = [lab[1].run(printed["facts"]["run_id"])]
    if shutil.which("curl"):
        code = ["sh", "-c", snippets.curl(made.request, lab[0])]
        said = subprocess.run(code, capture_output=True, text=True, timeout=60, check=True).stdout
        again.append(lab[1].run(re.findall(r'"run_id": *"(\w+)"', said)[-1]))
    for run in again:
        assert run.request == made.request and np.array_equal(run.result_image, made.result_image)


@pytest.mark.parametrize("endpoint", ["/intervene", "/grid", "/video"])
def test_every_endpoint_takes_them(client, lab, added, endpoint):
    own = {"/intervene": {"what": "block1"}, "/grid": {"x": "seed=1"}, "/video": {"frames": 1}}[endpoint]
    facts = client.predict("a <pet>", model="tiny", **own, **added, api_name=endpoint)[-1]
    assert facts["run_id"] if endpoint == "/intervene" else facts["phase"] == "done"
    with pytest.raises(Exception, match="The LoRA “gone” is not here"):
        client.predict("a cube", model="tiny", **own, loras=["gone"], api_name=endpoint)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"loras": ["a", "b", "c", "d", "e"]}, "There are 5 LoRA files; at most 4 go together"),
        ({"loras": ["metal:9"]}, "from -5 to 5"),
        ({"loras": ["metal", "metal:2"]}, "is named twice"),
        ({"loras": "metal:1"}, "must be a list of texts"),
        ({"loras": {"metal": 1}}, "must be a list of texts"),
        ({"loras": [1]}, "must be a list of texts"),
        ({"loras": ["../metal"]}, "is no name of a file"),
        ({"loras": ["gone"]}, "The LoRA “gone” is not here"),
        ({"embeddings": ["gone"]}, "The embedding “gone” is not here"),
        ({"embeddings": ["cat:two words"]}, "without spaces"),
        ({"lora_masks": "both"}, "must be one of merged and base"),
    ],
)
def test_files_that_a_call_cannot_have_get_one_clear_sentence(client, added, given, sentence):
    with pytest.raises(Exception, match=sentence) as caught:
        client.predict(**{**SMALL, **given}, api_name="/compare")
    assert "Traceback" not in str(caught.value)


def test_a_caller_is_told_which_seed_was_drawn(client):
    asked = {"prompt": "a cube", "method": "plain", "model": "tiny", "api_name": "/compare"}
    drawn = {client.predict(**asked, seed=given)[2]["seed"] for given in (-1, "-1", None, "")}
    assert len(drawn) > 1 and all(0 <= seed < 2**32 for seed in drawn)


def test_two_callers_get_their_own_pictures_one_after_the_other(lab, tmp_path):
    from gradio_client import Client

    found = {}

    def call(seed):
        client = Client(lab[0], verbose=False, download_files=str(tmp_path / str(seed)), analytics_enabled=False)
        found[seed] = client.predict(**{**ASK, "seed": seed})[2]

    threads = [threading.Thread(target=call, args=(seed,)) for seed in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    runs = {seed: lab[1].run(facts["run_id"]) for seed, facts in found.items()}
    assert {seed: run.request.seed for seed, run in runs.items()} == {1: 1, 2: 2}


@needs_browser
def test_two_clicks_knock_a_part_out_and_what_was_tried_is_undone_and_opened(visit):
    tab = visit()
    tab.get_by_role("tab", name="Intervene").click()
    tab.locator('.board [data-what="block1.layer0.cross.v"]').click()
    tab.locator("#knocked img").nth(1).wait_for(timeout=SOON)
    assert tab.locator("#what textarea").input_value() == "block1.layer0.cross.v"
    base, result = (tab.locator("#knocked img").nth(i).get_attribute("src") for i in (0, 1))
    assert base != result
    assert "reward" in tab.locator("#knocked figcaption").nth(1).inner_text()
    for cell in tab.locator('.board [data-what^="block1.layer0.cross.v@"]').all():
        assert "removed" in cell.get_attribute("aria-label") and "out" in cell.get_attribute("class").split()
    # By the keyboard: the cell to the right is reached, read out, and taken out.
    tab.locator('.board [data-what="block1.layer0.self.q"]').focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowDown"):
        tab.keyboard.press(key)
    assert tab.evaluate("document.activeElement.dataset.what") == "block1.layer0.cross.q@3-4"
    assert tab.locator("#board output").inner_text().startswith("Block 1, layer 0, cross-attention, queries, steps 3")
    tab.keyboard.press("Enter")
    tab.wait_for_function("document.querySelectorAll('.tried button').length === 2", timeout=SOON)
    assert tab.locator("#what textarea").input_value() == "block1.layer0.cross.v; block1.layer0.cross.q@3-4"
    tab.get_by_role("button", name="Undo").click()
    tab.wait_for_function("document.querySelector('#what textarea').value === 'block1.layer0.cross.v'", timeout=SOON)
    tab.wait_for_function("(src) => document.querySelectorAll('#knocked img')[1].src === src", arg=result, timeout=SOON)
    assert tab.locator(".tried button").count() == 2  # shown again, not made again
    tab.locator("#what textarea").fill("blok1")
    tab.locator("#what textarea").press("Enter")
    tab.get_by_text("says no place in the network").wait_for(timeout=SOON)
    tab.get_by_role("button", name="Open in Compare").click()
    tab.get_by_text("Knock out, preset chosen").wait_for(timeout=SOON)
    tab.wait_for_function("document.querySelector('#method input').value.startsWith('Knock out')", timeout=SOON)


@needs_browser
def test_of_two_quick_clicks_on_a_slow_line_each_counts_once(visit):
    tab = visit()
    tab.get_by_role("tab", name="Intervene").click()
    one, two = (f"block1.layer0.cross.v@{steps}" for steps in ("1-2", "3-4"))
    line = []

    def hold(route):
        line.append(route) if '"clicks"' in (route.request.post_data or "") else route.continue_()

    tab.route("**/queue/join*", hold)
    for what in (one, two):
        with tab.expect_request("**/queue/join*"):
            tab.locator(f'.board [data-what="{what}"]').click()
    line[0].continue_()
    tab.wait_for_function("(what) => document.querySelector('#what textarea').value === what", arg=one)
    line[1].continue_()  # both clicks, the first of which counts by now
    tab.wait_for_function("(what) => document.querySelector('#what textarea').value !== what", arg=one)
    assert tab.locator("#what textarea").input_value() == "block1.layer0.cross.v@1-4"
    tab.locator("#knocked img").nth(1).wait_for()


def in_one_screen(tab):
    """Both pictures of the Intervene tab and what stands under them."""
    parts = [*tab.locator("#knocked img").all(), *tab.locator("#knocked figcaption").all()]
    boxes = [part.bounding_box() for part in parts]
    return len(boxes) == 4 and all(box["y"] >= 0 and box["y"] + box["height"] <= 800 for box in boxes)


@needs_browser
def test_two_clicks_erase_a_concept_on_a_new_prompt(visit, library, tmp_path, monkeypatch):
    model = library.load("tiny").model
    few = np.arange(0, 4000, 3, dtype=np.uint32)
    mask = held.of_model(model, {0: few}, {"made": "by hand", "direction": "erase", "concept": "red"})
    held_mask.save(mask, tmp_path / "erase_red.safetensors")
    monkeypatch.setitem(model.trained, "mask", {"erase_red": tmp_path / "erase_red.safetensors"})
    monkeypatch.setattr(
        library, "concepts", lambda name: [Card(name="erase_red", title="red", summary="", kind="erase")]
    )
    tab = visit(viewport={"width": 1280, "height": 800})
    fill(tab, "two red dogs")
    tab.get_by_role("tab", name="Intervene").click()  # one
    slider = tab.locator("#dose input[type=range]")
    tab.locator("#dose", has_text="← erase").wait_for()
    assert "amplify" not in tab.locator("#dose").inner_text()  # for which there is no mask
    slider.wait_for()
    box = slider.bounding_box()
    tab.mouse.click(box["x"] + 3, box["y"] + box["height"] / 2)  # two
    tab.locator("#knocked img").nth(1).wait_for()
    assert tab.locator("#knocked figcaption b").nth(1).inner_text() == "“red” erased, 100% of the mask"
    assert "two red dogs" in tab.locator("#knocked img").nth(1).get_attribute("alt")
    base, result = (tab.locator("#knocked img").nth(i).get_attribute("src") for i in (0, 1))
    assert base != result and in_one_screen(tab) and not tab.complaints


@needs_browser
def test_three_clicks_knock_out_a_site_that_the_map_shows(visit):
    tab = visit(viewport={"width": 1280, "height": 800})
    fill(tab, "a dog on a red cube", "Random mask · control")
    generate(tab)
    tab.get_by_role("tab", name="Intervene").click()  # the plain picture of the stage waits there
    tab.locator('#knocked img[alt="Unmasked: a dog on a red cube"]').wait_for()
    assert tab.locator("#knocked img").count() == 1
    assert tab.locator("#knocked .hint").inner_text().startswith("Click a part of the network below.")
    fill(tab, "something else")
    tab.get_by_role("tab", name="Compare").click()
    tab.get_by_role("tab", name="Intervene").click()
    tab.wait_for_function("!document.querySelector('#knocked img')")  # it is no picture of that
    tab.get_by_role("tab", name="Explore").click()  # one
    tab.wait_for_selector("#headline")
    assert tab.locator("#knock-this").is_hidden()  # of which site?
    tab.locator('.heat .name[data-site="block1.layer0.cross.v"]').click()  # two
    tab.locator("#knock-this").click()  # three
    tab.locator("#knocked img").nth(1).wait_for()
    assert tab.get_by_role("tab", name="Intervene").get_attribute("aria-selected") == "true"
    assert tab.locator("#what textarea").input_value() == "block1.layer0.cross.v"
    assert tab.locator("#prompt textarea").input_value() == "a dog on a red cube"  # the form is of the picture again
    assert "a dog on a red cube" in tab.locator("#knocked img").nth(1).get_attribute("alt")
    assert "reward" in tab.locator("#knocked figcaption").nth(1).inner_text()
    assert in_one_screen(tab) and not tab.complaints


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
