"""DINO, CLIP-I, CLIP-T, diversity and drift, on small networks, and the command that names them."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats

from maskunet.evaluation import extractors, likeness
from maskunet.evaluation.intervals import bootstrap
from maskunet.records.feature_set import FeatureSet


@pytest.fixture(scope="module")
def dino(tmp_path_factory):
    """A small random DINOv2."""
    from transformers import Dinov2Config, Dinov2Model

    folder = tmp_path_factory.mktemp("dino")
    config = Dinov2Config(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, patch_size=56, image_size=224)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        Dinov2Model(config).save_pretrained(folder)
    return folder


def of(rows, captions=None):
    rows = np.asarray(rows, np.float32)
    return FeatureSet(
        name="a", features=rows, thumbnails=np.zeros((len(rows), 48, 48, 3), np.uint8), extractor="dino", weights="w",
        files=tuple(f"{i}.png" for i in range(len(rows))), captions=tuple(captions or [""] * len(rows)),
    )  # fmt: skip


def test_cosines_are_means_over_all_pairs():
    made, real = of([[2, 0], [0, 3]], ["a", "a"]), of([[1, 0], [1, 1], [0, 5]])
    half = 2**-0.5
    assert likeness.likeness(made, real, "DINO", "net").value == pytest.approx((1 + half + 0 + 0 + half + 1) / 6)
    assert likeness.ceiling(real, "DINO", "net").value == pytest.approx((half + 0 + half) / 3)
    score = likeness.diversity(made, "net")
    assert score.value == pytest.approx(1) and score.note == "net." and score.n == 2
    alone = likeness.diversity(of([[1, 0], [0, 1]], ["a", "b"]), "net")
    assert alone.value is None and "Needs two pictures" in alone.note
    unknown = likeness.diversity(of([[1, 0], [0, 1]], ["", ""]), "net")
    assert unknown.value is None  # nobody knows that they are of one prompt
    assert likeness.drift(real, real, "net").value == pytest.approx(0, abs=1e-12)
    assert likeness.drift(of([[1, 0]]), of([[0, 1]]), "net").value == pytest.approx(1)


def test_intervals_of_pairs_leave_out_one_picture_at_a_time():
    rows = np.random.default_rng(0).normal(0.5, 1, (8, 4))
    whole, less = (likeness.ceiling(of(some), "DINO", "net") for some in (rows, rows[1:]))
    without = [likeness.ceiling(of(np.delete(rows, i, 0)), "DINO", "net").value for i in range(8)]
    assert without[0] == less.value and np.mean(without) == pytest.approx(whole.value)
    half = stats.t.ppf(0.975, 7) * (7 / 8 * np.square(np.subtract(without, whole.value)).sum()) ** 0.5
    assert (whole.low, whole.high) == pytest.approx((whole.value - half, whole.value + half))
    apart = likeness.diversity(of(rows, ["a"] * 8), "net")
    assert (apart.low, apart.high) == pytest.approx((1 - whole.high, 1 - whole.low))
    assert likeness.ceiling(of(rows[:2]), "DINO", "net").low is None  # one pair tells nothing of its spread


def test_diversity_of_several_prompts_has_its_interval_over_them():
    rows, prompts = np.random.default_rng(0).normal(0.5, 1, (12, 4)), [each for each in "abc" for _ in range(4)]
    score = likeness.diversity(of(rows, prompts), "net")
    each = [likeness.diversity(of(rows[i : i + 4], ["a"] * 4), "net").value for i in (0, 4, 8)]
    assert (score.low, score.high) == pytest.approx(bootstrap(each), abs=1e-3)


def test_the_rare_name_is_left_out_of_captions():
    assert likeness.without(of([[1, 0]], ["a photo of sks dog"]), "sks").captions == ("a photo of dog",)


def test_dino_reads_the_middle_of_pictures_as_its_own_processor_does(dino):
    from transformers import BitImageProcessor, Dinov2Model

    images = np.random.default_rng(0).integers(0, 256, (2, 256, 256, 3), dtype=np.uint8)
    network = likeness.Dino(dino, torch.device("cpu"))
    processor = BitImageProcessor(
        size={"shortest_edge": 256},
        crop_size={"height": 224, "width": 224},
        image_mean=likeness.MEAN,
        image_std=likeness.STD,
    )
    pixels = processor(images=[*images], return_tensors="pt").pixel_values
    with torch.no_grad():
        own = Dinov2Model.from_pretrained(dino).eval()(pixel_values=pixels).last_hidden_state[:, 0].numpy()
    np.testing.assert_allclose(network(images), own, atol=1e-5)
    assert network.title == "DINOv2, 2 layers of 16, patches of 56"


@pytest.mark.parametrize("content", [None, "{", json.dumps({"model_type": "bert"})])
def test_a_folder_without_a_dino_is_refused_in_one_sentence(tmp_path, content):
    if content:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(
        ValueError, match="holds no DINO that can be read. Give --dino a folder of facebook/dinov2-small"
    ):
        likeness.Dino(tmp_path, torch.device("cpu"))


def test_the_command_names_the_network_in_every_line(dino, tmp_path, monkeypatch, capsys):
    from maskunet.commands.registry import main

    monkeypatch.setattr(extractors, "cache_place", lambda: tmp_path / "cache")
    for name in ("made", "real", "before", "after"):
        (tmp_path / name).mkdir()
        for i in range(3):
            pixels = np.random.default_rng(i + 10 * (name == "made")).integers(0, 256, (40, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{i}.png")
            (tmp_path / name / f"{i}.txt").write_text("a sks dog")
    words = ["likeness", str(tmp_path / "made"), "--real", str(tmp_path / "real"), "--out", str(tmp_path / "out")]
    drift = ["--before", str(tmp_path / "before"), "--after", str(tmp_path / "after")]
    assert main([*words, "--dino", str(dino), "--device", "cpu", *drift]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        "DINO",
        "DINO, real pictures",
        "Diversity",
        "Drift of the class",
    ]
    assert all("DINOv2, 2 layers of 16, patches of 56." in line for line in lines)
    assert "0.000" in lines[3] and "n = 3 against 3" in lines[0]
    assert len(json.loads((tmp_path / "out" / "likeness.json").read_text())["scores"]) == 4
    with pytest.raises(SystemExit):
        main(words)
    assert "give --dino DIR, --clip DIR or both" in capsys.readouterr().err


def test_clip_t_is_the_cosine_to_captions_without_the_rare_name(tmp_path, monkeypatch, capsys):
    from maskunet.commands.registry import main
    from maskunet.evaluation import clip_score
    from tests.support.tiny_benchmarks import write_clip

    folder = write_clip(tmp_path / "clip")
    monkeypatch.setattr(extractors, "cache_place", lambda: tmp_path / "cache")
    pixels = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    (tmp_path / "made").mkdir()
    Image.fromarray(pixels).save(tmp_path / "made" / "0.png")
    (tmp_path / "made" / "0.txt").write_text("a sks dog")
    words = ["likeness", str(tmp_path / "made"), "--real", str(tmp_path / "made"), "--out", str(tmp_path / "out")]
    assert main([*words, "--clip", str(folder), "--device", "cpu"]) == 0
    scores = {score["title"]: score for score in json.loads((tmp_path / "out" / "likeness.json").read_text())["scores"]}
    clip = clip_score.Clip(folder, torch.device("cpu"))
    from maskunet.evaluation.features import squared

    seen, told = clip(squared(pixels, clip.size)[None])[0], clip.texts(["a dog"])[0]
    cosine = max(0.0, float(seen @ told / np.linalg.norm(seen) / np.linalg.norm(told)))
    assert scores["CLIP-T"]["value"] == pytest.approx(cosine, abs=1e-6)
    assert scores["CLIP-I"]["value"] == pytest.approx(1, abs=1e-5)
    assert clip.title in scores["CLIP-T"]["note"] and clip.title in capsys.readouterr().out
