"""Tabs are found by being there: a file in the room is a tab of the page, with its place, its styles and its answers."""

import gradio as gr
import pytest

from maskunet.plugins import discover
from maskunet.records import Request
from maskunet.studio.studio import Studio
from maskunet.ui import controls, links, look, page, tabs, words

NEW = """
import gradio as gr
from maskunet.ui.tabs.base import Part, TabSpec

class New(Part):
    def __init__(self):
        self.said = gr.Markdown("nothing")
    def staged(self):
        return [self.said]
    def show(self, stage):
        return ("a run" if stage.run else "no run",)
    def wire(self, page):
        page.wired = self

SPEC = TabSpec(name="new", title="Brand new", order=28, build=lambda page, tab: New())
"""


@pytest.fixture
def studio(library, tmp_path):
    made = Studio(tmp_path / "runs", library=library)
    yield made
    made.close()


def titles(demo):
    return [block.label for block in demo.blocks.values() if isinstance(block, gr.Tab)]


def test_the_tabs_stand_in_their_order(studio):
    specs = [spec for spec in tabs.SPECS.values() if spec.offered(studio)]
    wanted = [spec.title for spec in sorted(specs, key=lambda spec: spec.order)]
    assert titles(page.build(studio, {})) == wanted and wanted[0] == "Compare"
    assert len({spec.order for spec in tabs.SPECS.values()}) == len(tabs.SPECS)


def test_the_form_leaves_steps_and_guidance_to_the_model(studio):
    """A model of one step is drawn in one, and not in as many as another."""
    demo = page.build(studio, {})
    numbers = {block.label: block.value for block in demo.blocks.values() if isinstance(block, gr.Number)}
    assert numbers[words.STEPS] == numbers[words.GUIDANCE] == 0
    asked = controls.request(controls.Values("a", "", 1, "tiny", "plain", "", numbers[words.STEPS], 0))
    assert (asked.steps, asked.guidance) == (None, None)
    assert [card.steps for card in studio.cards()] == [5]  # the library's


@pytest.mark.parametrize(
    ("method", "asked", "shown"), [("plain", 5, 0), ("plain", 4, 4), ("reno", 4, 0), ("reno", 5, 5)]
)
def test_a_link_shows_steps_that_are_not_the_models_own(studio, method, asked, shown):
    methods = {card.name: card for card in studio.methods()}
    (model,) = studio.cards()
    assert controls.steps_shown(asked, model, methods[method]) == shown


@pytest.fixture
def built(studio, monkeypatch):
    """Builds the page; its titles, and the page itself."""

    def build():
        pages, draw = [], page.Page.draw
        monkeypatch.setattr(page.Page, "draw", lambda self, demo: pages.append(self) or draw(self, demo))
        return titles(page.build(studio, {})), *pages

    return build


def test_a_run_that_is_opened_fills_in_the_whole_form_also_with_nothing(built):
    form = built()[1].c
    for asked in (Request(prompt="a", model="tiny", method="plain"), Request(prompt="a", model="tiny", method="reno")):
        filled = form.fill(links.fields(asked))
        assert gr.skip() not in filled
        found = [filled[form.filled().index(each)] for each in (form.negative, form.steps, form.guidance)]
        assert found == ["", 0, 0]


def test_a_run_that_is_opened_says_what_its_own_model_lacks(built, monkeypatch):
    form = built()[1].c
    monkeypatch.setattr("maskunet.ui.html.setup.panel", lambda missing, title: f"what {title} lacks")
    filled = form.fill(links.fields(Request(prompt="a", model="tiny", method="plain")))
    assert filled[form.filled().index(form.setup)] == f"what {form.models['tiny'].title} lacks"


def test_a_file_that_is_dropped_in_is_a_tab(built, tmp_path, monkeypatch):
    (tmp_path / "brand_new.py").write_text(NEW)
    monkeypatch.setattr(tabs, "__path__", [*tabs.__path__, str(tmp_path)])
    monkeypatch.setattr(tabs, "SPECS", discover("maskunet.ui.tabs"))
    found, drawn = built()
    assert found.index("Brand new") == found.index("Explore") - 1
    place = 4 + drawn.staged().index(drawn.wired.said)  # after what is on every page
    assert drawn.idle([])[place] == "no run"


def test_every_style_sheet_of_a_tab_is_served():
    assert {path.stem for path in look.CSS} >= {"style", "settings", "race", "train"}
    assert look.CSS.index(next(p for p in look.CSS if p.stem == "style")) < min(
        i for i, path in enumerate(look.CSS) if path.parent.name == "tabs"
    )
