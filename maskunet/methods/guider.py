"""Other guidances, as diffusers has them: its guiders combine the same predictions in another way, or guide from a worse one.

What each does is in `diffusers.guiders`; here it is only given the U-Net's outputs. Left out are, as of diffusers 0.42,
SmoothedEnergyGuidance, which never blurs anything, MagnitudeAwareGuidance, which takes no latents with a height and a width,
FrequencyDecoupledGuidance, which needs kornia, and PAG, which is a method of its own.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from maskunet.encoders.text_states import TextStates
from maskunet.methods.base import MethodSpec, Predict, Prediction, Sampled, Sampling, Solver
from maskunet.models.base import DiffusionModel
from maskunet.plugins import setting

CLASSES = {
    "apg": "AdaptiveProjectedGuidance",
    "cfg_zero": "ClassifierFreeZeroStarGuidance",
    "tcfg": "TangentialClassifierFreeGuidance",
    "slg": "SkipLayerGuidance",
    "autoguidance": "AutoGuidance",
    "cfg": "ClassifierFreeGuidance",
}
SKIPS = 10  # of fewer steps "slg" skips at none: it does between .01 and .2 of them, at whole ones
WORSE = {"slg": "pred_cond_skip", "autoguidance": "pred_uncond"}  # which of its predictions skips blocks


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings(Solver):
    """Which guider, and what only some of them have; the scale is the request's.

    Attributes:
        kind: one of CLASSES. "cfg" is plain's own guidance.
        layers: of "slg" and "autoguidance", the transformer blocks that are skipped: those whose path begins so.
        skip_scale: of "slg", the weight of its guidance beside the prompt's, in the first fifth of the steps.
        eta: of "apg", how much of the part along the prediction stays, and `momentum`, of the steps before;
            published: 0 and -0.5. norm: the longest difference it lets pass.
    """

    kind: str = setting("apg", "which guider", choices=tuple(CLASSES))
    layers: str = setting("mid_block", "slg, autoguidance: first part of the path of the blocks")
    skip_scale: float = setting(2.8, "slg: guidance away from skipped blocks", low=0.0, high=30.0)
    eta: float = setting(0.0, "apg: share of the parallel part", low=0.0, high=1.0)
    momentum: float = setting(-0.5, "apg: of the steps before", low=-1.0, high=1.0)
    norm: float = setting(15.0, "apg: longest difference; 0 for any", low=0.0, high=1000.0)


@contextmanager
def looking(model: DiffusionModel, sampling: Sampling, settings: Settings) -> Iterator[Predict]:
    """The plain U-Net under diffusers' guider; outside of the interval of guidance, without.

    Raises:
        ValueError: as `made`, or it skips blocks at none of so few steps.
    """
    unet, text, worse = model.unet, sampling.text, WORSE.get(settings.kind)
    guider, steps = made(unet, settings, sampling.guidance.scale), len(sampling.pairs)
    if steps < least_steps(settings):
        raise ValueError(
            f"slg skips no blocks with fewer than ten steps; the picture would be the plain one. Take ten, not {steps}."
        )

    def predict(step: int, t: int, x_t: Tensor) -> Prediction:
        guider.set_state(step=step, num_inference_steps=steps, timestep=t)
        batches = guider.prepare_inputs({"text": (text.conditional, text.unconditional)})
        if sampling.guidance.at(t) <= 1:
            return Prediction(x_t, sampling.plain(x_t, t))
        together = []
        for batch in batches:
            guider.prepare_models(unet)
            if getattr(batch, guider._identifier_key) == worse:
                batch.noise_pred = unet(x_t, t, **batch.text.arguments).sample
            else:
                together.insert(0, batch)  # the prompt's half last, as everywhere
            guider.cleanup_models(unet)
        texts = TextStates.cat([batch.text for batch in together])
        outputs = unet(x_t.repeat(len(together), 1, 1, 1), t, **texts.arguments).sample.chunk(len(together))
        for batch, output in zip(together, outputs, strict=True):
            batch.noise_pred = output
        x0, _ = model.schedule.x0_eps(guider(batches).pred, x_t, t)
        return Prediction(x_t, x0, calls=len(batches) / 2)

    with untouched(unet):
        yield predict


def least_steps(settings: Settings) -> int:
    """How few steps the guider works with."""
    return SKIPS if settings.kind == "slg" else 1


def made(unet: nn.Module, settings: Settings, scale: float) -> Any:
    """The guider of the settings.

    Raises:
        ValueError: it skips blocks, and no transformer block's path begins as `layers` says.
    """
    from diffusers import guiders

    # It warns at every picture that guiders may change.
    logging.getLogger("diffusers.guiders.guider_utils").setLevel(logging.ERROR)
    own: dict[str, Any] = {}
    if settings.kind == "apg":
        own = {
            "eta": settings.eta,
            "adaptive_projected_guidance_momentum": settings.momentum or None,
            "adaptive_projected_guidance_rescale": settings.norm,
        }
    elif settings.kind == "cfg_zero":
        own = {"zero_init_steps": 0}  # a first step of zeros is meant for flows; as noise it is none
    elif settings.kind == "slg":
        own = {"skip_layer_config": skipped(unet, settings), "skip_layer_guidance_scale": settings.skip_scale}
    elif settings.kind == "autoguidance":
        own = {"auto_guidance_config": skipped(unet, settings)}
    return getattr(guiders, CLASSES[settings.kind])(guidance_scale=scale, **own)


def skipped(unet: nn.Module, settings: Settings) -> list[Any]:
    """What diffusers is told of the blocks to skip, whole ones: it draws from no stream of ours if it drops a part."""
    from diffusers import LayerSkipConfig

    lists = {name: len(each) for name, each in unet.named_modules() if name.endswith(".transformer_blocks")}
    chosen = [name for name in lists if name.startswith(settings.layers)]
    if not chosen:
        paths = sorted({name.partition(".attentions")[0] for name in lists})
        begin = f"Their paths begin with {', '.join(paths)}." if paths else "This U-Net has none."
        raise ValueError(f"{settings.kind} skips transformer blocks, and the setting layers fits none. {begin}")
    return [LayerSkipConfig(indices=list(range(lists[name])), fqn=name) for name in chosen]


@contextmanager
def untouched(unet: nn.Module) -> Iterator[None]:
    """Afterwards no module has anything of diffusers' hooks left on it."""
    names = ("forward", "_diffusers_hook")
    before = {module: {name: vars(module)[name] for name in names if name in vars(module)} for module in unet.modules()}
    try:
        yield
    finally:
        for module, own in before.items():
            for name in names:
                vars(module).pop(name, None)
            vars(module).update(own)


SPEC = MethodSpec(
    name="guider",
    title="Other guidance",
    kind="rival",
    summary="Combines the prompt's and the empty prompt's predictions in another way, or guides from a worse U-Net.",
    source="diffusers.guiders: APG (2410.02416), CFG-Zero* (2503.18886), TCFG (2503.18137), SLG, AutoGuidance "
    "(2406.02507)",
    raced=("/apg", "/cfg_zero", "/tcfg", "/slg", "/autoguidance"),
    presets={kind: Settings(kind=kind) for kind in CLASSES},
    run=Sampled(looking),
    least_steps=least_steps,
)
