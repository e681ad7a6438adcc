"""The Grid tab in a real browser, and the endpoint /grid with a real client."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
from gradio_client import Client
from PIL import Image

from maskunet.records import Request
from maskunet.records.grid import GridPlan, GridRequest
from maskunet.studio.studio import Studio
from maskunet.ui import controls
from maskunet.ui.html import grid as views
from maskunet.ui.page import Page
from maskunet.ui.tabs import grid
from tests.support.serving import needs_browser, reload

ROOT = Path(__file__).parents[2]
EVIL = '<img src=x onerror="alert(1)">'


def test_a_preset_of_the_method_that_was_chosen_before_gives_way_to_the_new_ones_default():
    page = SimpleNamespace(presets={"plain": ("second_order", "first_order")}, methods=(), models=())
    page.request = lambda values: Page.request(page, values)
    form = {"prompt": "a cube", "negative": "", "seed": "1", "model": "tiny", "method": "plain"}
    axes = ("seed", "1,2", "", "", "", "")
    for preset, wanted in (("official", ""), ("first_order", "first_order")):
        made = grid.asked(page, *axes, *controls.Values(**form, preset=preset))
        assert (made.request.method, made.request.preset) == ("plain", wanted)


@pytest.mark.parametrize(
    "text, wanted",
    [
        ("Unmasked, random MASK/window@7.5", "plain, random_mask/window@7.5"),
        ("MaskUNet, training-free, plain", "maskunet_free, plain"),
        ("MaskUNet, trained:mine", "maskunet_trained:mine"),
        ("lora_wide, LoRA", "lora_wide, lora"),
        ("maskunet_trained:LoRA", "maskunet_trained:LoRA"),
        ("Unmaskedly", "Unmaskedly"),
        ("MaskUNet, traıned", "MaskUNet, traıned"),
    ],
)
def test_an_axis_of_methods_takes_their_titles_too(text, wanted):
    titles = {
        "plain": "Unmasked", "random_mask": "Random mask", "maskunet_free": "MaskUNet, training-free",
        "maskunet_trained": "MaskUNet, trained", "lora": "LoRA", "lora_wide": "LoRA wide",
    }  # fmt: skip
    assert grid.named([SimpleNamespace(name=name, title=title) for name, title in titles.items()], text) == wanted


PLAIN = Request(prompt="a red cube", model="tiny", method="plain", steps=1)


@pytest.fixture
def followed(library, tmp_path):
    """The tab over a studio that has made a grid of two cells, and the grid's job."""
    studio = Studio(tmp_path / "runs", library=library)
    job = studio.grids.start(GridRequest(request=PLAIN, axes=(("seed", "1,2"),)))
    [*studio.events(job)]
    yield grid.GridTab(SimpleNamespace(studio=studio), (), *[None] * 8), job
    studio.close()


def buttons(told):
    """Whether a grid can be begun, and whether one can be stopped."""
    return told[0].interactive, told[1].visible


def test_a_page_shows_a_grid_that_the_queue_has_forgotten(followed, monkeypatch):
    tab, job = followed
    monkeypatch.setattr(tab.page.studio._queue, "get", lambda job: None)
    *_, last = tab.follow(job)
    assert buttons(last) == (True, False) and "Done: 2 of 2 pictures." in last[2]
    assert [cell["src"][:11] for cell in last[3]["cells"]] == ["data:image/"] * 2


def test_a_grid_whose_pictures_are_gone_is_shown_without_them(followed):
    tab, job = followed
    for path in (tab.page.studio.shelf.folder / ".cells").iterdir():
        path.unlink()
    *_, last = tab.follow(job)
    assert buttons(last) == (True, False)
    assert {cell["src"]: cell["title"] for cell in last[3]["cells"]} == {
        "": "A picture of this grid is not here any more. Make the grid again."
    }


def test_the_form_stays_of_use_where_a_grid_cannot_be_followed(followed, monkeypatch):
    tab, job = followed
    assert [len(told) for told in tab.follow("0" * 12)] == [8]  # everything as it was
    monkeypatch.setattr("maskunet.studio.queue.FOLLOWERS", 0)
    told = []
    with pytest.raises(ValueError, match="0 pages follow this already"):
        for moment in tab.follow(job):
            told.append(moment)
    assert buttons(told[-1]) == (True, False)


@needs_browser
def test_a_grid_is_made_opened_downloaded_and_found_after_a_reload(lab, tab):
    tab.goto(lab[0])
    tab.wait_for_selector("#generate")
    tab.get_by_role("tab", name="Grid").click()
    tab.wait_for_selector("#grid-plan .said")
    assert tab.locator("#grid-plan").inner_text().startswith("8 pictures, about 1 MB")
    tab.get_by_label("Values").nth(0).fill("1..200")
    tab.wait_for_selector("#grid-plan .failed")
    assert "allowed are 100" in tab.locator("#grid-plan").inner_text()
    tab.get_by_label("Values").nth(0).fill("1,2")
    tab.wait_for_selector("#grid-plan .said")
    tab.locator("#make-grid").click()
    tab.wait_for_selector("#grid-files button:visible")
    assert "Done: 4 of 4 pictures." in tab.locator("#grid-status").inner_text()
    tab.wait_for_function("document.querySelectorAll('#grid button img').length === 4")
    assert tab.locator("#grid th[scope=col]").all_inner_texts() == ["seed 1", "seed 2"]
    assert tab.locator("#grid th[scope=row]").all_inner_texts() == ["plain", "random_mask"]
    with tab.expect_download() as download:
        tab.get_by_text("Download sheet (.png)").click()
    assert Image.open(download.value.path()).width > 150
    before = tab.locator("#grid button img").evaluate_all("images => images.map((image) => image.src)")
    tab.locator("#prompt textarea").fill("a blue sphere")
    tab.locator("#make-grid").click()
    # The table is the same, and all of its pictures are of the new prompt.
    tab.wait_for_function(
        "(before) => { const now = [...document.querySelectorAll('#grid button img')].map((image) => image.src);"
        " return now.length === 4 && !now.some((src) => before.includes(src)); }",
        arg=before,
    )
    tab.wait_for_selector("#grid-files button:visible")
    reload(tab)
    tab.wait_for_selector("#generate")
    tab.get_by_role("tab", name="Grid").click()
    tab.wait_for_function("document.querySelectorAll('#grid button img').length === 4")
    tab.locator("#grid button[data-cell='3']").click()
    tab.wait_for_selector("#facts .facts", state="visible")
    said = tab.locator("#facts .said").inner_text()
    assert "seed 2" in said and "Random mask" in said
    assert tab.complaints == []


def test_a_program_makes_a_grid_and_hears_how_far_it_is(lab, tmp_path):
    client = Client(lab[0], verbose=False, download_files=str(tmp_path), analytics_enabled=False)
    asked = {"prompt": "", "x": "seed=1,2", "y": "prompt=a red cube|a blue sphere", "z": "steps=1,2", "seed": "0"}
    asked |= {"negative_prompt": "", "model": "tiny", "method": "random_mask", "preset": ""}
    job = client.submit(**asked, api_name="/grid")
    sheet, facts = job.result(timeout=120)
    assert Image.open(sheet).width > 300 and (facts["phase"], facts["made"], facts["count"]) == ("done", 8, 8)
    assert facts["axes"][1] == {"name": "prompt", "values": ["a red cube", "a blue sphere"]}
    cell = facts["cells"][6]
    assert (cell["prompt"], cell["seed"], cell["steps"]) == ("a blue sphere", 1, 2)
    assert all(told[0] is None and told[1]["count"] == 8 for told in job.outputs()[:-1])
    with pytest.raises(Exception, match="This grid has 101 cells; allowed are 100"):
        client.predict(**{**asked, "x": "seed=1..101", "y": "", "z": "", "prompt": "a cat"}, api_name="/grid")
    with pytest.raises(Exception, match="cannot vary “../../etc”"):
        client.predict(**{**asked, "x": "../../etc=1", "y": "", "z": "", "prompt": "a cat"}, api_name="/grid")
    with pytest.raises(Exception, match="The prompt is empty"):
        client.predict(**{**asked, "y": "", "z": ""}, api_name="/grid")
    info = client.view_api(return_format="dict", print_info=False)["named_endpoints"]["/grid"]
    assert [each["label"] for each in info["parameters"]][:4] == ["prompt", "x", "y", "z"]


def shown(kind):
    """The piece of docs/page.md of that language."""
    (found,) = re.findall(rf"^```{kind}\n(.*?)^```", (ROOT / "docs" / "page.md").read_text(), re.MULTILINE | re.DOTALL)
    assert "http://127.0.0.1:7860" in found
    return found


def test_the_python_and_the_curl_of_the_documentation_run_as_printed(lab, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    exec(shown("python").replace("http://127.0.0.1:7860", lab[0]), {})
    sheet, ratios = capsys.readouterr().out.splitlines()[-1].split(" ", 1)
    assert Image.open(sheet).width > 150 and [ratio == 1 for ratio in json.loads(ratios)] == [True, True, False, False]
    if not shutil.which("curl"):
        pytest.skip("no curl on this machine")
    code = shown("sh").replace("http://127.0.0.1:7860", lab[0])
    said = subprocess.run(["sh", "-c", code], capture_output=True, text=True, timeout=120).stdout
    assert '"made": 4' in said.split("event: complete")[1] and "/gradio_api/file=" in said


def test_nothing_that_a_visitor_writes_is_taken_for_html():
    plan = GridPlan(
        names=("prompt", "seed"), labels=((EVIL,), ("seed 1",)), count=1, seconds=3.0, bytes=10, notes=(EVIL,)
    )
    drawn = views.table(plan) + views.plan(plan) + views.table(GridPlan(**_parts(plan, labels=((EVIL,),))))
    assert "<img" not in drawn and "&lt;img" in drawn
    line = {"number": 0, "failed": True, "note": EVIL, "correct": None}
    told = {"n": 0, "src": "", "under": f"not made {EVIL}", "title": ""}  # set as text in the browser
    assert views.told(line, "") == told
    script = Path(views.__file__).parents[1] / "tabs" / "grid.js"
    assert "innerHTML" not in script.read_text()
    assert json.dumps(views.told(line, "")) and Request(prompt=EVIL)


def _parts(plan, **more):
    names = ("names", "labels", "count", "seconds", "bytes", "notes")
    return {name: getattr(plan, name) for name in names} | more
