"""More settings: a field for every setting, and what differs from the preset is what a request carries."""

import json
import re
from html import unescape
from pathlib import Path

import pytest

from maskunet.methods import SPECS
from maskunet.plugins import FieldCard
from maskunet.records import Request
from maskunet.studio import cards
from maskunet.studio.studio import Studio
from maskunet.ui import controls, settings
from maskunet.ui.html.settings import form
from tests.support.serving import SOON, needs_browser, served
from tests.support.visiting import expect

CONTRAST = (Path(__file__).parents[1] / "support" / "contrast.js").read_text()
EVIL = '"><img src=x onerror="alert(1)">'
OF = "maskunet_free/official"


def drawn(html):
    """What the fields of a form begin with, by the settings' names."""
    found = re.findall(r'data-name="(\w+)" data-usual="([^"]*)"', html)
    return {name: json.loads(unescape(value)) for name, value in found}


@pytest.mark.parametrize("card", cards.of_methods(SPECS.values()), ids=lambda card: card.name)
def test_every_setting_of_every_preset_has_a_field_or_a_control_of_its_own(card):
    spec = SPECS[card.name]
    assert list(card.presets) == list(spec.presets)
    for name, preset in spec.presets.items():
        own = {"groups", *spec.takes} & set(preset.__dataclass_fields__)
        wanted = {each: getattr(preset, each) for each in preset.__dataclass_fields__ if each not in own}
        assert drawn(form(card.presets[name], f"{card.name}/{name}", {}, key="set")) == wanted


def test_a_field_is_drawn_by_its_kind_with_its_help_and_range():
    made = [
        FieldCard(name="updates", kind="int", default=15, help="per step", low=0, high=1000),
        FieldCard(name="scale", kind="float", default=0.5, help="size", low=1e-5, high=1.0),
        FieldCard(name="last", kind="float", default=None, help="at the end", low=0.0, high=1.0, empty=True),
        FieldCard(name="noise", kind="str", default="b", help="which", choices=("a", "b")),
        FieldCard(name="judge", kind="str", default=None, help="or none", choices=("a", "b"), empty=True),
        FieldCard(name="layers", kind="str", default=EVIL, help=EVIL),
        FieldCard(name="keep", kind="bool", default=True, help="or not"),
        FieldCard(name="tiny", kind="bool", default=False, help="faster", cost=True),
    ]
    html = form(made, OF, {"updates": "Turns"}, key="set")
    assert re.search(r'<input type="number" id="set-updates"[^>]* value="15" step="1" min="0" max="1000">', html)
    assert re.search(r'id="set-scale"[^>]* value="0.5" step="any" min="1e-05" max="1.0">', html)
    assert re.search(r'id="set-last"[^>]* value=""', html)
    assert re.search(r'<select id="set-noise".*<option>a</option><option selected>b</option>', html)
    assert re.search(r'<select id="set-judge"[^>]* data-usual="null"><option value=""></option><option>a', html)
    assert re.search(r'<input type="text" id="set-layers"', html) and "<img" not in html
    assert re.search(r'<input type="checkbox" id="set-keep"[^>]* checked>', html)
    assert '<label for="set-updates">Turns</label>' in html and '<label for="set-scale">Scale</label>' in html
    assert "per step <span>(0 – 1,000)</span>" in html and "size <span>(0.00001 – 1)</span>" in html
    _, _, costs = html.partition('<fieldset id="set-switches">')
    assert list(drawn(costs)) == ["tiny"]
    assert form([], OF, {}, key="set") == ""


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ({"of": OF, "set": {"updates": 3, "noise": "none"}}, {"updates": 3, "noise": "none"}),
        ({"of": "plain/second_order", "set": {"updates": 3}}, {}),  # the method changed a moment ago
        ({}, {}),
        (None, {}),
        ("x", {}),
        ({"of": OF, "set": [1]}, {}),
    ],
)
def test_a_request_carries_what_was_changed_in_the_fields_of_its_method_and_preset(value, wanted):
    given = controls.Values("a cube", "", 1, "tabletop", "maskunet_free", "official", changed=value)
    assert controls.request(given).settings == wanted
    assert settings.changed(value, OF) == wanted


@pytest.fixture(scope="module")
def lab(library, tmp_path_factory):
    """The address of a running page, and its studio."""
    studio = Studio(tmp_path_factory.mktemp("settings"), library=library)
    with served(studio, {}) as url:
        yield url, studio


@pytest.fixture
def tab(chromium, lab):
    """The page with its settings open."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    tab = context.new_page()
    tab.set_default_timeout(SOON)
    tab.goto(lab[0])
    tab.get_by_text("More settings").click()
    tab.wait_for_selector("#set-updates")
    yield tab
    context.close()


def choose(tab, label, name):
    tab.get_by_label(label).click()
    tab.get_by_role("option", name=name, exact=True).click()


def last_request(studio, tab) -> Request:
    tab.locator("#generate").click()
    tab.wait_for_selector("#facts .facts", state="visible")
    newest = max(studio.shelf.folder.glob("*/run.json"), key=lambda path: path.stat().st_mtime)
    return studio.run(newest.parent.name).request


@needs_browser
def test_what_differs_from_the_preset_is_marked_counted_asked_for_and_taken_back(tab, lab):
    tab.locator("#steps input").fill("1")
    usual = tab.locator("#set-updates").input_value()
    tab.locator("#set-updates").fill("2")
    tab.locator("#set-noise").select_option("none")
    tab.locator("#set-keep_best").check()
    tab.locator("#set-views").fill("4")
    tab.locator("#set-views").fill("1")  # as it was
    assert tab.locator(".changed label").all_inner_texts() == ["Updates", "Noise", "Keep best"]
    assert "3 differ from the preset." in tab.locator(".tally").inner_text()
    mark = "getComputedStyle(document.querySelector('.more > button > span'), '::after').content"
    assert tab.evaluate(mark) == '"3 changed"'
    tab.get_by_text("More settings").click()  # also while it is folded away
    assert tab.evaluate(mark) == '"3 changed"'
    asked = last_request(lab[1], tab)
    assert dict(asked.settings) == {"updates": 2, "noise": "none", "keep_best": True}
    tab.get_by_text("More settings").click()
    tab.get_by_role("button", name="Back to the preset").click()
    tab.wait_for_selector(".tally", state="hidden")
    expect(tab.locator("#set-updates")).to_have_value(usual)
    assert not tab.locator("#set-keep_best").is_checked() and tab.evaluate(mark) == "none"


@needs_browser
def test_the_fields_follow_method_and_preset_with_nothing_changed(tab):
    tab.locator("#set-second_order").check()
    tab.wait_for_selector(".tally", state="visible")
    choose(tab, "Method", "Random mask · control")
    tab.wait_for_selector("#set-removed")
    tab.wait_for_selector("#set-updates", state="detached")
    tab.wait_for_selector(".tally", state="hidden")
    random = SPECS["random_mask"].presets
    usual = float(tab.locator("#set-removed").input_value())
    assert usual == next(iter(random.values())).removed
    tab.locator("#set-removed").fill("0.5")
    choose(tab, "Preset", "light")
    tab.wait_for_selector(f"#set-removed[value='{random['light'].removed}']")
    tab.wait_for_selector(".tally", state="hidden")
    assert float(tab.locator("#set-removed").input_value()) == random["light"].removed
    choose(tab, "Method", "SynGen · rival")
    tab.wait_for_selector("#set-moved")
    expect(tab.locator("#set-groups")).to_have_count(0)  # those have chips of their own
    choose(tab, "Method", "MaskUNet, training-free")
    tab.wait_for_selector("#set-updates")


@needs_browser
def test_a_wrong_value_is_refused_in_one_sentence_and_an_emptied_number_is_the_presets(tab, lab):
    usual = tab.locator("#set-updates").input_value()
    tab.locator("#set-updates").fill("101")
    expect(tab.locator("#set-updates:invalid")).to_have_count(1)
    tab.locator("#generate").click()
    tab.get_by_text("The setting updates is 101; allowed is 0 to 100.").first.wait_for()
    tab.locator("#set-updates").fill("")
    tab.locator("#set-updates").blur()
    expect(tab.locator("#set-updates")).to_have_value(usual)
    tab.wait_for_selector(".tally", state="hidden")


@needs_browser
@pytest.mark.parametrize(("width", "columns", "theme"), [(390, 1, "light"), (1400, 2, "dark"), (1400, 2, "light")])
def test_two_columns_where_there_is_room_and_every_field_is_readable_and_in_reach(chromium, lab, width, columns, theme):
    context = chromium.new_context(viewport={"width": width, "height": 844})
    tab = context.new_page()
    tab.set_default_timeout(SOON)
    tab.goto(f"{lab[0]}/?__theme={theme}")
    if width == 390:
        tab.locator("#fold-settings button").click()
    tab.get_by_text("More settings").click()
    tab.locator("#set-updates").fill("3")
    tab.locator("#set-views").fill("99")
    assert tab.evaluate(CONTRAST) == []
    lefts = "[...new Set([...document.querySelectorAll('.fields .field')].map(f => Math.round(f.getBoundingClientRect().left)))]"
    assert len(tab.evaluate(lefts)) == columns
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    names = tab.evaluate("[...document.querySelectorAll('.settings [data-name]')].map(f => f.id)")
    tab.locator(f"#{names[0]}").focus()
    reached = [tab.evaluate("document.activeElement.id")]
    for _ in names[1:]:
        tab.keyboard.press("Tab")
        reached.append(tab.evaluate("document.activeElement.id"))
    assert reached == names and names
    context.close()
