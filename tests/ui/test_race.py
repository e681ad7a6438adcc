"""The Race tab: its numbers are the report's, names never overlap, and every choice is answered."""

import json
import re
from html import unescape

import numpy as np
import pytest
from PIL import Image

from maskunet.experiments.race import report, write
from maskunet.methods import SPECS
from maskunet.methods.base import KINDS
from maskunet.studio import cards
from maskunet.studio.studio import Studio
from maskunet.ui import race_words
from maskunet.ui.html import plots, race
from tests.support.races import Stub, raced
from tests.support.serving import SOON, needs_browser, served
from tests.support.visiting import copied, expect
from tests.ui.test_explore import tables
from visualize import race as race_plot
from visualize.base import COLORS

TITLES = {"plain": "Unmasked", "syngen": "SynGen"}
EVIL = '<img src=x onerror="alert(1)">'


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A race of stubs as its command leaves it."""
    folder = tmp_path_factory.mktemp("race")
    rows = raced(folder, [Stub("plain", 1.0, kind="control"), Stub("syngen/gentle@5", 2.0), Stub("freeu", 9.0)])
    rows = [{**row, "prompt": row["prompt"] + EVIL} for row in rows]
    found = report.report(rows, "image_reward", "hpsv2", 3.0)
    about = {"command": f"race {EVIL}", "model": "stub", "device": "cpu", "processes": 1, "asked": 6}
    write.save(folder, found, about, rows)
    return folder


@pytest.fixture(scope="module")
def found(folder):
    return race.read(folder)


def test_the_table_has_every_entrant_with_the_reports_numbers(found):
    html = race.lines(found, "equal_time", "all", TITLES)
    rows = re.findall(r'<tr class="\w+"><th scope="row">(.*?)</th>(.*?)</tr>', html)
    assert {unescape(name) for name, _ in rows} == {
        "Unmasked",
        "SynGen, gentle, guidance 5",
        'freeu <span class="badge warn">overspent</span>',
    }
    lines = {line["entrant"]: line for line in found["equal_time"] if line["group"] == "all"}
    for row in tables(html)["race_equal_time_all"]:
        assert float(row["correct"]) == lines[row["entrant"]]["correct"]
        if row["entrant"] != "plain":
            assert float(row["plain_hpsv2"]) == lines[row["entrant"]]["against"]["plain"]["hpsv2"]
    assert race_words.OVER_HINT in html
    cells = dict(rows)["SynGen, gentle, guidance 5"]
    gain = lines["syngen/gentle@5"]["against"]["plain"]["hpsv2"]
    assert f"{gain:+.3f} <small>" in cells


def test_any_of_n_and_holms_p_are_shown_and_left_empty_where_a_race_is_older(found):
    lines = [line for line in found["equal_time"] if line["group"] == "all"]
    html = race.lines(found, "equal_time", "all", TITLES)
    for line in lines:
        assert f"<td>{100 * line['any_correct']:.0f} %</td>" in html
    old = [{k: v for k, v in line.items() if k not in ("drawn", "any_correct")} for line in lines]
    old = [{**line, "against": {n: {**x, "p": 0.5} for n, x in line["against"].items()}} for line in old]
    for line in old:
        for each in line["against"].values():
            del each["p_holm"]
    shown = race.lines({**found, "equal_time": old}, "equal_time", "all", TITLES)
    heads, cells = (len(re.findall(f"<{tag}[ >]", shown.split("</table>")[0])) for tag in ("th", "td"))
    assert "<td></td>" in shown and heads - len(lines) == len(race_words.HEAD)
    assert cells == len(lines) * (len(race_words.HEAD) - 1)


def test_the_two_budgets_differ_where_calls_do(found):
    time, calls = (
        {row["entrant"]: float(row["pictures"]) for row in tables(html)[name]}
        for name in ("race_equal_time_all", "race_equal_calls_all")
        for html in [race.lines(found, name[5:-4], "all", TITLES)]
    )
    assert (time["plain"], calls["plain"]) == (3.0, 1.5)


def test_a_curve_ends_where_the_report_says(found):
    html = race.curves(found, TITLES)
    assert set(tables(html)) == {"race_correct", "race_hpsv2"}
    told = re.findall(r"<title>Unmasked, ([\d.]+): ([-\d.]+)</title>", html)
    points = found["curves"]["plain"]
    assert [float(y) for _, y in told] == pytest.approx([p["hpsv2"] for p in points], rel=6e-3)
    assert [float(x) for x, _ in told] == pytest.approx([p["seconds"] for p in points], rel=6e-3)


def classes(found):
    """The class of every entrant's row in the table."""
    rows = re.findall(r'<tr class="(\w+)"><th scope="row">(.*?)[ <]', race.lines(found, "equal_time", "all", {}))
    return {name: look for look, name in rows}


def test_an_entrant_is_drawn_by_the_kind_that_its_method_says(tmp_path):
    """A fine-tuned model is what a user might take instead, so it is a rival, whatever it is called."""
    stubs = [
        Stub("plain", kind="control"),
        Stub("fine_tuned", kind=SPECS["fine_tuned"].kind),
        Stub("new", kind="new"),
    ]
    rows = raced(tmp_path, stubs)
    assert {row["entrant"]: row["kind"] for row in rows} == {
        "plain": "control",
        "fine_tuned": "rival",
        "new": "new",
    }
    found = report.report(rows, "image_reward", "hpsv2", 3.0)
    assert classes(found) == {"plain": "all", "fine_tuned": "b", "new": "all"}
    styles = race_plot._styles(found)
    assert styles["fine_tuned"][0] == COLORS["b"] and styles["new"][0] == COLORS["all"]
    assert {line["kind"] for line in map(race_plot.flat, found["equal_time"])} == {"control", "rival", "new"}
    race_plot.draw(found)


def test_an_entrant_is_called_by_its_method_preset_part_and_guidance():
    assert race_words.entrant("syngen/gentle:mine@5", TITLES) == "SynGen, gentle, mine, guidance 5"
    assert [race_words.entrant(name, TITLES) for name in ("plain", "freeu@7.5")] == ["Unmasked", "freeu, guidance 7.5"]


def test_every_kind_has_its_name_on_the_page():
    assert tuple(race_words.KINDS) == KINDS


def test_a_race_of_before_entrants_had_a_kind_is_drawn_by_those_of_the_methods(tmp_path):
    old = {key: value for key, value in race.read(race.FOLDERS["tabletop"]).items() if key != "kinds"}
    for budget in race_words.BUDGETS:
        old[budget] = [{key: value for key, value in line.items() if key != "kind"} for line in old[budget]]
    assert set(race_plot.places(old).values()) == {None}
    found = race.complete(old, cards.of_methods(SPECS.values()))
    looks = dict(zip(KINDS, ("a", "all", "b"), strict=True))
    places = race_plot.places(found)
    for name in found["curves"]:
        assert race._look(places[name]) == looks[SPECS[race_words.method(name)].kind]
    assert all(
        f'<span class="{look}">{race_words.KINDS[kind]}' in race.curves(found, {}) for kind, look in looks.items()
    )
    rows = [{key: value for key, value in row.items() if key != "kind"} for row in raced(tmp_path, [Stub("plain")])]
    (line, *_) = report.report(rows, "image_reward", "hpsv2", 3.0)["equal_time"]
    assert line["kind"] == "control"


def test_names_never_overlap_while_there_is_room():
    places = plots._apart([50, 51, 50, 290, 291, 10], 12, 20, 292)
    ordered = sorted(places)
    assert all(b - a >= 12 - 1e-9 for a, b in zip(ordered, ordered[1:], strict=False))
    assert ordered[0] >= 20
    assert ordered[-1] <= 292
    assert places[5] < places[0] < places[1] < places[3]
    assert plots._apart([30, 100], 12, 20, 292) == [30, 100]  # what is apart stays


def test_the_pictures_are_those_of_the_chosen_and_their_text_is_text(found, folder):
    for each in found["shown"]:
        html = race.sheet(found, each["number"], TITLES, folder)
        assert html.count("<figure>") == len(each["lanes"]) == 3
        assert "<img src=x" not in html
        strip = np.asarray(Image.open(folder / "shown" / f"{each['number']:04d}.webp"))
        assert strip.shape == (4, 12, 3)
    assert "<img src=x" not in race.said(found, TITLES)
    assert "It was stopped before all 6 prompts were done." in race.said(found, TITLES)


def test_what_came_out_follows_from_the_intervals():
    def line(name, low, high, over=False, **holm):
        gain = {"correct": (low + high) / 2, "correct_low": low, "correct_high": high, **holm}
        return {"group": "all", "entrant": name, "over_budget": over, "against": {"plain": gain}}

    lines = [
        line("syngen", 0.01, 0.2),
        line("freeu", -0.2, -0.01),
        line("pag", 0.0, 0.2),
        line("fk_steering", 0.001, 0.272, p_holm=0.06),
        line("best", 0.1, 0.4, True),
    ]
    told = race.verdict({"equal_time": lines, "prompts": 9}, TITLES)
    assert told == "Yes: SynGen more often right; freeu less often right than more plain pictures, n = 9."
    not_shown = "Nothing is shown to beat more plain pictures, n = 9."
    told = race.verdict({"equal_time": lines[1:], "prompts": 9}, TITLES)
    assert told == f"{not_shown} Largest gain: +14 points (0 to +27), fk_steering. Worse: freeu."
    assert race.verdict({"equal_time": lines[-1:], "prompts": 9}, TITLES) == not_shown


def test_the_answer_comes_first_and_the_command_is_there_to_copy(found):
    html = race.said(found, TITLES)
    places = [html.index(part) for part in ('class="verdict"', 'class="said"', "data-copy=")]
    assert places == sorted(places) and found["about"]["command"] in unescape(html[places[-1] :])


def test_without_a_race_the_tab_says_how_to_run_one(tmp_path):
    assert race.read(tmp_path) is None
    (tmp_path / "race.json").write_text("{")
    race.read.cache_clear()
    assert race.read(tmp_path) is None


@pytest.mark.parametrize("base", race.FOLDERS)
def test_the_shipped_races_are_whole(base):
    found = race.shipped_races()[base]
    assert found["about"]["model"] == base
    assert found["about"]["command"].startswith("python -m maskunet race ")
    for group in {line["group"] for line in found["equal_time"]}:
        for budget in ("equal_time", "equal_calls"):
            names = [line["entrant"] for line in found[budget] if line["group"] == group]
            assert set(names) == set(found["curves"])
    for each in found["shown"]:
        assert race.sheet(found, each["number"], {}, race.FOLDERS[base]).count("<figure>") == len(found["curves"])
    json.dumps(found, allow_nan=False)


@needs_browser
def test_every_choice_is_answered_in_the_browser(chromium, library, tmp_path):
    with (
        served(Studio(tmp_path, library=library), {}) as url,
        chromium.new_context(viewport={"width": 1280, "height": 900}) as browser,
    ):
        tab = browser.new_page()
        tab.set_default_timeout(SOON)
        tab.goto(url)
        tab.get_by_role("tab", name="Race").click()
        tab.wait_for_selector("#race-lines table")
        found, other = race.shipped_races().values()
        tops = [tab.locator(f"#{name}").bounding_box()["y"] for name in
                ("race-base", "race-said", "race-curves", "race-picker", "race-lines", "race-prompt", "race-sheet")]  # fmt: skip
        assert tops == sorted(tops)
        curves = [tab.locator(f"#plot-race_{what}") for what in ("correct", found["held_out"])]
        expect(curves[0]).to_be_visible()
        expect(curves[1]).to_be_hidden()
        tab.locator("#race-curves input").nth(1).check()
        expect(curves[0]).to_be_hidden()
        expect(curves[1]).to_be_visible()
        tab.set_viewport_size({"width": 1600, "height": 800})  # where two fit beside each other
        expect(curves[0]).to_be_visible()
        expect(curves[1]).to_be_visible()
        tab.set_viewport_size({"width": 1280, "height": 800})
        browser.grant_permissions(["clipboard-read", "clipboard-write"])
        assert copied(tab.locator("#race-said button")) == ["Copied", found["about"]["command"]]
        expect(tab.locator("#race-lines tbody tr")).to_have_count(len(found["curves"]))
        before = tab.locator("#race-lines h4").inner_text(), tab.locator("#race-lines").inner_text()
        tab.get_by_label("Equal U-Net calls").check()
        tab.wait_for_function("text => document.querySelector('#race-lines').innerText !== text", arg=before[1])
        tab.get_by_label("Prompts", exact=True).click()
        tab.get_by_role("option", name="counting").click()
        tab.wait_for_function("text => document.querySelector('#race-lines h4').innerText !== text", arg=before[0])
        last = found["shown"][-1]
        first = tab.locator("#race-sheet img").first.get_attribute("src")
        tab.get_by_label("Pictures of").click()
        tab.get_by_role("option", name=race_words.prompt(last["number"], last["prompt"]), exact=True).click()
        tab.wait_for_function("src => document.querySelector('#race-sheet img').src !== src", arg=first)
        with tab.expect_download() as download:
            tab.locator("#race-lines a.csv").click()
        assert download.value.suggested_filename == "race_equal_calls_counting.csv"
        tab.locator("#race-base input").nth(1).check()
        tab.wait_for_function(
            "text => document.querySelector('#race-said').innerText.includes(text)", arg=f"{other['prompts']} prompts"
        )
        tab.wait_for_function(
            "n => document.querySelectorAll('#race-lines tbody tr').length === n", arg=len(other["curves"])
        )
        with tab.expect_download() as download:
            tab.locator("#race-lines a.csv").click()
        assert download.value.suggested_filename == "race_equal_calls_all.csv"  # the budget stays
        assert copied(tab.locator("#race-said button")) == ["Copied", other["about"]["command"]]
