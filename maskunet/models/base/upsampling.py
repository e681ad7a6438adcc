"""Twice the size and a 3 x 3 convolution as the one transposed convolution that both are together.

In a doubled picture neighbors are equal, so that a kernel's nine weights meet four different numbers at most. Added up
beforehand they take 4 products an output in place of 9. More than a quarter of the work of Stable Diffusion's decoder is
of this kind.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class FoldedUpsample(nn.Module):
    """What diffusers' Upsample2D becomes: its values and gradients but for rounding, for weights that do not learn."""

    def forward(self, hidden_states: Tensor, output_size: tuple[int, int] | None = None) -> Tensor:
        """(B, C, H, W) to (B, O, 2H, 2W), or to the size that is asked for."""
        if output_size is not None or self.conv.weight.requires_grad:
            from diffusers.models.upsampling import Upsample2D

            return Upsample2D.forward(self, hidden_states, output_size)
        return F.conv_transpose2d(hidden_states, self.folded, self.conv.bias, stride=2, padding=1)


def fold_upsampling(network: nn.Module) -> None:
    """Turn the network's upsampling layers, if they can be, into `FoldedUpsample`, in place, weights as they are."""
    from diffusers.models.upsampling import Upsample2D

    for module in network.modules():
        if type(module) is Upsample2D and _plain(module):
            module.__class__ = FoldedUpsample
            module.register_buffer("folded", folded(module.conv.weight), persistent=False)


def folded(weight: Tensor) -> Tensor:
    """The kernel (I, O, 4, 4) of the transposed convolution, from the convolution's (O, I, 3, 3)."""
    return _along(_along(weight.detach().float(), 2), 3).transpose(0, 1).contiguous().to(weight.dtype)


def _along(weight: Tensor, axis: int) -> Tensor:
    """A pixel's weight in the four outputs that see it: the second and third see it twice."""
    first, middle, last = weight.unbind(axis)
    return torch.stack((last, middle + last, first + middle, first), axis)


def _plain(layer: nn.Module) -> bool:
    conv = layer.conv if layer.use_conv and layer.interpolate and layer.name == "conv" else None
    return (
        isinstance(conv, nn.Conv2d)
        and layer.norm is None
        and (conv.kernel_size, conv.stride, conv.padding) == ((3, 3), (1, 1), (1, 1))
        and (conv.dilation, conv.groups, conv.padding_mode) == ((1, 1), 1, "zeros")
    )
