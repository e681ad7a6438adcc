"""The class of diffusers' U-Net, for a thread beside the one that loads a model."""

import time
from contextlib import suppress
from typing import Any

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
