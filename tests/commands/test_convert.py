"""python -m maskunet convert: the published training's pair becomes a generator that the methods offer and use."""

import hashlib

import numpy as np
import pytest

from maskunet.commands.registry import main
from maskunet.library.library import Library
from maskunet.masks import generator_file
from maskunet.runs import run_folder
from tests.support.tiny import published_pair, tiny_sd_folder, tiny_unet
from tests.support.tiny_rewards import write_small


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tiny_sd_folder(tmp_path_factory.mktemp("convert") / "my-model")
    write_small(folder / "rewards")
    return folder


def convert(folder, paths, out, *more):
    words = ["convert", *paths, "--weights", folder, "--device", "cpu", "--out", out, *more]
    return main([str(word) for word in words])


def test_the_pair_is_offered_and_used_like_any_trained_generator(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    paths = published_pair(tmp_path, tiny_unet())
    out = tmp_path / "trained" / "folder" / "theirs"
    assert convert(folder, paths, out) == 0
    assert "--set generator=theirs" in capsys.readouterr().out
    known = generator_file.about(out / "trained.safetensors")
    assert known["source"] == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
    assert known["settings"]["variant"] == "official"
    assert str(tmp_path) not in str(known)
    assert Library("auto", folder, "cpu").load("folder").model.trained["generator"].keys() == {"theirs"}

    asked = ["--method", "maskunet_trained", "--prompt", "a red cube", "--steps", "2", "--weights", str(folder)]
    for preset in ("shared", "published"):
        words = [*asked, "--preset", preset, "--set", "generator=theirs", "--out", str(tmp_path / preset)]
        assert main(["generate", "--device", "cpu", *words]) == 0
    shared, published = (run_folder.read(tmp_path / preset) for preset in ("shared", "published"))
    assert 0 < shared.keep_ratio < 1
    assert not np.array_equal(shared.result_image, published.result_image)
    assert any(name.startswith("trained/theirs") for name in shared.weights)

    assert convert(folder, paths, out) == 2
    assert "“theirs” holds a trained part already. Give another --out." in capsys.readouterr().err


def test_what_is_wrong_is_one_sentence_and_leaves_nothing(folder, tmp_path, capsys):
    paths = published_pair(tmp_path, tiny_unet())
    assert convert(folder, paths[::-1], tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert "The two files are swapped" in error and "Traceback" not in error
    assert not (tmp_path / "out").exists()
