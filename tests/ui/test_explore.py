"""The explorer: its numbers are its plots' numbers, any selection is answered, and three clicks suffice."""

import base64
import csv
import io
import json
import re
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from maskunet.records import Request
from maskunet.records.site_stats import name_of
from maskunet.runs import animation, figures, run_folder
from maskunet.runs.compare import compare
from maskunet.studio import figures_process
from maskunet.studio.studio import Studio
from maskunet.ui import intervene_words, race_words, remembered, story_words
from maskunet.ui.html import explore as views
from maskunet.ui.html import heat_map, plots, race, study
from maskunet.ui.html.optimize import still
from maskunet.ui.html.step_pictures import strip
from maskunet.ui.html.story import story
from maskunet.ui.tabs import explore, history
from maskunet.ui.tabs.compare import LINK
from maskunet.ui.tabs.explore import existing, last, told
from tests.methods.test_methods import Redness
from tests.support.serving import SOON, complaints_of, needs_browser, served
from tests.support.tiny_stats import Sites, random_masks, stats_of
from tests.support.visiting import expect
from visualize import SPECS

CONTRAST = (Path(__file__).parents[1] / "support" / "contrast.js").read_text()


@pytest.fixture(scope="module")
def run(tiny_sd15):
    request = Request(
        prompt="a <b>cube</b>", method="maskunet_free", preset="official", steps=4, keep_masks=True,
        settings={"updates": 2, "early_steps": 1}, seed=3,
    )  # fmt: skip
    *_, (_, made) = compare(tiny_sd15, Redness(), request)
    return made


def tables(html):
    """The CSV behind every plot of a fragment, by its name."""
    links = re.findall(r'download="(\w+)\.csv" href="data:text/csv;base64,([^"]+)"', html)
    return {name: list(csv.DictReader(io.StringIO(base64.b64decode(data).decode()))) for name, data in links}


def test_the_map_shows_and_offers_every_ratio(run):
    html = heat_map.heat(run, 3, None)
    told = re.findall(r'data-step="(\d+)" style="--v:([\d.]+)".*? title="[^"]*: ([\d.e-]+) % removed"', html)
    ratio = run.stats.ratio
    assert len(told) == ratio.size
    for (step, shade, percent), wanted in zip(told, ratio.T.ravel(), strict=True):
        assert float(percent) == pytest.approx(100 * wanted, rel=6e-3), step
        assert float(shade) == pytest.approx((wanted - ratio.min()) / (ratio.max() - ratio.min()), abs=6e-4)
    rows = tables(html)["removed_heat"]
    assert [float(row["removed_ratio"]) for row in rows] == ratio.ravel().tolist()


def test_bars_are_as_high_as_their_numbers(run):
    site = run.stats.sites[1]
    html = views.weights(run, 2, site)
    rows = tables(html)["removed_weights"]
    index = run.stats.sites.index(site)
    assert [int(row["removed"]) for row in rows] == run.stats.histogram[2, index].tolist()
    assert [int(row["weights"]) for row in rows] == run.stats.histogram_all[index].tolist()
    heights = [float(h) for h in re.findall(r'<rect class="all"[^>]* height="([\d.]+)"', html)]
    shares = [float(row["share_of_all"]) for row in rows]
    assert sum(shares) == pytest.approx(1)
    tallest = max(max(shares), max(float(row["share_of_removed"]) for row in rows))
    axes = plots.Axes((0, 1), (0, tallest), size=plots.SMALL)
    assert np.allclose(np.array(heights) / axes.height, np.array(shares) / axes.top, atol=1e-3)


def test_lines_go_through_their_numbers(run):
    html = views.dynamics(run, 1, None)[0]
    rows = tables(html)["removed_ratio"]
    values = [float(row["removed_ratio"]) for row in rows]
    pooled = run.stats.removed.sum(1) / run.stats.weights.sum()
    assert values == pytest.approx(pooled.tolist())
    drawn = [float(y) for y in re.findall(r'<circle class="a" [^>]*cy="([\d.]+)"', html)]
    axes = plots.Axes((0, 1), (0, max(values)), size=plots.SMALL)
    assert np.allclose(drawn, [axes.y(value) for value in values], atol=0.06)


def test_the_headline_names_the_block_that_loses_most(run):
    stats = stats_of(sites := Sites({1: (6, 4), 2: (6, 4)}), [random_masks(sites, 0.3)] * 4)
    blocks = stats.blocks
    heavy = replace(stats, removed=np.where(blocks == blocks[-1], stats.weights, 0) * np.ones((4, 1), int))
    text = views.headline(replace(run, stats=heavy), 3, None)
    assert f"block{blocks[-1]} loses most: 100 % of its weights" in text
    none = replace(run.stats, removed=run.stats.removed * 0)
    assert "removed no weight" in views.headline(replace(run, stats=none), 3, None)


def test_a_block_that_loses_most_stands_beside_what_chance_gives(run):
    """Of masks that remove every weight with one probability, at most 5 in 100 pass the bound."""
    stats = stats_of(sites := Sites({1: (60, 40), 2: (60, 40)}), [random_masks(sites, 0.07)])
    rng = np.random.default_rng(0)
    blocks = np.unique(stats.blocks)
    beyond = 0
    for _ in range(400):
        removed = rng.binomial(stats.weights, 0.07)[None]
        one = replace(run, stats=replace(stats, removed=removed, timesteps=stats.timesteps[:1]))
        lost = {b: removed[0, stats.blocks == b].sum() / stats.weights[stats.blocks == b].sum() for b in blocks}
        most = max(lost, key=lost.get)
        beyond += lost[most] > views.most_by_chance(one.stats, 0, most)
    assert 0 < beyond <= 32
    even = replace(run, stats=replace(stats, removed=np.round(0.07 * stats.weights[None]).astype(int)))
    assert "No block loses more than by chance: block" in views.headline(even, 0, None)


def test_a_site_has_one_name_in_plots_tables_and_texts(run, tmp_path):
    site = run.stats.sites[5]
    name = name_of(site)
    assert re.fullmatch(r"block\d\.layer\d\.(self|cross)\.(q|k|v|out)", name)
    assert len({*map(name_of, run.stats.sites)}) == len(run.stats.sites)
    html = heat_map.heat(run, 0, site)
    assert f'aria-label="{name}"' in html and f'title="{name}, step 1: ' in html
    layer, _, role = name.rpartition(".")
    rows = re.findall(r'<b class="group"[^>]*>(.*?)</b>|class="name[^>]*>(\w+)</button>', html)
    read = [f"{group}{each}" for group, each in zip(
        [g for i, (g, r) in enumerate(rows) if g for _ in range(4)], [r for _, r in rows if r], strict=True)]  # fmt: skip
    assert [each.replace("<wbr>", "") for each in read] == [name_of(each) for each in run.stats.sites]
    said, linked = explore.linked(run, None, {"step": 0, "site": name})
    assert name in said
    found = tables(linked)
    for plot in ("removed_weights", "mask_dynamics", "columns"):
        assert {row["site"] for row in found[plot]} == {name}
    assert {row["site"] for row in tables(html)["removed_heat"]} == {*map(name_of, run.stats.sites)}
    assert run.stats.at(name).sites == run.stats.at(site).sites
    assert name in [label.get_text() for label in SPECS["removed_heat"].draw(run).axes[0].get_yticklabels()]
    assert not re.search(
        r"up_blocks|attn\d|to_[qkv]", re.sub(r'data-\w+="[^"]*"|href="[^"]*"', "", html + said + linked)
    )


def test_a_pinned_run_has_its_picture_its_map_and_its_name(run):
    request = replace(run.request, prompt="two <i>cones</i>", seed=11)
    other = replace(run, request=request, result_image=255 - run.result_image)
    html = heat_map.heat(run, 1, None, other)
    assert html.count("<figure>") == 2 and "two &lt;i&gt;cones&lt;/i&gt;, seed 11" in html
    cells = len(run.stats.sites) * len(run.stats.timesteps)
    assert len(re.findall("<i data-site", html)) == 2 * cells
    fewer = replace(other, stats=replace(other.stats, timesteps=other.stats.timesteps + 1))  # other steps, as near
    assert re.findall(r'<i data-site="[^"]*" data-step="(\d)"', heat_map.heat(run, 1, None, fewer)) == re.findall(
        r'<i data-site="[^"]*" data-step="(\d)"', html
    )
    shown = strip(run, other)
    assert shown.count('class="frame ') == 3 and "two &lt;i&gt;cones" in shown and 'data-pinned="0,1,2,3"' in shown
    assert strip(run, replace(other, course=None)).count('class="frame ') == 3


@pytest.mark.parametrize(
    "chosen",
    [{}, {"step": 99, "site": "x"}, {"step": "1", "site": None}, {"step": -1}, {"step": 0, "site": ["a"]}],
)
def test_a_selection_that_does_not_exist_shows_the_last_step_of_all_sites(run, chosen):
    said, html = explore.linked(run, None, chosen)
    wanted = 1 if chosen.get("step") == 0 else 4
    assert f"Step {wanted} of 4" in said and "all sites" in said and "removed_weights" in tables(html)


def test_a_run_that_removed_nothing_or_knows_nothing_is_still_shown(run):
    masks = [random_masks(sites := Sites({1: (6, 4)}), 0.0)] * 2
    bare = replace(run, stats=stats_of(sites, masks), course=None)
    said, html = explore.linked(bare, None, {})
    assert "removed no weight" in said and "no numbers to draw" in html
    assert explore.linked(replace(run, stats=None), None, {}) == ("", "")
    assert "kept no pictures" in strip(bare) and strip(bare).count('class="frame ') == 2


def test_weakened_weights_are_not_said_to_be_kept(run):
    none = replace(run, stats=replace(run.stats, removed=run.stats.removed * 0))
    half = replace(none, request=replace(run.request, method="knock_out", settings={"what": "block1.self.v=0.5"}))
    assert "weakened weights and removed none: block1.self.v=0.5" in views.headline(half, 0, None)
    assert "mask is all ones" in views.headline(none, 0, None)
    assert intervene_words.without("block1.self.v=0.5") == "Out or weakened: block1.self.v=0.5"
    bins = SPECS["ratio_histogram"].table(none)
    assert (bins[0]["low"], bins[-1]["high"]) == (0, pytest.approx(0.01)) and bins[0]["sites"] == len(run.stats.sites)


def test_a_second_run_is_laid_over_the_first(run):
    other = replace(run, stats=replace(run.stats, removed=run.stats.removed * 2))
    rows = tables(views.ratios(run, 3, other))["ratio_histogram"]
    assert sum(int(row["sites"]) for row in rows) == sum(int(row["sites_b"]) for row in rows) == len(run.stats.sites)
    assert float(rows[-1]["high"]) == pytest.approx(other.stats.ratio.max())


def test_the_overlap_of_two_runs_is_that_of_their_bits(run):
    same = SPECS["run_overlap"].table(run.masks, run.masks)
    assert all(row["overlap"] == 1 for row in same if row["removed_a"])
    flipped = replace(run.masks, steps={t: {n: ~b for n, b in s.items()} for t, s in run.masks.steps.items()})
    assert all(row["overlap"] == 0 for row in SPECS["run_overlap"].table(run.masks, flipped))
    with pytest.raises(ValueError, match="different models"):
        SPECS["run_overlap"].table(run.masks, replace(run.masks, sites={}))
    other = {**run.masks.weights, "unet/model.safetensors": "0" * 64}
    with pytest.raises(ValueError, match="different models"):
        SPECS["run_overlap"].table(run.masks, replace(run.masks, weights=other))
    with pytest.raises(ValueError, match="share no timestep"):
        SPECS["run_overlap"].table(run.masks, replace(run.masks, steps={5: {}}))


def test_a_run_of_sd15s_size_stays_small_on_the_way_to_the_browser(run):
    """72 sites and 15 steps of synthetic counts."""
    rng = np.random.default_rng(0)
    names = [
        (b, layer, a, r)
        for b in (1, 2, 3)
        for layer in range(3)
        for a in ("self", "cross")
        for r in ("q", "k", "v", "out")
    ]
    small = stats_of(sites := Sites({1: (6, 4)}), [random_masks(sites, 0.3)] * 15)
    repeats = len(names) // len(small.sites)
    wide = {
        name: np.tile(getattr(small, name), (1, repeats, 1)[: np.ndim(getattr(small, name))] if name.startswith("hist") else (1, repeats))
        for name in ("removed", "removed_before", "removed_first", "shared_before", "shared_first", "logit_mean",
                     "logit_std", "gradient_norm", "histogram")
    }  # fmt: skip
    wide["removed"] = rng.integers(1000, 2000, wide["removed"].shape)
    paths = {"q": "to_q", "k": "to_k", "v": "to_v", "out": "to_out.0"}
    big = replace(
        small, **wide,
        sites=tuple(f"up_blocks.{b}.attentions.{n}.transformer_blocks.0.attn{1 + (a == 'cross')}.{paths[r]}" for b, n, a, r in names),
        blocks=np.array([b for b, *_ in names]), attentions=tuple(a for *_, a, _ in names), roles=tuple(r for *_, r in names),
        weights=np.full(72, 409_600), std=np.full(72, 0.02), histogram_all=np.tile(small.histogram_all, (repeats, 1)),
    )  # fmt: skip
    large = replace(run, stats=big, course=None)
    said, html = explore.linked(large, large, {"step": 7, "site": name_of(big.sites[40])})
    assert name_of(big.sites[40]) in said and len(html) < 200_000
    assert len(heat_map.heat(large, 7, None)) < 400_000 and len(heat_map.heat(large, 7, None, large)) < 500_000


def test_figures_of_every_plot_are_written_with_their_numbers(run, tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "DPI", 100)
    said = list(figures.write(run, tmp_path, other=run, site=run.stats.sites[0]))
    plots = [spec.name for spec in SPECS.values() if spec.of_run]
    assert {path.name for path in tmp_path.iterdir()} >= {*animation.NAMES}
    assert len(said) == len(plots) + 2 and not any("not drawn" in line for line in said)
    for name in plots:
        for ending in (".png", ".svg", ".pdf", ".csv", "-dark.png", "-dark.svg"):
            assert (tmp_path / f"{name}{ending}").stat().st_size > 100
    with pytest.raises(ValueError, match="no site “nowhere”"):
        list(figures.write(run, tmp_path, site="nowhere"))
    bare = list(figures.write(replace(run, stats=None, course=None), tmp_path / "bare"))
    assert sum("not drawn" in line for line in bare) == len(plots) - 1


def test_a_downloaded_run_can_be_brought_back_and_nothing_else(run, tmp_path):
    archive = run_folder.run_zip(run_folder.write(run, tmp_path / "a" / run.id))
    (tmp_path / "b").mkdir()
    again = run_folder.unzip(archive, tmp_path / "b")
    assert np.array_equal(again.stats.removed, run.stats.removed) and np.array_equal(
        again.result_image, run.result_image
    )
    assert [p.name for p in (tmp_path / "b").iterdir()] == [run.id]
    evil = tmp_path / "evil.zip"
    with zipfile.ZipFile(evil, "w") as out:
        out.writestr("../../outside/run.json", "{}")
    for bad in (evil, archive.parent / "run.json"):
        with pytest.raises(ValueError, match="no run that was downloaded"):
            run_folder.unzip(bad, tmp_path / "b")
    assert [p.name for p in (tmp_path / "b").iterdir()] == [run.id]


@pytest.fixture(scope="module")
def visit(chromium, library, run, tmp_path_factory):
    """The page with two runs on the shelf, its Explore tab open, in windows of any size."""
    other = replace(run, id="b" * 12, request=replace(run.request, prompt="another cube"))
    with served(Studio(tmp_path_factory.mktemp("runs"), library=library), {run.id: run, other.id: other}) as url:
        contexts = []

        def open_tab(width, height, query=""):
            contexts.append(chromium.new_context(viewport={"width": width, "height": height}))
            tab = contexts[-1].new_page()
            tab.set_default_timeout(SOON)
            tab.complaints = complaints_of(tab)
            tab.goto(url + query)
            tab.get_by_role("tab", name="Explore").click()
            tab.wait_for_selector("#headline")
            return tab

        yield open_tab
        for context in contexts:
            context.close()


@needs_browser
def test_from_the_page_to_the_removed_weights_of_a_site_in_three_clicks(visit):
    """Which block loses most at the last step, and how do the removed weights of cross.k look?"""
    tab = visit(1280, 900)  # one
    said = tab.locator("#headline").inner_text()
    assert "Step 4 of 4" in said and re.search(r"block\d loses", said)
    cell = tab.locator('.heat i[data-site$="cross.k"][data-step="3"]').first
    cell.click()  # two; the third is to spare
    tab.wait_for_function("document.querySelector('#headline').textContent.includes('cross.k')")
    assert "on" in cell.get_attribute("class")
    assert "cross.k, step 4: " in tab.locator(".scale output").inner_text()
    tab.locator(".heat").focus()
    tab.keyboard.press("ArrowLeft")
    tab.wait_for_function("document.querySelector('#headline').textContent.includes('Step 3 of 4')")
    assert "step 3" in tab.locator(".scrub output").inner_text()
    tab.locator(".scrub button").click()
    tab.wait_for_function("!document.querySelector('.scrub output').textContent.includes('step 3')")
    alts = tab.evaluate("[...document.querySelectorAll('#linked img, #strip img')].every((i) => i.alt.match(/\\d/))")
    assert alts and not tab.complaints


BOXES = """() => Object.fromEntries(['explored-pictures', 'explored-map', 'explored-plots', 'controls', 'picker'].map(
  (id) => [id, document.getElementById(id).getBoundingClientRect().toJSON()]))"""


@needs_browser
def test_a_run_that_is_picked_comes_onto_the_stage_and_into_links(visit, run):
    tab = visit(1280, 900)
    tab.get_by_label("Run", exact=True).click()
    tab.get_by_role("option").nth(1).click()
    tab.wait_for_function("document.querySelector('#facts').textContent.includes('another cube')")
    tab.evaluate("window.copied = ''; navigator.clipboard.writeText = async (text) => { window.copied = text; }")
    tab.get_by_role("button", name="Copy link").click()
    tab.wait_for_function("window.copied.includes('run=')")
    assert f"run={'b' * 12}" in tab.evaluate("window.copied") and "tab=explore" in tab.evaluate("window.copied")
    assert not tab.complaints


@needs_browser
def test_a_copied_link_opens_at_its_step_and_site(visit, run):
    tab = visit(1280, 900)
    tab.locator('.heat i[data-site$="cross.k"][data-step="1"]').first.click()
    tab.wait_for_function("document.querySelector('#headline').textContent.includes('Step 2 of 4')")
    site = tab.locator(".heat").get_attribute("data-site")
    tab.goto(tab.evaluate(LINK, f"?run={run.id}"))
    tab.wait_for_selector("#headline")
    tab.wait_for_function("document.querySelector('#headline').textContent.includes('Step 2 of 4')")
    assert tab.locator(".heat").get_attribute("data-site") == site
    assert "cross.k" in tab.locator("#headline").inner_text() and not tab.complaints


def test_a_link_to_a_step_and_a_site_that_are_not_there_shows_the_last_step(run):
    first = run.stats.sites[0]
    assert existing(run, {"step": last(run), "site": ""} | told({"step": "2", "site": first})) == (1, first)
    for wrong in ("0", "99", "9" * 200, "-1", "1.5", "²", "x", ""):
        assert existing(run, {"step": last(run), "site": ""} | told({"step": wrong, "site": "<b>"})) == (
            last(run),
            None,
        )


@needs_browser
def test_figures_for_print_say_how_far_they_are_are_stopped_and_come_as_one_zip(visit, monkeypatch):
    monkeypatch.setattr(figures_process, "write", slow_figures)
    tab = visit(1280, 900)
    stop = tab.get_by_role("button", name="Stop drawing")
    draw = tab.get_by_role("button", name="Figures for print")
    draw.click(timeout=SOON)
    tab.wait_for_selector("#drawing-figures :text('plots')", timeout=SOON)
    expect(draw).to_be_hidden()
    stop.click()
    tab.wait_for_selector("#drawing-figures :text('Stopped.')", timeout=SOON)
    expect(draw).to_be_visible()
    expect(stop).to_be_hidden()
    assert not tab.query_selector("#figures")
    monkeypatch.setattr(figures_process, "write", lambda run, out: slow_figures(run, out, lines=2))
    draw.click()
    with tab.expect_download(timeout=SOON) as download:
        tab.get_by_text("Download figures (.zip)").click(timeout=SOON)
    with zipfile.ZipFile(download.value.path()) as archive:
        assert archive.read("figures.txt").decode() == "a plot\na plot\n"
    expect(stop).to_be_hidden()
    assert "are ready" in tab.inner_text("#drawing-figures")


def slow_figures(run, out, lines=600):
    """In place of a process that draws for seconds."""
    out.mkdir()
    for _ in range(lines):
        yield "a plot"
        time.sleep(0.1)


@needs_browser
def test_picture_map_and_plots_share_one_screen_and_the_form_comes_back(visit):
    tab = visit(1280, 800)
    boxes = tab.evaluate(BOXES)
    pictures, heat, shown = (boxes[f"explored-{name}"] for name in ("pictures", "map", "plots"))
    assert pictures["right"] <= heat["left"] and heat["right"] <= shown["left"] and shown["right"] <= 1280
    assert max(each["top"] for each in (pictures, heat, shown)) < 400
    assert pictures["bottom"] < 800 and heat["bottom"] < 800 and boxes["controls"]["width"] == 0
    tab.mouse.move(1000, 600)
    tab.mouse.wheel(0, 500)
    tab.wait_for_function("scrollY > 300")
    boxes = tab.evaluate(BOXES)
    assert abs(boxes["explored-map"]["top"]) < 2 and abs(boxes["explored-pictures"]["top"]) < 2
    assert boxes["explored-plots"]["top"] < 0  # what follows the selection moves, and what is selected stays
    tab.evaluate("scrollTo(0, 0)")
    button = tab.get_by_role("button", name="Show the form")
    button.focus()
    tab.keyboard.press("Enter")
    expect(tab.locator("#prompt textarea")).to_be_visible()
    tab.get_by_role("button", name="Hide the form").click()
    expect(tab.locator("#prompt textarea")).to_be_hidden()
    tab.get_by_role("tab", name="Compare").click()
    tab.wait_for_selector("#prompt textarea", state="visible")
    expect(tab.locator("#fold button")).to_be_hidden()


@needs_browser
def test_a_second_run_is_pinned_beside_the_first_and_a_click_on_it_selects(visit):
    tab = visit(1280, 800)
    tab.locator(".scrub input").fill("1")
    tab.get_by_label("Pin a second run (B)").click()
    tab.get_by_role("option", name="another cube").click()
    tab.wait_for_selector(".frame.pinned")
    assert "step 4" in tab.locator(".scrub output").inner_text()
    expect(tab.locator(".scrub input")).to_have_value("3")  # where the pictures and the text are
    assert "another cube" in tab.locator(".heats figcaption").nth(1).inner_text()
    tops = "(n) => [...document.querySelectorAll('.heat')[n].querySelectorAll('i')].map((i) => Math.round(i.getBoundingClientRect().top))"
    assert tab.evaluate(tops, 0) == tab.evaluate(tops, 1)
    tab.locator(".heat.bare i").nth(5).click()
    tab.wait_for_function("document.querySelector('#headline').textContent.includes('Step 2 of 4')")
    expect(tab.locator(".heat i.on")).to_have_count(2)
    assert not tab.complaints


@needs_browser
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_on_a_phone_the_picture_comes_first_and_no_head_overlaps(visit, theme):
    tab = visit(390, 844, f"?__theme={theme}")
    boxes = tab.evaluate(BOXES)
    tops = [boxes[name]["top"] for name in ("explored-pictures", "picker", "explored-map", "explored-plots")]
    assert tops == sorted(tops)
    heads = tab.evaluate(
        """() => [...document.querySelectorAll('.heat:first-of-type .time')].filter((e) => e.textContent).map((e) => {
          const range = document.createRange(); range.selectNodeContents(e); const { left, right } = range.getBoundingClientRect();
          return [left, right]; })"""
    )
    assert len(heads) > 2 and all(a[1] < b[0] for a, b in zip(heads, heads[1:], strict=False))
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert "over for" not in tab.locator("#stage").inner_text() and tab.evaluate(CONTRAST) == []
    assert not tab.complaints


@needs_browser
def test_a_thumbnail_opens_large_and_the_keyboard_does_it_all(visit):
    tab = visit(1280, 800)
    thumbs = tab.locator("#plot-columns img")
    assert tab.evaluate(
        "[...document.querySelectorAll('#linked img, .frame')].every((e) => e.matches('[data-zoom][tabindex]'))"
    )
    thumbs.nth(1).focus()
    tab.keyboard.press("Enter")
    box = tab.locator("#lightbox")
    box.wait_for(state="visible")
    number = "document.querySelector('#lightbox p').textContent.match(/(\\d+) \\/ (\\d+)/).slice(1).map(Number)"
    assert tab.evaluate(number) == [2, thumbs.count()]
    assert box.locator(".shown img").get_attribute("src") == thumbs.nth(1).get_attribute("src")
    assert box.locator(".shown img").bounding_box()["width"] > 3 * thumbs.nth(1).bounding_box()["width"]
    tab.keyboard.press("ArrowRight")
    assert box.locator(".shown img").get_attribute("src") == thumbs.nth(2).get_attribute("src")
    for _ in range(3):
        tab.keyboard.press("ArrowLeft")
    assert tab.evaluate(number)[0] == thumbs.count()  # round to the last one
    tab.keyboard.press("Escape")
    box.wait_for(state="hidden")
    assert tab.evaluate("document.activeElement.alt") == thumbs.nth(1).get_attribute("alt")
    tab.locator(".frame").first.click()  # a part of a sheet
    shown = "getComputedStyle(document.querySelector('#lightbox .part')).backgroundPosition"
    assert tab.evaluate(shown) == tab.evaluate("getComputedStyle(document.querySelector('.frame')).backgroundPosition")
    box.get_by_role("button", name="Close").click()
    box.wait_for(state="hidden")
    assert not tab.complaints


def test_every_thumbnail_of_the_page_can_be_opened_large(run):
    base, raced = next(iter(race.shipped_races().items()))
    kept = remembered.with_run([], run)
    parts = [
        still(run, {}), views.views(run, 0, None), strip(run, run), history.grid(kept), story({"a": run}, {}),
        race.sheet(raced, raced["shown"][0]["number"], {}, race.FOLDERS[base]),
    ]  # fmt: skip
    for html in parts:
        shown = re.findall(r'<img [^>]*>|<div class="frame [^>]*>', html)
        assert shown and all('data-zoom tabindex="0" role="button"' in each for each in shown)


@needs_browser
@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 390)])
def test_the_tour_fills_the_window_and_is_turned_by_keys(visit, theme, width):
    tab = visit(width, 800, f"?__theme={theme}")
    foreign = []
    tab.on("request", lambda r: r.url.startswith(("http://127.0.0.1", "data:", "blob:")) or foreign.append(r.url))
    tab.get_by_role("button", name="Take the tour").focus()
    tab.keyboard.press("Enter")
    tab.locator("#story").wait_for(state="visible")
    box = tab.locator("#story").bounding_box()
    assert (box["width"], box["height"]) == (width, 800)
    heads = tab.evaluate("[...document.querySelectorAll('#story h2')].map((h) => h.textContent)")
    assert heads == [story_words.PLAIN, story_words.CHOSEN, race_words.TITLE]  # of what the shelf has
    for keys, wanted in (
        (["ArrowRight"], 1),
        (["PageDown", "ArrowRight"], 2),
        (["ArrowLeft"], 1),
        (["Home"], 0),
        ([" "], 1),
    ):
        for key in keys:
            tab.keyboard.press(key)
        assert tab.locator("#story h2:visible").inner_text() == heads[wanted]
        assert tab.locator("#story output").inner_text() == f"{wanted + 1} / 3"
    size = tab.evaluate("parseFloat(getComputedStyle(document.querySelector('#story .slide > p')).fontSize)")
    assert size >= 17 and tab.evaluate(CONTRAST) == []
    assert tab.evaluate("(d => d.scrollWidth <= d.clientWidth)(document.querySelector('#story'))")
    tab.locator("#story .slide:visible img").first.click()
    tab.locator("#lightbox").wait_for(state="visible")
    tab.keyboard.press("ArrowRight")  # turns the pictures, not the slides
    tab.keyboard.press("Escape")
    assert tab.locator("#story h2:visible").inner_text() == heads[1]
    assert {link.get_attribute("rel") for link in tab.locator("#story nav a").all()} == {"noopener noreferrer"}
    tab.keyboard.press("Escape")
    tab.locator("#story").wait_for(state="hidden")
    assert tab.evaluate("'tour' in document.activeElement.dataset")
    assert not foreign and not tab.complaints


def test_the_tour_tells_what_the_shelf_has_in_order(run):
    def made(method, prompt):
        return replace(run, request=replace(run.request, method=method, prompt=prompt))

    shelf = {"a": made("maskunet_free", "f"), "r": made("random_mask", "r"), "b": made("random_mask", "t <i>")}
    shelf |= {"c": made("maskunet_trained", "t <i>"), "d": made("held_mask", "h")}
    shelf |= {"e": replace(made("random_mask", "x"), base_image=None)}
    html = story(shelf, {})
    heads = re.findall("<h2>(.*?)</h2>", html)
    assert heads == [story_words.PLAIN, story_words.RANDOM, story_words.CHOSEN, story_words.CONCEPT, race_words.TITLE]
    prompts = re.findall("<p>[^<]*“(.*?)”", html)
    assert prompts[:3] == ["t &lt;i&gt;"] * 3  # the random mask is the chosen one's control
    assert html.count('<section class="slide"') == 5 and html.count(" hidden ") == 4
    assert plots.percent(1 - run.keep_ratio) in html and f"{run.rewards['total']:.2f}." in html
    assert len(re.findall("<h2>", story({}, {}))) == 1  # the race alone


def test_the_study_shows_its_numbers_and_nothing_without_them(tmp_path):
    assert study.section(tmp_path) == ""
    line = {
        "curve": "iid", "removed": 0.1, "n": 9, "unchanged": 0, "win_rate": 0.25, "win_low": 0.1, "win_high": 0.5,
        "reward": -0.5, "reward_low": -1.0, "reward_high": 0.1, "correct": 0.5, "correct_low": 0.3, "correct_high": 0.7,
    }  # fmt: skip
    more = {**line, "removed": 0.2, "win_rate": 0.75}
    null = {**line, "removed": 0.0, "unchanged": 9, "win_rate": 0.0}
    plain = {"n": 9, "correct": 0.6, "correct_low": 0.4, "correct_high": 0.8}
    found = {"about": {"command": "python <x>", "model": "ours"}, "plain": plain, "summary": [null, line, more]}
    (tmp_path / "study.json").write_text(json.dumps(found))
    html = study.section(tmp_path)
    assert (
        "Precomputed" in html
        and "python &lt;x&gt;" in html
        and "on ours against the same pictures unmasked, n = 9" in html
    )
    wins = tables(html)["random_masks_win_rate"]
    assert [(float(row["removed"]), float(row["iid"])) for row in wins] == [(0.1, 0.25), (0.2, 0.75)]
    assert len(tables(html)["random_masks_reward"]) == 3
