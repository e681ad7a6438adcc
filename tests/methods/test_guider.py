"""diffusers' guiders on the shared sampler, each against its own object called by hand."""

import numpy as np
import pytest
import torch
from diffusers import guiders

from maskunet.diffusion import dpmpp_2m_step
from maskunet.methods import SPECS
from maskunet.methods.guider import CLASSES
from maskunet.records import Request
from tests.methods.test_methods import Redness
from tests.methods.test_rivals import PROMPT, Seen, Watched, run

BLOCKS = "mid_block.attentions.0.transformer_blocks"
OWN = {  # what the presets give besides the scale
    "apg": {"eta": 0.0, "adaptive_projected_guidance_momentum": -0.5, "adaptive_projected_guidance_rescale": 15.0},
    "cfg_zero": {"zero_init_steps": 0},
    "slg": {"skip_layer_guidance_layers": [0]},  # by hand nothing is skipped through it
    "autoguidance": {"auto_guidance_layers": [0], "dropout": 1.0},
}


def by_hand(model, kind, steps):
    """The picture (3, H, W): predictions made one by one, combined by the guider's own `forward`."""
    guider = getattr(guiders, CLASSES[kind])(guidance_scale=model.guidance, **OWN.get(kind, {}))
    unconditional, prompt = model.encode(PROMPT).states.chunk(2)
    block, x_t, history = model.unet.get_submodule(BLOCKS)[0], model.noise(3), None

    def predicted(text, skip=False):
        if skip:
            block.forward = lambda hidden_states, *others, **more: hidden_states
        try:
            return model.unet(x_t, t, encoder_hidden_states=text).sample
        finally:
            vars(block).pop("forward", None)

    for step, (t, t_prev) in enumerate(model.schedule.linspace_pairs(steps)):
        guider.set_state(step=step, num_inference_steps=steps, timestep=t)
        if kind == "apg" and step == 0:
            guider.momentum_buffer = guiders.adaptive_projected_guidance.MomentumBuffer(-0.5)
        with torch.no_grad():
            given = {"pred_cond": predicted(prompt)}
            given["pred_uncond"] = predicted(unconditional, skip=kind == "autoguidance")
            if kind == "slg":
                given["pred_cond_skip"] = predicted(prompt, skip=True)
            x0, _ = model.schedule.x0_eps(guider.forward(**given).pred, x_t, t)
        x_t, history = dpmpp_2m_step(model.schedule, x_t, x0, history, t, t_prev)
    with torch.no_grad():
        return model.decode(x_t)[0]


@pytest.mark.parametrize("kind", CLASSES)
def test_each_is_diffusers_guider(tiny_sd15, kind):
    expected, seen, steps = by_hand(tiny_sd15, kind, 11), Seen(), 11  # of 11 steps "slg" skips at one
    with Watched(tiny_sd15) as watched:
        final = run(tiny_sd15, "guider", seen, {"kind": kind}, steps=steps)[-1]
    assert torch.allclose(seen.images[0][0], expected, atol=2e-3)
    assert watched.samples == 2 * steps + (kind == "slg")
    assert final.unet_calls == steps + (kind == "slg")  # half a call more, told as a whole one
    plain = run(tiny_sd15, "plain", steps=steps)[-1]
    assert np.array_equal(final.image, plain.image) == (kind == "cfg")


@pytest.mark.parametrize("kind", ["slg", "autoguidance"])
def test_nothing_of_diffusers_hooks_is_left_also_after_an_error(tiny_sd15, kind):
    unet = tiny_sd15.unet
    before = {name: set(vars(module)) for name, module in unet.named_modules()}
    run(tiny_sd15, "guider", settings={"kind": kind}, steps=10)
    with Watched(tiny_sd15, fails_at=5), pytest.raises(RuntimeError, match="the U-Net failed"):
        run(tiny_sd15, "guider", settings={"kind": kind}, steps=10)
    assert {name: set(vars(module)) for name, module in unet.named_modules()} == before


@pytest.mark.parametrize("kind", ["slg", "autoguidance"])
def test_blocks_that_this_unet_does_not_have_are_refused_in_a_sentence(tiny_sd15, kind):
    with pytest.raises(
        ValueError, match=f"{kind} skips transformer blocks.*fits none. Their paths begin with .*mid_block"
    ):
        run(tiny_sd15, "guider", settings={"kind": kind, "layers": "transformer"})


def test_a_guider_that_is_not_offered_is_refused_with_those_that_are():
    with pytest.raises(ValueError, match="kind is 'seg'; allowed is apg, cfg_zero, tcfg"):
        SPECS["guider"].settings("", {"kind": "seg"})


@pytest.mark.parametrize("kind", CLASSES)
def test_pictures_made_together_are_those_made_alone_up_to_rounding(tiny_sd15, kind):
    asked = [Request(prompt=PROMPT, seed=seed, steps=10, previews=False) for seed in (3, 4)]
    spec, settings = SPECS["guider"], SPECS["guider"].settings(kind)
    both = {n: e for n, e in spec.run.together(tiny_sd15, Redness(), asked, settings) if e.final}
    for number, request in enumerate(asked):
        *_, alone = spec.run(tiny_sd15, Redness(), request, settings)
        assert np.abs(alone.image.astype(int) - both[number].image.astype(int)).max() <= 1


def test_slg_with_so_few_steps_that_it_skips_nothing_is_refused_in_a_sentence(tiny_sd15):
    with pytest.raises(ValueError, match="slg skips no blocks with fewer than ten steps.* Take ten, not 9."):
        run(tiny_sd15, "guider", settings={"kind": "slg"}, steps=9)
    slg, plain = (
        run(tiny_sd15, name, settings=own, steps=10)[-1] for name, own in (("guider", {"kind": "slg"}), ("plain", {}))
    )
    assert not np.array_equal(slg.image, plain.image)
