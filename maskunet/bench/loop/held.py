"""How many bytes an update needs at most, counted on tensors that have only shapes."""

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

from maskunet.bench.loop.clock import Clock, clocked
from maskunet.bench.loop.full_size import stable_diffusion, stable_diffusion_xl
from maskunet.bench.loop.size import PROMPT
from maskunet.bench.loop.update import logits_of, update
from maskunet.models.base import DiffusionModel
from maskunet.rewards.base import WeightedRewards

GIGA = 1e9
PIXELS, HALF = {"sd15": 512, "sdxl": 1024}, torch.float16  # as on a GPU
OPTIONS: dict[str, dict[str, bool | str]] = {
    "exact": {},
    "tiny decoder": {"tiny": True},
    "low memory": {"low_memory": True},
    "low memory, tiny decoder": {"low_memory": True, "tiny": True},
}
# Of Stable Diffusion XL, whose masks are large.
OPTIONS_XL: dict[str, dict[str, bool | str]] = {
    "exact": {},
    "exact, sites=block1": {"sites": "block1"},
    "low memory": {"low_memory": True},
    "low memory, sites=cross": {"low_memory": True, "sites": "cross"},
    "low memory, sites=block1": {"low_memory": True, "sites": "block1"},
}


class Held(TorchDispatchMode):
    """Counts the bytes of all tensors that are alive, from their creation until they are let go of.

    On tensors that have only shapes. What an operation needs inside, the device's own state and the gaps between
    tensors are not in it.

    Attributes:
        now, peak: bytes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known = WeakIdKeyDictionary()

    def add(self, tensor: Tensor) -> None:
        """Count this tensor's storage, unless it is counted already."""
        storage = tensor.untyped_storage()
        if storage not in self._known:
            self._known[storage] = size = storage.nbytes()
            self.now += size
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self._drop, size)

    def _drop(self, size: int) -> None:
        self.now -= size

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation and count what it returns."""
        out = func(*args, **(kwargs or {}))
        for each in tree_leaves(out):
            if isinstance(each, Tensor):
                self.add(each)
        return out


@contextmanager
def fused_attention() -> Iterator[None]:
    """Attention as a GPU's fused kernel computes it, without keeping its matrix, also where there are only shapes."""
    plain = F.scaled_dot_product_attention

    def fused(
        query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, dropout_p: float = 0.0,
        is_causal: bool = False, scale: float | None = None, **more: Any,
    ) -> Tensor:  # fmt: skip
        if attn_mask is not None:  # which that kernel does not take
            return plain(query, key, value, attn_mask, dropout_p, is_causal, scale=scale, **more)
        kernel = torch.ops.aten._scaled_dot_product_flash_attention
        return kernel(query, key, value, dropout_p, is_causal, scale=scale)[0]

    with patch.object(F, "scaled_dot_product_attention", fused):
        yield


def networks(size: str = "sd15") -> tuple[DiffusionModel, WeightedRewards]:
    """Stable Diffusion 1.5 or XL and both rewards, all of them only shapes."""
    if size == "sdxl":
        return stable_diffusion_xl(PIXELS[size], HALF)
    return stable_diffusion(PIXELS[size], torch.device("meta"), HALF)


def peak(model: DiffusionModel, rewards: WeightedRewards, **options: bool | str) -> dict[str, float]:
    """GB of these `networks`, and at most during an update with these options of `update`.

    With them are held the logits, AdamW's moments, the noise, and the best masks so far. With little memory the networks
    that only read the prompt are elsewhere by then.
    """
    held = Held()
    judges = (reward.network for reward, _ in rewards.parts.values())
    resting = [*model.text_encoders, *rewards.text_towers(PROMPT)] if options.get("low_memory") else []
    away = {id(tensor) for network in resting for tensor in network.parameters()}
    for network in (*model.networks.values(), *model.cache.values(), *judges):
        for tensor in (*network.parameters(), *network.buffers()):
            if id(tensor) not in away:
                held.add(tensor)
    at_rest = held.now
    with fused_attention(), held:
        kept = [logits_of(model, options.get("sites", "all")) for _ in ("first moments", "second moments")]
        kept.append({name: each.to(HALF) for name, each in kept[0].items()})  # the best masks
        update(*clocked(model, rewards, Clock(lambda: held.now)), **options)
        del kept
    return {"networks_gb": at_rest / GIGA, "peak_gb": held.peak / GIGA}


def counted(size: str) -> Iterator[dict[str, float | str]]:
    """`peak` with each of the options."""
    parts = networks(size)
    for name, options in (OPTIONS_XL if size == "sdxl" else OPTIONS).items():
        yield {"name": name, **peak(*parts, **options)}
