"""The step that makes the precomputed feature sets, on a small model: pairs of seeds, kept pictures, a small file."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from maskunet.experiments.tabletop import measure_features
from maskunet.experiments.tabletop.measure_features import SetSpec
from maskunet.methods import SPECS
from maskunet.records import Request, feature_set
from maskunet.tabletop.tasks import cases
from tests.evaluation.test_features import Corners, one_set
from tests.methods.test_methods import Redness

SPECS_OF_TWO = (SetSpec("base", "plain"), SetSpec("base, random masks", "random_mask", "start", {"removed": 0.5}))
ASKED = [(case, i) for task in ("single", "colors") for i, case in enumerate(cases(task, 1))]


@pytest.fixture
def quick(monkeypatch):
    """Two steps instead of fifteen; counts the pictures that are made."""
    made = []

    def picture(model, rewards, request):
        made.append(request)
        return original(model, rewards, replace(request, steps=2))

    original = measure_features._picture
    monkeypatch.setattr(measure_features, "_picture", picture)
    return made


def test_every_method_makes_the_same_prompts_from_the_same_seeds(tiny_sd15, quick, tmp_path):
    sets = list(measure_features.made(tiny_sd15, Redness(), SPECS_OF_TWO, ASKED, Corners(), tmp_path))
    assert [one.name for one in sets] == ["base", "base, random masks"]
    assert {one.captions for one in sets} == {tuple(case.prompt for case, _ in ASKED)}
    assert {one.files for one in sets} == {("single-200000.png", "colors-200000.png")}
    assert [(r.method, r.seed) for r in quick] == [(spec.method, 200000) for spec in SPECS_OF_TWO for _ in ASKED]
    assert quick[-1].settings == {"removed": 0.5} and not np.array_equal(sets[0].features, sets[1].features)
    *_, final = SPECS["plain"].run(
        tiny_sd15,
        Redness(),
        Request(prompt=ASKED[0][0].prompt, seed=200000, method="plain", steps=2),
        SPECS["plain"].settings(),
    )
    kept = next(tmp_path.glob("*/base/single-200000.png"))
    assert np.array_equal(np.asarray(Image.open(kept)), final.image)


def test_a_broken_off_step_goes_on_and_other_weights_begin_anew(tiny_sd15, quick, tmp_path):
    def run(model):
        return list(measure_features.made(model, Redness(), SPECS_OF_TWO, ASKED, Corners(), tmp_path))

    first = run(tiny_sd15)
    count = len(quick)
    next(tmp_path.glob("*/base/colors-*.png")).unlink()
    again = run(tiny_sd15)
    assert len(quick) == count + 1
    assert all(np.array_equal(a.features, b.features) for a, b in zip(first, again, strict=True))
    run(replace(tiny_sd15, weights={"unet": "others"}))
    assert len(quick) == 2 * count + 1


def test_renders_are_as_many_as_asked_with_true_captions():
    one = measure_features.renders(3, Corners())
    assert one.name == "renders" and len(one.files) == len(set(one.files)) == 3
    assert all(one.captions)
    assert np.array_equal(one.features, measure_features.renders(3, Corners()).features)


def test_a_written_file_is_rounded_and_reads_back(tmp_path):
    one = one_set("plain", 40)
    measure_features.write([one], tmp_path / "new" / "a.npz")
    (read,) = feature_set.load(tmp_path / "new" / "a.npz")
    assert read.features.dtype == np.float32
    assert np.abs(read.features / one.features - 1).max() < 2**-10
    assert np.abs(read.thumbnails.astype(int) - one.thumbnails).max() == 3
    feature_set.save([one], tmp_path / "exact.npz")
    sizes = [(tmp_path / name).stat().st_size for name in ("new/a.npz", "exact.npz")]
    assert sizes[0] < 0.8 * sizes[1]
