"""The training-free method's options for speed and memory: what they leave out, and that nothing else changes."""

import dataclasses
from contextlib import ExitStack
from functools import partial

import numpy as np
import pytest
import torch
from diffusers import AutoencoderTiny
from diffusers.models.attention_processor import AttnProcessor2_0
from torch import nn
from torch.utils.checkpoint import checkpoint

from maskunet.masks import counter_rng, mask
from maskunet.masks.masked_unet import MaskedLinear, MaskedUNet
from maskunet.methods import SPECS
from maskunet.methods.base import recomputed, rest, to_uint8
from maskunet.methods.maskunet_free.method import OFFICIAL, PAPER, Settings
from maskunet.models.base import DiffusionModel, from_folder
from maskunet.records import Request
from maskunet.rewards import load_rewards
from tests.support.tiny import tiny_decoder, tiny_sd_folder
from tests.support.tiny_rewards import write_small

CPU = torch.device("cpu")
SPEC = SPECS["maskunet_free"]


class Watched:
    """Rewards that note whether a gradient was asked for; red pictures please."""

    weights = {"image_reward": 1.0, "hpsv2": 5.0}

    def __init__(self):
        self.wanted, self.seen = [], []

    def optimizing(self, weights):
        return self

    def __call__(self, image, prompts):
        self.wanted.append(image.requires_grad)
        self.seen.append(image.detach())
        red = 20 * image[:, 0].mean((1, 2))
        return {"image_reward": red, "hpsv2": 0 * red, "total": red}


@pytest.fixture(scope="module")
def judges(tmp_path_factory):
    return load_rewards(write_small(tmp_path_factory.mktemp("rewards")), CPU, torch.float32)


def run(model, settings, rewards=None, method="maskunet_free", **request):
    asked = Request(prompt="a red cube", method=method, **{"seed": 3, "steps": 3, **request})
    return list(SPECS[method].run(model, rewards or Watched(), asked, settings))


def changed(preset, **values):
    return dataclasses.replace(preset, **values)


# The tiny decoder


def test_its_pictures_and_gradients_are_those_of_diffusers_own_class(tiny_sd15):
    theirs = AutoencoderTiny.from_pretrained(tiny_sd15.tiny_decoder)
    latents = [tiny_sd15.noise(5).requires_grad_() for _ in range(2)]
    pictures = (
        tiny_sd15.decode(latents[0], tiny=True),
        (theirs.decode(latents[1]).sample / 2 + 0.5).clamp(0, 1),
    )
    for picture in pictures:
        picture.square().sum().backward()
    torch.testing.assert_close(*pictures, atol=1e-5, rtol=0)
    assert latents[0].grad.abs().max() > 0
    torch.testing.assert_close(latents[0].grad, latents[1].grad, atol=1e-5, rtol=1e-4)


def test_the_search_looks_through_it_and_the_last_picture_is_the_full_decoders(tiny_sd15):
    settings = changed(PAPER, updates=2, tiny_decoder=True)
    rewards = Watched()
    *previews, last = run(tiny_sd15, settings, rewards)
    assert all(np.array_equal(to_uint8(s)[0], e.image) for s, e in zip(rewards.seen, previews, strict=False))
    x0 = tiny_sd15.noise(3)
    assert not torch.equal(tiny_sd15.decode(x0), tiny_sd15.decode(x0, tiny=True))
    # Nothing is looked for without updates, so that the masks, and with them the last picture, are the same.
    still = [run(tiny_sd15, changed(PAPER, updates=0, tiny_decoder=tiny)) for tiny in (False, True)]
    assert np.array_equal(still[0][-1].image, still[1][-1].image)
    assert not np.array_equal(still[0][0].image, still[1][0].image)
    assert not np.array_equal(last.image, still[0][-1].image)


def test_a_model_without_one_says_how_to_get_it_and_stays_as_it_was(tmp_path):
    model = from_folder(tiny_sd_folder(tmp_path / "sd"), name="mine", guidance=3.0, device=CPU, dtype=torch.float32)
    says = r"no tiny decoder for mine here.*0\.02 GB.*maskunet download tiny_decoder"
    with pytest.raises(ValueError, match=says):
        run(model, changed(OFFICIAL, tiny_decoder=True))
    with pytest.raises(ValueError, match=says):
        SPEC.weights(model, changed(OFFICIAL, tiny_decoder=True), Watched())
    assert not any(isinstance(m, MaskedLinear) for m in model.unet.modules())
    assert run(model, changed(OFFICIAL, updates=1))[-1].final


def test_a_damaged_one_is_one_sentence_without_a_path(tmp_path):
    folder = tiny_sd_folder(tmp_path / "sd")
    file = tiny_decoder(folder) / "diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    model = from_folder(folder, name="mine", guidance=3.0, device=CPU, dtype=torch.float32)
    with pytest.raises(ValueError, match="tiny decoder of “mine” cannot be read") as error:
        model.decode(model.noise(1), tiny=True)
    assert str(tmp_path) not in str(error.value)


def test_a_run_records_it_where_it_was_used(tiny_sd15):
    assert SPEC.weights(tiny_sd15, OFFICIAL, Watched()) == tiny_sd15.weights
    used = SPEC.weights(tiny_sd15, changed(OFFICIAL, tiny_decoder=True), Watched())
    assert set(used) - set(tiny_sd15.weights) == {"trained/tiny_decoder"}


def test_a_run_records_the_rewards_that_steered_it_and_only_those(tiny_sd15, judges):
    hashes = judges.hashes
    assert set(hashes) == {"image_reward", "hpsv2"} and all(len(digest) == 64 for digest in hashes.values())
    steered = SPEC.weights(tiny_sd15, OFFICIAL, judges)
    assert {name: steered[f"rewards/{name}"] for name in hashes} == hashes
    alone = SPEC.weights(tiny_sd15, changed(OFFICIAL, hpsv2=0.0), judges)
    assert alone.keys() - tiny_sd15.weights.keys() == {"rewards/image_reward"}
    best = SPECS["best_of_n"]
    chosen = {way: best.weights(tiny_sd15, best.settings(way, {"hpsv2": 0.0}), judges) for way in best.presets}
    assert [way for way, found in chosen.items() if "rewards/hpsv2" in found] == ["ranks"]  # there weights do not count
    plain = SPECS["plain"]
    assert plain.weights(tiny_sd15, plain.settings(), judges) == tiny_sd15.weights


# What is left out


def backwards(monkeypatch):
    made, real = [], torch.autograd.grad
    monkeypatch.setattr(torch.autograd, "grad", lambda *a, **k: made.append(1) or real(*a, **k))
    return made


def test_a_look_that_no_update_follows_asks_for_no_gradient(tiny_sd15):
    rewards = Watched()
    run(tiny_sd15, changed(PAPER, updates=2), rewards)
    assert rewards.wanted == [True, True, False] * 3 + [False]


@pytest.mark.parametrize(
    ("keeps", "made"),
    [({"keep_moments": False}, 6), ({}, 8), ({"keep_moments": False, "warm_start": True}, 8)],
)
def test_a_gradient_that_moves_nothing_is_not_computed(tiny_sd15, monkeypatch, keeps, made):
    counted = backwards(monkeypatch)
    run(tiny_sd15, changed(OFFICIAL, updates=3, early_steps=0, **keeps))
    assert len(counted) == made


WAITS = ("tolist", "item", "cpu", "numpy", "__float__", "__int__", "__bool__")


def test_an_update_waits_for_the_device_once_and_for_a_preview_once_more(tiny_sd15, judges, monkeypatch):
    waited = []
    for name in WAITS:
        real = getattr(torch.Tensor, name)
        monkeypatch.setattr(
            torch.Tensor, name, lambda *a, real=real, name=name, **k: waited.append(name) or real(*a, **k)
        )
    monkeypatch.setattr(counter_rng, "key", lambda generator: (1, 3))  # it reads the CPU's memory only

    def waits(updates, **request):
        waited.clear()
        run(tiny_sd15, changed(PAPER, updates=updates), judges, **request)
        return len(waited)

    more = 4 * 3  # updates in three steps
    assert waits(6, previews=False) - waits(2, previews=False) == more
    assert waits(6, previews=True) - waits(2, previews=True) == 3 * more  # to the CPU, and into an array


# Low memory


def gradients(model, rewards, low_memory):
    """Of the logits, through two U-Net calls with masks of their own and one backward pass."""
    judge = partial(checkpoint, rewards, use_reentrant=False) if low_memory else rewards
    with ExitStack() as stack:
        masked = stack.enter_context(MaskedUNet(model.unet, checkpointing=low_memory))
        stack.enter_context(recomputed(model.vae, low_memory))
        logits = {s.name: torch.ones(s.shape, requires_grad=True) for s in masked.sites}
        text, x_t, stream, loss = (
            model.encode("a red cube"),
            model.noise(3),
            torch.Generator().manual_seed(0),
            0,
        )
        for t in (700, 300):
            masks = {n: mask.straight_through(v, mask.noise_like(v, "one_sided", stream)) for n, v in logits.items()}
            output = masked.decode(masked.encode(x_t, t, text.states[1:]), masks)
            x_t, _ = model.schedule.x0_eps(output, x_t, t)
            loss = loss - judge(model.decode(x_t), ["a red cube"])["total"].sum()
        loss.backward()
    return torch.cat([v.grad.flatten() for v in logits.values()])


def test_recomputing_gives_the_same_gradient_through_two_calls_of_the_unet(tiny_sd15, judges):
    plain, low = (gradients(tiny_sd15, judges, low_memory) for low_memory in (False, True))
    assert plain.abs().max() > 1e-3
    torch.testing.assert_close(low, plain, atol=1e-5, rtol=0)


@pytest.mark.parametrize("fused", [False, True], ids=["plain", "fused"])
@pytest.mark.parametrize("method", ["maskunet_free", "syngen_maskunet"])
def test_a_run_that_recomputes_is_the_same_run(tiny_sd15, judges, method, fused, request):
    if fused:  # as on a GPU
        before = dict(tiny_sd15.unet.attn_processors)
        request.addfinalizer(lambda: tiny_sd15.unet.set_attn_processor(before))
        tiny_sd15.unet.set_attn_processor(AttnProcessor2_0())
    settings = SPECS[method].settings("paper", {"updates": 3})
    plain, low = (run(tiny_sd15, changed(settings, low_memory=low), judges, method=method) for low in (False, True))
    assert [e.loss for e in low] == pytest.approx([e.loss for e in plain], abs=1e-5, nan_ok=True)
    assert np.array_equal(low[-1].image, plain[-1].image)


def test_recomputing_keeps_a_fraction_for_the_backward_pass_and_is_taken_back(tiny_sd15, judges):
    def kept(low_memory):
        sizes = []
        count = lambda x: sizes.append(x.numel()) or x  # noqa: E731
        judge = partial(checkpoint, judges, use_reentrant=False) if low_memory else judges
        with (
            recomputed(tiny_sd15.vae, low_memory),
            torch.autograd.graph.saved_tensors_hooks(count, lambda x: x),
        ):
            judge(tiny_sd15.decode(tiny_sd15.noise(3).requires_grad_()), ["a red cube"])
        return sum(sizes)

    assert kept(True) < kept(False) / 3
    assert not tiny_sd15.vae.is_gradient_checkpointing
    events = SPEC.run(tiny_sd15, judges, Request(prompt="a red cube", steps=2), Settings(low_memory=True))
    next(events)
    assert tiny_sd15.vae.is_gradient_checkpointing
    events.close()
    assert not tiny_sd15.vae.is_gradient_checkpointing


# Replays


class NotReplayed:
    """A function as it is."""

    recorded, made = False, 0

    def __init__(self, look, pool, watched):
        NotReplayed.made += 1
        self._look = look

    def __call__(self, given):
        return self._look(given)


class NoPool:
    """What a GPU would give; nothing is recorded."""

    def __init__(self, device):
        self.usable = True


def test_where_replays_leave_no_memory_the_search_goes_on_without_and_with_the_same_chance(tiny_sd15, monkeypatch):
    expected = run(tiny_sd15, changed(OFFICIAL, updates=3))
    monkeypatch.setattr(DiffusionModel, "replayable", True)
    monkeypatch.setattr("maskunet.methods.maskunet_free.method.Pool", NoPool)
    drawn, real = [], mask.noise_for
    monkeypatch.setattr("maskunet.methods.maskunet_free.search.Replayed", NotReplayed)

    def noise_for(*given):
        drawn.append(real(*given))
        if len(drawn) == 9:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return drawn[-1]

    monkeypatch.setattr(mask, "noise_for", noise_for)
    found = run(tiny_sd15, changed(OFFICIAL, updates=3))
    assert [event.rewards for event in found] == [event.rewards for event in expected]
    assert [event.unet_calls for event in found] == [event.unet_calls for event in expected]
    assert NotReplayed.made == 2  # and once more after the failure


def test_too_little_memory_without_replays_is_said(tiny_sd15, monkeypatch):
    def noise_for(*given):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(mask, "noise_for", noise_for)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        run(tiny_sd15, changed(OFFICIAL, updates=3))


def test_networks_at_rest_are_taken_back_by_whoever_needs_them(tiny_sd15, judges, monkeypatch):
    hpsv2, moved = judges.parts["hpsv2"][0], []
    towers = judges.text_towers("a red cube")
    assert towers == [hpsv2.network.transformer, hpsv2.network.token_embedding]
    monkeypatch.setattr(nn.Module, "to", lambda network, where: moved.append((network, where)))
    rest(*towers)
    assert moved == [(tower, "cpu") for tower in towers]
    moved.clear()
    tiny_sd15.encode("a red cube")
    judges.text_towers("a red cube")  # known
    assert moved == [(tiny_sd15.text_encoder, CPU)]
    judges.text_towers("a blue cube")
    assert moved[1:] == [(hpsv2.network, CPU)]
