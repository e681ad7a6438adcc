"""MaskUNet: not all parameters of a diffusion U-Net matter for every picture (CVPR 2025).

One model of this machine, from a notebook:

    from maskunet import Lab, plot, read, save

    lab = Lab("tabletop")  # or "sd15", "sd2", a folder of weights
    for event in lab.events("a red cube and a blue sphere", method="maskunet_free", seed=7):
        print(event.step, event.update, event.rewards["total"])  # as it happens
    run = lab.compare("a red cube and a blue sphere", method="maskunet_free", preset="improved", seed=7)
    print(run.base_rewards["total"], run.rewards["total"])  # unmasked and masked, from the same noise
    plot("reward_curve", run).savefig("curve.png")
    save(run, "my-run")
    again = read("my-run")  # the folder that the page and the command line write
    print(lab.evaluate("maskunet_free/improved", tasks="two", n=20))  # judged by the checker

The masks alone, on the U-Net of any diffusers pipeline of Stable Diffusion 1.x or 2.x:

    from maskunet import MaskedUNet, find_sites, straight_through

    logits = {site.name: torch.ones(site.shape, requires_grad=True) for site in find_sites(pipe.unet)}
    with MaskedUNet(pipe.unet) as masked:
        masks = {name: straight_through(each) for name, each in logits.items()}
        eps = masked.decode(masked.encode(x_t, t, text), masks)

`apply_masks(pipe, file)` puts a kept mask or a trained generator into such a pipeline, until `remove_masks(pipe)`.

Everything below is imported when it is asked for. `methods`, `models`, `rewards` and `recipes` are packages; each
lists what it holds by name in `SPECS`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from maskunet import methods, models, rewards
    from maskunet.diffusion import Schedule
    from maskunet.lab import Lab
    from maskunet.library.library import Library
    from maskunet.masks.generator import MaskGenerator
    from maskunet.masks.in_pipeline import apply_masks, remove_masks
    from maskunet.masks.mask import bernoulli, straight_through
    from maskunet.masks.masked_unet import MaskedUNet
    from maskunet.masks.sites import MaskSite, find_sites
    from maskunet.models.base import DiffusionModel
    from maskunet.records import MaskSet, Request, Run, StepEvent
    from maskunet.records.site_stats import SiteStats
    from maskunet.runs.compare import compare
    from maskunet.runs.notebook import plot, read, save
    from maskunet.studio.studio import Studio
    from maskunet.training import recipes

__version__ = "0.2.0"

# Where a name is imported from when it is asked for: torch and diffusers take seconds.
_HOMES = {
    "DiffusionModel": "maskunet.models.base",
    "Lab": "maskunet.lab",
    "Library": "maskunet.library.library",
    "MaskGenerator": "maskunet.masks.generator",
    "MaskSet": "maskunet.records",
    "MaskSite": "maskunet.masks.sites",
    "MaskedUNet": "maskunet.masks.masked_unet",
    "Request": "maskunet.records",
    "Run": "maskunet.records",
    "Schedule": "maskunet.diffusion",
    "SiteStats": "maskunet.records.site_stats",
    "StepEvent": "maskunet.records",
    "Studio": "maskunet.studio.studio",
    "apply_masks": "maskunet.masks.in_pipeline",
    "bernoulli": "maskunet.masks.mask",
    "compare": "maskunet.runs.compare",
    "find_sites": "maskunet.masks.sites",
    "plot": "maskunet.runs.notebook",
    "read": "maskunet.runs.notebook",
    "remove_masks": "maskunet.masks.in_pipeline",
    "save": "maskunet.runs.notebook",
    "straight_through": "maskunet.masks.mask",
}
_PACKAGES = {
    "methods": "maskunet.methods",
    "models": "maskunet.models",
    "recipes": "maskunet.training.recipes",
    "rewards": "maskunet.rewards",
}
__all__ = [*_HOMES, *_PACKAGES, "__version__"]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return import_module(_PACKAGES[name])
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'maskunet' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
