"""Count what a run's masks remove, on the device and while the run goes on.

All sites are counted together in a few operations per denoising step: every weight has a number that says
its site and its histogram bin, and those of the removed ones are counted, apart by whether they were removed
before too. No weight ever leaves the device.
"""

from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, nn

from maskunet.masks.sites import MaskSite
from maskunet.records.site_stats import COUNTS, HISTOGRAM_BINS, HISTOGRAM_REACH, SiteStats

# By U-Net, which is frozen, the layout of the sites counted last: worked out once, not once per run.
_LAYOUTS: MutableMapping[nn.Module, tuple[Tensor, dict[str, Any]]] = WeakKeyDictionary()
MOMENTS = ("logit_mean", "logit_std", "gradient_norm")


class Collector:
    """Counts one run's masks; ask it once per denoising step, in order.

    Args:
        unet: the frozen U-Net the sites are in.
        sites: where its masks go.
    """

    def __init__(self, unet: nn.Module, sites: Sequence[MaskSite]):
        self.sites = tuple(sites)
        self._size = len(self.sites) * HISTOGRAM_BINS
        if unet not in _LAYOUTS or _LAYOUTS[unet][1]["sites"] != tuple(site.name for site in self.sites):
            _LAYOUTS[unet] = _layout(unet, self.sites)
        self._cells, self._about = _LAYOUTS[unet]
        self._previous: Tensor | None = None  # removed at the previous step
        self._first: Tensor | None = None
        self._counts: tuple[np.ndarray, np.ndarray] | None = None  # removed at the first, the previous step

    @torch.no_grad()
    def __call__(
        self, timestep: int, masks: Mapping[str, Tensor], logits: Mapping[str, Tensor] | None = None
    ) -> SiteStats:
        """Count the masks that a solver step used.

        Args:
            timestep: the step's training timestep.
            masks: 0/1 for every site, (O, I), or (B, O, I) of which the last, a conditional one, counts.
            logits: what they came from, with their newest gradients where there are any.
        """
        removed, at = _removed([_of_one(masks[site.name].detach()) for site in self.sites])
        if self._first is None:
            self._first = self._previous = removed
        cells, before, first = (of.index_select(0, at) for of in (self._cells, self._previous, self._first))
        key = cells.add_(before, alpha=self._size).add_(first, alpha=2 * self._size)
        found = _histograms(key, 4, len(self.sites)).cpu().numpy()
        here, shared_before, shared_first = found.sum(0), found[1] + found[3], found[2] + found[3]
        if self._counts is None:
            self._counts = here.sum(-1), here.sum(-1)
        (first, before), self._counts = self._counts, (self._counts[0], here.sum(-1))
        self._previous = removed
        counts = (here.sum(-1), before, first, shared_before.sum(-1), shared_first.sum(-1))
        moments = np.full((3, len(self.sites)), np.nan)
        if logits:
            moments = _moments([logits[site.name] for site in self.sites]).cpu().numpy()
        return SiteStats(
            **self._about,
            **{name: each[None] for name, each in zip(COUNTS, counts, strict=True)},
            **{name: each[None].astype(np.float32) for name, each in zip(MOMENTS, moments, strict=True)},
            timesteps=np.array([timestep]),
            histogram=here[None].astype(np.uint32),
        )


def _of_one(mask: Tensor) -> Tensor:
    """A mask as one row; of a batch the last."""
    return (mask[-1] if mask.ndim == 3 else mask).reshape(-1)


def _removed(masks: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Which weights are removed, as booleans and as places; masks remove some percent, so the places are few."""
    if masks[0].device.type != "cpu":
        removed = torch.cat(list(masks)) < 0.5
        return removed, removed.nonzero().squeeze(1)
    # NumPy finds few among many seven times as fast, and a mask is read once, not copied first.
    removed = np.concatenate([mask.float().numpy() < 0.5 for mask in masks])
    return torch.from_numpy(removed), torch.from_numpy(np.flatnonzero(removed))


def _layout(unet: nn.Module, sites: Sequence[MaskSite]) -> tuple[Tensor, dict[str, Any]]:
    """For every weight of every site, which site and which bin of its histogram, in one number; and the sites.

    The number has room for two bits above: removed at the previous step, and at the first.
    """
    layers = [unet.get_submodule(site.name) for site in sites]
    weights = [getattr(layer, "frozen", layer.weight).detach().float() for layer in layers]
    std = torch.stack([weight.std() for weight in weights])
    kind = torch.int16 if 4 * len(sites) * HISTOGRAM_BINS < 2**15 else torch.int32
    cells = torch.cat(
        [
            _bins(weight, spread).to(kind).flatten() + number * HISTOGRAM_BINS
            for number, (weight, spread) in enumerate(zip(weights, std, strict=True))
        ]
    )
    return cells, {
        "sites": tuple(s.name for s in sites),
        "blocks": np.array([s.block for s in sites]),
        "attentions": tuple(s.attention for s in sites),
        "roles": tuple(s.role for s in sites),
        "weights": np.array([s.weights for s in sites]),
        "std": std.cpu().numpy(),
        "histogram_all": _histograms(cells, 1, len(sites))[0].cpu().numpy().astype(np.uint32),
    }


def _histograms(key: Tensor, count: int, sites: int) -> Tensor:
    """(count, S, bins) how many weights have each number."""
    counts = torch.bincount(key, minlength=count * sites * HISTOGRAM_BINS)
    return counts.view(count, sites, HISTOGRAM_BINS)


def _bins(weight: Tensor, std: Tensor) -> Tensor:
    """The histogram bin of every weight; what is farther out than the reach counts at the ends."""
    width = 2 * HISTOGRAM_REACH / HISTOGRAM_BINS
    scaled = (weight / std.clamp(min=1e-12) + HISTOGRAM_REACH) / width
    return scaled.floor().clamp(0, HISTOGRAM_BINS - 1)


def _moments(logits: Sequence[Tensor]) -> Tensor:
    """(3, S) mean and standard deviation of the logits and the L2 norm of their gradient, NaN if none."""
    values = [each.detach().float() for each in logits]
    nothing = torch.full((), torch.nan, device=values[0].device)
    norms = [nothing if each.grad is None else each.grad.float().norm() for each in logits]
    return torch.stack(
        [torch.stack([v.mean() for v in values]), torch.stack([v.std() for v in values]), torch.stack(norms)]
    )
