"""A kept mask, whatever it came from: another prompt's run, a concept, chance, or a person's own choice."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from maskunet.diffusion import classifier_free, doubled
from maskunet.masks import algebra, held
from maskunet.masks.masked_unet import MaskedUNet
from maskunet.masks.selection import masks_by_step
from maskunet.methods.base import (
    MethodSpec,
    Predict,
    Prediction,
    Sampled,
    Sampling,
    Solver,
    read_part,
    trained_part,
)
from maskunet.models.base import DiffusionModel
from maskunet.plugins import setting
from maskunet.records import held_mask
from maskunet.records.held_mask import HeldMask
from maskunet.records.selection import parse

BySite = Mapping[str, Tensor]  # (O, I)


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings(Solver):
    """Which mask, how much of it, and where.

    Attributes:
        mask: name of the kept mask; empty for the first one of the model.
        dose: share of its weights that go, in its own order of removal; with 0 the picture is the plain one.
        only: a selection of weights and steps, see `records.selection`: of what the dose removes only these go, or as
            far as the selection says. Empty for everywhere.

    Raises:
        ValueError: `only` is no selection; says what is allowed.
    """

    mask: str = setting("", "name of a kept mask; empty for the first")
    dose: float = setting(1.0, "share of it that goes, in its own order", low=0.0, high=1.0)
    only: str = setting("", "where and when it is applied, such as block2.cross@1-5; empty for everywhere")

    def __post_init__(self) -> None:
        if isinstance(self.only, str):  # anything else is refused with the other settings
            parse(self.only)


@contextmanager
def looking(model: DiffusionModel, sampling: Sampling, settings: Settings) -> Iterator[Predict]:
    """The U-Net under the mask, folded into the weights where no step changes it."""
    mask = _read(model, settings)
    with MaskedUNet(model.unet) as masked:
        only = masks_by_step(parse(settings.only), model.unet, masked.sites, len(sampling.pairs))
        like = model.unet.get_submodule(masked.sites[0].name).weight
        fixed = mask.static and all(kept is only[0] for kept in only)

        def masks_at(step: int) -> BySite:  # made when they are needed: those of all steps may be gigabytes
            places = algebra.first(mask.at(sampling.pairs[step][0]), settings.dose)
            masks = held.tensors(places, mask.sites, like)
            return _where(masks, only[step]) if settings.only else masks

        always = masks_at(0) if fixed else {}
        masked.fold(always)

        def predict(step: int, t: int, x_t: Tensor) -> Prediction:
            masks, scale = always or masks_at(step), sampling.guidance.at(t)
            features = masked.encode(doubled(x_t, scale), t, sampling.text.guided(scale))
            output = classifier_free(masked.decode(features, None if fixed else masks), scale)
            x0, _ = model.schedule.x0_eps(output, x_t, t)
            return Prediction(x_t, x0, [{"masks": masks, "used": _gone(masks) if settings.only else masks}])

        yield predict


def _where(masks: BySite, kept: BySite) -> BySite:
    """The masks where a selection names weights, of whose share it keeps; elsewhere every weight is kept."""
    return {
        name: 1 - (1 - mask) * (1 - kept[name]) if name in kept else torch.ones_like(mask)
        for name, mask in masks.items()
    }


def _gone(masks: BySite) -> BySite:
    """As removed counts what is gone entirely, not what a selection weakens."""
    return {name: (mask > 0).to(mask.dtype) for name, mask in masks.items()}


def _read(model: DiffusionModel, settings: Settings) -> HeldMask:
    """The mask that the settings name.

    Raises:
        ValueError: there is none, or it is damaged, or of another model.
    """
    ((name, path),) = parts(model, settings).items()
    mask = read_part(model, path, held.load).mask
    held_mask.check(mask, name, model.name, model.weights, held.shapes(model.unet))
    return mask


def parts(model: DiffusionModel, settings: Settings) -> dict[str, Path]:
    """The file of the mask that the settings name."""
    files = model.trained.get("mask", {})
    if not files:
        raise ValueError(
            f"There is no kept mask for {model.name} here. A random one is made by “python -m maskunet mask make "
            f"mine --model {model.name} --random iid --removed 0.01”."
        )
    return dict([trained_part(files, settings.mask, "mask", "python -m maskunet mask make")])


SPEC = MethodSpec(
    name="held_mask",
    title="Kept mask",
    kind="masks",
    raced=(),
    summary="A mask that was made before, of another prompt, seed or step, a concept or by hand, is put on.",
    source="transfer of masks, against MaskUNet's sample- and timestep-dependent ones (CVPR 2025, section 3.2)",
    presets={"whole": Settings(), "half": Settings(dose=0.5)},
    run=Sampled(looking),
    parts=parts,
    takes={"mask": "mask"},
)
