"""MaskUNet, trained: a mask generator looks at the timestep and the sample, and nothing is optimized.

MaskUNet (CVPR 2025), section 3.2, Eq. 3-7.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from maskunet.diffusion import classifier_free, doubled
from maskunet.masks import generator_file
from maskunet.masks.generator import MaskGenerator
from maskunet.masks.masked_unet import Features, MaskedUNet
from maskunet.methods.base import (
    MethodSpec,
    Predict,
    Prediction,
    Sampled,
    Sampling,
    Solver,
    mask_generator,
    read_part,
    trained_part,
)
from maskunet.models.base import DiffusionModel
from maskunet.plugins import setting

HALVES = ("shared", "own")


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings(Solver):
    """Which generator, and how its masks are used.

    Attributes:
        generator: name of the trained generator; empty for the first one of the model.
        sampled: draw the masks, as in training, instead of keeping what is kept more often than not.
        halves: of a guided batch: "shared" puts the mask of the prompt's half on both, as the training-free
            method does, so that guidance compares two prompts on one network; "own" makes one for each.

    Published code differs: it draws masks at inference too, and each half has its own.
    """

    generator: str = setting("", "name of a trained generator; empty for the first")
    sampled: bool = setting(False, "draw masks instead of the likelier value")
    halves: str = setting("shared", "masks of the guidance halves", choices=HALVES)


@contextmanager
def looking(model: DiffusionModel, sampling: Sampling, settings: Settings) -> Iterator[Predict]:
    """The U-Net under the generator's masks."""
    (path,) = parts(model, settings).values()
    generator = read_part(model, path, generator_file.load)
    streams = [mask_generator(request) for request in sampling.requests] if settings.sampled else [None]
    noise = streams[0] if len(streams) == 1 else streams
    pictures, shared = len(sampling.requests), settings.halves == "shared"
    with MaskedUNet(model.unet) as masked:
        folded = generator.fixed() if generator.static and shared and not settings.sampled else {}
        masked.fold(folded)

        def predict(step: int, t: int, x_t: Tensor) -> Prediction:
            used: dict[str, Tensor] = {}
            scale = sampling.guidance.at(t)
            text = sampling.text.guided(scale)
            features = masked.encode(doubled(x_t, scale), t, text)
            masks = masks_of(generator, used, shared=shared, noise=noise, pictures=pictures) if not folded else None
            output = classifier_free(masked.decode(features, masks), scale)
            x0, _ = model.schedule.x0_eps(output, x_t, t)
            each = [folded] * pictures if folded else _apart(used, pictures)
            return Prediction(x_t, x0, [{"masks": mine, "used": mine} for mine in each])

        yield predict


def _apart(used: Mapping[str, Tensor], pictures: int) -> list[Mapping[str, Tensor]]:
    """The masks of each picture."""
    return [used] if pictures == 1 else [{n: m[i] for n, m in used.items()} for i in range(pictures)]


def _shares(settings: Settings) -> bool:
    """One stream draws both halves' masks of a picture, in an order that a batch would change."""
    return not (settings.sampled and settings.halves == "own")


def masks_of(
    generator: MaskGenerator,
    used: dict[str, Tensor],
    *,
    shared: bool = True,
    noise: torch.Generator | Sequence[torch.Generator] | None = None,
    pictures: int = 1,
) -> Callable[[int, Features], Mapping[str, Tensor]]:
    """What makes a block's masks, for `MaskedUNet.decode`.

    Args:
        used: notes those of the prompts' half, the last: (O, I), or with several pictures (B, O, I).
        shared: these serve both halves; otherwise each sample has its own.
        noise: to draw them, one stream or one for each picture; None for the likelier value.
        pictures: B.
    """

    def make(block: int, features: Features) -> Mapping[str, Tensor]:
        given = _last(features, pictures) if shared else features
        made = generator(block, given, noise)
        mine = {name: each[-1] if pictures == 1 else each[-pictures:] for name, each in made.items()}
        used.update(mine)
        if not shared:
            return made
        halves = len(features.sample) // pictures
        return mine if pictures == 1 else {name: each.repeat(halves, 1, 1) for name, each in mine.items()}

    return make


def _last(features: Features, pictures: int) -> Features:
    """What a generator looks at, of the last samples only."""
    sample, time, text, skips = (
        features.sample[-pictures:],
        features.time[-pictures:],
        features.text[-pictures:],
        (features.skips[-1][-pictures:],),
    )
    return Features(sample, time, text, skips, features.forward_size)


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
    run=Sampled(looking, shares=_shares),
    parts=parts,
    takes={"generator": "generator"},
)
