"""Masks in the hand: parts knocked out and concepts erased by clicks, in a real browser."""

import numpy as np

from maskunet.masks import held
from maskunet.records import Card, held_mask
from tests.support.machine import hold
from tests.support.serving import SOON, needs_browser
from tests.support.visiting import expect, fill, generate, take_steps


@needs_browser
def test_two_clicks_knock_a_part_out_and_what_was_tried_is_undone_and_opened(visit):
    tab = visit()
    tab.get_by_role("tab", name="Intervene").click()
    tab.locator('.board [data-what="block1.layer0.cross.v"]').click()
    tab.locator("#knocked img").nth(1).wait_for(timeout=SOON)
    expect(tab.locator("#what textarea")).to_have_value("block1.layer0.cross.v")
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
    expect(tab.locator("#what textarea")).to_have_value("block1.layer0.cross.v; block1.layer0.cross.q@3-4")
    tab.get_by_role("button", name="Undo").click()
    tab.wait_for_function("document.querySelector('#what textarea').value === 'block1.layer0.cross.v'", timeout=SOON)
    tab.wait_for_function("(src) => document.querySelectorAll('#knocked img')[1].src === src", arg=result, timeout=SOON)
    expect(tab.locator(".tried button")).to_have_count(2)  # shown again, not made again
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
    expect(tab.locator("#what textarea")).to_have_value("block1.layer0.cross.v@1-4")
    tab.locator("#knocked img").nth(1).wait_for()
    take_steps(tab, 3)
    cell = tab.locator(
        '.board [data-what="block1.layer0.cross.v@3"]'
    )  # the board of three steps still shows what is out
    cell.wait_for()
    assert "out" in tab.locator('.board [data-what="block1.layer0.cross.v@2"]').get_attribute("class").split()


@needs_browser
def test_what_is_asked_with_stays_as_it_was_changed_while_a_picture_was_made(visit, lab, monkeypatch):
    held_up = hold(lab[1], monkeypatch)
    tab = visit()
    tab.get_by_role("tab", name="Intervene").click()
    tab.locator('.board [data-what="block1.layer0.cross.v"]').click()
    tab.wait_for_function("document.querySelector('#what textarea').value")
    take_steps(tab, 3)
    tab.locator('.board [data-what="block1.layer0.cross.v@2"]').wait_for()
    tab.locator("#what textarea").fill("block1.")
    held_up.set()
    tab.locator("#knocked img").nth(1).wait_for()
    expect(tab.locator('.board [data-what="block1.layer0.cross.v@2"]')).to_be_visible()
    expect(tab.locator("#what textarea")).to_have_value("block1.")
    tab.locator(".tried button").click()  # of more steps
    tab.wait_for_function("document.querySelector('#what textarea').value === 'block1.layer0.cross.v'")
    expect(tab.locator('.board [data-what="block1.layer0.cross.v@2"]')).to_be_visible()


@needs_browser
def test_a_picture_that_was_there_already_is_not_replaced_by_the_one_that_was_being_made(visit, lab, monkeypatch):
    tab = visit()
    tab.get_by_role("tab", name="Intervene").click()
    tab.locator('.board [data-what="block1.layer0.cross.v"]').click()
    tab.locator("#knocked img").nth(1).wait_for()
    for again in (tab.get_by_role("button", name="Undo"), tab.locator(".tried button")):
        held_up = hold(lab[1], monkeypatch)
        tab.locator('.board [data-what="block1.layer0.cross.q"]').click()
        tab.wait_for_function("document.querySelector('#what textarea').value.includes('cross.q')")
        *_, job = lab[1]._queue._jobs
        again.click()
        tab.wait_for_function("document.querySelector('#what textarea').value === 'block1.layer0.cross.v'")
        held_up.set()
        *_, last = lab[1].events(job)
        expect(tab.locator(".tried button")).to_have_count(1)
        assert last.phase == "stopped"
        expect(tab.locator("#what textarea")).to_have_value("block1.layer0.cross.v")


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
    assert base != result and in_one_screen(tab)
    said = "document.querySelectorAll('#knocked figcaption b')[1].innerText"
    slider.press("ArrowRight")  # a key moves it too
    tab.wait_for_function(f"{said} === '“red” erased, 90% of the mask'", timeout=SOON)
    tab.locator("#dose input[type=number]").fill("-0.5")
    tab.locator("#dose input[type=number]").press("Enter")
    tab.wait_for_function(f"{said} === '“red” erased, 50% of the mask'", timeout=SOON)
    assert not tab.complaints


@needs_browser
def test_three_clicks_knock_out_a_site_that_the_map_shows(visit):
    tab = visit(viewport={"width": 1280, "height": 800})
    fill(tab, "a dog on a red cube", "Random mask · control")
    generate(tab)
    tab.get_by_role("tab", name="Intervene").click()  # the plain picture of the stage waits there
    tab.locator('#knocked img[alt="Unmasked: a dog on a red cube"]').wait_for()
    expect(tab.locator("#knocked img")).to_have_count(1)
    assert tab.locator("#knocked .hint").inner_text().startswith("Click a part of the network below.")
    fill(tab, "something else")
    tab.get_by_role("tab", name="Compare").click()
    tab.get_by_role("tab", name="Intervene").click()
    tab.wait_for_function("!document.querySelector('#knocked img')")  # it is no picture of that
    tab.get_by_role("tab", name="Explore").click()  # one
    tab.wait_for_selector("#headline")
    expect(tab.locator("#knock-this")).to_be_hidden()  # of which site?
    tab.locator('.heat .name[data-site="block1.layer0.cross.v"]').click()  # two
    tab.locator("#knock-this").click()  # three
    tab.locator("#knocked img").nth(1).wait_for()
    assert tab.get_by_role("tab", name="Intervene").get_attribute("aria-selected") == "true"
    expect(tab.locator("#what textarea")).to_have_value("block1.layer0.cross.v")
    expect(tab.locator("#prompt textarea")).to_have_value("a dog on a red cube")  # the form is of the picture again
    assert "a dog on a red cube" in tab.locator("#knocked img").nth(1).get_attribute("alt")
    assert "reward" in tab.locator("#knocked figcaption").nth(1).inner_text()
    assert in_one_screen(tab) and not tab.complaints
