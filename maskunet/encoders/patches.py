"""Patch embeddings as the matrix product that they are.

A transformer cuts a picture into patches by a convolution whose kernels stand side by side. A CPU's way back
through such a convolution takes several times as long as through the same product, and every update of the
training-free method goes that way once for each reward.
"""

from torch import Tensor, nn
from torch.nn import functional as F


class PatchEmbedding(nn.Conv2d):
    """A convolution with kernels that neither overlap nor leave gaps; its values and gradients but for rounding."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, O, H / P, W / P) with patches of P x P; what is left at the edges does not count."""
        high, wide = self.kernel_size
        rows, columns = x.shape[-2] // high, x.shape[-1] // wide
        whole = x[..., : rows * high, : columns * wide]
        patches = whole.unflatten(3, (columns, wide)).unflatten(2, (rows, high)).permute(0, 2, 4, 1, 3, 5)
        out = F.linear(patches.flatten(3).flatten(1, 2), self.weight.flatten(1), self.bias)
        return out.mT.unflatten(2, (rows, columns))


def as_products(network: nn.Module) -> None:
    """Turn the network's patch embeddings, if it has any, into `PatchEmbedding`, in place, weights as they are."""
    for module in network.modules():
        if type(module) is nn.Conv2d and _side_by_side(module):
            module.__class__ = PatchEmbedding  # it adds a way to compute, and nothing to keep


def _side_by_side(layer: nn.Conv2d) -> bool:
    plain = layer.groups == 1 and layer.padding in ("valid", (0, 0)) and layer.dilation == (1, 1)
    return plain and layer.kernel_size == layer.stride != (1, 1)
