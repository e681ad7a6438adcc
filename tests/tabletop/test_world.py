"""The embedded world: true captions, false negatives, honest tasks, a renderer that repeats itself."""

import time

import numpy as np
import pytest
import torch
from diffusers import AutoencoderTiny

from maskunet.experiments.tabletop import train_tiny_decoder
from maskunet.experiments.tabletop.fit import fit, mixed_precision, progress
from maskunet.tabletop.captions import caption, negatives
from maskunet.tabletop.data import training_scenes
from maskunet.tabletop.render import project, render
from maskunet.tabletop.scenes import HELD_OUT, Thing, mirrored, random_scene
from maskunet.tabletop.tasks import TASKS, Case, cases, stands

RED = Thing("cube", "red", x=-1.0, y=0.0)
BLUE = Thing("sphere", "blue", x=1.0, y=0.2)
SCENES = training_scenes(9_100)[:300]


def test_held_out_combinations_are_never_rendered_for_training():
    assert not {(t.color, t.shape) for scene in SCENES for t in scene} & HELD_OUT


def test_captions_name_every_thing_and_nothing_that_is_not_there():
    rng = np.random.default_rng(0)
    for scene in SCENES:
        text = caption(scene, rng)
        words = text.replace(",", "").split()
        for thing in scene:
            assert any(w.rstrip("s") == thing.shape for w in words), text
        from maskunet.tabletop.scenes import COLORS, TEXTURES

        assert {w for w in words if w in COLORS} <= {t.color for t in scene}, text
        assert {w for w in words if w in TEXTURES} <= {t.texture for t in scene}, text


def test_hard_negatives_differ_from_the_caption_and_are_worded_alike():
    rng = np.random.default_rng(1)
    for scene in SCENES:
        true, false = negatives(scene, rng, 3)
        assert len(false) == 3
        assert true not in false
    swapped = (Thing("cube", "red"), Thing("sphere", "blue"))
    seen = {text for _ in range(200) for text in negatives(swapped, rng, 3)[1]}
    assert any("blue cube" in text and "red sphere" in text for text in seen)


def test_a_scene_is_rendered_the_same_twice_and_its_mirror_image_flipped():
    scenes = SCENES[:6]
    first, again = render(scenes), torch.cat([render(scenes[:1]), render(scenes[1:])])
    assert torch.equal(first, again)
    plain = [tuple(t for t in s if t.texture in ("matte", "metal")) or (RED,) for s in scenes]
    gap = render([mirrored(s) for s in plain]).int() - render(plain).flip(-1).int()
    assert float(gap.abs().float().mean()) < 0.5


def test_rays_that_pass_a_thing_at_a_distance_miss_it(monkeypatch):
    fast = render([*SCENES[:8], ()])
    monkeypatch.setattr("maskunet.tabletop.render.REACH", 1e3)  # every ray is tried on every thing
    assert torch.equal(fast, render([*SCENES[:8], ()]))


def test_things_appear_where_they_are_projected_in_their_color():
    thing = Thing("sphere", "red", x=0.8, y=-0.5)
    u, v = (project([(thing.x, thing.y, thing.radius)])[0] * 128).int().tolist()
    red, green, blue = render([(thing,)])[0, :, v, u].tolist()
    assert red > 100 > max(green, blue)


@pytest.mark.parametrize("task", TASKS)
def test_cases_are_the_same_for_a_seed_and_training_cases_hold_nothing_held_out(task):
    assert cases(task, 20, 5) == cases(task, 20, 5)
    assert cases(task, 20, 5) != cases(task, 20, 5, "train") or task == "single"
    assert not any(case.held_out for case in cases(task, 40, 5, "train"))


def test_a_case_is_satisfied_by_what_it_asks_for_and_by_nothing_less():
    both = Case("color_attribution", "", ({"shape": "cube", "color": "red"}, {"shape": "sphere", "color": "blue"}))
    assert both.satisfied([BLUE, RED])
    assert not both.satisfied([RED])
    assert not both.satisfied([Thing("cube", "blue"), Thing("sphere", "red")])


def test_one_thing_cannot_be_counted_for_two():
    twice = Case("two", "", ({"shape": "cube"}, {"shape": "cube"}))
    assert not twice.satisfied([RED])


def test_counting_is_exact():
    two = Case("counting", "", ({"shape": "cube"},), count=2)
    assert [two.satisfied([RED] * n) for n in (1, 2, 3)] == [False, True, False]


def test_relations_need_some_distance_along_their_axis():
    assert stands("left of", RED, BLUE)
    assert not stands("right of", RED, BLUE)
    assert not stands("behind", BLUE, RED)
    assert stands("in front of", Thing("cube", "red", y=-1.0), Thing("cone", "red", y=0.5))


def test_an_unknown_task_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match="color_attribution"):
        cases("flying", 1)


def test_random_scenes_have_one_to_four_things():
    rng = np.random.default_rng(2)
    assert {len(random_scene(rng)) for _ in range(300)} == {1, 2, 3, 4}


def test_training_goes_on_where_it_stopped(tmp_path):
    def run(minutes):
        module = torch.nn.Linear(2, 1)

        def loss(generator):
            x = torch.randn(8, 2, generator=generator)
            return {"square": (module(x) - x.sum(1, keepdim=True)).square().mean()}

        return fit(module, loss, tmp_path, minutes=minutes, learning_rate=1e-2)

    run(0.01)
    steps = torch.load(tmp_path / "state.pt", weights_only=True)["step"]
    run(0.02)
    after = torch.load(tmp_path / "state.pt", weights_only=True)
    assert after["step"] > steps > 0
    assert after["elapsed"] >= 0.02 * 60
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 3


def test_a_time_box_counts_what_the_training_got_of_a_core(tmp_path):
    module = torch.nn.Linear(2, 1)

    def loss(generator):
        time.sleep(0.02)  # as if other work had the core
        return {"square": module(torch.randn(8, 2, generator=generator)).square().mean()}

    fit(module, loss, tmp_path, minutes=0.001, learning_rate=1e-2)  # three steps, if waiting counted
    steps, minutes = progress(tmp_path)
    assert steps > 6 and 0.001 <= minutes < 0.02


@pytest.mark.parametrize(("processor", "mixed"), [("AVX512", True), ("AVX2", False), ("DEFAULT", False)])
def test_bfloat16_is_for_processors_that_compute_in_it(processor, mixed, monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: processor)
    with mixed_precision():
        assert torch.is_autocast_enabled("cpu") == mixed


def test_the_tiny_decoder_trains_on_latents_and_is_saved_in_diffusers_format(tmp_path):
    stream = np.random.default_rng(0)
    latents = stream.standard_normal((80, 2, 4, 16, 16)).astype(np.float16)
    pictures = stream.integers(0, 256, (80, 3, 128, 128), np.uint8)
    for name, array in {"latents": latents, "decoded": pictures}.items():
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "0000.npy", array)
    np.save(tmp_path / "predictions_x0.npy", latents[:, 0])
    np.save(tmp_path / "predictions.npy", pictures)
    (tmp_path / "model" / "vae").mkdir(parents=True)
    (tmp_path / "model" / "vae" / "config.json").write_text('{"scaling_factor": 0.5}')
    z, x = train_tiny_decoder.examples(tmp_path, 1)
    assert np.array_equal(z[0].numpy() * 2, latents[0, 0])
    assert np.array_equal(x[-1].numpy(), pictures[-1])
    trained = train_tiny_decoder.train(tmp_path, minutes=0.01, shards=1)
    saved = AutoencoderTiny.from_pretrained(tmp_path / "model" / "tiny_decoder", torch_dtype=torch.float16)
    y = [each.float().decode(z[:2].float()).sample for each in (trained, saved)]
    torch.testing.assert_close(*y, atol=0.01, rtol=0)
    assert torch.load(tmp_path / "tiny_decoder" / "state.pt", weights_only=True)["step"] > 0
    assert not any(p.abs().max() for p in saved.encoder.parameters())
