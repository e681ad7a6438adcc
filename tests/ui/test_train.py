"""The Train tab: its fields follow the recipe, it shows what the training tells, and only at home."""

import base64
import io
import multiprocessing
import re
from dataclasses import replace
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from maskunet.library.library import Library
from maskunet.methods import SPECS
from maskunet.plugins import FieldCard
from maskunet.records import Request
from maskunet.records.training import BaseSamples, Preparing, RecipeCard, TrainEvent, TrainRequest, TrainState
from maskunet.studio import cards
from maskunet.studio.studio import Studio
from maskunet.studio.training import TrainStudio
from maskunet.studio.training_process import Place
from maskunet.ui import column, controls, links, page, words
from maskunet.ui.handlers import told
from maskunet.ui.html import train as views
from maskunet.ui.tabs import train
from tests.support.said import refuse
from tests.support.serving import SOON, complaints_of, needs_browser, reload, served
from tests.support.tiny import tiny_tabletop
from tests.support.visiting import expect
from tests.ui.test_explore import tables
from tests.ui.test_settings import drawn

EVIL = '<img src=x onerror="alert(1)">'
LONG = 4 * SOON  # a process starts, and a model is loaded and sampled
# The form beside the tabs, which fills itself.
FORM = SimpleNamespace(methods={"maskunet_trained": SimpleNamespace(takes="generator")}, fill=lambda asked: [asked])


def steps(default):
    return FieldCard(name="steps", kind="int", default=default, help="of the optimizer", low=1, high=5000)


def variant(default):
    return FieldCard(name="variant", kind="str", default=default, help="structure", choices=("light", "live"))


RANK = FieldCard(name="rank", kind="int", default=4, help="rank of the additions", low=1, high=64)
MASKS = RecipeCard(
    name="mask_generator",
    title="Masks",
    summary="Masks <learn>.",
    method="maskunet_trained",
    presets={"tabletop": (steps(400), variant("light")), "quick": (steps(4), variant("live"))},
)
LORA = RecipeCard(
    name="lora",
    title="LoRA",
    summary="Additions.",
    method="fine_tuned",
    presets={"tabletop": (RANK, steps(300))},
)
TAKES = controls.taking(cards.of_methods(SPECS.values()))
FIGURES = {
    "removed": 0.1,
    "expected": 0.2,
    "distance_time": 0.3,
    "distance_sample": 0.4,
    "held_out_loss_change": -1.0,
    "held_out_error": 0.5,
}


class Fake:
    """In place of the studio's part: what it offers and tells is given."""

    def __init__(self, *states):
        self.states, self.asked = states, []

    def recipes(self):
        return [MASKS, LORA]

    def bases(self):
        return {"tabletop": "Tabletop", "other": "Another"}

    def start(self, request):
        if request.name == "taken":
            refuse("“taken” & nothing else.")
        self.asked.append(request)

    def follow(self):
        return iter(self.states)

    def archive(self):
        return "a.zip"

    def log(self):
        return "log.csv"

    def trained(self, method, model):
        return ["mine"] if (method, model) == ("maskunet_trained", "tabletop") else []


def tab(*states, model="tabletop"):
    form = SimpleNamespace(model=SimpleNamespace(value=model))
    page = SimpleNamespace(studio=SimpleNamespace(training=Fake(*states)), c=form)
    with gr.Blocks():
        return train.build(page, None)


def test_it_begins_with_the_base_that_makes_the_pictures_if_that_can_be_trained():
    assert tab(model="tabletop").base.value == "tabletop" == tab(model="sd15").base.value
    assert tab(model="other").base.value == "other"


def event(step, **more):
    return TrainEvent(step=step, steps=4, loss=1.0 / step, learning_rate=1e-3, seconds=1.0, seconds_left=12.0, **more)


def state(phase="training", steps=1, **more):
    request = TrainRequest(recipe="mask_generator", name="mine")
    return TrainState(request=request, phase=phase, events=tuple(map(event, range(1, steps + 1))), **more)


BASE = BaseSamples(sheet=np.full((8, 32, 3), 60, np.uint8), captions=(EVIL, "b", "c", "d"), held_out=64)


def test_the_fields_are_those_of_the_recipe_and_its_preset():
    shown = tab()
    assert drawn(shown.changed.props["form"]) == {"variant": "light", "steps": 400}
    about, preset, changed = shown.new_recipe("lora")
    assert about == '<p class="hint">Additions.</p>' and preset.value == "tabletop"
    assert "Masks &lt;learn&gt;." in shown.about.value
    assert drawn(changed.props["form"]) == {"steps": 300, "rank": 4} and changed.value == {}
    at_once, _, folded = changed.props["form"].partition("<details>")
    assert list(drawn(at_once)) == ["steps"] and list(drawn(folded)) == ["rank"]
    assert drawn(shown.new_preset("mask_generator", "quick").props["form"]) == {"variant": "live", "steps": 4}


def test_what_the_fields_hold_is_asked_and_refusals_are_passed_on():
    shown = tab()
    changed = {"of": "mask_generator/tabletop", "set": {"variant": "live", "steps": 7}}
    shown.begin("tabletop", "mask_generator", "tabletop", " mine ", changed)
    shown.begin("other", "lora", "tabletop", "other", changed)  # those were another recipe's fields
    shown.begin("tabletop", "lora", "tabletop", "third", {"of": "lora/tabletop", "set": {"steps": 8}})
    first, second, third = shown.studio.asked
    assert first == TrainRequest(
        recipe="mask_generator", preset="tabletop", name="mine", settings={"variant": "live", "steps": 7}
    )
    assert shown.base.choices == [("Tabletop", "tabletop"), ("Another", "other")] and shown.base.value == "tabletop"
    assert second.model == "other" and second.settings == {} and third.settings == {"steps": 8}
    with pytest.raises(gr.Error, match=r"“taken” &amp; nothing else\."):
        told(shown.begin)("tabletop", "lora", "tabletop", "taken", {})


def test_it_is_followed_to_its_end_and_only_what_is_new_is_sent():
    before = state("loading", 0)
    told = [before, state(), state(), state("done", 4, saved=4, base=BASE, sheets={4: BASE.sheet})]
    first, *updates = tab(*told).follow()
    assert first == (gr.skip(),) * 8
    start, stop, *_ = updates[0]
    assert (start.interactive, stop.visible) == (False, True)
    assert "svg" in updates[1][-1] and updates[2][-1] == gr.skip()
    start, stop, said, kept, archive, log, samples, _ = updates[-1]
    assert (start.interactive, stop.visible, kept.visible) == (True, False, True)
    assert "“mine” is kept as it was at step 4 of 4" in said
    assert (archive, log) == ("a.zip", "log.csv") and samples.count("<img") == 2
    assert list(tab().follow()) == [first]  # no value at all would empty every part of the tab


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (state("loading", 0, seconds=3.0), "“mine”</span>: Loading the model"),
        (state("preparing", 0, prepared=Preparing(done=8, total=32)), "learns from: 8 of 32 prompts</span>"),
        (state("preparing", 0, prepared=Preparing(done=8, total=32)), "width:25.0%"),
        (state(seconds=3.0), "Training, step 1 of 4</span><span>3.0 s, about 12 s left"),
        (state("stopping"), "Stopping after this step"),
        (state("stopped", 2, saved=2), "Stopped. “mine” is kept as it was at step 2 of 4"),
        (state("stopped", 0), "Nothing of “mine” was kept"),
        (state("failed", 2, saved=1, message=EVIL), "&lt;img src=x"),
    ],
)
def test_the_line_says_how_far_it_is_and_what_is_left_of_it(given, said):
    html = views.status(given)
    assert said in html and EVIL not in html
    assert ('role="alert"' in html) == (given.phase == "failed")


def test_curves_hold_the_numbers_of_the_events():
    events = (event(1), event(2, figures=FIGURES), event(3), event(4, figures=FIGURES))
    request = TrainRequest(recipe="lora", name="a")
    html = views.curves(TrainState(request=request, events=events, base=BASE))
    found = tables(html)
    assert [float(row["loss"]) for row in found["loss"]] == [1.0, 0.5, pytest.approx(1 / 3), 0.25]
    assert [row["step"] for row in found["removed"]] == ["2", "4"]
    assert [float(row["distance_time"]) for row in found["distances"]] == [0.3, 0.3]
    assert float(found["held_out"][0]["held_out_loss_change_high"]) == pytest.approx(-1 + 1.96 * 0.5)
    assert "n = 64 scenes" in html and "mean of the last 4 steps" in html
    assert views.curves(state(steps=0)) == ""
    assert set(tables(views.curves(state(steps=2)))) == {"loss"}


def test_what_learns_from_preferences_shows_its_exam():
    figures = {"unseen_right": 0.75, "unseen_error": 0.1, "better_change": -1.0, "removed": 0.1}
    figures |= {"image_reward_change": 0.5, "image_reward_error": 0.1, "correct_change": -0.1, "correct_error": 0.05}
    events = (event(1), event(2, figures=figures))
    html = views.curves(TrainState(request=TrainRequest(recipe="lora", name="a"), events=events))
    found = tables(html)
    assert set(found) == {"loss", "unseen", "judged"}
    assert [(row["step"], float(row["unseen_right"])) for row in found["unseen"]] == [("2", 0.75)]
    assert float(found["judged"][0]["correct_change"]) == -0.1
    assert "image_reward" in html and "better, step" not in html


def test_a_long_training_is_thinned_for_the_page():
    events = tuple(event(step) for step in range(1, 1001))
    html = views.curves(TrainState(request=TrainRequest(recipe="lora", name="a"), events=events))
    rows = tables(html)["loss"]
    assert len(rows) == views.POINTS and (rows[0]["step"], rows[-1]["step"]) == ("1", "1000")


def test_samples_stand_under_the_base_models_newest_first():
    sheets = {step: np.full((8, 32, 3), 60 * step, np.uint8) for step in (2, 3, 4)}
    html = views.samples(state(base=BASE, sheets=sheets))
    names = re.findall("<figcaption>(.*?)</figcaption>", html)
    assert names == [words.BASE_ROW, "After step 4", "After step 3", "After step 2"]
    pictures = [Image.open(io.BytesIO(base64.b64decode(data))) for data in re.findall('base64,(.*?)"', html)]
    assert [np.array(one).mean().round() for one in pictures] == pytest.approx([60, 240, 180, 120], abs=1)
    assert EVIL not in html and views.samples(state()) == ""


def test_what_was_trained_is_offered_where_a_method_takes_it():
    shown = tab(state())
    offered = shown.offer("maskunet_trained", "tabletop", "mine")
    assert offered.visible and (offered.value, offered.choices[1]) == ("mine", ("mine", "mine"))
    assert shown.offer("maskunet_trained", "tabletop", "gone").value == ""
    assert not shown.offer("plain", "tabletop", "mine").visible
    asked, tabs = shown.choose(FORM)
    assert asked == {"model": "tabletop", "method": "maskunet_trained", "settings": {"generator": "mine"}}
    assert tabs.selected == "compare"


@pytest.mark.parametrize("part", ["", "mine", "gone"])
def test_a_run_that_is_opened_offers_all_that_was_trained_and_chooses_its_part(library, tmp_path, part):
    studio = Studio(tmp_path / "runs", library=library)
    studio.training = Fake(state())
    try:
        with gr.Blocks():
            models, methods = studio.cards(), studio.methods()
            form = column.build(studio, models, methods, {}, {})
        asked = Request(
            prompt="a", model="tabletop", method="maskunet_trained", settings={"generator": part} if part else {}
        )
        trained = form.fill(links.fields(asked))[form.filled().index(form.trained)]
    finally:
        studio.training = None
        studio.close()
    assert (trained.value, trained.visible) == (part, True)
    assert [name for _, name in trained.choices] == ["", "mine", *(["gone"] if part == "gone" else [])]


def test_masks_that_learned_with_a_word_are_chosen_and_the_word_is_put_on_the_model():
    token = FieldCard(name="token", kind="str", default="<mine>", help="the word")
    both = replace(MASKS, name="inversion_masks", word=True, presets={"tabletop": (token,)})
    asked = TrainRequest(recipe="inversion_masks", name="mine", settings={"token": "<mug>"})
    shown = tab(TrainState(request=asked, phase="done", saved=4))
    shown.studio.recipes = lambda: [both]
    asked, _ = shown.choose(FORM)
    assert (asked["method"], asked["settings"]) == ("maskunet_trained", {"generator": "mine"})
    embeddings, chip, prompt = shown.say_word()
    assert (embeddings.value, prompt) == (["mine:<mug>"], "a <mug>") and "&lt;mug&gt;" in chip


@pytest.mark.parametrize(
    ("method", "trained", "settings"),
    [
        ("maskunet_trained", "mine", {"generator": "mine"}),
        ("fine_tuned", "mine", {"training": "mine"}),
        ("maskunet_trained", "", {}),
        ("plain", "mine", {}),
    ],
)
def test_a_request_names_what_was_trained(method, trained, settings):
    asked = controls.request(controls.Values("a cube", "", 1, "tabletop", method, "", trained=trained, takes=TAKES))
    assert asked.settings == settings


def test_without_trainings_the_page_has_no_such_tab(library, tmp_path):
    studio = Studio(tmp_path / "runs", library=library)
    try:
        labels = {block.label for block in page.build(studio, {}).blocks.values() if isinstance(block, gr.Tab)}
        assert studio.training is None and "Compare" in labels and words.TRAIN not in labels
    finally:
        studio.close()


@needs_browser
def test_a_training_is_started_watched_stopped_kept_and_used(chromium, tmp_path):
    weights = tiny_tabletop(tmp_path / "tiny")
    library = Library("tabletop", weights, "cpu", trained=tmp_path / "trained")
    studio = Studio(tmp_path / "runs", library=library, trains=True)
    studio.training = TrainStudio(Place(model="tabletop", weights=weights, device="cpu"), tmp_path / "trained")

    with served(studio, {}) as url:
        context = chromium.new_context(viewport={"width": 1280, "height": 1500})
        tab = context.new_page()
        tab.set_default_timeout(LONG)
        tab.complaints = complaints_of(tab)
        tab.goto(url)
        tab.get_by_role("tab", name="Train", exact=True).click()
        tab.get_by_text(words.NO_TRAINING).wait_for()
        expect(tab.locator("#start-training")).to_have_text(words.START_TRAINING)
        for recipe in (
            "MaskUNet, from a reward",
            "MaskUNet, trained",
        ):  # a field that may be empty is no change
            tab.get_by_label(words.RECIPE, exact=True).click()
            tab.get_by_role("option", name=recipe, exact=True).click()
            attached = "attached" if "reward" in recipe else "detached"
            tab.wait_for_selector("#train-held_out", state=attached)
            expect(tab.locator("#train-form .tally")).to_be_hidden()
        tab.get_by_label("Name").fill("from/page")
        tab.locator("#start-training").click()
        tab.get_by_text("The name “from/page” cannot be used").wait_for()
        tab.get_by_label("Name").fill("from-page")
        tab.locator("#train-steps").fill("5000")
        tab.locator("#train-batch").fill("2")
        tab.locator("#train-every").fill("2")
        tab.locator("#start-training").click()
        tab.wait_for_selector("#training-samples img")
        curve = tab.locator("#plot-loss polyline").first
        curve.wait_for(state="attached")
        before = curve.get_attribute("points")
        tab.wait_for_function(
            "before => document.querySelector('#plot-loss polyline').getAttribute('points') != before",
            arg=before,
        )
        tab.wait_for_selector("#plot-distances svg")
        assert [text for text in tab.complaints if "cannot be used" not in text] == []
        reload(tab)
        tab.get_by_role("tab", name="Train", exact=True).click()
        tab.wait_for_selector("#training .status:has-text('from-page')")
        tab.wait_for_selector("#plot-loss svg")
        tab.complaints.clear()
        tab.locator("#stop-training").click()
        tab.wait_for_selector("#training .status:has-text('is kept as it was at step')")
        with tab.expect_download() as download:
            tab.locator("#trained-row").get_by_text(words.DOWNLOAD_TRAINED).click()
        assert download.value.suggested_filename == "from-page.zip"
        assert not multiprocessing.active_children()
        tab.locator("#use-trained").click()
        expect(tab.locator("#trained input")).to_have_value("from-page", timeout=LONG)
        tab.locator("#generate").click()
        tab.wait_for_selector("#facts .facts", state="visible")
        (made,) = (path.name for path in (tmp_path / "runs").iterdir() if (path / "run.json").is_file())
        request = studio.run(made).request
        assert (request.method, request.settings) == ("maskunet_trained", {"generator": "from-page"})
        assert tab.complaints == []
        context.close()


def test_what_another_base_learned_is_said_to_be_in_its_own_folder():
    request = TrainRequest(recipe="lora", name="a", model="tabletop_web")
    over = TrainState(request=request, phase="done", events=(event(4),), saved=4)
    assert "in trained/tabletop_web/a." in views.status(over)
