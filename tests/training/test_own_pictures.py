"""A few pictures of one's own: which files count, and what the loop does for recipes that learn from them."""

import json
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from maskunet.training import diffusion, loop, sources
from maskunet.training.data import Alternating, Feed, feed_of
from maskunet.training.exam import Exam
from maskunet.training.objective import Objective
from maskunet.training.own_pictures import OwnPictures, Worded
from maskunet.training.recipes import SPECS
from maskunet.training.recipes.base import Recipe, UNet
from maskunet.training.sampling import GuidedSampling
from tests.training.test_loop import ABOUT, Four, losses, run

pytestmark = pytest.mark.usefixtures("short_sheets")


def striped(size=(24, 16)):
    pixels = np.zeros((*size[::-1], 3), np.uint8)
    pixels[:, : size[0] // 2] = 255  # the left half is white
    return Image.fromarray(pixels)


@pytest.fixture
def folder(tmp_path):
    """Six pictures of six endings, among what lies in people's folders."""
    place = tmp_path / "mug"
    (place / ".ipynb_checkpoints").mkdir(parents=True)
    (place / "more.png").mkdir()
    for name in ("a.jpg", "b.JPEG", "c.PNG", "d.webp", "e.Bmp", "f.TIF", ".hidden.png"):
        kind = {"jpg": "JPEG", "tif": "TIFF"}.get(name[-3:].lower(), name.rpartition(".")[2].upper())
        striped().save(place / name, kind)
    (place / "Thumbs.db").write_bytes(b"\0")
    (place / ".DS_Store").write_bytes(b"\0")
    return place


def test_every_picture_of_a_folder_counts_and_nothing_else(folder):
    pairs, about = sources.find(str(folder), 16, own_pictures=True)
    assert [pairs.name(i) for i in range(len(pairs))] == ["a.jpg", "b.JPEG", "c.PNG", "d.webp", "e.Bmp", "f.TIF"]
    assert about == {"data": "mug", "examples": 6}
    for index in range(6):
        for draw in (0, 1):  # never mirrored
            pair = pairs(index, draw)
            assert pair.caption == "" and pair.image.shape == (16, 16, 3)
            assert pair.image[:, :4].mean() > 200 > 50 > pair.image[:, -4:].mean()
    assert "Nothing is held out of 6 pictures; judge by the samples." in pairs.notes
    assert Feed(pairs, 0).held_out() == []


def test_a_photo_is_turned_as_its_camera_noted(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    striped().save(tmp_path / "a.png", exif=exif)
    pairs = OwnPictures(tmp_path, 16)
    assert pairs(0, 0).image[:, :4].mean() < 50
    assert "One picture: the background will be learned with the subject." in pairs.notes


def test_captions_are_taken_where_there_are_some(folder):
    (folder / "metadata.jsonl").write_text(json.dumps({"file_name": "a.jpg", "text": "a striped mug"}))
    pairs = OwnPictures(folder, 16)
    assert [pairs(i, 0).caption for i in range(2)] == ["a striped mug", ""]


def test_blank_and_damaged_pictures_are_left_out_with_a_reason(folder):
    Image.new("RGB", (20, 20), (90, 90, 90)).save(folder / "a.jpg")
    (folder / "c.PNG").write_bytes(b"no picture")
    feed = Feed(OwnPictures(folder, 16), 0)
    for number in range(12):
        assert feed(number).image.std() > 100
    assert feed.examples == {"a picture of one color": "a.jpg", "damaged picture": "c.PNG"}


@pytest.mark.parametrize("given", ["tabletop", "empty", "nowhere"])
def test_what_is_no_folder_of_pictures_is_refused(tmp_path, given):
    (tmp_path / "empty").mkdir()
    name = given if given == "tabletop" else str(tmp_path / given)
    with pytest.raises(ValueError, match="Put 3 to 10 pictures of one subject into"):
        sources.find(name, 16, own_pictures=True)


def test_photos_of_a_kind_that_is_not_read_are_named(folder, tmp_path):
    (folder / "phone.heic").write_bytes(b"")
    assert any("endings .db, .heic" in note for note in OwnPictures(folder, 16).notes)
    (tmp_path / "phone").mkdir()
    (tmp_path / "phone" / "1.HEIC").write_bytes(b"")
    with pytest.raises(ValueError, match=r"holds no pictures. Left out: 1 file of .* such as 1.HEIC. Put 3 to 10"):
        OwnPictures(tmp_path / "phone", 16)


def test_a_folder_without_one_usable_picture_says_which_they_are(tmp_path):
    Image.new("RGB", (20, 20), (90, 90, 90)).save(tmp_path / "gray.png")
    pairs = OwnPictures(tmp_path, 16)
    assert "Nothing is held out of one picture; judge by the samples." in pairs.notes
    with pytest.raises(ValueError, match=r"1 times a picture of one color, such as gray.png.* Take them out"):
        Feed(pairs, 0)(0)


def test_pictures_are_worded_and_mirrored_only_when_asked(folder):
    def caption(own, rng):
        return f"{own}photo {rng.integers(100)}"

    plain, turned = (Worded(OwnPictures(folder, 16), caption, mirror=mirror) for mirror in (False, True))
    draws = [plain(0, draw) for draw in range(20)]
    assert {pair.image[:, 0].mean() > 200 for pair in draws} == {True}
    assert {turned(0, draw).image[:, 0].mean() > 200 for draw in range(20)} == {True, False}
    assert len({pair.caption for pair in draws}) > 5
    assert plain(0, 7).caption == plain(0, 7).caption


def test_two_sources_come_in_turn_and_each_in_an_order_of_its_own(folder):
    own = Worded(OwnPictures(folder, 16), lambda own, rng: "mine")
    feed = feed_of(Alternating(own, Four()), seed=3)
    assert len(feed) == 12
    captions = [feed(number).caption for number in range(12)]
    assert captions[::2] == ["mine"] * 6
    assert captions[1::2] == [Feed(Four(), 3)(number).caption for number in range(6)]
    feed.check(4)
    with pytest.raises(ValueError, match="The batch is 5; .* must be even"):
        feed.check(5)


class Weighed(Four):
    def __init__(self, weight):
        self.weight = weight

    def __call__(self, index, draw):
        return replace(super().__call__(index, draw), weight=self.weight)


def prepared(made, spec=SPECS["full"]):
    def prepare(model, settings, feed, rewards, place):
        yield from ()
        return made

    return replace(spec, prepare=prepare)


def test_the_loss_is_the_sum_of_both_sources_means(tiny_sd15, tmp_path):
    def first(name, one, other):
        return losses(run(tiny_sd15, prepared(Alternating(Weighed(one), Weighed(other))), tmp_path / name, steps=1))[0]

    instance, prior = first("instance", 2.0, 0.0), first("prior", 0.0, 2.0)
    assert first("both", 2.0, 2.0) == pytest.approx(instance + prior, rel=1e-6)
    assert first("half", 2.0, 1.0) == pytest.approx(instance + prior / 2, rel=1e-6)
    assert instance > 0 and prior > 0


def test_two_sources_are_resumed_with_the_same_curve(tiny_sd15, tmp_path):
    spec = prepared(Alternating(Weighed(2.0), Weighed(0.5)))
    whole = run(tiny_sd15, spec, tmp_path / "whole", steps=4)
    run(tiny_sd15, spec, tmp_path / "parts", steps=2)
    assert losses(run(tiny_sd15, spec, tmp_path / "parts", steps=4, resume=True)) == losses(whole)[2:]


def test_an_odd_batch_of_two_sources_is_refused(tiny_sd15, tmp_path):
    with pytest.raises(ValueError, match="The batch is 3"):
        run(tiny_sd15, prepared(Alternating(Four(), Four())), tmp_path, batch=3)


def test_timesteps_are_drawn_as_the_objective_says(tiny_sd15, tmp_path):
    seen = []

    def objective(model, settings, held_out, rewards):
        def learned(predict, given):
            seen.extend(given.t.tolist())
            return diffusion.losses(model, predict, given)

        late = lambda rng, count: count - 1 - int(torch.randint(count // 10, (), generator=rng))  # noqa: E731
        return Objective(losses=learned, exam=lambda predict, encode=None: {}, timestep=late)

    run(tiny_sd15, replace(SPECS["full"], objective=objective), tmp_path, steps=3)
    last = len(tiny_sd15.schedule.alphas_cumprod)
    assert len(seen) == 12 and min(seen) >= 0.9 * last - 1 and len(set(seen)) > 4


class Shifted(nn.Module):
    """A frozen U-Net and one vector that is added to text states."""

    def __init__(self, unet, width):
        super().__init__()
        self.shift, self._unet = nn.Parameter(torch.zeros(width)), [UNet(unet)]

    def forward(self, *given):
        return self._unet[0](*given)


@contextmanager
def shifted(model, settings):
    module = Shifted(model.unet, model.unet.config.cross_attention_dim)

    def encode(captions):
        text = model.encode_prompts(captions)
        return text._replace(states=text.states + module.shift)

    yield Recipe(module=module, save=lambda path: torch.save(module.state_dict(), path), encode=encode)


def test_text_trains_and_its_exams_and_samples_read_it(tiny_sd15, tmp_path):
    class Forty(Four):
        def __len__(self):
            return 40

        def __call__(self, index, draw):
            return super().__call__(index % 4, draw)

    spec = replace(SPECS["full"], build=shifted, shown=lambda settings: ["a red cube"])
    given = {"pairs": Forty(), "learning_rate": 0.3}
    whole = run(tiny_sd15, spec, tmp_path / "whole", steps=12, every=4, **given)
    changes = [event.figures["held_out_loss_change"] for event in whole if event.figures]
    assert changes[-1] < -0.5 and len(set(changes)) == 3
    sheets = [event.sheet for event in whole if event.sheet is not None]
    assert sheets[0].shape[0] == sheets[0].shape[1] and not np.array_equal(sheets[0], sheets[-1])
    run(tiny_sd15, spec, tmp_path / "parts", steps=4, every=4, **given)
    resumed = run(tiny_sd15, spec, tmp_path / "parts", steps=12, every=4, resume=True, **given)
    assert losses(resumed) == losses(whole)[4:]


def test_an_exam_needs_no_picture_and_no_reward(tiny_sd15):
    sampling = GuidedSampling(tiny_sd15, 2)
    bright = {"bright": lambda image, which: image.mean((1, 2, 3))}
    exam = Exam(sampling, None, ["a red cube", "a blue cube"], bright, before=["a cube", "a cat"])
    asked = []

    def encode(captions):
        asked.extend(captions)
        return tiny_sd15.encode_prompts(["a cube", "a cat"])

    assert exam.change(sampling.base, encode)["bright_change"] == pytest.approx(0, abs=1e-6)
    assert asked == ["a red cube", "a blue cube"]
    assert exam.change(sampling.base)["bright_change"] != 0


def test_recipes_for_captioned_pictures_still_ask_for_captions(folder):
    with pytest.raises(ValueError, match="no metadata"):
        sources.find(str(folder), 16)


def test_pictures_of_ones_own_train_a_recipe(folder, tiny_sd15, tmp_path):
    own = OwnPictures(folder, tiny_sd15.pixels)
    spec = prepared(Worded(own, lambda own, rng: "a mug"))
    events = loop.train(
        tiny_sd15, spec, replace(spec.presets["tabletop"], steps=2, batch=4), own, tmp_path / "out", about=ABOUT
    )
    assert [*events][-1].final
