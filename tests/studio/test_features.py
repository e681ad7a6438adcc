"""Features for a page: which sets there are, drawings in processes of their own, and what goes wrong there."""

import multiprocessing
import signal
import time
from dataclasses import replace

import numpy as np
import pytest

import app
from maskunet.evaluation import extractors, metrics
from maskunet.evaluation.features import read_folder
from maskunet.failures import foreseen
from maskunet.records import feature_set
from maskunet.records.features import FeatureRequest
from maskunet.studio.features import TICK, FeatureStudio
from maskunet.studio.features_process import Source, taken, work
from tests.evaluation.test_features import one_set, write
from visualize import embedding

SOON = 60  # seconds; a slow machine under load


def clusters(name, n=12, seed=0, **changes):
    features = np.random.default_rng(seed).normal(seed, 1, (n, 4)).astype(np.float32)
    return one_set(name, n, features=features, **changes)


def request(*keys, reference=None, **changes):
    return FeatureRequest(sets=keys, reference=reference or keys[0], **{"embedding": "PCA", **changes})


def save(path, *sets):
    path.parent.mkdir(exist_ok=True)
    feature_set.save(sets, path)
    return Source(title=sets[0].name, path=path, name=sets[0].name)


@pytest.fixture
def studio(tmp_path):
    """Two precomputed sets, a folder of 40 pictures of which one is broken, and one without any."""
    save(tmp_path / "computed" / "toy.npz", clusters("real"), clusters("made", 20, 1))
    write(tmp_path / "images" / "photos", 40)
    (tmp_path / "images" / "photos" / "broken.png").write_bytes(b"no picture")
    (tmp_path / "images" / "bare").mkdir()
    (tmp_path / "images" / "annotations").mkdir()
    return FeatureStudio(tmp_path / "computed", tmp_path / "images", cache=tmp_path / "cache")


def children():
    deadline = time.monotonic() + SOON
    while (found := multiprocessing.active_children()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


# Which sets there are


def test_precomputed_sets_come_first_then_folders_each_unusable_one_with_its_reason(studio):
    real, made, bare, photos = studio.sets()
    assert [(c.key, c.title, c.n, c.extractor) for c in (real, made, photos)] == [
        ("toy/real", "real", 12, "corners"),
        ("toy/made", "made", 20, "corners"),
        ("folder:photos", "photos", 41, ""),
    ]
    assert [c.file for c in (real, made, photos)] == ["toy", "toy", ""]
    assert not real.reason + made.reason + photos.reason
    assert bare.reason.startswith("The folder “bare” holds no pictures")


def test_sets_of_one_name_are_told_apart(studio, tmp_path):
    save(tmp_path / "computed" / "zoo.npz", clusters("made"))
    write(tmp_path / "images" / "real", 4)
    titles = {card.key: card.title for card in studio.sets()}
    assert titles["zoo/made"] == "made (zoo)"
    assert titles["folder:real"] == "real (folder)"


def test_a_damaged_file_and_a_root_without_folders_say_so(tmp_path):
    (tmp_path / "broken.npz").write_bytes(b"no")
    (card,) = FeatureStudio(tmp_path).sets()
    assert "“broken.npz” holds no feature sets" in card.reason
    (card,) = FeatureStudio(tmp_path / "none", write(tmp_path / "flat")).sets()
    assert "“flat” holds no folders" in card.reason
    assert FeatureStudio(tmp_path / "none").sets() == []
    with pytest.raises(ValueError, match="“broken.npz” is no folder"):
        FeatureStudio(images=tmp_path / "broken.npz")
    with pytest.raises(SystemExit):
        app.arguments(["--images", str(tmp_path / "broken.npz")])


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (FeatureRequest(sets=(), reference=""), "No set is chosen"),
        (request("toy/real", "folder:../computed"), "not there any more"),
        (request("folder:annotations"), "not there any more"),
        (request("../toy/real"), "not there any more"),
        (request("toy/real", reference="toy/made"), "The reference is not among the chosen"),
        (request("folder:bare"), "“bare” holds no pictures"),
        (request("toy/real", "folder:photos"), "“real” are of the extractor corners and those of “photos” of tab"),
        (request("toy/real", seed=-1), "The setting seed is -1; allowed is 0 to 4294967295"),
        (request("toy/real", most=3), "The setting most is 3; allowed is 4 to 2048"),
    ],
)
def test_what_cannot_be_drawn_is_refused_before_any_work(studio, asked, told):
    with pytest.raises(ValueError, match=told):
        next(studio.draw(asked))
    assert not multiprocessing.active_children()


# Drawings


def test_a_drawing_holds_the_points_and_measures_of_its_sets(studio):
    events = list(studio.draw(request("toy/made", "toy/real", reference="toy/real", seed=5)))
    assert [event.phase for event in events][-2:] == ["measuring", "done"]
    (plane,) = [event.plane for event in events if event.plane]
    tables = {"real": clusters("real").features, "made": clusters("made", 20, 1).features}
    wanted = embedding.embed(tables, "PCA", seed=5)
    assert list(plane.points) == ["real", "made"]  # in the order of the list, whatever was clicked first
    assert all(np.allclose(plane.points[name], wanted[name], atol=1e-5) for name in tables)
    assert (plane.title, plane.caveat) == ("PCA", embedding.CAVEATS["PCA"])
    scores = metrics.measure(tables["made"], tables["real"], 5)
    rows = events[-1].measures.rows
    assert [(r["measure"], r["value"], r["low"], r["high"], r["n"], r["n_reference"]) for r in rows] == [
        (s.title, s.value, s.low, s.high, 20, 12) for s in scores
    ]
    assert set(events[-1].measures.about) == {spec.title for spec in metrics.SPECS.values()}


def test_extraction_is_counted_and_what_was_left_out_is_said(studio):
    events = list(studio.draw(request("folder:photos")))
    counts = [(e.done, e.total) for e in events if e.phase == "extracting"]
    assert counts[0] == (32, 41) and counts[-1] == (41, 41)
    (plane,) = [event.plane for event in events if event.plane]
    assert plane.extractor == "tabletop" and len(plane.points["photos"]) == 40
    assert plane.notes == (
        "1 of 41 pictures of “photos” were left out, such as broken.png, which is damaged or no picture.",
    )


def test_closing_a_drawing_ends_its_process_in_the_middle_of_tsne(studio, tmp_path):
    save(tmp_path / "computed" / "large.npz", clusters("large", 3000))
    drawing = studio.draw(request("large/large", embedding="t-SNE"))
    for event in drawing:
        if event.phase == "embedding" and event.seconds > TICK / 2:
            break
    (process,) = multiprocessing.active_children()
    drawing.close()
    assert process.exitcode == -signal.SIGKILL and not children()


def test_two_visitors_draw_at_once_and_a_third_waits(studio, tmp_path):
    save(tmp_path / "computed" / "large.npz", clusters("large", 3000))
    long = studio.draw(request("large/large", embedding="t-SNE"))
    first, second = (studio.draw(request(key)) for key in ("toy/real", "toy/made"))
    assert next(long).phase == next(first).phase == "starting"
    assert next(second).phase == "waiting"
    (one,) = [event.plane for event in first if event.plane]
    (two,) = [event.plane for event in second if event.plane]
    assert list(one.points) == ["real"] and list(two.points) == ["made"]
    long.close()
    assert not children()


def test_a_process_that_dies_is_told(studio):
    drawing = studio.draw(request("toy/real"))
    next(drawing)
    multiprocessing.active_children()[0].kill()
    with pytest.raises(ValueError, match="ended before it was done"):
        list(drawing)


def test_stop_ends_the_drawings_of_one_owner_and_close_those_of_all(studio, tmp_path):
    save(tmp_path / "computed" / "large.npz", clusters("large", 3000))
    asked = request("large/large", embedding="t-SNE")
    mine, theirs, waiting = (studio.draw(asked, owner) for owner in ("me", "they", "we"))
    assert [next(one).phase for one in (mine, theirs, waiting)] == ["starting", "starting", "waiting"]
    studio.stop("me")
    assert [event.phase for event in mine] == ["stopped"]
    assert len(multiprocessing.active_children()) == 1 and next(theirs).phase != "stopped"
    studio.close()
    assert [[event.phase for event in one][-1] for one in (theirs, waiting)] == ["stopped"] * 2
    assert not children()


def test_drawings_wait_in_fair_order_in_so_many_places_and_end_at_a_limit(studio, tmp_path, monkeypatch):
    save(tmp_path / "computed" / "large.npz", clusters("large", 3000))
    asked = request("large/large", embedding="t-SNE")
    running = [studio.draw(asked, f"heavy {i}", "10.0.0.1") for i in range(2)]
    assert [next(one).phase for one in running] == ["starting"] * 2
    with pytest.raises(ValueError, match="in the making already"):
        next(studio.draw(asked, "heavy 0", "10.0.0.9"))
    waiting = [studio.draw(request("toy/real"), f"heavy {i}", "10.0.0.1") for i in range(2, 8)]
    assert [next(one).phase for one in waiting] == ["waiting"] * 6
    with pytest.raises(ValueError, match="The last 2 places in the queue are for others"):
        next(studio.draw(asked, "one more", "10.0.0.1"))
    light = studio.draw(request("toy/real"), "light", "10.0.0.2")
    assert next(light).phase == "waiting"
    running[0].close()
    assert next(waiting[0]).phase == "waiting" and next(light).phase == "starting"  # who had none goes first
    for one in (*running, *waiting, light):
        one.close()
    assert not children() and studio._queue.counts() == (0, 0)
    monkeypatch.setattr("maskunet.studio.features.LIMIT", 0.0)
    with pytest.raises(ValueError, match="took longer than 0 minutes"):
        list(studio.draw(asked))
    assert not children()


def test_what_fails_in_the_process_is_told_in_its_own_sentence(studio, tmp_path):
    photos = tmp_path / "images" / "photos"
    (photos / "captions.json").write_text("no captions")
    with pytest.raises(ValueError, match="“captions.json” is not in the format of COCO's captions"):
        list(studio.draw(request("folder:photos")))
    with pytest.raises(ValueError, match="There is no extractor “eyes”"):
        list(studio.draw(request("folder:photos", extractor="eyes")))


# The work itself


def last(*args, **kwargs):
    *_, event = work(*args, **kwargs)
    return event


def test_too_few_pictures_for_the_perplexity_are_measured_all_the_same(tmp_path):
    source = save(tmp_path / "a.npz", clusters("real"), clusters("made", 20, 1))
    other = replace(source, title="made", name="made")
    asked = request("real", "made", embedding="t-SNE", perplexity=30)
    events = list(work([source, other], asked))
    (plane,) = [event.plane for event in events if event.plane]
    assert plane.points == {} and "The perplexity is 30; for 32 images 1 to 10 is allowed" in plane.problem
    assert [row["value"] is None for row in events[-1].measures.rows] == [False] * 4
    tiny = save(tmp_path / "b.npz", clusters("tiny", 2))
    rows = last([source, tiny], request("real", "tiny")).measures.rows
    assert any(row["value"] is None and row["note"].startswith("Needs 4 images") for row in rows)


def test_weights_that_differ_are_told_before_anything_is_extracted(tmp_path):
    folder = write(tmp_path / "photos", 3)
    known = save(tmp_path / "a.npz", clusters("real", extractor="tabletop"))
    with pytest.raises(ValueError, match="“real” and “photos” differ in the weights of tabletop"):
        next(work([known, Source(title="photos", path=folder)], request("real", "photos")))
    ours = extractors.load("tabletop", device="cpu")
    wide = np.zeros((4, 96), np.float32)
    same = save(tmp_path / "b.npz", one_set("real", 4, features=wide, extractor="tabletop", weights=ours.weights))
    done = last([same, Source(title="photos", path=folder)], request("real", "photos"), cache=tmp_path / "cache")
    assert {row["set"] for row in done.measures.rows} == {"photos"}


def test_pictures_of_a_large_folder_are_drawn_by_the_seed(tmp_path):
    pictures = read_folder(write(tmp_path / "many", 30))
    assert taken(pictures, 30, 0) == (pictures, ())
    some, notes = taken(pictures, 10, 4)
    assert notes == ("10 of the 30 pictures of “many” were taken, drawn by seed 4.",)
    assert len(some.files) == 10 and list(some.files) == sorted(set(some.files))
    assert [path.name for path in some.sources] == list(some.files)
    assert taken(pictures, 10, 4)[0] == some != taken(pictures, 10, 5)[0]


def test_a_sentence_of_a_plot_reaches_people_as_it_is():
    with pytest.raises(ValueError, match="at least one set") as caught:
        embedding.embed({})
    assert foreseen(caught.value) == str(caught.value)
