"""The tabletop checker's last states, for pictures of the embedded world."""

from pathlib import Path

import torch
from torch import Tensor

from maskunet.evaluation.extractors.base import Extractor, ExtractorSpec, fingerprint, leveled
from maskunet.tabletop.place import CHECKER

SIZE = 128  # edge of the pictures that the checker was trained on


def load(weights: Path | None, device: torch.device) -> Extractor:
    """The strongest response over all places of the checker's last states, 96 numbers.

    The checker and not the tabletop HPSv2 tower: no method optimizes it, so its features cannot be
    moved by pleasing a reward. The maximum and not the mean: a thing is small against the table.

    Args:
        weights: a checker's folder; None for the embedded one.

    Raises:
        ValueError: it holds no checker that can be read.
    """
    from maskunet.tabletop import checker

    folder = weights or CHECKER
    try:
        network = checker.load(folder).to(device)
    except Exception as error:
        raise ValueError(
            f"“{folder.name}” holds no tabletop checker that can be read. Give the folder with its "
            "config.json and model.safetensors."
        ) from error

    def compute(images: Tensor) -> Tensor:
        states: list[Tensor] = []
        with network.merge.register_forward_hook(lambda module, given, state: states.append(state)):
            network(images)
        return leveled(states[0].amax((2, 3)))

    return Extractor(name=SPEC.name, weights=fingerprint(network), size=SIZE, device=device, compute=compute)


SPEC = ExtractorSpec(
    name="tabletop",
    title="Tabletop encoder",
    summary="Pooled states of the tabletop checker, 96 numbers; for pictures of the embedded world.",
    load=load,
)
