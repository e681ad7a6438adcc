"""The Features tab: points, thumbnails and measures are those of the sets; any selection is answered."""

import base64
import io
import json
import multiprocessing
import re
import time
from dataclasses import replace
from html import unescape
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from maskunet.evaluation import metrics
from maskunet.records import feature_set
from maskunet.records.features import FeatureEvent, FeatureRequest, Plane, SetCard
from maskunet.studio import features_process
from maskunet.studio.features import FeatureStudio
from maskunet.studio.features_process import Source, work
from maskunet.studio.process import tell
from maskunet.studio.studio import Studio
from maskunet.ui.html import features as views
from maskunet.ui.tabs import features
from tests.evaluation.test_features import one_set
from tests.support.said import refuse
from tests.support.serving import SOON, complaints_of, needs_browser, served
from tests.support.visiting import expect
from tests.ui.test_explore import tables

EVIL = '<img src=x onerror="alert(1)">'


def colored(name, n, seed, **changes):
    """A set whose thumbnails are plain colors, so that a lossy sheet keeps them."""
    rng = np.random.default_rng(seed)
    colors = rng.integers(0, 256, (n, 1, 1, 3), dtype=np.uint8)
    parts = {"features": rng.normal(seed, 1, (n, 6)), "thumbnails": np.tile(colors, (1, 48, 48, 1))}
    parts["features"] = parts["features"].astype(np.float32)
    return one_set(name, n, **{**parts, "captions": tuple(f"{name} {i}" for i in range(n)), **changes})


SETS = (colored("real", 30, 0), colored(f"made {EVIL}", 17, 1), colored("other", 9, 2))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """The plane and the measures of three sets."""
    path = tmp_path_factory.mktemp("sets") / "a.npz"
    feature_set.save(SETS, path)
    sources = [Source(title=one.name, path=path, name=one.name) for one in SETS]
    asked = FeatureRequest(sets=tuple(one.name for one in SETS), reference="real", embedding="PCA", seed=3)
    events = list(work(sources, asked))
    return next(e.plane for e in events if e.plane), events[-1].measures


def places(html):
    """The points' coordinates in the drawing, by set."""
    groups = re.findall(r'<g fill="#\w+" data-set="\d">(.*?)</g>', html)
    return [np.array(re.findall(r'd="M(-?[\d.]+) (-?[\d.]+)m', group), float) for group in groups]


def test_points_lie_where_the_csv_says_at_one_scale(drawn):
    html = views.cloud(drawn[0], {})
    rows = tables(html)["embedding"]
    assert [row["set"] for row in rows] == [one.name for one in SETS for _ in one.files]
    assert [(row["file"], row["caption"]) for row in rows] == [
        pair for one in SETS for pair in zip(one.files, one.captions, strict=True)
    ]
    told = np.array([(float(row["x"]), float(row["y"])) for row in rows])
    assert np.allclose(told, np.concatenate(list(drawn[0].points.values())))
    shown = np.concatenate(places(html))
    assert [len(group) for group in places(html)] == [30, 17, 9]
    (across, right), (up, top) = (np.polyfit(told[:, i], shown[:, i], 1) for i in (0, 1))
    assert across == pytest.approx(-up, rel=1e-3) and across > 0
    assert np.allclose(shown, told * (across, up) + (right, top), atol=0.02)
    assert shown.min() >= 11.9 and (shown.max(0) <= (468.1, 408.1)).all()
    assert max(np.ptp(shown[:, 0]) / 456, np.ptp(shown[:, 1]) / 396) == pytest.approx(1, abs=1e-3)


def test_every_thumbnail_is_at_its_place_on_its_sets_sheet(drawn):
    html = views.cloud(drawn[0], {})
    about = json.loads(unescape(re.search(r'data-sets="([^"]*)"', html).group(1)))
    sheets = re.findall(r"\.sheet\d\{background-image:url\(data:image/webp;base64,([^)]*)\)", html)
    for one, told, sheet in zip(SETS, about, sheets, strict=True):
        assert (told["name"], told["files"], told["captions"]) == (one.name, [*one.files], [*one.captions])
        pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(sheet))).convert("RGB")).astype(int)
        assert pixels.shape == (told["rows"] * 48, told["columns"] * 48, 3)
        for i, thumbnail in enumerate(one.thumbnails):
            row, column = divmod(i, told["columns"])
            assert np.abs(pixels[row * 48 + 24, column * 48 + 24] - thumbnail[24, 24]).max() < 12, (one.name, i)


def test_the_legend_counts_marks_and_labels_and_no_name_becomes_markup(drawn):
    html = views.cloud(drawn[0], {"real": True, "other": False})
    assert "real, n = 30 <b class=badge>Precomputed</b>" in html and html.count("class=badge") == 1
    legend = re.search(r'<div class="marks">(.*?)</div>', html).group(1)
    looks = re.findall(r'fill="(#\w+)" d="M0 0([^"]*)"', legend)
    assert len({color for color, _ in looks}) == len({mark for _, mark in looks}) == 3
    assert "56 pictures as points, 30 of real" in html
    assert drawn[0].caveat in html
    assert "<img" not in html + views.measures(drawn[1])


def test_the_table_holds_what_was_measured(drawn):
    html = views.measures(drawn[1])
    wanted = [(one, s) for one in SETS[1:] for s in metrics.measure(one.features, SETS[0].features, 3)]
    rows = tables(html)["measures"]
    assert len(rows) == len(wanted) == 8
    for row, (one, score) in zip(rows, wanted, strict=True):
        assert (row["set"], row["measure"], row["reference"]) == (one.name, score.title, "real")
        assert (int(row["n"]), int(row["n_reference"]), row["note"]) == (score.n, 30, score.note)
        assert [float(row[k]) for k in ("value", "low", "high")] == [score.value, score.low, score.high]
    cells = re.findall(r"<td>(\S+) <small>\[(\S+), (\S+)\]</small></td>", html)
    assert cells == [(f"{s.value:.3g}", f"{s.low:.3g}", f"{s.high:.3g}") for _, s in wanted]
    assert re.findall(r'<th scope="col">(.*?)</th>', html) == [s.title for _, s in wanted[:4]]
    assert "Measured against real, n = 30" in html and "other, n = 9<" in html
    for spec in metrics.SPECS.values():
        assert f"<dt>{spec.title}</dt>" in html and spec.interval in unescape(html)
    for note in {score.note for _, score in wanted if score.note}:
        assert note in unescape(html)


def test_what_cannot_be_shown_is_said_beside_what_can(drawn):
    plane = Plane(**{**{name: getattr(drawn[0], name) for name in Plane.__slots__},
                     "points": {}, "problem": "Too few <pictures>.", "notes": ("One is broken.",)})  # fmt: skip
    html = views.cloud(plane, {})
    assert "Too few &lt;pictures&gt;." in html and "One is broken." in html and "<svg" not in html
    nothing = {"value": None, "low": None, "high": None, "note": "Needs 4 images."}
    found = SimpleNamespace(reference="real", about={}, rows=({**drawn[1].rows[0], **nothing},))
    html = views.measures(found)
    assert "not measured" in html and "Fréchet distance: Needs 4 images." in html
    assert "Choose a second set" in views.measures(SimpleNamespace(rows=()))


def test_pictures_that_are_all_alike_lie_in_the_middle(drawn):
    one = Plane(title="PCA", caveat="", extractor="a", points={"a": np.ones((1, 2))}, thumbnails={"a": np.zeros((1, 48, 48, 3), np.uint8)},
                files={"a": ("x",)}, captions={"a": ("",)})  # fmt: skip
    assert places(views.cloud(one, {}))[0].tolist() == [[240, 210]]


def test_two_thousand_photographs_stay_under_three_megabytes():
    """Patches of real photographs, each shrunk to a thumbnail; no renders, which are smoother."""
    from sklearn.datasets import load_sample_images

    rng = np.random.default_rng(0)
    photos, thumbnails = load_sample_images().images, []
    for i in range(2000):
        photo, edge = photos[i % 2], int(rng.integers(120, 400))
        top, left = (int(rng.integers(0, side - edge)) for side in photo.shape[:2])
        patch = Image.fromarray(photo[top : top + edge, left : left + edge])
        thumbnails.append(np.asarray(patch.resize((48, 48), Image.Resampling.BICUBIC)))
    names, halves = ("real", "made"), np.split(np.stack(thumbnails), 2)
    plane = Plane(
        title="t-SNE", caveat="", extractor="tabletop", thumbnails=dict(zip(names, halves, strict=True)),
        points={name: rng.normal(size=(1000, 2)).astype(np.float32) for name in names},
        files={name: tuple(f"{i:012d}.jpg" for i in range(1000)) for name in names},
        captions=dict.fromkeys(names, ("A man riding a horse next to two dogs on a beach.",) * 1000)
    )  # fmt: skip
    size = len(views.cloud(plane, {}).encode())
    assert 1e6 < size < 3e6


@pytest.mark.parametrize(
    ("event", "told"),
    [
        (FeatureEvent(phase="waiting", seconds=3), ["Waiting for other visitors’ drawings", "3.0 s"]),
        (
            FeatureEvent(phase="extracting", name=EVIL, done=320, total=2000, seconds=12.3),
            ["Extracting &lt;img", "320 of 2,000", "12 s", "width:16.0%"],
        ),
        (FeatureEvent(phase="embedding", name="t-SNE", seconds=95), ["Computing t-SNE", "1.6 min"]),
    ],
)
def test_the_status_says_how_far_it_is(event, told):
    html = views.status(event)
    assert all(text in html for text in told) and "<img" not in html
    assert ("bar" in html) == bool(event.total)


def test_fields_become_a_request_and_an_empty_one_is_named():
    values = (["a"], "a", "PCA", 5, 7, "clip", 100)
    assert features.asked(*values) == FeatureRequest(
        sets=("a",), reference="a", embedding="PCA", perplexity=5.0, seed=7, extractor="clip", most=100
    )
    for i, label in ((3, "Perplexity"), (4, "Seed"), (6, "Pictures per folder")):
        with pytest.raises(ValueError, match=f"“{label}” is empty"):
            features.asked(*(None if i == at else value for at, value in enumerate(values)))


class Cards:
    """A studio with sets to choose and nothing behind them."""

    def __init__(self, *cards):
        self.cards = cards

    def sets(self):
        return list(self.cards)

    def extractors(self):
        return []

    def draw(self, request, owner, address):
        refuse(f"{len(request.sets)} sets & nothing else.")


def tab(*cards):
    return features.Features(Cards(*cards), *[None] * (len(features.Features.__slots__) - 1))


REAL = SetCard(key="a/real", title="real", n=100, extractor="tabletop")
VAL = SetCard(key="folder:val", title="val", n=5000)
BARE = SetCard(key="folder:bare", title="bare", reason="It <holds> nothing.")


def test_only_usable_sets_are_offered_and_folders_bring_their_fields():
    empty, form, shown, sets, folders, refused = tab(REAL, VAL, BARE).offer()
    assert [part.visible for part in (empty, form, shown, folders)] == [False, True, True, True]
    assert sets.choices == [("real (100)", "a/real"), ("val (5,000)", "folder:val")]
    assert sets.value == ["a/real"] and "It &lt;holds&gt; nothing." in refused
    assert not tab(REAL).offer()[4].visible
    assert [part.visible for part in tab(BARE).offer()[:3]] == [True, False, False]


def test_the_first_file_s_sets_are_chosen_and_those_of_others_are_offered():
    mine, other = (replace(REAL, key=f"{file}/real", file=file, title=file) for file in ("01-web", "02-clean"))
    broken = replace(BARE, key="00-broken.npz")
    sets = tab(broken, mine, other, VAL).offer()[3]
    assert sets.value == ["01-web/real"] and len(sets.choices) == 3


def test_the_perplexity_is_one_that_the_chosen_sets_allow():
    reference, perplexity = tab(REAL, VAL).fit(["a/real", "folder:val"], "folder:val", 50, 40)
    assert (reference.value, perplexity.info, perplexity.value) == ("folder:val", "1 to 49 for 150 pictures.", 40)
    reference, perplexity = tab(REAL, VAL).fit(["a/real"], "folder:val", None, 40)
    assert (reference.value, perplexity.info, perplexity.value) == ("a/real", "1 to 33 for 100 pictures.", 30)
    few = replace(REAL, n=13)
    assert [tab(few).fit(["a/real"], "a/real", 5, given)[1].value for given in (40, None, 3)] == [4, 4, 3]
    assert "Too few pictures" in tab(REAL).fit([], None, 5, 30)[1].info


def test_the_plot_names_its_network_and_says_when_sets_are_small(drawn):
    html = views.cloud(drawn[0], {}, {drawn[0].extractor: "Network <b>"})
    assert "PCA, features of Network &lt;b&gt;" in html and "n = 9: small differences are chance" in html
    many = Plane(title="PCA", caveat="", extractor="a", points={"a": np.zeros((600, 2))}, thumbnails={"a": np.zeros((600, 48, 48, 3), np.uint8)},
                 files={"a": ("x",) * 600}, captions={"a": ("",) * 600})  # fmt: skip
    assert "small differences" not in views.cloud(many, {})


def test_what_came_with_the_project_is_drawn_once_for_all_visitors(tmp_path, monkeypatch):
    feature_set.save(SETS, tmp_path / "toy.npz")
    studio = FeatureStudio(tmp_path)
    keys = tuple(card.key for card in studio.sets())
    asked = FeatureRequest(sets=keys, reference=keys[0], embedding="PCA")
    begun = []

    def followed(*given):
        begun.append(given)
        yield FeatureEvent(phase="embedding", name="PCA")
        yield FeatureEvent(phase="measuring", plane="a plane")
        yield FeatureEvent(phase="done" if len(begun) > 1 else "stopped", measures="measures")

    monkeypatch.setattr(studio, "_followed", followed)
    assert [event.phase for event in studio.draw(asked)][-1] == "stopped"  # which is not kept
    assert len(list(studio.draw(asked))) == 3
    again = list(studio.draw(asked))
    assert [(event.phase, event.plane, event.measures) for event in again] == [
        ("measuring", "a plane", None), ("done", None, "measures")]  # fmt: skip
    assert len(begun) == 2
    list(studio.draw(replace(asked, seed=5)))
    assert len(begun) == 3
    feature_set.save(SETS[:2], tmp_path / "toy.npz")
    with pytest.raises(ValueError, match="not there any more"):
        list(studio.draw(asked))
    studio.close()


def test_a_refused_drawing_says_why_and_gives_the_button_back():
    visitor = SimpleNamespace(session_hash="me", client=SimpleNamespace(host="10.0.0.1"))
    first, last = tab(REAL).follow(["a/real"], "a/real", "PCA", 30, 0, "tabletop", 50, visitor)
    assert (first[0].interactive, first[1].visible) == (False, True)
    assert (last[0].interactive, last[1].visible) == (True, False)
    assert 'role="alert">1 sets &amp; nothing else.' in last[2]
    # What cannot be is told before any work, and the plot that is there stays.
    _, last = tab(REAL).follow(["a/real"], "a/real", "t-SNE", 500, 0, "tabletop", 50, visitor)
    assert "The perplexity is 500; for 100 images 1 to 33 is allowed" in last[2] and last[3] == last[4] == gr.skip()


def never_ready(pipe, sources, request, device, cache):
    """In place of `features_process.serve`: the plane takes longer than anyone waits."""

    def work():
        yield FeatureEvent(phase="embedding", name=request.embedding)
        time.sleep(600)

    tell(pipe, work())


@needs_browser
def test_from_the_sets_to_a_picture_its_neighbors_and_a_stopped_drawing(chromium, library, tmp_path, monkeypatch):
    feature_set.save(SETS, tmp_path / "toy.npz")
    studio = Studio(tmp_path / "runs", library=library)
    studio.features = FeatureStudio(tmp_path)
    with served(studio, {}) as url:
        context = chromium.new_context(viewport={"width": 1280, "height": 1500})
        page = context.new_page()
        page.set_default_timeout(SOON)
        complaints = complaints_of(page)
        page.goto(url)
        page.get_by_role("tab", name="Features").click()
        page.wait_for_selector(".cloud path")  # without a click
        page.wait_for_selector(".measures")
        assert page.locator("#plot-embedding h4").inner_text() == "t-SNE, perplexity 18, seed 0, features of corners"
        assert (
            "COCO" in page.locator("#coco").inner_text() and "hover" not in page.locator("#stage").inner_text().lower()
        )
        page.wait_for_selector("#stop-drawing", state="hidden")
        page.locator(".drawn > svg").hover()  # whose points are known from now on, until the next drawing
        page.get_by_label("PCA", exact=True).check()
        page.locator("#draw").click()
        page.wait_for_function("document.querySelector('#plot-embedding h4').textContent.startsWith('PCA')")
        page.wait_for_selector("#stop-drawing", state="hidden")
        point = page.locator('.drawn g[data-set="2"] path').nth(4)
        box = point.bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.mouse.move(x, y)
        peek = page.locator(".peek figcaption")
        assert "other 4" in peek.inner_text() and "4.png" in peek.inner_text()
        page.mouse.down()
        page.mouse.up()
        assert page.locator(".chosen").inner_text() == "1 chosen: 1 of other."
        assert page.locator(".picked i").get_attribute("aria-label") == "Picture 5 of 9 of other: other 4"
        color = SETS[2].thumbnails[4, 24, 24].astype(int)
        seen = Image.open(io.BytesIO(page.locator(".picked i").screenshot())).convert("RGB")
        assert np.abs(np.array(seen.getpixel((seen.width // 2, seen.height // 2))) - color).max() < 12
        frame = page.locator(".drawn > svg").bounding_box()
        page.mouse.move(frame["x"] + 8, frame["y"] + 8)
        page.mouse.down()
        page.mouse.move(frame["x"] + frame["width"] - 8, frame["y"] + frame["height"] - 8, steps=3)
        page.mouse.up()
        said = page.locator(".chosen").inner_text()
        assert said.startswith("56 chosen: 30 of real, 17 of made <img")
        expect(page.locator(".picked figure")).to_have_count(56)
        page.locator(".drawn > svg").focus()
        before = peek.inner_text()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowDown")
        expect(page.locator(".peek")).to_be_visible()
        assert peek.inner_text() != before
        page.keyboard.press("Enter")
        expect(page.locator(".picked figure")).to_have_count(1)
        page.get_by_label("t-SNE", exact=True).check()
        page.get_by_label("Perplexity").fill("10")
        monkeypatch.setattr(features_process, "serve", never_ready)
        page.locator("#draw").click()
        page.wait_for_selector("#drawing .status:has-text('s')")
        page.locator("#stop-drawing").click()
        page.wait_for_selector("#stop-drawing", state="hidden")
        assert page.locator("#drawing").inner_text().startswith("Stopped.")
        deadline = time.monotonic() + SOON / 1000
        while multiprocessing.active_children() and time.monotonic() < deadline:
            page.wait_for_timeout(100)
        assert not multiprocessing.active_children() and not complaints
        expect(page.locator("#draw")).to_be_enabled()
        context.close()
