"""MaskUNet, amortized: a mask generator that learned from a reward makes the masks, and nothing is searched.

What the training-free method looks for at every picture is learned once: `maskunet.training.reward`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from maskunet.methods import maskunet_trained
from maskunet.methods.base import MethodSpec, Predict, Sampled, Sampling, trained_part
from maskunet.models.base import DiffusionModel


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings(maskunet_trained.Settings):
    """Those of the method with a trained generator, of which only those that learned from a reward are taken."""


@contextmanager
def looking(model: DiffusionModel, sampling: Sampling, settings: Settings) -> Iterator[Predict]:
    """The U-Net under the generator's masks."""
    (name,) = parts(model, settings)
    with maskunet_trained.looking(model, sampling, replace(settings, generator=name)) as predict:
        yield predict


def parts(model: DiffusionModel, settings: Settings) -> dict[str, Path]:
    """The file of the generator that the settings name, or of the first one that learned from a reward."""
    files = model.trained.get("generator_from_reward", {})
    train = f"python -m maskunet train mask_reward --model {model.name} --out trained/{model.name}/mine"
    return dict([trained_part(files, settings.generator, "mask generator that learned from a reward", train)])


SPEC = MethodSpec(
    name="maskunet_amortized",
    title="MaskUNet, amortized",
    kind="masks",
    summary="A mask generator that a reward taught beforehand; a picture takes little longer than an unmasked one.",
    source="ours: MaskUNet's generator (section 3.2) with its training-free reward (Eq. 10) as the training's loss",
    presets={"shared": Settings(), "own": Settings(halves="own")},
    run=Sampled(looking, shares=maskunet_trained.SPEC.run.shares),
    parts=parts,
    takes={"generator": "generator_from_reward"},
)
