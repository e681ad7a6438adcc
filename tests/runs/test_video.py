"""Videos: Text2Video-Zero as diffusers has it, its parts, and masks on its frames."""

import warnings

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, TextToVideoZeroPipeline

from maskunet.diffusion import Schedule
from maskunet.records import Request
from maskunet.records.video import Motion, Video
from maskunet.rewards.base import WeightedRewards
from maskunet.runs.video import make as room
from maskunet.runs.video.cross_frame import CrossFrame
from maskunet.runs.video.make import make
from maskunet.runs.video.motion import moved, noised
from tests.methods.test_methods import Redness
from tests.support.tiny import SCHEDULER, tiny_model

PROMPT = "a red cube"
TIMES = {"t0": 700, "t1": 850}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("video") / "sd15")


def video(model, motion=None, rewards=None, **asked):
    request = Request(**{"prompt": PROMPT, "method": "plain", "steps": 12, "seed": 3, "guidance": 4.0, **asked})
    *_, made = make(model, rewards or WeightedRewards({}), request, motion or Motion(frames=3, **TIMES))
    assert isinstance(made, Video)
    return made


@pytest.fixture
def latents(monkeypatch):
    """The clean latents of the newest video."""
    seen = []
    decoded = room._decoded
    monkeypatch.setattr(room, "_decoded", lambda model, latents: seen.append(latents) or decoded(model, latents))
    return seen


def test_all_steps_are_those_of_diffusers(model, latents, monkeypatch):
    """50 steps of DDIM at the published times: 5 of the first frame and 48 of all."""
    alphas = DDIMScheduler(**SCHEDULER)
    pipeline = TextToVideoZeroPipeline(
        vae=model.vae, text_encoder=model.text_encoder, tokenizer=model.tokenizer, unet=model.unet, scheduler=alphas,
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    noise = room._noise(model, 3, 3)
    monkeypatch.setattr(f"{TextToVideoZeroPipeline.__module__}.randn_tensor", lambda *_, **__: noise)
    own = dict(model.unet.attn_processors)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = pipeline(
            PROMPT, video_length=4, num_inference_steps=50, guidance_scale=4.0, latents=model.noise(3), output_type="latent",
            motion_field_strength_x=-64, motion_field_strength_y=32,
        ).images  # fmt: skip
    model.unet.set_attn_processor(own)  # they stay on
    motion = Motion(frames=4, right=64 / 512, down=-32 / 512, solver="ddim", published=True)
    made = video(model, motion, steps=50)
    assert (made.motion.t0, made.motion.t1) == (881, 941)
    assert made.unet_calls == 5 + 4 * 48
    assert (latents[-1] - theirs).abs().max() < 1e-4
    assert (theirs[1:] - theirs[:1]).abs().max() > 0.1


def test_one_frame_is_the_picture(model):
    request = Request(prompt=PROMPT, method="plain", steps=12, seed=3, guidance=4.0)
    from maskunet.methods import SPECS

    *_, picture = SPECS["plain"].run(model, WeightedRewards({}), request, SPECS["plain"].settings())
    made = video(model, Motion(frames=1, **TIMES))
    assert np.array_equal(made.frames[0], picture.image) and made.moving == made.drift == 0


def test_the_first_frame_is_the_picture_whatever_follows(model):
    alone, several = video(model, Motion(frames=1, **TIMES)), video(model, Motion(frames=4, right=0.1, **TIMES))
    difference = np.abs(several.frames[0].astype(int) - alone.frames[0].astype(int)).max()
    assert difference <= 1  # a batch sums in another order
    assert several.moving > 1 and several.drift > 1


def test_frames_without_motion_and_noise_are_the_first(model, monkeypatch):
    monkeypatch.setattr(room, "noised", lambda schedule, x_t0, t0, t1, noise, published: x_t0)
    own = room._First
    monkeypatch.setattr(room, "_First", lambda at, *more: own(dict.fromkeys(at, at[min(at)]), *more))
    made = video(model, Motion(frames=3, right=0, **TIMES))
    assert np.abs(made.frames[1:].astype(int) - made.frames[:1].astype(int)).max() <= 1


def test_latents_move_to_the_right_and_down_and_are_mirrored():
    latents = torch.arange(64.0).view(1, 1, 8, 8)
    (still, right, down) = moved(latents, [(0, 0), (0.25, 0), (0, 0.125)])
    assert torch.equal(still, latents[0])
    assert torch.equal(right[:, :, 2:], latents[0, :, :, :-2]) and torch.equal(down[:, 1:], latents[0, :, :-1])
    assert torch.equal(right[:, :, :2], latents[0, :, :, :2].flip(-1))


def test_noising_back_is_exact_or_as_published():
    alphas = torch.linspace(0.9999, 0.99, 1000).cumprod(0)
    schedule, generator = Schedule(alphas), torch.Generator().manual_seed(0)
    x0, first, second = (torch.randn((1, 4, 64, 64), generator=generator) for _ in range(3))
    a, s = schedule.alpha_sigma(400)
    later = noised(schedule, a * x0 + s * first, 400, 600, second)
    wanted, spread = schedule.alpha_sigma(600)
    assert (later - wanted * x0).std() == pytest.approx(spread, rel=0.02)
    kept = float(alphas[600 - 1] / alphas[400 - 1])
    published = noised(schedule, x0, 400, 600, second, published=True)
    assert torch.allclose(published, kept**0.5 * x0 + (1 - kept) ** 0.5 * second, atol=1e-6)


def test_masks_of_ones_are_no_masks(model):
    plain = video(model)
    ones = video(model, method="random_mask", settings={"removed": 0.0})
    assert np.array_equal(plain.frames, ones.frames) and ones.keep_ratio == 1
    some = video(model, method="random_mask", settings={"removed": 0.3})
    assert not np.array_equal(plain.frames, some.frames) and 0.6 < some.keep_ratio < 0.8


def test_masks_are_the_first_frames_or_each_ones_own(model):
    shared = video(model, method="random_mask", settings={"removed": 0.3})
    own = video(model, Motion(frames=3, mask_per="frame", **TIMES), method="random_mask", settings={"removed": 0.3})
    assert np.abs(shared.frames[0].astype(int) - own.frames[0].astype(int)).max() > 0  # drawn anew for each frame
    assert not np.array_equal(shared.frames[1], own.frames[1])


def test_masks_of_a_search_for_the_first_frame_serve_all(model):
    events = []
    request = Request(prompt=PROMPT, method="maskunet_free", steps=4, seed=3, settings={"updates": 2, "early_steps": 0})
    for item in make(model, Redness(), request, Motion(frames=2, t0=500, t1=750)):
        events.append(item)
    *steps, made = events
    assert [each.phase for each in steps][:: len(steps) // 3] == ["search", "search", "first"] or steps[
        0
    ].phase == "search"
    assert {each.phase for each in steps} == {"search", "first", "frames"} and made.keep_ratio < 1
    assert made.unet_calls > 2 * 4


@pytest.mark.parametrize("method", ["freeu", "pag"])
def test_rivals_that_look_at_each_step_make_videos(model, method):
    assert not np.array_equal(video(model, method=method).frames, video(model).frames)


def test_what_cannot_be_is_told_in_a_sentence(model):
    with pytest.raises(ValueError, match="works on one picture and makes no masks"):
        video(model, method="best_of_n", rewards=Redness())
    with pytest.raises(ValueError, match="Set mask_per to video"):
        video(model, Motion(frames=2, mask_per="frame", **TIMES), method="maskunet_free", rewards=Redness())
    with pytest.raises(ValueError, match="With steps=1, t0"):
        video(model, Motion(frames=2), steps=1)
    wrong = {
        "frames is 0": {"frames": 0}, "frames is 25": {"frames": 25}, "must be the smaller one": {"t0": 900, "t1": 800},
        "Give both t0 and t1": {"t0": 900}, "allowed is -0.125 to": {"right": 0.3},
        "out of it by frame 12": {"right": 0.1, "frames": 12}, "allowed is video, frame": {"mask_per": "prompt"},
    }  # fmt: skip
    for said, given in wrong.items():
        with pytest.raises(ValueError, match=said):
            Motion(**given)


def test_more_frames_than_the_memory_has_room_for_are_refused_with_the_number_that_fits(model, monkeypatch):
    monkeypatch.setattr(room, "free_memory", lambda device: 2.5 * room.memory(model))
    with pytest.raises(ValueError, match=r"3 frames take about .* GB are free\. Give at most 2\."):
        video(model)
    assert len(video(model, Motion(frames=2, **TIMES)).frames) == 2


def test_the_network_is_as_it_was_after_a_stop_and_after_an_error(model, monkeypatch):
    own = dict(model.unet.attn_processors)
    events = make(
        model, WeightedRewards({}), Request(prompt=PROMPT, method="plain", steps=12), Motion(frames=2, **TIMES)
    )
    assert any(event.phase == "frames" for event in events)  # in the middle
    assert model.unet.attn_processors != own
    events.close()
    assert model.unet.attn_processors == own
    with pytest.raises(RuntimeError), CrossFrame(model.unet, 2):
        raise RuntimeError
    assert model.unet.attn_processors == own


def test_the_same_request_is_the_same_video(model):
    assert np.array_equal(video(model).frames, video(model).frames)
    assert not np.array_equal(video(model, seed=4).frames[1], video(model).frames[1])
