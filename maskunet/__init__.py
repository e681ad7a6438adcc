"""MaskUNet: not all parameters of a diffusion U-Net matter for every picture (CVPR 2025).

from maskunet import Library, Request, compare

loaded = Library("tabletop").load("tabletop")
request = Request(prompt="a red cube and a blue sphere", seed=7)
for phase, item in compare(loaded.model, loaded.rewards, request):
    ...  # StepEvents, and at the end the Run
"""

from importlib import import_module
from typing import Any

__version__ = "0.2.0"

_HOMES = {
    "DiffusionModel": "maskunet.models.base",
    "Library": "maskunet.library.library",
    "MaskSite": "maskunet.masks.sites",
    "MaskedUNet": "maskunet.masks.masked_unet",
    "Request": "maskunet.records",
    "Run": "maskunet.records",
    "StepEvent": "maskunet.records",
    "Studio": "maskunet.studio.studio",
    "compare": "maskunet.runs.compare",
    "find_sites": "maskunet.masks.sites",
    "straight_through": "maskunet.masks.mask",
}
__all__ = [*_HOMES, "__version__"]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    # Only when asked for: torch and diffusers take seconds to import.
    if name not in _HOMES:
        raise AttributeError(f"module 'maskunet' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
