"""The spoiled corpus on disk, and a base that learns from it."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from maskunet.commands import tabletop
from maskunet.experiments.tabletop import latents, train_unet
from maskunet.experiments.tabletop.latents import Corpus
from maskunet.tabletop.data import training_scenes
from maskunet.tabletop.place import MODEL
from maskunet.tabletop.render import render
from maskunet.tabletop.spoiling import CLEAN, PRESETS, Shares

SCENES = training_scenes(9_100)[:8]


@pytest.fixture(scope="module")
def pictures():
    return render(SCENES).numpy()


def rng(*seed):
    return np.random.default_rng(seed)


def test_what_can_be_spoiled_is_what_the_command_offers():
    assert tuple(PRESETS) == tabletop.SPOILED


@pytest.fixture
def folder(tmp_path, pictures):
    """A training folder as `restore` and `scenes` leave it, with eight scenes."""
    tabletop.STEPS["restore"](tabletop.Options(step="restore", folder=tmp_path))
    (tmp_path / "scenes").mkdir()
    rows = [[asdict(thing) for thing in scene] for scene in SCENES]
    (tmp_path / "scenes" / "0000.json").write_text(json.dumps(rows))
    np.save(tmp_path / "scenes" / "0000.npy", pictures)
    return tmp_path


def test_a_picture_of_the_corpus_keeps_its_caption_and_its_state(folder):
    latents.spoiled(folder, 1, Shares(), seed=4)
    first = Corpus(folder / "scenes", folder / "latents", 1)
    again = [[e.caption for e in side] for side in latents.corpus(folder / "scenes", 0, Shares(), 4)]
    for side in (0, 1):
        assert [first.text(i, side, rng(i)) for i in range(8)] == again[side]
        assert again[side] != [e.caption for e in latents.corpus(folder / "scenes", 0, Shares(), 5)[side]]
    assert first.about == {"shares": asdict(Shares()), "seed": 4}
    assert first.scale == json.loads((MODEL / "vae" / "config.json").read_text())["scaling_factor"]
    latents.clean(folder / "vae", folder / "scenes", folder / "clean", 1)
    here, plain = (np.load(folder / name / "0000.npy")[:, 0] for name in ("latents", "clean"))
    kinds = [e.picture_kind for e in latents.corpus(folder / "scenes", 0, Shares(), 4)[0]]
    assert [np.array_equal(*each) for each in zip(here, plain, strict=True)] == [kind == CLEAN for kind in kinds]
    assert CLEAN in kinds and set(kinds) != {CLEAN}


def test_two_corpora_do_not_mix_and_a_share_of_hardly_any_picture_is_refused(folder):
    latents.spoiled(folder, 1, Shares(), seed=4)
    for other in (lambda: latents.spoiled(folder, 1, Shares(), seed=5),
                  lambda: latents.spoiled(folder, 1, Shares(noisy=0.2), seed=4),
                  lambda: latents.clean(folder / "vae", folder / "scenes", folder / "latents", 1)):  # fmt: skip
        with pytest.raises(ValueError, match="holds the latents of another corpus"):
            other()
    with pytest.raises(ValueError, match=r"Of 2,000 pictures a share of 0.001 \(noisy\) is 2.0; allowed is 0, or 10"):
        latents.spoiled(folder, 1, Shares(noisy=0.001), seed=4)


def test_a_training_on_it_goes_on_from_tabletop_and_writes_down_what_it_learned_from(folder, monkeypatch):
    monkeypatch.setattr(train_unet, "BATCH", 4)
    latents.spoiled(folder, 1, Shares(), seed=4)
    places = (folder, folder / "scenes", folder / "latents")
    train_unet.train(*places, minutes=0.005, shards=1)
    path = folder / "model" / "training.json"
    first = json.loads(path.read_text())
    assert first["corpus"] == {"shares": asdict(Shares()), "seed": 4, "shards": 1}
    assert set(first["onwards_from"]) == {f"unet/diffusion_pytorch_model-0000{i}-of-00002.safetensors" for i in (1, 2)}
    assert first["learning_rate"] == train_unet.LEARNING_RATE_ONWARDS
    train_unet.train(*places, minutes=first["minutes"] + 0.005, shards=1)
    after = json.loads(path.read_text())
    assert after["updates"] > first["updates"] > 0 and after["minutes"] >= first["minutes"] + 0.005
    assert after["onwards_from"] == first["onwards_from"]
    about = json.loads((folder / "latents" / "corpus.json").read_text())
    (folder / "latents" / "corpus.json").write_text(json.dumps({**about, "seed": 5}))
    with pytest.raises(ValueError, match="was begun with another corpus"):
        train_unet.train(*places, minutes=1, shards=1)


def test_restore_takes_no_record_of_the_training_that_made_the_shipped_model(tmp_path, monkeypatch):
    shipped = tmp_path / "weights"
    for part in ("vae", "unet"):
        (shipped / "model" / part).mkdir(parents=True)
    (shipped / "model" / "training.json").write_text("{}")
    monkeypatch.setattr(tabletop, "WEIGHTS", shipped)
    tabletop.STEPS["restore"](tabletop.Options(step="restore", folder=tmp_path / "new"))
    assert sorted(path.name for path in (tmp_path / "new" / "model").iterdir()) == ["unet", "vae"]


def test_scratch_leaves_out_what_is_trained(tmp_path):
    tabletop.STEPS["scratch"](tabletop.Options(step="scratch", folder=tmp_path))
    assert sorted(p.name for p in (tmp_path / "model").iterdir()) == ["tokenizer"]
    assert (tmp_path / "vae" / "config.json").is_file()


def put(folder, **files):
    for name, text in files.items():
        path = folder.joinpath(*name.split("__"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_what_is_installed_goes_to_its_own_place_and_what_is_not_there_leaves_the_old(tmp_path, monkeypatch):
    shipped, mine = tmp_path / "shipped", tmp_path / "mine"
    monkeypatch.setattr(tabletop, "WEIGHTS", shipped)
    monkeypatch.setattr(tabletop, "WEB", shipped / "web")
    put(shipped, model__unet="tabletop's", checker__model="old")
    mine.mkdir()
    options = tabletop.Options(step="install", folder=mine)
    with pytest.raises(ValueError, match="“mine” holds none of model, checker, inspector"):
        tabletop.STEPS["install"](options)
    put(mine, model__unet="spoiled", model__generators__light="of tabletop", inspector__model="new")
    put(mine, **{"model__training.json": json.dumps({"corpus": {"shares": {"other": 0.1}, "shards": 1}})})
    with pytest.raises(ValueError, match="Its guidance was not measured yet"):
        tabletop.STEPS["install"](options)
    put(mine, **{"guidance.json": "{}", "curve.json": "{}", "curve.md": ""})
    tabletop.STEPS["install"](options)
    assert (shipped / "model" / "unet").read_text() == "tabletop's"
    assert (shipped / "checker" / "model").read_text() == "old"
    assert (shipped / "inspector" / "model").read_text() == "new"
    assert (shipped / "web" / "model" / "unet").read_text() == "spoiled"
    assert not (shipped / "web" / "model" / "generators").exists() and (shipped / "web" / "curve.json").exists()
    put(mine, **{"model__training.json": json.dumps({"corpus": {"shards": 1}})})
    tabletop.STEPS["install"](options)
    assert (shipped / "model" / "unet").read_text() == "spoiled"
