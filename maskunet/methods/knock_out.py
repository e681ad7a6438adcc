"""Knock out: chosen places in the network are removed or weakened at chosen steps, and nothing else is changed."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from torch import Tensor

from maskunet.diffusion import classifier_free, doubled
from maskunet.masks.masked_unet import MaskedUNet
from maskunet.masks.selection import masks_by_step
from maskunet.methods.base import MethodSpec, Predict, Prediction, Sampled, Sampling, Solver
from maskunet.models.base import DiffusionModel
from maskunet.plugins import setting
from maskunet.records.selection import parse


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings(Solver):
    """What is removed.

    Attributes:
        what: a selection of weights, see `records.selection`, such as "block1.cross.v@1-5=0.5"; empty for nothing.

    Raises:
        ValueError: `what` is no selection; says what is allowed.
    """

    what: str = setting("", "places, such as block1.cross.v@1-5=0.5; empty removes nothing")

    def __post_init__(self) -> None:
        if isinstance(self.what, str):  # anything else is refused with the other settings
            parse(self.what)


@contextmanager
def looking(model: DiffusionModel, sampling: Sampling, settings: Settings) -> Iterator[Predict]:
    """The U-Net without what was chosen."""
    with MaskedUNet(model.unet) as masked:
        by_step = masks_by_step(parse(settings.what), model.unet, masked.sites, len(sampling.pairs))
        always = all(masks is by_step[0] for masks in by_step)
        if always:
            masked.fold(by_step[0])
        whole = {
            site.name: model.unet.get_submodule(site.name).weight.new_ones(()).expand(site.shape)
            for site in masked.sites
        }
        told = {id(masks): _told({**whole, **masks}) for masks in by_step}

        def predict(step: int, t: int, x_t: Tensor) -> Prediction:
            masks, scale = by_step[step], sampling.guidance.at(t)
            features = masked.encode(doubled(x_t, scale), t, sampling.text.guided(scale))
            output = classifier_free(masked.decode(features, None if always else masks), scale)
            x0, _ = model.schedule.x0_eps(output, x_t, t)
            return Prediction(x_t, x0, [told[id(masks)]])

        yield predict


def _told(masks: Mapping[str, Tensor]) -> dict[str, Mapping[str, Tensor]]:
    """What an event says: the share that is kept, and as removed what is gone entirely."""
    return {"masks": masks, "used": {name: (mask > 0).to(mask.dtype) for name, mask in masks.items()}}


SPEC = MethodSpec(
    name="knock_out",
    title="Knock out",
    kind="control",
    summary="Removes or weakens what you choose: blocks, layers, heads, at the steps you choose.",
    raced=(),
    source="ablation as in Meng et al. 2022 (2202.05262) and, for heads, Michel et al. 2019 (1905.10650)",
    presets={
        "chosen": Settings(),
        "cross_attention": Settings(what="cross.v"),
        "self_attention": Settings(what="self.v"),
    },
    run=Sampled(looking),
)
