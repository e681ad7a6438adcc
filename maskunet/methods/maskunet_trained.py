"""MaskUNet, trained: a mask generator looks at the timestep and the sample, and nothing is optimized.

MaskUNet (CVPR 2025), section 3.2, Eq. 3-7.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from maskunet.diffusion import classifier_free, dpmpp_2m_step
from maskunet.masks import generator_file
from maskunet.masks.generator import MaskGenerator
from maskunet.masks.masked_unet import Features, MaskedUNet
from maskunet.methods.base import (
    MethodSpec,
    Reporter,
    finish,
    guidance_of,
    mask_generator,
    read_part,
    steps_of,
    trained_part,
)
from maskunet.models.base import DiffusionModel
from maskunet.plugins import setting
from maskunet.records import Request, StepEvent
from maskunet.rewards.base import WeightedRewards

HALVES = ("shared", "own")


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Which generator, and how its masks are used.

    Attributes:
        generator: name of the trained generator; empty for the first one of the model.
        sampled: draw the masks, as in training, instead of keeping what is kept more often than not.
        halves: of a guided batch: "shared" puts the mask of the prompt's half on both, as the training-free
            method does, so that guidance compares two prompts on one network; "own" makes one for each.
        second_order: DPM-Solver++ 2M; otherwise its first order.

    Published code differs: it draws masks at inference too, and each half has its own.
    """

    generator: str = setting("", "name of a trained generator; empty for the first")
    sampled: bool = setting(False, "draw masks instead of the likelier value")
    halves: str = setting("shared", "masks of the guidance halves", choices=HALVES)
    second_order: bool = setting(True, "use the solver's second order")


def run(
    model: DiffusionModel, rewards: WeightedRewards, request: Request, settings: Settings
) -> Iterator[StepEvent]:
    """Sample under the generator's masks; one event per step and a final one."""
    pairs, scale = steps_of(model, request), guidance_of(model, request)
    (path,) = parts(model, settings).values()
    generator = read_part(model, path, generator_file.load)
    noise = mask_generator(request) if settings.sampled else None
    report = Reporter(model, len(pairs), request)
    text = model.encode(request.prompt, request.negative_prompt)
    x_t, history = model.noise(request.seed), None
    with MaskedUNet(model.unet) as masked:
        for step, (t, t_prev) in enumerate(pairs):
            used: dict[str, Tensor] = {}
            with torch.no_grad():
                features = masked.encode(torch.cat((x_t, x_t)), t, text)
                masks = masks_of(generator, used, shared=settings.halves == "shared", noise=noise)
                output = classifier_free(masked.decode(features, masks), scale)
                x0, _ = model.schedule.x0_eps(output, x_t, t)
                x_t, history = dpmpp_2m_step(model.schedule, x_t, x0, history, t, t_prev)
                preview = model.decode(x0) if request.previews and t_prev >= 0 else None
            history = history if settings.second_order else None
            report.unet_calls += 1
            yield report(step, t, image=preview, masks=used, used=used, best=True)
    yield finish(model, rewards, request, report, x_t)


def masks_of(
    generator: MaskGenerator,
    used: dict[str, Tensor],
    *,
    shared: bool = True,
    noise: torch.Generator | None = None,
) -> Callable[[int, Features], Mapping[str, Tensor]]:
    """What makes a block's masks, for `MaskedUNet.decode`.

    Args:
        used: notes those (O, I) of the prompt's half, the last.
        shared: these serve the whole batch; otherwise each sample has its own.
        noise: to draw them; None for the likelier value.
    """

    def make(block: int, features: Features) -> Mapping[str, Tensor]:
        given = _last(features) if shared else features
        made = generator(block, given, noise)
        mine = {name: each[-1] for name, each in made.items()}
        used.update(mine)
        return mine if shared else made

    return make


def _last(features: Features) -> Features:
    """What a generator looks at, of the last sample only."""
    skips = (features.skips[-1][-1:],)
    return Features(
        features.sample[-1:], features.time[-1:], features.text[-1:], skips, features.forward_size
    )


def parts(model: DiffusionModel, settings: Settings) -> dict[str, Path]:
    """The file of the generator that the settings name."""
    train = f"python -m maskunet train mask_generator --model {model.name} --out trained/{model.name}/mine"
    files = model.trained.get("generator", {})
    return dict([trained_part(files, settings.generator, "mask generator", train)])


SPEC = MethodSpec(
    name="maskunet_trained",
    title="MaskUNet, trained",
    kind="masks",
    summary="A small trained network makes a mask from the timestep and the sample at every step.",
    source="MaskUNet (CVPR 2025), section 3.2, Eq. 3-7",
    presets={
        "shared": Settings(),
        "own": Settings(halves="own"),
        "published": Settings(halves="own", sampled=True),
    },
    run=run,
    parts=parts,
    takes={"generator": "generator"},
)
