"""Pictures of people's folders: one reader for training, measures and benchmarks."""

import numpy as np
import pytest
from PIL import Image

from maskunet.evaluation import benchmarks, features
from maskunet.evaluation.made_pictures import Picture
from maskunet.prompts.files import Prompt
from maskunet.records.disk import pictures
from maskunet.training.data import pictured

RAMP = (np.arange(1024) * 64).astype(np.uint16).reshape(32, 32)


def save(image, name, **how):
    def write(folder):
        image.save(folder / name, **how)
        return folder / name

    return write


def halves(mode, left, right):
    image = Image.new(mode, (32, 32), left)
    image.paste(right, (16, 0, 32, 32))
    return image


def turned():
    exif = Image.Exif()
    exif[0x112] = 6
    return save(halves("RGB", (0, 0, 255), (255, 0, 0)), "phone.png", exif=exif)


def cut_out(mode, name, **how):
    left, right = {"RGBA": ((255, 0, 255, 0), (255, 0, 0, 255)), "LA": ((90, 0), (40, 255))}.get(mode, (0, 1))
    image = halves(mode, left, right)
    if mode == "P":
        image.putpalette([255, 0, 255, 255, 0, 0])
    return save(image, name, **how)


# What each holds in the middle of its left and its right half.
KINDS = {
    "camera": (turned(), [127, 0, 127], [127, 0, 127]),
    "gray16": (save(Image.fromarray(RAMP), "a.png"), [129] * 3, [131] * 3),
    "gray16tif": (save(Image.fromarray(RAMP), "a.tif"), [129] * 3, [131] * 3),
    "rgba": (cut_out("RGBA", "a.png"), [255] * 3, [255, 0, 0]),
    "rgba-webp": (cut_out("RGBA", "a.webp", lossless=True), [255] * 3, [255, 0, 0]),
    "la": (cut_out("LA", "a.png"), [255] * 3, [40] * 3),
    "palette": (cut_out("P", "a.png", transparency=0), [255] * 3, [255, 0, 0]),
    "gif": (cut_out("P", "a.gif", transparency=0), [255] * 3, [255, 0, 0]),
    "cmyk": (save(halves("CMYK", (0, 255, 255, 0), (0, 0, 0, 255)), "a.tif"), [255, 0, 0], [0] * 3),
    "bits": (save(halves("1", 1, 0), "a.pbm"), [255] * 3, [0] * 3),
}


@pytest.mark.parametrize("kind", KINDS)
def test_training_measures_and_benchmarks_see_the_same_pixels(tmp_path, kind):
    write, left, right = KINDS[kind]
    path = write(tmp_path)
    seen = features._pixels(path)
    assert seen.shape == (32, 32, 3) and seen.dtype == np.uint8
    assert np.array_equal(seen, pictured("-", path, 32).image)
    assert np.array_equal(seen, benchmarks._pixels(Picture(path, Prompt("00000", "-"), 0, path.name)))
    if kind == "camera":  # what was on the left is above
        assert seen[4, 16].tolist() == [0, 0, 255] and seen[28, 16].tolist() == [255, 0, 0]
    else:
        found = np.array([seen[16, 8], seen[16, 24]]).astype(int)
        assert np.abs(found - [left, right]).max() <= 3


def test_a_reason_tells_absent_from_damaged_from_unclear(tmp_path):
    (tmp_path / "broken.png").write_text("no picture")
    Image.new("F", (8, 8), 0.5).save(tmp_path / "float.tif")
    Image.new("RGB", (8, 8)).save(tmp_path / "script.png", "EPS")  # what other formats start programs for
    reasons = {
        "none.png": "is not there",
        "script.png": pictures.DAMAGED,
        "broken.png": pictures.DAMAGED,
        "float.tif": "has numbers of 32 bits",
    }
    for name, reason in reasons.items():
        with pytest.raises(ValueError, match=reason):
            pictures.read(tmp_path / name)


def test_what_is_not_as_the_files_have_it_is_told(tmp_path):
    Image.fromarray(RAMP).save(tmp_path / "gray.png")
    halves("RGBA", (255, 0, 255, 0), (255, 0, 0, 255)).save(tmp_path / "cut.png")
    halves("RGBA", (255, 0, 255, 255), (255, 0, 0, 255)).save(tmp_path / "opaque.png")
    first, second = halves("RGB", (0, 0, 0), (255, 0, 0)), halves("RGB", (0, 0, 0), (0, 255, 0))
    first.save(tmp_path / "pages.tif", save_all=True, append_images=[second])

    class Mean:
        name, weights, size = "mean", "0" * 64, 8

        def __call__(self, images):
            return images.mean((1, 2)).astype(np.float32)

    *_, last = features.extract(features.read_folder(tmp_path, "mine"), Mean())
    assert last.notes == (
        "Transparent parts lie on white: 1 of the pictures of “mine”, such as cut.png.",
        "Gray of 16 bits is scaled to 8: 1 of the pictures of “mine”, such as gray.png.",
        "Of several pictures in a file the first is read: 1 of the pictures of “mine”, such as pages.tif.",
    )


def test_all_kinds_of_pictures_count_and_the_rest_is_named(tmp_path):
    kinds = ["PNG", "jpg", "jfif", "webp", "bmp", "gif", "tif", "tiff", "ppm"]
    for kind in kinds:
        Image.new("RGB", (8, 8)).save(tmp_path / f"a.{kind}")
    for name in ("b.heic", "c.heic", "d.psd", "metadata.json", "a.txt", ".hidden.psd"):
        (tmp_path / name).write_text("{}")
    assert len(features.read_folder(tmp_path).files) == len(kinds) == len(pictures.listed(tmp_path))
    assert features.read_folder(tmp_path).notes == (
        f"Left out: 3 files of other kinds in “{tmp_path.name}” (endings .heic, .psd), such as b.heic.",
    )
