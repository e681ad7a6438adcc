"""The rivals that need no attention maps: best of N, FreeU and perturbed-attention guidance."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from diffusers import DPMSolverMultistepScheduler, StableDiffusionPAGPipeline
from diffusers.utils.torch_utils import apply_freeu

from maskunet import seeds
from maskunet.diffusion import classifier_free, dpmpp_2m_step
from maskunet.masks import mask
from maskunet.masks.masked_unet import MaskedLinear, MaskedUNet
from maskunet.methods import SPECS, best_of_n, freeu
from maskunet.methods.base import candidates, to_uint8
from maskunet.models.base import DiffusionModel
from maskunet.records import Request
from tests.methods.test_methods import QUICK, Redness, betas

RIVALS = (
    "best_of_n", "best_of_n_masks", "fk_steering", "freeu", "pag", "attend_and_excite", "syngen", "syngen_maskunet",
    "lidar", "date", "guider", "reno",
)  # fmt: skip
PROMPT = "a red cube and a blue sphere"


class Seen(Redness):
    """Those rewards, and the pictures they were shown, in floats."""

    def __init__(self, weights=None, fails=False):
        super().__init__(weights)
        self.images, self.fails = [], fails

    def optimizing(self, weights):
        return self

    def __call__(self, image, prompts):
        assert len(prompts) == len(image)
        if self.fails:
            raise RuntimeError("reward failed")
        self.images.append(image.detach())
        return super().__call__(image, prompts)


def run(model, name, rewards=None, settings=None, **asked):
    request = Request(prompt=PROMPT, method=name, **{"seed": 3, "steps": 4, "previews": False, **asked})
    chosen = SPECS[name].settings("", {**QUICK.get(name, {}), **(settings or {})})
    return list(SPECS[name].run(model, rewards or Redness(), request, chosen))


def picture(model, name, settings=None, **asked):
    """The final picture (3, H, W) in floats."""
    seen = Seen()
    final = run(model, name, seen, settings, **asked)[-1].image
    images = torch.cat(seen.images)
    shown = (images * 255).round().permute(0, 2, 3, 1).byte().numpy()
    return next(image for image, each in zip(images, shown, strict=True) if np.array_equal(each, final))


class Watched:
    """How many samples went into the U-Net, and everything in the model that a method might leave changed."""

    def __init__(self, model, fails_at=None):
        self.unet, self.samples, self.calls, self.fails_at = model.unet, 0, 0, fails_at

    def __enter__(self):
        self.before = self.state()
        self.handle = self.unet.conv_in.register_forward_pre_hook(self.count)
        return self

    def __exit__(self, *exception):
        self.handle.remove()
        after = self.state()
        assert after.keys() == self.before.keys()
        for name, value in self.before.items():
            assert torch.equal(value, after[name]) if torch.is_tensor(value) else value is after[name], name

    def count(self, module, inputs):
        self.calls += 1
        self.samples += len(inputs[0])
        if self.calls == self.fails_at:
            raise RuntimeError("the U-Net failed")

    def state(self):
        found = {name: value.clone() for name, value in self.unet.state_dict().items()}
        found |= {f"processor of {name}": each for name, each in self.unet.attn_processors.items()}
        for name, module in self.unet.named_modules():
            found[f"module {name}"] = module
            found |= {f"hook {key} of {name}": hook for key, hook in module._forward_pre_hooks.items()}
            found |= {f"hook {key} after {name}": hook for key, hook in module._forward_hooks.items()}
        assert not any(isinstance(module, MaskedLinear) for module in self.unet.modules())
        assert all(parameter.grad is None for parameter in self.unet.parameters())
        return found


@pytest.mark.parametrize("name", RIVALS)
def test_the_model_is_bit_equal_after_a_run_a_stop_and_an_error(tiny_sd15, name):
    with Watched(tiny_sd15):
        run(tiny_sd15, name, steps=2)
    for events_seen in (1, 2):
        with Watched(tiny_sd15):
            request = Request(prompt=PROMPT, method=name, steps=3)
            events = SPECS[name].run(tiny_sd15, Redness(), request, SPECS[name].settings())
            for _ in range(events_seen):
                next(events)
            events.close()
    for fails_at in (1, 2, 3):
        with Watched(tiny_sd15, fails_at), pytest.raises(RuntimeError, match="the U-Net failed"):
            run(tiny_sd15, name, steps=3)
    with Watched(tiny_sd15), pytest.raises(RuntimeError, match="reward failed"):
        run(tiny_sd15, name, Seen(fails=True), steps=2)


@pytest.mark.parametrize(
    ("name", "settings", "calls", "samples"),
    [
        ("best_of_n", {"n": 3}, 12, 24),
        ("best_of_n", {"n": 5, "at_once": 2}, 20, 40),
        ("best_of_n", {"n": 6, "dropped": 0.5, "drop_at": 0.5}, 6 * 2 + 3 * 2, 2 * (6 * 2 + 3 * 2)),
        ("best_of_n", {"n": 3, "dropped": 1.0, "drop_at": 0.0}, 3 + 1 * 3, 2 * (3 + 1 * 3)),  # behind the first step
        ("best_of_n", {"n": 3, "dropped": 0.7, "drop_at": 1.0}, 3 * 3 + 1, 2 * (3 * 3 + 1)),  # before the last
        ("best_of_n_masks", {"n": 3}, 12, 24),
        ("fk_steering", {"particles": 3, "at_once": 3}, 12, 24),
        ("freeu", {}, 4, 8),
        ("pag", {}, 6, 12),
        ("syngen", {}, 5, 10),  # 2 of 4 steps are moved, each with half a call, for the prompt alone
        ("syngen", {"moved": 0.0}, 4, 8),
        # 2 of 4 steps are moved: the first reaches its threshold at once, the second does not.
        ("attend_and_excite", {"refinements": 1}, 6, 11),
        # At each of 4 steps two updates, each with a move of the prompt's half.
        ("syngen_maskunet", {"early_steps": 0, "updates": 2, "use_updated": False}, 12, 24),
    ],
)
def test_calls_are_those_that_were_made(tiny_sd15, name, settings, calls, samples):
    with Watched(tiny_sd15) as watched:
        assert run(tiny_sd15, name, settings=settings)[-1].unet_calls == calls
    assert watched.samples == samples


def test_without_guidance_each_part_of_pag_counts_as_a_call(tiny_sd15):
    with Watched(tiny_sd15) as watched:
        assert run(tiny_sd15, "pag", guidance=1.0)[-1].unet_calls == watched.samples == 8


def test_one_call_and_a_half_is_never_told_as_one(tiny_sd15):
    assert [event.unet_calls for event in run(tiny_sd15, "pag", steps=3)] == [2, 3, 5, 5]


# Best of N


def test_best_of_one_is_the_plain_picture(tiny_sd15):
    plain = run(tiny_sd15, "plain")[-1]
    best = run(tiny_sd15, "best_of_n", settings={"n": 1})[-1]
    assert np.array_equal(best.image, plain.image)
    assert best.rewards == plain.rewards


def test_best_of_n_is_the_plain_picture_of_the_seed_that_the_rewards_like_best(tiny_sd15):
    final = run(tiny_sd15, "best_of_n", settings={"n": 6})[-1]
    plain = [run(tiny_sd15, "plain", seed=seed)[-1] for seed in seeds.of_candidates(3, 6)]
    best = max(plain, key=lambda event: event.rewards["total"])
    assert final.rewards == pytest.approx(best.rewards, abs=1e-5)
    assert np.array_equal(final.image, best.image)
    assert best is not plain[0]
    together = run(tiny_sd15, "best_of_n", settings={"n": 6, "at_once": 4})[-1]
    assert np.abs(together.image.astype(int) - final.image).max() <= 1


@pytest.mark.parametrize("second_order", [True, False])
def test_halving_goes_on_with_the_seeds_whose_early_picture_is_liked_best(tiny_sd15, second_order):
    settings = {"n": 6, "dropped": 0.5, "drop_at": 0.5, "second_order": second_order, "hpsv2": 0.0}
    early, plain = {}, {}
    for seed in seeds.of_candidates(3, 6):
        own = {"second_order": second_order}
        events = list(
            SPECS["plain"].run(
                tiny_sd15, Redness(), Request(prompt=PROMPT, seed=seed, steps=4), SPECS["plain"].settings("", own)
            )
        )
        shown = torch.from_numpy(events[1].image).permute(2, 0, 1)[None] / 255  # x0 of the second of four steps
        early[seed], plain[seed] = float(Redness()(shown, [PROMPT])["image_reward"]), events[-1]
    kept = sorted(early, key=early.get, reverse=True)[:3]
    seen = Seen()
    events = run(tiny_sd15, "best_of_n", seen, settings)
    pictures = [to_uint8(each)[0] for each in seen.images]
    assert len(pictures) == 6 + 3
    finished = [seed for seed in seeds.of_candidates(3, 6) if seed in kept]
    for mine, seed in zip(pictures[6:], finished, strict=True):
        assert np.array_equal(mine, plain[seed].image)
    best = max(kept, key=lambda seed: plain[seed].rewards["image_reward"])
    assert np.array_equal(events[-1].image, plain[best].image)
    assert [event.unet_calls for event in events] == [6, 12, 15, 18, 18]


def test_the_presets_of_halving_keep_three_of_twelve_after_a_third_of_the_steps(tiny_sd15):
    for preset in ("halving", "halving_fast"):
        settings = SPECS["best_of_n"].settings(preset)
        assert (settings.n, best_of_n.drop_step(15, settings)) == (12, 4)  # 12 seeds for 5 steps, 3 for 10
    assert run(tiny_sd15, "best_of_n", settings={"n": 12, "dropped": 0.75}, steps=15)[-1].unet_calls == 90


def test_the_early_look_may_be_the_tiny_decoders_and_the_result_is_the_full_ones(tiny_sd15, monkeypatch):
    tiny = []
    decode = DiffusionModel.decode

    def watched(self, latents, *, tiny_too=tiny, **given):
        tiny_too.append(bool(given.get("tiny")))
        return decode(self, latents)

    monkeypatch.setattr(DiffusionModel, "decode", watched)
    run(tiny_sd15, "best_of_n", settings={"n": 4, "dropped": 0.5, "tiny_decoder": True})
    assert tiny == [True] * 4 + [False] * 2


def test_the_sum_of_ranks_counts_every_reward_alike():
    scores = {"image_reward": torch.tensor([5.0, 1.0, 2.0, math.nan]), "hpsv2": torch.tensor([0.1, 0.2, 0.3, 0.9])}
    weights = {"image_reward": 1.0, "hpsv2": 0.0}
    assert candidates.rank(scores["image_reward"]).tolist() == [3.5, 1.5, 2.5, 0.5]
    assert candidates.order(scores, weights).tolist() == [0, 2, 1, 3]
    assert candidates.order(scores, weights, "ranks").tolist() == [2, 0, 1, 3]  # 2.5 + 2.5, then 3.5 + .5
    level = {"image_reward": torch.tensor([1.0, 2.0]), "hpsv2": torch.tensor([0.2, 0.1])}
    assert candidates.order(level, weights, "ranks").tolist() == [1, 0]  # of equal ranks the weighted sum decides


def test_best_of_n_may_choose_by_ranks(tiny_sd15):
    seen = Seen()
    final = run(tiny_sd15, "best_of_n", seen, {"n": 6, "choose": "ranks"})[-1]
    scores = Redness()(torch.cat(seen.images), [""] * 6)
    places = sum(torch.stack([scores[name]]).argsort().argsort()[0] for name in ("image_reward", "hpsv2"))
    told = {name: final.rewards[name] for name in ("image_reward", "hpsv2")}
    best = [i for i in range(6) if places[i] == places.max()]
    assert any(told == pytest.approx({n: float(scores[n][i]) for n in told}, abs=1e-5) for i in best)


@pytest.mark.parametrize("name", ["best_of_n", "best_of_n_masks", "fk_steering"])
def test_the_last_event_has_the_finished_pictures_that_its_own_was_chosen_from(tiny_sd15, name):
    seen = Seen()
    *before, last = run(tiny_sd15, name, seen)
    assert all(event.candidates is None for event in before)
    assert np.array_equal(last.candidates, to_uint8(torch.cat(seen.images[-4:])))
    assert any(np.array_equal(each, last.image) for each in last.candidates)
    assert run(tiny_sd15, "plain", steps=1)[-1].candidates is None


def test_a_reward_that_is_not_a_number_never_wins():
    assert candidates.best({"hpsv2": torch.tensor([math.nan, -3.0, math.nan, -2.0])}, {"hpsv2": 1.0}) == 3
    assert candidates.best({"hpsv2": torch.tensor([math.nan, math.nan])}, {"hpsv2": 1.0}) == 0


def test_the_weights_of_the_rewards_decide(tiny_sd15):
    by_red = run(tiny_sd15, "best_of_n", settings={"n": 6, "hpsv2": 0.0})[-1].rewards
    smooth = run(tiny_sd15, "best_of_n", settings={"n": 6, "image_reward": 0.0})[-1].rewards
    assert by_red["image_reward"] > smooth["image_reward"]
    assert by_red["hpsv2"] < smooth["hpsv2"]


@pytest.mark.parametrize("method", ["best_of_n", "fk_steering", "maskunet_free"])
def test_total_is_one_scale_in_a_run_whatever_a_method_optimizes(tiny_sd15, method):
    alone = {"best_of_n": {"n": 1}, "fk_steering": {"particles": 1}, "maskunet_free": {"updates": 1}}[method]
    for event in run(tiny_sd15, method, settings={**alone, "hpsv2": 0.0}):
        if event.rewards:
            told = event.rewards
            assert told["total"] == pytest.approx(told["image_reward"] + 5 * told["hpsv2"], rel=1e-5)
    if method == "best_of_n":  # the very picture that plain makes
        assert event.rewards == run(tiny_sd15, "plain")[-1].rewards


def test_best_of_one_mask_is_the_random_mask(tiny_sd15):
    one = run(tiny_sd15, "best_of_n_masks", settings={"n": 1, "removed": 0.1}, keep_masks=True)
    other = run(tiny_sd15, "random_mask", settings={"removed": 0.1}, keep_masks=True)
    assert np.array_equal(one[-1].image, other[-1].image)
    kept = [event.masks for event in one if event.masks]
    assert len(kept) == 4
    for mine, theirs in zip(kept, [event.masks for event in other if event.masks], strict=True):
        assert all(np.array_equal(mine[name], theirs[name]) for name in theirs)


def test_the_masks_told_are_those_of_the_best_picture(tiny_sd15):
    settings = {"n": 5, "removed": 0.3}
    events = run(tiny_sd15, "best_of_n_masks", settings=settings, keep_masks=True)
    packed = [event.masks for event in events if event.masks]
    first = run(tiny_sd15, "random_mask", settings={"removed": 0.3})[-1]
    assert not np.array_equal(events[-1].image, first.image)  # another one is best
    text, x_t, history = tiny_sd15.encode(PROMPT), tiny_sd15.noise(3), None
    with torch.no_grad(), MaskedUNet(tiny_sd15.unet) as masked:
        for (t, t_prev), bits in zip(tiny_sd15.schedule.linspace_pairs(4), packed, strict=True):
            masks = {site.name: mask.unpack(bits[site.name], site.shape) for site in masked.sites}
            both = masked.decode(masked.encode(torch.cat((x_t, x_t)), t, text), masks)
            x0, _ = tiny_sd15.schedule.x0_eps(classifier_free(both, tiny_sd15.guidance), x_t, t)
            x_t, history = dpmpp_2m_step(tiny_sd15.schedule, x_t, x0, history, t, t_prev)
        expected = tiny_sd15.decode(x_t)[0]
    assert torch.allclose(picture(tiny_sd15, "best_of_n_masks", settings), expected, atol=1e-5)


# FreeU and PAG, against diffusers


def test_freeu_is_that_of_diffusers(tiny_sd15):
    mine = picture(tiny_sd15, "freeu")
    assert not torch.allclose(mine, picture(tiny_sd15, "plain"), atol=1e-3)
    tiny_sd15.unet.enable_freeu(s1=0.9, s2=0.2, b1=1.5, b2=1.6)
    try:
        theirs = picture(tiny_sd15, "plain")
    finally:
        tiny_sd15.unet.disable_freeu()
    assert torch.allclose(mine, theirs, atol=1e-4)


@pytest.mark.parametrize("shape", [(4, 4), (5, 6), (3, 8)])
def test_the_skips_filter_is_that_of_diffusers_for_odd_sizes_too(shape):
    states = torch.randn((2, 3, *shape), generator=torch.Generator().manual_seed(0))
    _, theirs = apply_freeu(1, torch.zeros(2, 4, *shape), states, s1=1.0, s2=0.2, b1=1.0, b2=1.0)
    assert torch.allclose(freeu.weakened(states, 0.2), theirs, atol=1e-6)


def test_factors_of_one_change_nothing(tiny_sd15):
    ones = dict.fromkeys(("backbone_1", "backbone_2", "skip_1", "skip_2"), 1.0)
    assert torch.allclose(picture(tiny_sd15, "freeu", ones), picture(tiny_sd15, "plain"), atol=1e-5)


def pipeline(kind, model):
    """One of diffusers' pipelines on the model's parts, with the lab's solver."""
    scheduler = DPMSolverMultistepScheduler(
        trained_betas=betas(model), algorithm_type="dpmsolver++", timestep_spacing="linspace"
    )
    made = kind(
        vae=model.vae, text_encoder=model.text_encoder, tokenizer=model.tokenizer, unet=model.unet,
        scheduler=scheduler, safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    made.set_progress_bar_config(disable=True)
    return made


@pytest.mark.parametrize(("where", "layers"), [("mid", "mid_block"), ("up", "up_blocks")])
def test_pag_is_that_of_diffusers(tiny_sd15, where, layers):
    mine = picture(tiny_sd15, "pag", {"layers": layers})
    own = dict(tiny_sd15.unet.attn_processors)
    theirs = pipeline(StableDiffusionPAGPipeline, tiny_sd15)
    theirs.set_pag_applied_layers([where])
    with torch.no_grad():
        latents = theirs(
            PROMPT,
            num_inference_steps=4,
            guidance_scale=tiny_sd15.guidance,
            pag_scale=3.0,
            latents=tiny_sd15.noise(3),
            output_type="latent",
        ).images
        tiny_sd15.unet.set_attn_processor(own)
        assert torch.allclose(mine, tiny_sd15.decode(latents)[0], atol=1e-4)
    assert not torch.allclose(mine, picture(tiny_sd15, "plain"), atol=1e-3)


def test_pag_of_scale_zero_is_plain(tiny_sd15):
    assert torch.allclose(picture(tiny_sd15, "pag", {"scale": 0.0}), picture(tiny_sd15, "plain"), atol=1e-5)


def test_layers_that_there_are_not_are_said(tiny_sd15):
    with pytest.raises(
        ValueError, match="The setting layers fits no self-attention layer. Their names begin with down_blocks.0"
    ):
        run(tiny_sd15, "pag", settings={"layers": "middle"})


@pytest.mark.parametrize("name", RIVALS)
def test_presets_are_within_their_own_ranges(name):
    for preset, settings in SPECS[name].presets.items():
        given = {f.name: getattr(settings, f.name) for f in dataclasses.fields(settings)}
        assert SPECS[name].settings(preset, given) == settings


# What the page makes of their events


@pytest.mark.parametrize("name", RIVALS)
def test_a_step_shows_the_picture_whose_features_the_unet_computed_last(tiny_sd15, name):
    """Explore pairs a step's picture with the last sample's features; at guidance 1 that sample makes it alone."""
    unet, newest = tiny_sd15.unet, {}
    handles = [
        unet.conv_in.register_forward_pre_hook(lambda module, given: newest.update(x_t=given[0][-1:])),
        unet.conv_out.register_forward_hook(lambda module, given, out: newest.update(output=out[-1:])),
    ]
    request = Request(prompt=PROMPT, method=name, steps=5, seed=3, guidance=1.0)
    chosen = SPECS[name].settings("", {"scale": 0.0} if name == "pag" else QUICK.get(name))
    try:
        for event in SPECS[name].run(tiny_sd15, Redness(), request, chosen):
            if event.image is not None and not event.final:
                with torch.no_grad():
                    x0, _ = tiny_sd15.schedule.x0_eps(newest["output"], newest["x_t"], event.timestep)
                    alone = (tiny_sd15.decode(x0)[0] * 255).permute(1, 2, 0).numpy()
                assert np.abs(event.image - alone).max() <= 0.6
    finally:
        for handle in handles:
            handle.remove()


def test_told_masks_do_not_replace_what_was_seen_at_a_step(tiny_sd15):
    events = run(tiny_sd15, "best_of_n_masks", settings={"n": 2}, steps=3)
    assert [(event.step, event.best, event.stats is not None) for event in events[:-1]] == [
        *((step, True, False) for step in range(3)),
        *((step, False, True) for step in range(3)),
    ]
    assert all(0.8 < np.mean(list(event.keep_ratio.values())) < 1 for event in events[:-1])
