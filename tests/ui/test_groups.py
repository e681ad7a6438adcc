"""Word groups on the page: read off the prompt, shown where a method takes them, and used as edited."""

import pytest

from maskunet.studio.studio import Studio
from maskunet.ui import controls, groups
from tests.support.serving import SOON, needs_browser, served

EDITED = {"prompt": "a red cube and a blue sphere", "groups": ["red cube"], "methods": ["syngen"]}


def settings(edited, prompt=EDITED["prompt"], method="syngen"):
    given = controls.Values(prompt, "", 1, "tabletop", method, "", edited=edited)
    return controls.request(given).settings


def test_edited_groups_count_for_their_prompt_and_for_methods_that_take_them():
    assert settings(EDITED) == {"groups": "red cube"}
    assert settings({**EDITED, "groups": ["red cube", "blue sphere"]}) == {"groups": "red cube; blue sphere"}
    assert settings(EDITED, prompt="a red cube and a sphere") == {}
    assert settings(EDITED, method="plain") == {}
    assert settings({**EDITED, "groups": []}) == settings({}) == settings(None) == {}
    assert groups.setting(EDITED, EDITED["prompt"], "syngen") == {"groups": "red cube"}


@pytest.fixture(scope="module")
def studio(library, tmp_path_factory):
    made = Studio(tmp_path_factory.mktemp("groups"), library=library)
    yield made
    made.close()


def test_the_studio_reads_groups_and_says_who_takes_them(studio):
    assert studio.groups("a photo of a red cube and a blue sphere") == ["red cube", "blue sphere"]
    assert studio.groups("") == studio.groups("and of the") == []
    takes = {card.name for card in studio.methods() if card.groups}
    assert takes == {"syngen", "attend_and_excite", "syngen_maskunet"}


def chips(tab):
    return [chip.strip() for chip in tab.locator("#groups .token").all_inner_texts()]


def choose(tab, method):
    tab.get_by_label("Method").click()
    tab.get_by_role("option", name=method, exact=True).click()


def wait_for_chips(tab, *wanted):
    tab.wait_for_function(
        "wanted => [...document.querySelectorAll('#groups .token')].map(c => c.innerText.trim()).join('|') === wanted",
        arg="|".join(wanted),
    )


@needs_browser
def test_chips_follow_the_prompt_and_a_removed_one_is_not_used(chromium, studio):
    with served(studio, {}) as url, chromium.new_context(viewport={"width": 1280, "height": 900}) as browser:
        tab = browser.new_page()
        tab.set_default_timeout(SOON)
        tab.goto(url + "?prompt=a+green+cone")
        tab.wait_for_selector("#generate")
        tab.wait_for_selector("#groups", state="hidden")
        choose(tab, "SynGen · rival")
        wait_for_chips(tab, "green cone")
        tab.locator("#prompt textarea").fill("a red cube and a blue sphere")
        tab.locator("#prompt textarea").blur()
        wait_for_chips(tab, "red cube", "blue sphere")
        tab.locator("#groups .token-remove").first.click()
        wait_for_chips(tab, "blue sphere")
        tab.locator("#generate").click()
        tab.wait_for_selector("#facts .facts", state="visible")
        tab.get_by_text("Repeat this run").click()
        tab.wait_for_function("document.body.innerText.includes('groups=')")
        assert "groups=blue sphere" in tab.locator("body").inner_text()
        choose(tab, "MaskUNet, training-free")
        tab.wait_for_selector("#groups", state="hidden")
        choose(tab, "SynGen · rival")
        wait_for_chips(tab, "blue sphere")  # the prompt is the same, so what was edited is still there
