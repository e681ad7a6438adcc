"""What a visitor sees without a click, and that the form and the picture always speak of the same run."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from maskunet.evaluation import metrics
from maskunet.library.library import Library
from maskunet.models import SPECS
from maskunet.records import MAX_SEED, MAX_SETTING, Request
from maskunet.records.features import FeatureEvent, Measures, Plane
from maskunet.studio import features_process
from maskunet.studio.cards import unknown
from maskunet.studio.studio import Studio
from maskunet.ui import gallery, links, opening_words, words
from maskunet.ui.html import chips
from tests.support import words_on_page
from tests.support.serving import SOON, complaints_of, needs_browser, reload, served
from tests.support.visiting import copied, expect
from visualize import embedding

CONTRAST = (Path(__file__).parents[1] / "support" / "contrast.js").read_text()
FULL = Request(
    prompt="a cat & a “dog”?", negative_prompt="red", seed=MAX_SEED, model="tiny", method="maskunet_free", preset="paper",
    steps=7, guidance=3.5, settings={"updates": 2, "low_memory": True, "gain": 0.25, "solver": "1", "groups": "a; b"},
)  # fmt: skip


@pytest.fixture(scope="module")
def shelf():
    """The precomputed runs, as if they were of this page's model."""
    runs = gallery.load()
    return {key: replace(run, request=replace(run.request, model="tiny")) for key, run in runs.items()}


@pytest.fixture(scope="module")
def lab(library, shelf, tmp_path_factory):
    """The address of a running page, and its studio."""
    studio = Studio(tmp_path_factory.mktemp("runs"), library=library, trains=True)
    with served(studio, shelf) as url:
        yield url, studio


@pytest.fixture(scope="module")
def context(chromium):
    """One browser for all tests of this file, the size of a small notebook."""
    context = chromium.new_context(viewport={"width": 1280, "height": 800})
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    yield context
    context.close()


@pytest.fixture
def visit(context, lab):
    """Open the page, as a browser that remembers what it did in this test."""

    def open_page(query=""):
        tab = context.new_page()
        tab.set_default_timeout(SOON)
        tab.complaints = complaints_of(tab)
        tab.goto(lab[0] + "/" + query)
        tab.wait_for_selector("#running .empty, #facts .facts", state="attached")
        return tab

    yield open_page
    for tab in context.pages[1:]:
        tab.close()
    for tab in context.pages:
        tab.evaluate("localStorage.clear()")
        tab.close()


def form(tab):
    """What the form says; numbers as they stand there."""
    tab.evaluate("document.querySelector('#controls .more .label-wrap:not(.open)')?.click()")
    tab.wait_for_selector("#steps input", state="visible")
    labels = {"seed": "Seed", "model": "Base model", "method": "Method", "preset": "Preset", "steps": "Steps"}
    said = {name: tab.get_by_label(label, exact=True).first.input_value() for name, label in labels.items()}
    return {"prompt": tab.locator("#prompt textarea").input_value(), **said}


def becomes(tab, prompt):
    """The form and the facts both speak of this prompt."""
    tab.wait_for_function(
        "(said) => document.querySelector('#prompt textarea').value === said && "
        "document.querySelector('#facts .said')?.innerText.includes(`“${said}”`)",
        arg=prompt,
    )


def in_sight(box):
    return box["y"] >= 0 and box["y"] + box["height"] <= 800


@needs_browser
def test_without_a_click_both_pictures_their_verdicts_and_what_to_do_are_in_sight(visit, shelf):
    tab, run = visit(), next(iter(shelf.values()))
    tab.wait_for_selector("#beside img", state="visible")
    pictures = [image.bounding_box() for image in tab.locator("#beside img").all()]
    assert len(pictures) == 2 and all(in_sight(box) and box["width"] >= 380 for box in pictures)
    assert pictures[0]["x"] < pictures[1]["x"] and pictures[0]["y"] == pictures[1]["y"]
    captions = tab.locator("#beside figcaption").all()
    assert all(in_sight(caption.bounding_box()) for caption in captions)
    left, right = (caption.inner_text() for caption in captions)
    assert "unmasked" in left and f"✗ The checker saw {run.base_verdict['saw']}" in left
    assert "MaskUNet, trained" in right and f"✓ The checker saw {run.verdict['saw']}" in right
    assert all(f"ImageReward {each['image_reward']:.2f}" in text for each, text in (
        (run.base_rewards, left), (run.rewards, right)
    ))  # fmt: skip
    assert tab.locator("#beside [role=img]").first.get_attribute("aria-label") == "Wrong"
    for part in ("#examples button >> nth=0", "#generate", "#header p"):
        assert in_sight(tab.locator(part).bounding_box())
    assert "Same noise, same prompt" in tab.locator("#header p").inner_text()
    assert form(tab) == {
        "prompt": run.request.prompt, "seed": str(run.request.seed), "model": "Tiny random", "method": "MaskUNet, trained",
        "preset": run.request.preset, "steps": "15",
    }  # fmt: skip


@needs_browser
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_on_a_phone_the_pair_is_in_sight_and_a_button_brings_the_settings(visit, theme):
    tab = visit(f"?__theme={theme}")
    tab.set_viewport_size({"width": 390, "height": 844})
    tab.locator("#fold-settings button").wait_for(state="visible")
    parts = [f"#beside {part} >> nth={i}" for part in ("img", "figcaption") for i in (0, 1)]
    boxes = {part: tab.locator(part).bounding_box() for part in ("#prompt", "#examples", "#generate", *parts)}
    assert all(box["y"] >= 0 and box["y"] + box["height"] <= 844 for box in boxes.values()), boxes
    heads = [tab.locator(f"#top {part}").bounding_box() for part in ("[data-tour]", "#copy-link")]
    ends = tab.evaluate(
        "(r => (r.selectNodeContents(document.querySelector('#top h1')), r.getBoundingClientRect().right))(new Range())"
    )
    assert ends < heads[0]["x"] and heads[0]["x"] + heads[0]["width"] < heads[1]["x"]
    assert heads[1]["x"] + heads[1]["width"] <= 390 and tab.evaluate(
        "document.documentElement.scrollWidth <= innerWidth"
    )
    assert tab.evaluate(CONTRAST) == []
    folded = [tab.locator(part) for part in ("#method", "#setup", "#choices .more", "#vocabulary")]
    for part in folded:
        expect(part).to_be_hidden()
    tab.locator("#fold-settings button").click()
    expect(tab.locator("#method")).to_be_visible()
    assert form(tab)["preset"] == "shared"
    tab.locator("#fold-settings button").click()
    tab.set_viewport_size({"width": 1280, "height": 800})
    expect(tab.locator("#method")).to_be_visible()
    expect(tab.locator("#fold-settings")).to_be_hidden()


def test_the_page_opens_on_a_pair_that_masks_mended_beside_one_that_they_broke():
    first, second, third, *rest = gallery.load().values()
    judged = [(run.base_verdict["right"], run.verdict["right"]) for run in (first, second, third)]
    assert judged == [(False, True), (False, True), (True, False)]
    assert all(run.request.model == "tabletop_web" and "Chosen by rule" in run.note for run in (first, second, third))
    assert rest and all(run.verdict["saw"] for run in rest)


def test_no_two_chips_say_the_same():
    said = re.findall("<button[^>]*>(.*?)</button>", chips.precomputed(gallery.load(), {"tabletop": "Tabletop"}))
    assert len({*said}) == len(said) and "a green cube and a cyan cone (Tabletop)" in said


def test_words_that_a_small_model_does_not_know_are_told_before_it_is_loaded():
    library = Library("tabletop_web", device="cpu")
    assert not unknown(library, "tabletop_web", "a red cube and a blue sphere")
    assert (
        unknown(library, "tabletop_web", "красный куб, a corgi")
        == "красный, куб, corgi are not words of this small model."
    )
    assert not unknown(library, "sd15", "a corgi") and not unknown(library, "nowhere", "a corgi")
    assert not library._loaded


@needs_browser
def test_unknown_words_are_told_as_soon_as_the_prompt_is_left_and_not_of_another_prompt(visit):
    tab = visit()
    tab.locator("#prompt textarea").fill("a red corgi")
    tab.locator("#prompt textarea").blur()
    tab.wait_for_function("document.querySelector('#unknown').innerText.includes('corgi')")
    assert words.TRY in tab.locator("#unknown").inner_text()
    tab.locator("#examples button").first.click()
    tab.wait_for_function("document.querySelector('#unknown').innerText === ''")


@needs_browser
def test_a_chip_and_history_fill_the_form_and_take_away_what_spoke_of_another_run(visit, shelf):
    tab = visit("?prompt=a+red+cat&method=random_mask&preset=light&steps=2&set.removed=0.25")
    assert opening_words.LINK_GONE not in tab.locator("#status").inner_text()  # it names no run
    tab.locator("#generate").click()
    becomes(tab, "a red cat")
    assert "“a red cat”" in tab.locator("#facts .said").inner_text() and "?" not in tab.url
    tab.get_by_role("button", name="Check: mask of ones").click()
    tab.wait_for_selector("#null .said")
    assert "Done" in tab.locator("#status").inner_text()
    broken = list(shelf.values())[2]
    tab.locator("#examples button").nth(2).click()
    becomes(tab, broken.request.prompt)
    tab.wait_for_function("!document.querySelector('#status .status') && !document.querySelector('#null .said')")
    assert form(tab)["method"] == "MaskUNet, trained"
    tab.get_by_role("tab", name="History").click()
    tab.get_by_role("button", name="Open").click()
    tab.wait_for_function("document.querySelector('#prompt textarea').value === 'a red cat'")
    assert form(tab) | {"steps": "2", "method": "Random mask · control", "preset": "light"} == form(tab)
    tab.wait_for_function("document.querySelector('#set-removed')?.value === '0.25'")


@needs_browser
def test_a_link_opens_its_run_its_tab_and_its_settings_and_says_when_the_run_is_gone(visit, lab):
    asked = Request(
        prompt="a blue dog", seed=5, model="tiny", method="maskunet_free", preset="official", steps=2, guidance=2.5,
        settings={"updates": 3, "early_steps": 0},
    )  # fmt: skip
    *_, last = lab[1].events(lab[1].start(asked, owner="link", address="link"))
    tab = visit(links.query(asked, last.run.id))
    becomes(tab, "a blue dog")
    tab.wait_for_function("document.querySelector('#set-updates')?.value === '3'")
    assert form(tab) | {"seed": "5", "steps": "2", "method": "MaskUNet, training-free"} == form(tab)
    expect(tab.get_by_label("Guidance scale")).to_have_value("2.5")
    tab.get_by_role("tab", name="Explore").click()
    tab.wait_for_selector("#heat .heat")
    expect(tab.locator("#controls")).to_be_hidden()  # it is folded away, the link is not
    tab.get_by_role("button", name="Copy link").click()
    tab.get_by_text("Link copied").wait_for()
    copied = tab.evaluate("navigator.clipboard.readText()")
    known, place = links.read(copied.partition("?")[2])
    as_made = lab[1].as_made(last.run.request, last.run.settings)
    assert Request(**known) == Request(**links.fields(as_made))
    assert place["run"] == last.run.id and place["tab"] == "explore" and place["step"] == "2"
    tab.locator(".toast-close").click()
    tab.evaluate("navigator.clipboard.writeText('')")
    tab.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")  # as over http from elsewhere
    tab.get_by_role("button", name="Copy link").click()
    tab.get_by_text("Link copied").wait_for()
    tab.get_by_role("button", name="Show the form").click()
    tab.locator("#prompt textarea").fill("")
    tab.locator("#prompt textarea").press("Control+V")
    expect(tab.locator("#prompt textarea")).to_have_value(copied)
    again = visit("?" + copied.partition("?")[2])
    again.wait_for_selector("#heat .heat", state="visible")
    short = visit(f"?run={last.run.id}")  # a link that only names it
    becomes(short, "a blue dog")
    gone = visit(links.query(asked, "0" * 12))
    gone.get_by_text(opening_words.LINK_GONE).wait_for()
    expect(gone.locator("#running .empty")).to_be_visible()
    assert form(gone)["prompt"] == "a blue dog"


@needs_browser
def test_a_reload_in_the_middle_of_a_run_leaves_preset_and_settings_as_they_were(visit):
    tab = visit("?prompt=two+dogs&method=maskunet_free&preset=paper&steps=60&set.updates=4")
    tab.wait_for_function("document.querySelector('#set-updates')?.value === '4'")
    tab.locator("#generate").click()
    tab.wait_for_function("document.querySelector('#status').innerText.includes('Masked')")
    reload(tab)
    tab.wait_for_selector("#stop", state="visible")
    tab.wait_for_function("document.querySelector('#set-updates')?.value === '4'")
    assert form(tab) | {"prompt": "two dogs", "preset": "paper", "steps": "60"} == form(tab)
    tab.locator("#stop").click()
    becomes(tab, "two dogs")
    assert re.search(r"predicted at step \d+ of 60", tab.locator("#beside").inner_text())
    assert tab.complaints == []


@needs_browser
def test_one_click_says_what_stable_diffusion_takes(visit):
    tab = visit()
    tab.get_by_text("Use Stable Diffusion 1.5").click()
    said = tab.locator("#setup details[open]").inner_text()
    assert all(part in said for part in (
        "Stable Diffusion 1.5 (4.3 GB)", "ImageReward (1.8 GB)", "8.1 GB in all", "CUDA GPU with 12 GB", "OpenRAIL-M"
    ))  # fmt: skip
    commands = [f"python -m maskunet download {name}" for name in ("sd15", "rewards")]
    assert tab.locator("#setup code").all_inner_texts() == commands
    assert copied(tab.locator("#setup button").nth(1)) == ["Copied", commands[1]]


def test_a_link_says_all_that_was_asked_and_reads_it_back():
    known, place = links.read(links.query(FULL, "a" * 12) + "&tab=explore&step=3&site=x")
    assert Request(**known) == FULL
    assert place == {"run": "a" * 12, "tab": "explore", "step": "3", "site": "x"}


@pytest.mark.parametrize(
    "query",
    [
        "steps=1000", "steps=x", "guidance=nan", "seed=-7", "model=../etc", "set.a=" + "x" * (MAX_SETTING + 1), "set.a=[1]", "set.a=NaN",
        "set.a=" + "[" * 30_000,
        "set.%3Cb%3E=1", "&".join(f"set.a{n}=1" for n in range(100)),
    ],
)  # fmt: skip
def test_what_cannot_be_is_left_out_of_a_link(query):
    assert links.read(f"prompt=a+cat&{query}") == ({"prompt": "a cat"}, {})


MOST_WORDS = 1245  # 60 % of the 2,075 that the page's first edition had
NEW_TABS = ("Intervene", "Grid", "Video")  # which it did not have


def measured(request, *visitor):
    """What a drawing of the shipped sets ends with, without the work: made up points, and distances of 5."""
    names = tuple(key.rpartition("/")[2] for key in request.sets)
    with np.errstate(all="ignore"):
        few = np.random.default_rng(0).normal(size=(56, 4))
        scores = [(name, score) for name in names[1:] for score in metrics.measure(few, few[::-1], 0)]
    rows = tuple(
        {"set": name, "reference": names[0], "measure": s.title, "n": 56, "n_reference": 56, "note": s.note}
        | {"value": s.value, "low": s.low, "high": s.high}
        for name, s in scores
    )
    plane = Plane(
        title="t-SNE, perplexity 30, seed 0", caveat=embedding.CAVEATS["t-SNE"], extractor="tabletop",
        points=dict.fromkeys(names, few[:, :2]), thumbnails=dict.fromkeys(names, np.zeros((56, 48, 48, 3), np.uint8)),
        files=dict.fromkeys(names, ("a",) * 56), captions=dict.fromkeys(names, ("",) * 56),
    )  # fmt: skip
    about = features_process.reading()
    yield FeatureEvent(phase="done", plane=plane, measures=Measures(reference=names[0], rows=rows, about=about))


@needs_browser
def test_the_page_has_at_most_three_in_five_of_its_former_words(visit, lab, monkeypatch):
    monkeypatch.setattr(lab[1].features, "draw", measured)
    tab = visit()
    tab.wait_for_selector("#beside img", state="visible")
    counted = words_on_page.count(tab)
    assert set(NEW_TABS) < set(counted) and all(counted.values())
    vocabulary = re.sub(r"<[^>]*>", " ", chips.vocabulary(SPECS["tabletop_web"]))
    known = len(words_on_page.WORD.findall(vocabulary))  # the small model of this page has none
    assert known > 20
    assert sum(n for name, n in counted.items() if name not in NEW_TABS) + known <= MOST_WORDS, counted
