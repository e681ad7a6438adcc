"""Less memory for a while: networks at rest, and a decoder that recomputes."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from torch import nn
from torch.utils.checkpoint import checkpoint


def rest(*networks: nn.Module) -> None:
    """Move networks that are not needed for a while to the CPU's memory; whoever needs one takes it back."""
    for network in networks:
        nn.Module.to(network, "cpu")


@contextmanager
def recomputed(vae: nn.Module, wanted: bool) -> Iterator[None]:
    """Within it a backward pass recomputes the decoder's blocks, if `wanted`: less memory, more time.

    And while it recomputes one of them, each of the residual blocks in it: at the picture's full size even one
    block's states are large.
    """
    from diffusers.models.resnet import ResnetBlock2D

    inner = [block for block in vae.decoder.modules() if isinstance(block, ResnetBlock2D)] if wanted else []
    if wanted:
        vae.enable_gradient_checkpointing()
    for block in inner:
        block.forward = partial(checkpoint, block.forward, use_reentrant=False)
    try:
        yield
    finally:
        for block in inner:
            del block.forward  # the class's is back
        if wanted:
            vae.disable_gradient_checkpointing()
