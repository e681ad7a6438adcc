"""A frozen linear layer with something of low rank beside it, which masks on the layer's weight leave alone."""

from torch import Tensor, nn
from torch.nn import functional as F


class LowRank(nn.Module):
    """x to up (down x); its factors are no part of a network's state."""

    def __init__(self, down: Tensor, up: Tensor):
        super().__init__()
        self.register_buffer("down", down, persistent=False)
        self.register_buffer("up", up, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(..., I) to (..., O)."""
        return F.linear(F.linear(x, self.down), self.up)

    def whole(self) -> Tensor:
        """What it would add to the weight, (O, I)."""
        return self.up @ self.down


class LinearBeside(nn.Linear):
    """A linear layer that shares another's Parameters, and adds what is `beside` it: W x + b + up (down x).

    Args:
        original: the layer. down, up: (r, I) and (O, r), in its type and place.
    """

    def __init__(self, original: nn.Linear, down: Tensor, up: Tensor):
        nn.Module.__init__(self)
        self.in_features, self.out_features = original.in_features, original.out_features
        self.register_parameter("weight", original.weight)
        self.register_parameter("bias", original.bias)
        self.beside = LowRank(down, up)
        self.train(original.training)

    def forward(self, x: Tensor) -> Tensor:
        """(..., I) to (..., O)."""
        return super().forward(x) + self.beside(x)
