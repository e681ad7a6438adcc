"""CLIP score: closed forms, a small CLIP in the real format, and the command that scores a folder."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from maskunet.commands.registry import main
from maskunet.evaluation import clip_score, extractors, features, intervals
from maskunet.evaluation.clip_score import Clip
from maskunet.library import networks
from maskunet.records.disk.hub import MissingWeights
from maskunet.records.feature_set import THUMBNAIL, FeatureSet
from tests.evaluation.test_features import Corners
from tests.support.tiny_benchmarks import write_clip

CPU = torch.device("cpu")


class Known:
    """Captions with known directions."""

    rows = {"right": (2, 0), "up": (0, 5), "left": (-1, 0), "slanted": (3, 4)}

    def texts(self, captions):
        return np.array([self.rows[caption] for caption in captions], np.float32)


def embedded(*captions, rows):
    n = len(captions)
    return FeatureSet(
        name="known", features=np.array(rows, np.float32), thumbnails=np.zeros((n, THUMBNAIL, THUMBNAIL, 3), np.uint8),
        extractor="clip-score", weights="-", files=tuple(f"{i}.png" for i in range(n)), captions=captions,
    )  # fmt: skip


def scores(pictures, clip):
    return np.concatenate(list(clip_score.scores(pictures, clip)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp("clip") / "clip")


@pytest.fixture(scope="module")
def clip(folder):
    return Clip(folder, CPU)


def test_scores_are_a_hundred_cosines_and_never_negative():
    captions = ("right", "up", "left", "slanted", "slanted")
    pictures = embedded(*captions, rows=[(1, 0), (7, 0), (1, 0), (30, 40), (4, 3)])
    # Same direction, right angle, opposite, same direction at ten times the length, (3 4) . (4 3) / 25.
    assert scores(pictures, Known()) == pytest.approx([100, 0, 0, 100, 96])


def test_pictures_without_a_caption_are_left_out_and_the_order_is_kept():
    pictures = embedded("up", "", "right", rows=[(0, 1), (9, 9), (3, 4)])
    assert scores(pictures, Known()) == pytest.approx([100, 60])


def test_many_captions_are_read_in_batches():
    captions = ("right", "slanted") * 70
    pictures = embedded(*captions, rows=[(1, 0)] * 140)
    assert [len(batch) for batch in clip_score.scores(pictures, Known())] == [64, 64, 12]
    assert scores(pictures, Known()) == pytest.approx([100, 60] * 70)


def test_the_mean_has_its_n_and_the_bootstraps_interval():
    values = [10.0, 20.0, 30.0, 60.0]
    score = clip_score.mean(values, seed=5, without=2)
    assert (score.value, score.n, score.n_reference) == (30, 4, 0)
    assert (score.low, score.high) == intervals.bootstrap(values, 5)
    assert score.low < 30 < score.high
    assert score.note == "Pictures without a caption, left out: 2."
    assert clip_score.mean([7.0] * 9).low == clip_score.mean([7.0] * 9).high == 7


def test_without_captions_there_is_no_number():
    score = clip_score.mean([])
    assert (score.value, score.low, score.high, score.n) == (None, None, None, 0)
    assert "Needs captions" in score.note


# A small CLIP in the real format


def test_embeddings_are_those_of_transformers_own_way(clip, folder):
    from transformers import CLIPImageProcessor, CLIPModel, CLIPTokenizer

    pictures = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), np.uint8)
    captions = ["a red cube", "x", "a longer one"]
    processor = CLIPImageProcessor(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16})
    network = CLIPModel.from_pretrained(folder).eval()
    tokens = CLIPTokenizer.from_pretrained(folder)(captions, padding=True, return_tensors="pt")
    given = processor(images=list(pictures), return_tensors="pt")
    with torch.inference_mode():
        both = network(**tokens, **given)
    cosines = (both.image_embeds * both.text_embeds).sum(1).numpy()  # of length 1 already
    found = embedded(*captions, rows=clip(pictures))
    assert scores(found, clip) == pytest.approx(100 * np.maximum(cosines, 0), abs=1e-3)
    assert cosines.std() > 0.01


def test_identical_embeddings_score_a_hundred(clip):
    captions = ("a red cube", "two dogs")
    assert scores(embedded(*captions, rows=clip.texts(captions)), clip) == pytest.approx(100, abs=1e-4)
    assert scores(embedded(*captions, rows=-clip.texts(captions)), clip) == pytest.approx(0)


def test_a_caption_has_the_same_embedding_alone_and_beside_longer_ones(clip):
    alone, beside = clip.texts(["a"]), clip.texts(["a", "a much longer caption"])
    assert np.allclose(alone[0], beside[0], atol=1e-5)


def test_what_is_longer_than_the_network_reads_is_cut(clip):
    assert np.allclose(clip.texts(["a" * 75 + "b" * 50]), clip.texts(["a" * 75 + "c" * 900]), atol=1e-5)


def test_two_clips_are_told_apart(clip, tmp_path):
    from transformers import CLIPModel

    other = CLIPModel.from_pretrained(write_clip(tmp_path / "other"))
    with torch.no_grad():
        other.text_projection.weight.mul_(2)
    other.save_pretrained(tmp_path / "other")
    assert Clip(tmp_path / "other", CPU).weights != clip.weights
    assert clip.title.endswith("M parameters, patches of 8 of 16 pixels")


@pytest.mark.parametrize(
    ("lost", "said"),
    [
        (("model.safetensors",), "holds no CLIPModel that can be read"),
        (("tokenizer.json", "tokenizer_config.json", "vocab.json"), "holds no tokenizer that can be read"),
        (("tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt"), "holds no vocabulary"),
    ],
)
def test_a_clip_of_which_a_part_is_lost_is_refused_in_one_sentence(tmp_path, lost, said):
    folder = write_clip(tmp_path / "clip")
    for name in lost:
        (folder / name).unlink()
    with pytest.raises(ValueError, match=f"“clip” .*{said}.* Give --clip a folder"):
        Clip(folder, CPU)


def test_no_clip_here_says_which_and_how_large(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(MissingWeights, match=r"no CLIP on this machine.*clip-vit-base-patch32 \(0.61 GB\)"):
        clip_score.find()
    with pytest.raises(MissingWeights, match=r"holds no CLIP in transformers' format"):
        clip_score.find(tmp_path)


# The command


@pytest.fixture
def score(tmp_path, monkeypatch, folder):
    """Runs the command with the corners of the pictures as features and the small CLIP."""
    load = lambda name, weights, device: Corners()  # noqa: E731
    monkeypatch.setattr(extractors, "cache_place", lambda: tmp_path / "cache")
    monkeypatch.setattr(networks, "extractor", load)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))

    def run(*words, clip=folder):
        more = ["--clip", str(clip)] if clip else []
        return main(["score", *map(str, words), *more, "--device", "cpu", "--out", str(tmp_path / "out")])

    return run


def write(folder, n, seed, captions=()):
    folder.mkdir()
    rng = np.random.default_rng(seed)
    for i in range(n):
        Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8)).save(folder / f"{i}.png")
    if captions:
        rows = [{"file_name": f"{i}.png", "text": text} for i, text in enumerate(captions)]
        (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


def test_the_command_measures_distances_and_captions(score, tmp_path, clip, capsys):
    from maskunet.evaluation import metrics

    made = write(tmp_path / "made", 8, 0, ["a red cube", "a dog", "a cat", "two", "x", "y"])
    (made / "broken.png").write_text("")
    (made / "sample.json").write_text('{"method": "plain", "steps": 2}')
    real = write(tmp_path / "real", 9, 1)
    assert score(made, "--reference", real, "--seed", "2") == 0
    record = json.loads((tmp_path / "out" / "score.json").read_text())
    found = {one["name"]: one for one in record["scores"]}
    assert list(found) == ["frechet", "kernel", "precision", "recall", "clip_score"]

    def table(folder):
        *_, last = features.extract(features.read_folder(folder), Corners())
        return last.result.features

    for expected in metrics.measure(table(made), table(real), 2):
        assert found[expected.name]["value"] == expected.value
        assert (found[expected.name]["n"], found[expected.name]["n_reference"]) == (8, 9)
    pictures = np.stack([np.asarray(Image.open(made / f"{i}.png")) for i in range(6)])
    captions = ("a red cube", "a dog", "a cat", "two", "x", "y")
    mean = scores(embedded(*captions, rows=clip(pictures)), clip).mean()
    assert found["clip_score"]["value"] == pytest.approx(mean, abs=1e-4)
    assert found["clip_score"]["n"] == 6
    assert record["skipped"] == {"broken.png": "is damaged or no picture"}
    text = (tmp_path / "out" / "score.md").read_text()
    for said in (
        "Pictures without a caption, left out: 2.",
        "Too large with 8 of the advised 2,048",
        "Pictures of the folder that could not be read and are left out: 1.",
        "method: plain; steps: 2",
    ):
        assert said in text
    assert "`python -m maskunet score made --reference=real" in text
    assert str(tmp_path) not in text + json.dumps(record)
    assert "| CLIP score |" in capsys.readouterr().out


def test_captions_in_cocos_own_place_are_read(score, tmp_path):
    folder = write(tmp_path / "val2017", 2, 0)
    images = [{"id": i, "file_name": f"{i}.png"} for i in range(2)]
    annotations = [{"id": i, "image_id": i, "caption": "a dog"} for i in range(2)]
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "captions_val2017.json").write_text(
        json.dumps({"images": images, "annotations": annotations})
    )
    assert score(folder) == 0
    (found,) = json.loads((tmp_path / "out" / "score.json").read_text())["scores"]
    assert (found["name"], found["n"]) == ("clip_score", 2)


def test_without_a_clip_the_distances_are_there_and_a_note(score, tmp_path):
    made, real = write(tmp_path / "made", 5, 0), write(tmp_path / "real", 5, 1)
    assert score(made, "--reference", real, clip=None) == 0
    record = json.loads((tmp_path / "out" / "score.json").read_text())
    assert [one["name"] for one in record["scores"]] == ["frechet", "kernel", "precision", "recall"]
    assert record["notes"][-1:] == [
        "The CLIP score was not measured. There is no CLIP on this machine. " + clip_score.GET_CLIP
    ]


def test_mistakes_are_told_in_one_line(score, tmp_path, capsys):
    made = write(tmp_path / "made", 2, 0)
    for words, clip, said in (
        ([tmp_path / "none"], None, "“none” is no folder"),
        ([made], None, "There is no CLIP on this machine"),
        ([made], tmp_path, "holds no CLIP in transformers' format"),
        ([made, "--reference", tmp_path / "none"], None, "“none” is no folder"),
    ):
        assert score(*words, clip=clip) == 2
        told = capsys.readouterr().err
        assert said in told
        assert told.count("\n") == 1
    (made / "metadata.jsonl").write_text("{")
    assert score(made) == 2
    assert "Line 1 of “metadata.jsonl” is no JSON object" in capsys.readouterr().err
