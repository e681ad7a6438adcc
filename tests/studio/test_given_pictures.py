"""Pictures that a visitor gives: checked one by one, and gone when the training is over."""

import multiprocessing
import tempfile
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskunet.library.library import Library
from maskunet.records import Request
from maskunet.records.added import Added
from maskunet.records.training import TrainRequest
from maskunet.studio import given_pictures, training
from maskunet.studio.training import TrainStudio
from maskunet.studio.training_process import work
from maskunet.training import sheet
from maskunet.training.recipes import SPECS
from tests.studio.test_training import place  # noqa: F401  the small model

ASKED = TrainRequest(recipe="inversion", name="mug", settings={"steps": 2, "batch": 2, "every": 2, "token": "<mug>"})


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """Where the copies are kept."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "copies"))
    (tmp_path / "copies").mkdir()
    return tmp_path / "copies"


def photos(folder, count, edge=40):
    found = []
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 256, (edge, edge + 20, 3), np.uint8)
        path = folder / f"{number}.jpg"
        exif = Image.Exif()
        exif[0x0110] = "a camera"
        Image.fromarray(pixels).save(path, exif=exif)
        found.append(str(path))
    return tuple(found)


def test_copies_are_small_and_say_nothing_of_the_camera(tmp_path, temporary):
    folder = given_pictures.kept(photos(tmp_path, 2, edge=1500))
    assert [path.name for path in sorted(folder.iterdir())] == ["00.png", "01.png"]
    with Image.open(folder / "00.png") as copy:
        assert max(copy.size) == given_pictures.EDGE and not copy.getexif()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (lambda folder: (), "Give 3 to 10 of one subject: PNG or JPEG"),
        (lambda folder: photos(folder, 1) * 21, "There are 21 pictures; at most 20 are taken"),
        (lambda folder: (*photos(folder, 1), str(folder / "gone.png")), "“gone.png” is not there"),
        (lambda folder: (_written(folder / "not.png", b"<svg onload=x>"),), "“not.png” is damaged or no picture"),
        (lambda folder: (_written(folder / "run.sh", b"#!/bin/sh"),), "“run.sh” has an ending that is not known"),
        (lambda folder: (_written(folder / "big.png", bytes(30_000_001)),), "“big.png” has 30 MB; at most 30"),
    ],
)
def test_what_is_no_picture_is_refused_before_any_work(place, tmp_path, temporary, given, said):  # noqa: F811
    studio = TrainStudio(place, tmp_path / "trained")
    with pytest.raises(ValueError, match=said):
        studio.start(replace(ASKED, pictures=given(tmp_path)))
    assert not multiprocessing.active_children() and not [*studio.follow()] and not [*temporary.iterdir()]


def _written(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return str(path)


def test_a_word_is_learned_from_pictures_and_read_at_once(place, tmp_path, temporary, monkeypatch):  # noqa: F811
    monkeypatch.setattr(sheet, "STEPS", 1)
    library = Library(place.model, place.weights, "cpu", trained=tmp_path / "trained")
    assert "mug" not in library.files("tabletop")["embeddings"]
    spec, out = SPECS["inversion"], tmp_path / "trained" / "tabletop" / "mug"
    chosen = replace(spec.presets["tabletop"], **ASKED.settings)
    folder = given_pictures.kept(photos(tmp_path, 5))
    base, *_, last = work(place, "tabletop", spec, chosen, out, lambda: False, pictures=folder)
    assert (last.step, last.final, last.skipped) == (2, True, {})
    assert base.held_out == 0 and base.captions[0] == "a <mug>"
    assert base.notes == ("Nothing is held out of 5 pictures; judge by the samples.",)
    asked = Request(prompt="a <mug>", model=library.default, embeddings=("mug:<mug>",)).added
    assert asked == Added(embeddings=(("mug", "<mug>"),))
    model = library.load(library.default, with_rewards=False, added=asked).model
    assert model.added.embeddings == (("mug", "<mug>"),)


class Ended:
    """In place of a process: it ends when it is let, and says nothing."""

    def __init__(self, *given, died):
        self.given, self.over = given, threading.Event()

    def told(self):
        self.over.wait(10)
        yield from ()

    def kill(self):
        self.over.set()

    def close(self):
        """Nothing to let go of."""


def test_the_copies_are_gone_when_the_training_is_over(place, tmp_path, temporary, monkeypatch):  # noqa: F811
    monkeypatch.setattr(training, "Process", Ended)
    studio = TrainStudio(place, tmp_path / "trained")
    studio.start(replace(ASKED, pictures=photos(tmp_path, 2)))
    assert len([*temporary.glob("maskunet-pictures-*/*.png")]) == 2
    studio.stop()
    *_, last = studio.follow()
    assert last.over and not [*temporary.iterdir()]
    studio.close()


def test_the_page_offers_it_with_its_own_settings(place, tmp_path):  # noqa: F811
    cards = {card.name: card for card in TrainStudio(place, tmp_path).recipes() if card.own_pictures}
    card = cards["inversion"]
    assert (card.method, [*card.presets]) == ("", ["tabletop"])
    assert {"token", "begin", "vectors", "shows", "mirror"} <= {field.name for field in card.presets["tabletop"]}
    assert (cards["reversion"].method, [*cards["reversion"].presets]) == ("", ["tabletop"])
    fields = {field.name for field in cards["reversion"].presets["tabletop"]}
    assert {"token", "begin", "caption", "steering"} <= fields and not {"shows", "mirror"} & fields
    for name, method in (
        ("dreambooth", "fine_tuned"),
        ("dreambooth_lora", "fine_tuned"),
        ("dreambooth_masks", "maskunet_trained"),
        ("dreambooth_masks_word", "maskunet_trained"),
    ):
        assert (cards[name].method, [*cards[name].presets]) == (method, ["tabletop"])
        fields = {field.name: field for field in cards[name].presets["tabletop"]}
        subject = "<mine>" if cards[name].word else "sks"
        assert fields["instance_prompt"].default == f"a {subject} cylinder" and fields["class_pictures"].default == 32


def test_dreambooth_learns_from_pictures_and_its_class_pictures_are_told(place, tmp_path, temporary, monkeypatch):  # noqa: F811
    monkeypatch.setattr(sheet, "STEPS", 1)
    spec, out = SPECS["dreambooth"], tmp_path / "trained" / "tabletop" / "mug"
    few = {"steps": 2, "batch": 2, "every": 2, "class_pictures": 2, "sampling_steps": 2}
    folder = given_pictures.kept(photos(tmp_path, 3))
    chosen = replace(spec.presets["tabletop"], **few)
    base, first, *_, last = work(place, "tabletop", spec, chosen, out, lambda: False, pictures=folder)
    assert base.captions == ("a sks cylinder", "a sks cylinder", "a cylinder", "a cylinder")
    assert (first.done, first.what) == (0, "class pictures") and (last.step, last.final) == (2, True)
