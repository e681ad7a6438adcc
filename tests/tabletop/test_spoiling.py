"""The spoiled corpus: seeded, each kind as often as its share says, and what makes no sense refused."""

from dataclasses import asdict, replace

import numpy as np
import pytest

from maskunet.experiments.tabletop import spoiled_sheet
from maskunet.plugins import chosen
from maskunet.tabletop.captions import caption
from maskunet.tabletop.data import training_scenes
from maskunet.tabletop.render import render
from maskunet.tabletop.scenes import COLORS, SHAPES, TEXTURES, Thing
from maskunet.tabletop.spoiling import CAPTIONS, CLEAN, PICTURES, PRESETS, TRUE, VAGUE, Shares, spoil, spoiled

SCENES = training_scenes(9_100)[:300]
NONE = dict.fromkeys((*CAPTIONS, *PICTURES), 0.0)


@pytest.fixture(scope="module")
def pictures():
    return render(SCENES[:8]).numpy()


def rng(*seed):
    return np.random.default_rng(seed)


def test_the_same_seed_gives_the_same_example_and_clean_ones_are_left_as_they_are(pictures):
    for i, (scene, picture) in enumerate(zip(SCENES[:8], pictures, strict=True)):
        before = picture.copy()
        one, again = (spoil(scene, picture, rng(3, i), Shares()) for _ in range(2))
        assert (one.caption, one.caption_kind, one.picture_kind) == (
            again.caption,
            again.caption_kind,
            again.picture_kind,
        )
        assert np.array_equal(one.picture, again.picture) and np.array_equal(picture, before)
        assert np.array_equal(one.picture, picture) == (one.picture_kind == CLEAN)


@pytest.mark.parametrize("kind", PICTURES)
def test_every_kind_of_picture_is_plainly_another_one(kind, pictures):
    for i, (scene, picture) in enumerate(zip(SCENES[:8], pictures, strict=True)):
        found = spoiled(picture, scene, rng(i), kind)
        assert (found.shape, found.dtype) == (picture.shape, np.uint8)
        assert np.abs(found.astype(int) - picture).max() > 30
        assert len({spoiled(picture, scene, rng(seed), kind).tobytes() for seed in range(6)}) > 1


def test_a_blurred_picture_has_fewer_edges_a_noisy_one_more_and_a_faded_one_less_contrast(pictures):
    def steps(picture):
        return np.square(np.diff(picture.astype(int), axis=-1)).mean()

    for i, (scene, picture) in enumerate(zip(SCENES[:8], pictures, strict=True)):
        assert steps(spoiled(picture, scene, rng(i), "blurred")) < 0.7 * steps(picture)
        assert steps(spoiled(picture, scene, rng(i), "noisy")) > 3 * steps(picture)
        assert spoiled(picture, scene, rng(i), "faded").std((1, 2)).max() < 0.6 * picture.std((1, 2)).max()
        corner = spoiled(picture, scene, rng(i), "watermarked")[:, 0, 0]
        assert (corner > picture[:, 0, 0] + 20).all()


@pytest.mark.parametrize("place", [(-1.2, -1.0), (1.2, 1.0), (0.0, 0.0), (0.1, -1.2)])
def test_a_cropped_picture_cuts_a_thing_off(place):
    scene = (Thing("sphere", "red", x=place[0], y=place[1]),)
    [picture] = render([scene]).numpy().astype(int)
    for seed in range(8):
        found = spoiled(picture.astype(np.uint8), scene, rng(seed), "cropped").astype(int)
        red = (found[0] - found[1] > 60) & (found[0] - found[2] > 60)
        assert red.any(), "the thing is out of the picture"
        assert max(red[0].sum(), red[-1].sum(), red[:, 0].sum(), red[:, -1].sum()) > 12


def test_wrong_captions_are_wrong_in_their_way():
    known = {word for scene in SCENES for word in caption(scene, rng(1)).replace(",", "").split()}
    for i, scene in enumerate(SCENES):
        shapes = sorted(thing.shape for thing in scene)
        words = CAPTIONS["other"](scene, rng(i)).replace(",", "").split()
        named = [w.rstrip("s") for w in words if w.rstrip("s") in SHAPES]
        if not {"two", "three", "four"} & set(words):
            assert sorted(named) != shapes
        assert CAPTIONS["partly"](scene, rng(i)) != caption(scene, rng(i))
    assert {CAPTIONS["vague"](SCENES[0], rng(i)) for i in range(200)} == set(VAGUE)
    vague = {word for text in VAGUE for word in text.split()}
    assert vague <= known | {"large", "small"}
    assert not vague & {*SHAPES, *COLORS, *TEXTURES}


def test_kinds_come_as_often_as_their_shares_and_captions_do_not_depend_on_pictures():
    shares = Shares(other=0.3, partly=0.0, vague=0.1, blurred=0.25, faded=0.0, noisy=0.05, cropped=0.0, watermarked=0.1)
    picture = np.zeros((3, 16, 16), np.uint8)
    drawn = [spoil(SCENES[i % 300], picture, rng(i), shares) for i in range(1500)]
    for kind, share in {**asdict(shares), TRUE: 0.6, CLEAN: 0.6}.items():
        found = sum(kind in (each.caption_kind, each.picture_kind) for each in drawn) / 1500
        assert abs(found - share) <= 4 * (share * (1 - share) / 1500) ** 0.5, kind
    only = replace(shares, **dict.fromkeys(PICTURES, 0.0))
    for i in range(50):
        other = spoil(SCENES[i % 300], picture, rng(i), only)
        assert (other.caption, other.picture_kind) == (drawn[i].caption, CLEAN)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"other": 0.95}, "add up to 1.1, which leaves none of the captions true"),
        ({"blurred": 0.36}, "add up to 1, which leaves none of the pictures clean"),
        ({"watermarked": 1.5}, "The share watermarked is 1.5; allowed is 0 to 1."),
        ({"noisy": -0.1}, "The share noisy is -0.1; allowed is 0 to 1."),
        ({"vague": float("nan")}, "must be a number"),
        (NONE, "With every share at 0 nothing is spoiled."),
    ],
)
def test_shares_that_leave_nothing_clean_or_nothing_spoiled_are_refused(changed, said):
    with pytest.raises(ValueError, match=said):
        Shares(**changed)
    with pytest.raises(ValueError):
        chosen(PRESETS, "The spoiled corpus", "web", changed)


def test_by_default_a_quarter_of_the_captions_and_four_of_five_pictures_are_spoiled():
    assert Shares().of(CAPTIONS) == pytest.approx(0.25)
    assert Shares().of(PICTURES) == pytest.approx(0.8)
    assert PRESETS["captions"].of(PICTURES) == PRESETS["pictures"].of(CAPTIONS) == 0


def test_the_sheet_shows_every_kind(tmp_path, monkeypatch):
    monkeypatch.setattr(spoiled_sheet, "COLUMNS", 1)
    spoiled_sheet.draw(tmp_path / "made" / "sheet.png", seed=0)
    assert (tmp_path / "made" / "sheet.png").read_bytes()[:4] == b"\x89PNG"
    assert {kind for pair in spoiled_sheet.KINDS for kind in pair} == {TRUE, CLEAN, *CAPTIONS, *PICTURES}
