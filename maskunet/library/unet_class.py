"""The class of diffusers' U-Net, and a U-Net without weights, for a thread beside the one that loads a model."""

import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from maskunet.models.base import single_file
from maskunet.models.base.reading import damaged

TRIES = 100  # tenths of a second that an import may take elsewhere


def unet_class() -> Any:
    """Of diffusers, which swaps its modules while another thread imports them.

    So it is taken from its own module, and an import that meets the swap is tried again.

    Raises:
        RuntimeError: it cannot be imported at all; says what to do.
    """
    for _ in range(TRIES):
        with suppress(KeyError):
            from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

            return UNet2DConditionModel
        time.sleep(0.1)
    raise RuntimeError("diffusers cannot be imported. Install it anew: pip install --force-reinstall diffusers")


def without_weights(place: Path) -> Any:
    """The U-Net of a model's folder or single file from its configuration alone, on torch's device "meta".

    Raises:
        ValueError: the configuration is damaged, or the file cannot be read.
    """
    kind = unet_class()
    config = single_file.config_of(single_file.kind_of(place), "unet") if place.is_file() else None
    try:
        with torch.device("meta"):
            return kind.from_config(config or kind.load_config(place / "unet"))
    except Exception as error:  # whatever diffusers makes of a damaged one
        raise damaged(place) from error
