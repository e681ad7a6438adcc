"""An extractor in one file, which needs no weights: a picture's mean color."""

from pathlib import Path

import torch

from maskunet.evaluation.extractors.base import Extractor, ExtractorSpec


def load(weights: Path | None, device: torch.device) -> Extractor:
    return Extractor(
        name="dropped_extractor",
        weights="none",
        size=8,
        device=device,
        compute=lambda images: images.mean((2, 3)),
    )


SPEC = ExtractorSpec(name="dropped_extractor", title="Dropped extractor", summary="A picture's mean color.", load=load)
