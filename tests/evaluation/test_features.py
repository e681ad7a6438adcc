"""Image folders to features: captions, broken pictures, the cache, sets on disk, extractors, the command."""

import json
import os
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from maskunet.commands.registry import main
from maskunet.evaluation import extractors, features
from maskunet.evaluation.features import BATCH, extract, read_folder
from maskunet.failures import foreseen
from maskunet.library import networks
from maskunet.records import feature_set
from maskunet.records.disk import pictures
from maskunet.records.feature_set import THUMBNAIL, FeatureSet
from tests.support.tiny_rewards import write_small


class Corners:
    """Four pixels of the resized picture as features; counts the pictures it was given."""

    name, weights, size = "corners", "0" * 64, 16

    def __init__(self):
        self.seen = 0

    def __call__(self, images):
        assert images.shape[1:] == (16, 16, 3)
        assert images.dtype == np.uint8
        self.seen += len(images)
        return images[:, ::15, ::15].reshape(len(images), -1).astype(np.float32)


def write(folder, count=5, size=(20, 20), start=0):
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(start, start + count):
        color = (i * 7 % 256, i * 31 % 256, 200 - i)
        Image.new("RGB", size, color).save(folder / f"{i:012d}.png")
    return folder


def last(*args):
    *_, progress = extract(*args)
    return progress


def one_set(name="real", n=3, **changes):
    rng = np.random.default_rng(0)
    parts = {
        "features": rng.normal(size=(n, 4)).astype(np.float32),
        "thumbnails": rng.integers(0, 256, (n, THUMBNAIL, THUMBNAIL, 3), dtype=np.uint8),
        "extractor": "corners",
        "weights": "0" * 64,
        "files": tuple(f"{i}.png" for i in range(n)),
        "captions": ("a dog", *[""] * (n - 1)),
    }
    return FeatureSet(name=name, **{**parts, **changes})


# Folders


def coco(images, annotations):
    return json.dumps(
        {
            "images": [{"id": i, "file_name": name} for i, name in images],
            "annotations": [{"image_id": i, "caption": text} for i, text in annotations],
        }
    )


def test_a_folder_as_coco_comes_is_read_with_its_first_captions(tmp_path):
    folder = write(tmp_path / "val2017", 2)
    (tmp_path / "annotations").mkdir()
    content = coco(
        [(10, "000000000000.png"), (11, "000000000001.png")], [(11, "a dog"), (10, "a cat"), (11, "a hound")]
    )
    (tmp_path / "annotations" / "captions_val2017.json").write_text(content)
    pictures = read_folder(folder)
    assert pictures.name == "val2017"
    assert dict(zip(pictures.files, pictures.captions, strict=True)) == {
        "000000000000.png": "a cat",
        "000000000001.png": "a dog",
    }
    assert pictures.notes == ()


def test_ids_that_match_no_file_are_counted_and_one_is_named(tmp_path):
    folder = write(tmp_path / "real", 3)
    content = coco([(1, "000000000000.png"), (2, "gone.png")], [(1, "a cat"), (2, "a dog"), (77, "a bird"), (77, "b")])
    (folder / "captions.json").write_text(content)
    first, second = read_folder(folder, "coco").notes
    assert first.startswith("2 of 3 image ids in “captions.json” match no file of the folder, such as 2.")
    assert second == "“captions.json” has no caption for 2 of 3 pictures."


@pytest.mark.parametrize(
    "content",
    ["", "[1]", "{}", '{"images": [{"id": [1], "file_name": "a"}], "annotations": []}', "\x00", "[" * 99999],
)
def test_annotations_of_another_format_are_refused(tmp_path, content):
    (tmp_path / "notes.json").write_text(content)
    with pytest.raises(ValueError, match="“notes.json” is not in the format of COCO's captions"):
        read_folder(write(tmp_path / "real"), annotations=tmp_path / "notes.json")


def test_a_folder_without_pictures_says_which_kinds_it_looked_for(tmp_path):
    (tmp_path / "inside").mkdir()
    write(tmp_path / "inside" / "deeper")
    (tmp_path / "inside" / "notes.txt").write_text("")
    (tmp_path / "inside" / "._1.png").write_text("")
    with pytest.raises(ValueError, match=r"“inside” holds no pictures \(.png, .jpg, .*folders inside it are not"):
        read_folder(tmp_path / "inside")


def test_a_place_that_is_no_folder_is_refused(tmp_path):
    (tmp_path / "a.png").write_text("")
    for place in ("a.png", "nowhere"):
        with pytest.raises(ValueError, match=f"“{place}” is no folder"):
            read_folder(tmp_path / place)


# Extraction


def test_features_are_those_of_the_pictures_in_order(tmp_path):
    progress = last(read_folder(write(tmp_path / "real", 40)), Corners())
    result = progress.result
    assert (progress.done, progress.total, progress.skipped) == (40, 40, {})
    assert result.features.shape == (40, 12)
    assert result.features[:, 0].tolist() == [i * 7 % 256 for i in range(40)]
    assert result.thumbnails[9, 3, 3].tolist() == [63, 279 % 256, 191]
    assert result.files[9] == "000000000009.png"


def test_bad_pictures_are_skipped_and_named(tmp_path, monkeypatch):
    folder = write(tmp_path / "real", 4)
    whole = (folder / "000000000001.png").read_bytes()
    (folder / "000000000001.png").write_bytes(whole[: len(whole) // 2])
    (folder / "a.jpg").write_text("no picture")
    (folder / "b.png").mkdir()
    write(folder, 1, size=(300, 300), start=9)
    monkeypatch.setattr(pictures, "MAX_PIXELS", 1000)
    progress = last(read_folder(folder), Corners())
    assert progress.skipped == {
        "000000000001.png": "is damaged or no picture",
        "000000000009.png": "has more than 1,000 pixels",
        "a.jpg": "is damaged or no picture",
        "b.png": "is damaged or no picture",
    }
    assert progress.result.files == ("000000000000.png", "000000000002.png", "000000000003.png")
    assert len(progress.result.captions) == 3


def test_a_folder_of_bad_pictures_only_is_refused(tmp_path):
    (tmp_path / "a.png").write_text("")
    with pytest.raises(ValueError, match="No picture of .* can be used: a.png is damaged"):
        list(extract(read_folder(tmp_path), Corners()))


def test_pictures_are_cut_to_their_central_square():
    wide = np.zeros((10, 30, 3), np.uint8)
    wide[:, 10:20] = 255
    assert (features.squared(wide, 5) == 255).all()
    assert (features.squared(wide.transpose(1, 0, 2), 5) == 255).all()


def test_gray_transparent_and_turned_pictures_are_read(tmp_path):
    Image.new("L", (8, 8), 50).save(tmp_path / "a.png")
    Image.new("RGBA", (8, 8), (50, 50, 50, 255)).save(tmp_path / "b.png")
    turned = Image.new("RGB", (8, 16), (50, 50, 50))
    turned.getexif()[0x0112] = 6
    turned.save(tmp_path / "c.png", exif=turned.getexif())
    result = last(read_folder(tmp_path), Corners()).result
    assert (result.features == 50).all()
    assert features._pixels(tmp_path / "c.png").shape == (8, 16, 3)


def test_what_is_on_disk_is_not_computed_again(tmp_path):
    pictures, cache = read_folder(write(tmp_path / "real", 6)), tmp_path / "cache"
    first = last(pictures, Corners(), cache)
    extractor = Corners()
    again = last(pictures, extractor, cache)
    assert (first.cached, again.cached, extractor.seen) == (0, 6, 0)
    assert (again.result.features == first.result.features).all()


def test_the_cache_tells_pictures_extractors_and_weights_apart(tmp_path):
    folder, cache = write(tmp_path / "real", 3), tmp_path / "cache"
    last(read_folder(folder), Corners(), cache)
    (folder / "000000000002.png").rename(folder / "renamed.png")
    assert last(read_folder(folder), Corners(), cache).cached == 3
    Image.new("RGB", (20, 20), (1, 2, 3)).save(folder / "renamed.png")
    assert last(read_folder(folder), Corners(), cache).cached == 2
    for name, value in (("weights", "1" * 64), ("name", "others")):
        other = Corners()
        setattr(other, name, value)
        assert last(read_folder(folder), other, cache).cached == 0


def test_a_damaged_entry_of_the_cache_is_computed_again(tmp_path):
    pictures, cache = read_folder(write(tmp_path / "real", 3)), tmp_path / "cache"
    first = last(pictures, Corners(), cache).result
    cut, empty, pickled = sorted(cache.rglob("*.npy"))
    cut.write_bytes(cut.read_bytes()[:-5])
    empty.write_bytes(b"")
    np.save(pickled, np.array([{}], dtype=object), allow_pickle=True)
    again = last(pictures, Corners(), cache)
    assert again.cached == 0
    assert (again.result.features == first.features).all()
    assert last(pictures, Corners(), cache).cached == 3


def test_an_extraction_that_was_closed_goes_on_where_it_was(tmp_path):
    pictures, cache = read_folder(write(tmp_path / "real", BATCH + 5)), tmp_path / "cache"
    stopped, after = Corners(), Corners()
    running = extract(pictures, stopped, cache)
    assert next(running).done == BATCH
    running.close()
    assert stopped.seen == BATCH
    steps = [(p.done, p.cached) for p in extract(pictures, after, cache) if not p.result]
    assert steps == [(BATCH, BATCH), (BATCH + 5, BATCH)]
    assert after.seen == 5


def test_features_that_are_no_numbers_are_refused(tmp_path):
    class Broken(Corners):
        def __call__(self, images):
            return np.where(np.arange(len(images))[:, None] == 1, np.nan, super().__call__(images))

    with pytest.raises(ValueError, match="features of 1 of 3 pictures in “real” are not finite"):
        list(extract(read_folder(write(tmp_path / "real", 3)), Broken()))


# Sets on disk


def test_sets_come_back_as_they_were_saved(tmp_path):
    sets = (one_set(), one_set("generated", 5))
    feature_set.save(sets, tmp_path / "features.npz")
    for one, other in zip(sets, feature_set.load(tmp_path / "features.npz"), strict=True):
        assert (one.features == other.features).all()
        assert (one.thumbnails == other.thumbnails).all()
        names = ("name", "extractor", "weights", "files", "captions")
        assert all(getattr(one, name) == getattr(other, name) for name in names)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"files": ()}, "0 files and 3 features"),
        ({"captions": ("",)}, "1 captions"),
        ({"features": np.ones((3, 4))}, "float32"),
        ({"features": np.ones(3, np.float32)}, "table"),
        ({"thumbnails": np.zeros((3, 8, 8, 3), np.uint8)}, "48 x 48"),
        ({"features": np.full((3, 4), np.inf, np.float32)}, "3 of 3 pictures"),
    ],
)
def test_parts_that_do_not_fit_together_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        one_set(**changes)


def test_sets_of_other_weights_or_of_one_name_are_not_put_together(tmp_path):
    for other, message in (
        (one_set("b", weights="1" * 64), "“real” and “b” differ in the weights of corners"),
        (one_set("b", extractor="clip"), "differ in the extractor"),
        (one_set(), "Two sets are called “real”"),
    ):
        with pytest.raises(ValueError, match=message):
            feature_set.save((one_set(), other), tmp_path / "features.npz")


def test_a_file_that_holds_no_sets_is_refused_in_one_sentence(tmp_path, monkeypatch):
    path = tmp_path / "features.npz"
    feature_set.save((one_set(),), path)
    whole = path.read_bytes()
    for content in (b"", b"no zip", whole[:-200], whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="^“features.npz” holds no feature sets that can be used: damaged.$"):
            feature_set.load(path)
    np.savez(path, about=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="holds no feature sets"):
        feature_set.load(path)
    path.write_bytes(whole)
    monkeypatch.setattr(feature_set, "MAX_BYTES", 100)
    with pytest.raises(ValueError, match="unpacks to"):
        feature_set.load(path)


# Extractors


@pytest.fixture(scope="module")
def inception_file(tmp_path_factory):
    """A random network in the format of torchvision's checkpoint."""
    from torchvision.models import inception_v3

    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = inception_v3(weights=None, init_weights=False, aux_logits=True)
    path = tmp_path_factory.mktemp("inception") / "inception_v3_random.pth"
    # Checkpoints of its age have no counts of batches.
    torch.save({k: v for k, v in network.state_dict().items() if "num_batches" not in k}, path)
    return path


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (2, 299, 299, 3), dtype=np.uint8)


def test_inception_gives_the_pool_layer_of_torchvisions_network(inception_file, images):
    from torchvision.models import inception_v3

    extractor = extractors.load("inception", inception_file.parent, "cpu")
    network = inception_v3(weights=None, init_weights=False, aux_logits=True).eval()
    network.load_state_dict(torch.load(inception_file, weights_only=True), strict=False)
    pooled = []
    network.avgpool.register_forward_hook(lambda module, given, output: pooled.append(output.flatten(1)))
    with torch.no_grad():
        network(torch.from_numpy(images).permute(0, 3, 1, 2) / 127.5 - 1)
    assert extractor.size == 299
    found = extractor(images)
    assert found.dtype == np.float32
    assert np.allclose(found, pooled[0].numpy(), atol=1e-5)
    assert found.shape == (2, 2048)


def test_missing_inception_weights_say_how_to_get_them(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    for weights, where in ((None, "on this machine"), (tmp_path, f"in “{tmp_path.name}”")):
        with pytest.raises(ValueError, match="To get them: python -c .*inception_v3.* with --weights") as caught:
            extractors.load("inception", weights, "cpu")
        assert where in foreseen(caught.value)


def test_damaged_or_other_weights_are_refused(tmp_path, inception_file):
    cut = tmp_path / "inception_cut.pth"
    cut.write_bytes(inception_file.read_bytes()[:1000])
    with pytest.raises(ValueError, match="“inception_cut.pth” is cut off .* To get them: python"):
        extractors.load("inception", cut, "cpu")
    torch.save({"fc.weight": torch.zeros(2)}, cut)
    with pytest.raises(ValueError, match="does not fit its network"):
        extractors.load("inception", cut, "cpu")
    with pytest.raises(ValueError, match="holds no tabletop checker"):
        extractors.load("tabletop", tmp_path, "cpu")


def test_clip_gives_the_direction_of_the_picture_in_hpsv2(tmp_path):
    from maskunet.encoders.pixels import normalized
    from maskunet.rewards import hpsv2

    folder = write_small(tmp_path)
    extractor = extractors.load("clip", folder, "cpu")
    images = np.random.default_rng(0).integers(0, 256, (3, extractor.size, extractor.size, 3), dtype=np.uint8)
    found = extractor(images)
    reward = hpsv2.load(folder, torch.device("cpu"), torch.float32)
    pixels = normalized(torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255, extractor.size)
    with torch.no_grad():
        expected = reward.network.encode_image(pixels, normalize=True).numpy()
    assert np.allclose(found / np.linalg.norm(found, axis=1, keepdims=True), expected, atol=1e-6)
    assert np.allclose((found**2).mean(1), 1, atol=1e-5)


def test_tabletop_features_tell_colors_apart():
    from maskunet.tabletop.render import render
    from maskunet.tabletop.scenes import Thing

    places = (-1.0, 0.0, 1.0)
    scenes = [(Thing(shape="cube", color=color, x=x),) for color in ("red", "blue") for x in places]
    found = extractors.load("tabletop", device="cpu")(render(scenes).permute(0, 2, 3, 1).numpy())
    assert found.shape == (6, 96)
    gap = np.linalg.norm(found[:, None] - found, axis=2)
    assert max(gap[:3, :3].max(), gap[3:, 3:].max()) < gap[:3, 3:].min()


def test_a_fingerprint_follows_every_weight_and_its_name():
    layer = torch.nn.Linear(3, 2)
    before = extractors.fingerprint(layer)
    assert extractors.fingerprint(layer) == before
    with torch.no_grad():
        layer.bias[1] += 1e-3
    assert extractors.fingerprint(layer) != before


def test_an_unknown_extractor_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match="no extractor “vgg”. There are: clip, inception, tabletop"):
        extractors.load("vgg")


# The command


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Runs the command with the corners of the pictures as features; the cache is this test's."""
    monkeypatch.setattr(extractors, "cache_place", lambda: tmp_path / "cache")
    monkeypatch.setattr(networks, "extractor", lambda name, weights, device: Corners())

    def run(*words):
        try:
            return main(["features", *map(str, words)])
        except SystemExit as stop:
            return stop.code

    return run


def read_csv(path):
    head, *rows = path.read_text().splitlines()
    return head, [row.split(",") for row in rows]


def test_the_command_writes_points_features_measures_and_figures(command, tmp_path, capsys):
    real, made = write(tmp_path / "real", 12), write(tmp_path / "made", 9, start=30)
    (made / "broken.png").write_text("")
    out = tmp_path / "out"
    assert command("--set", f"real={real}", "--set", f"made={made}", "--perplexity=4", "--seed=2", "--out", out) == 0
    assert {p.name for p in out.iterdir()} == {
        "points.csv",
        "features.npz",
        "metrics.json",
        "embedding.png",
        "embedding.svg",
    }
    head, rows = read_csv(out / "points.csv")
    assert head == "set,file,x,y"
    assert [row[0] for row in rows] == ["real"] * 12 + ["made"] * 9
    assert rows[12][1] == "000000000030.png"
    record = json.loads((out / "metrics.json").read_text())
    assert record["sets"]["made"] == {"n": 9, "skipped": {"broken.png": "is damaged or no picture"}}
    assert record["seed"] == 2
    assert [score["name"] for score in record["scores"]] == ["frechet", "kernel", "precision", "recall"]
    assert all((score["set"], score["n"], score["n_reference"]) == ("made", 9, 12) for score in record["scores"])
    assert all(score["low"] <= score["value"] <= score["high"] for score in record["scores"])
    said = capsys.readouterr()
    assert "made: Fréchet distance" in said.out
    assert "n = 9 against 12" in said.out
    assert "t-SNE keeps who is near whom" in said.out
    assert "Skipped: broken.png is damaged" in said.err
    assert [one.name for one in feature_set.load(out / "features.npz")] == ["real", "made"]


def test_the_measures_of_the_command_are_those_of_its_features(command, tmp_path):
    from maskunet.evaluation import metrics

    folders = {name: write(tmp_path / name, 8, start=20 * i) for i, name in enumerate(("a", "b", "c"))}
    sets = [word for name, folder in folders.items() for word in ("--set", f"{name}={folder}")]
    assert command(*sets, "--reference=b", "--embedding=PCA", "--out", tmp_path / "out") == 0
    tables = {one.name: one.features for one in feature_set.load(tmp_path / "out" / "features.npz")}
    record = json.loads((tmp_path / "out" / "metrics.json").read_text())
    expected = [(name, s.name, s.value) for name in "ac" for s in metrics.measure(tables[name], tables["b"])]
    assert [(s["set"], s["name"], s["value"]) for s in record["scores"]] == expected


def test_a_single_set_and_a_perplexity_left_out_suit_few_images(command, tmp_path):
    folder = write(tmp_path / "real", 5)
    assert command("--set", f"real={folder}", "--out", tmp_path / "out") == 0
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["scores"] == []
    assert "perplexity 1, seed 0" in (tmp_path / "out" / "embedding.svg").read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--set", "real"], "“real” is not NAME=FOLDER"),
        (["--set", "a={real}", "--set", "a={real}"], "different names"),
        (["--set", "a={real}", "--reference", "b"], "--reference one of them: a"),
        (["--set", "a={real}/none"], "“none” is no folder"),
        (["--set", "a={real}", "--perplexity", "30"], "for 5 images 1 to 1 is allowed"),
        (["--set", "a={real}", "--perplexity", "nan"], "for 5 images 1 to 1 is allowed"),
        (["--set", "a={real}", "--extractor", "vgg"], "invalid choice"),
    ],
)
def test_every_mistake_is_said_in_one_line_before_the_work(command, tmp_path, capsys, words, said):
    real = write(tmp_path / "real", 5)
    code = command(*(word.format(real=real) for word in words), "--out", tmp_path / "out")
    err = capsys.readouterr().err
    assert code == 2
    assert said in err
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_place_that_cannot_be_written_is_said_before_the_work(command, tmp_path, capsys):
    (tmp_path / "out").write_text("mine")
    assert command("--set", f"a={write(tmp_path / 'real')}", "--out", tmp_path / "out") == 2
    assert "“out” cannot be made a folder" in capsys.readouterr().err
    assert (tmp_path / "out").read_text() == "mine"


def test_images_that_are_all_the_same_are_said(command, tmp_path, capsys):
    (tmp_path / "real").mkdir()
    for i in range(6):
        Image.new("RGB", (9, 9)).save(tmp_path / "real" / f"{i}.png")
    assert command("--set", f"a={tmp_path / 'real'}", "--out", tmp_path / "out") == 2
    assert "All 6 images have the same features, so they are one point." in capsys.readouterr().err
    assert (tmp_path / "out" / "metrics.json").is_file()


def test_the_choices_of_the_command_are_those_there_are():
    from maskunet.commands import features as features_command
    from visualize import embedding

    assert features_command.EMBEDDINGS == embedding.KINDS


def test_sets_and_folders_are_read_without_torch():
    import subprocess

    code = "import sys, maskunet.evaluation.features, visualize.embedding; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env={**os.environ}, timeout=60).returncode == 0
