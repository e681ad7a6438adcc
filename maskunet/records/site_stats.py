"""What a run's masks did, site by site and step by step: one table, its file and its CSV.

The file of a Stable Diffusion 1.5 run is some hundred kilobytes where the masks themselves are 92 MB.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from maskunet.records.disk import untrusted
from maskunet.records.request import MAX_STEPS

HISTOGRAM_BINS = 41  # odd, so that zero lies in the middle of one
HISTOGRAM_REACH = 4.1  # standard deviations of a site's weights; bins are 0.2 wide
FORMAT = "maskunet-sites-1"
MAX_SITES = 512  # SDXL would have 288
MAX_COUNT = 10**12  # weights of a site, far more than any has
SITE = re.compile(r"up_blocks\.\d+\.attentions\.\d+\.transformer_blocks\.\d+\.[\w.]+", re.ASCII)
PARTS = re.compile(
    r"up_blocks\.(\d+)\.attentions\.(\d+)\.transformer_blocks\.(\d+)\.attn([12])\.[\w.]*?to_(q|k|v|out)\b.*", re.ASCII
)
ATTENTIONS, ROLES = ("self", "cross"), ("q", "k", "v", "out")
COUNTS = ("removed", "removed_before", "removed_first", "shared_before", "shared_first")
# The arrays that grow with the steps; the others say what is counted.
PER_STEP = ("timesteps", *COUNTS, "histogram", "logit_mean", "logit_std", "gradient_norm")


@dataclass(frozen=True, kw_only=True, slots=True)
class SiteStats:
    """What masks did at S sites over T denoising steps; T is 1 in the event of a step.

    Attributes:
        sites: names, (S,); blocks: index of the up block; attentions: "self" or "cross"; roles: "q",
            "k", "v" or "out".
        weights: how many each site has; std: the standard deviation of their values.
        histogram_all: (S, bins) a site's weights by value, in `HISTOGRAM_BINS` equal bins from
            -`HISTOGRAM_REACH` to +`HISTOGRAM_REACH` standard deviations.
        timesteps: (T,) in sampling order.
        histogram: (T, S, bins) the removed weights by value, in the same bins.
        removed: (T, S) weights removed at the step, `removed_before` at the step before it and
            `removed_first` at the first (at the first step: that step's own).
        shared_before, shared_first: (T, S) weights removed both at the step and there.
        logit_mean, logit_std: (T, S) of the logits the masks came from; gradient_norm: L2 norm of the
            newest gradient on them. NaN where there are none.
    """

    sites: tuple[str, ...]
    blocks: np.ndarray
    attentions: tuple[str, ...]
    roles: tuple[str, ...]
    weights: np.ndarray
    std: np.ndarray
    histogram_all: np.ndarray
    timesteps: np.ndarray
    histogram: np.ndarray
    removed: np.ndarray
    removed_before: np.ndarray
    removed_first: np.ndarray
    shared_before: np.ndarray
    shared_first: np.ndarray
    logit_mean: np.ndarray
    logit_std: np.ndarray
    gradient_norm: np.ndarray

    @classmethod
    def joined(cls, parts: Sequence["SiteStats"]) -> "SiteStats":
        """Consecutive steps of one run as one table."""
        grown = {name: np.concatenate([getattr(part, name) for part in parts]) for name in PER_STEP}
        return replace(parts[0], **grown)

    def pooled(self, sites: Sequence[int], name: str) -> "SiteStats":
        """Several sites taken as one: counts are added, so a large site counts for more."""
        index, weights = np.asarray(sites), self.weights[list(sites)]
        share = weights / weights.sum()
        mean = (self.logit_mean[:, index] * share).sum(1, keepdims=True)
        square = ((self.logit_std[:, index] ** 2 + self.logit_mean[:, index] ** 2) * share).sum(1, keepdims=True)
        added = {key: getattr(self, key)[:, index].sum(1, keepdims=True) for key in (*COUNTS, "histogram")}
        return replace(
            self,
            **added,
            sites=(name,),
            blocks=self.blocks[index[:1]],
            attentions=self.attentions[:1],
            roles=self.roles[:1],
            weights=weights.sum(keepdims=True),
            std=np.full(1, np.nan) if len(index) > 1 else self.std[index],
            histogram_all=self.histogram_all[index].sum(0, keepdims=True),
            logit_mean=mean,
            logit_std=np.sqrt(np.maximum(square - mean**2, 0)),
            gradient_norm=np.sqrt((self.gradient_norm[:, index] ** 2).sum(1, keepdims=True)),
        )

    def at(self, site: str | None) -> "SiteStats":
        """One site alone by its name, here or in the U-Net, or all taken as one.

        Raises:
            ValueError: no such site.
        """
        if site is None:
            return self.pooled(range(len(self.sites)), "all sites")
        site = {name_of(each): each for each in self.sites}.get(site, site)
        if site not in self.sites:
            raise ValueError(f"This run has no site “{site}”. Choose one of its {len(self.sites)}.")
        return self.pooled([self.sites.index(site)], site)

    @property
    def ratio(self) -> np.ndarray:
        """(T, S) share of weights removed, in [0, 1]."""
        return self.removed / self.weights

    def overlap(self, other: str = "before") -> np.ndarray:
        """(T, S) intersection over union of the removed set with that of the step "before" or the "first".

        NaN where both sets are empty, and at the first step, which has nothing to compare with.
        """
        shared = getattr(self, f"shared_{other}").astype(float)
        union = self.removed + getattr(self, f"removed_{other}") - shared
        shared[0] = np.nan
        return np.divide(shared, union, out=np.full(union.shape, np.nan), where=union > 0)

    @property
    def flips(self) -> np.ndarray:
        """(T, S) weights removed at one step but not the other, against the previous step."""
        return self.removed + self.removed_before - 2 * self.shared_before

    def rows(self) -> Iterator[dict[str, Any]]:
        """One row per step and site, as sites.csv has them; a value that is not known is None."""
        ratio, before, first, flips = self.ratio, self.overlap("before"), self.overlap("first"), self.flips
        for step, timestep in enumerate(self.timesteps.tolist()):
            for site, name in enumerate(self.sites):
                yield {
                    "step": step, "timestep": timestep, "site": name, "name": name_of(name), "block": int(self.blocks[site]),
                    "attention": self.attentions[site], "role": self.roles[site],
                    "weights": int(self.weights[site]), "removed": int(self.removed[step, site]),
                    "removed_ratio": float(ratio[step, site]),
                    "overlap_before": _known(before[step, site]), "overlap_first": _known(first[step, site]),
                    "flips": int(flips[step, site]) if step else None,
                    "logit_mean": _known(self.logit_mean[step, site]),
                    "logit_std": _known(self.logit_std[step, site]),
                    "gradient_norm": _known(self.gradient_norm[step, site]),
                }  # fmt: skip


def name_of(site: str) -> str:
    """A site as people read it, such as block1.layer0.cross.v; one of another kind keeps its name in the U-Net."""
    found = PARTS.fullmatch(site)
    if not found:
        return site
    block, layer, inner, attention, role = found.groups()
    deeper = "" if inner == "0" else f".inner{inner}"
    return f"block{block}.layer{layer}{deeper}.{ATTENTIONS[int(attention) - 1]}.{role}"


def edges() -> np.ndarray:
    """(bins + 1,) the histograms' edges, in standard deviations of a site's weights."""
    return np.linspace(-HISTOGRAM_REACH, HISTOGRAM_REACH, HISTOGRAM_BINS + 1)


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def save(stats: SiteStats, path: Path) -> None:
    """Write sites.npz: the arrays of `SiteStats` under their names."""
    with path.open("wb") as file:
        arrays = {name: np.asarray(getattr(stats, name)) for name in SiteStats.__slots__}
        np.savez_compressed(file, format=np.array(FORMAT), **arrays)


def load(path: Path) -> SiteStats:
    """Read what `save` wrote.

    Raises:
        ValueError: no such file, damaged, of another version, or its parts do not fit together.
    """
    try:
        found = untrusted.arrays(path)
        if str(found["format"]) != FORMAT:
            raise ValueError("another version")
        found = {name: found[name] for name in SiteStats.__slots__}
        for name in ("sites", "attentions", "roles"):
            if found[name].size > MAX_SITES:
                raise ValueError("too many sites")
            found[name] = tuple(found[name].tolist())
        stats = SiteStats(**found)
        _check(stats)
    except Exception as error:  # whatever a stranger's file does to those who read it
        raise ValueError(
            "This run's statistics are missing, damaged or of another version, so its masks cannot be explored. "
            "Make the run again, or replay its run.json."
        ) from error
    return stats


def _check(stats: SiteStats) -> None:
    """Every array must have as many sites and steps as the table says, and possible counts."""
    sites, steps = len(stats.sites), len(stats.timesteps)
    if not 0 < sites <= MAX_SITES or not 0 < steps <= MAX_STEPS:
        raise ValueError("none, or too many")
    if (
        not all(SITE.fullmatch(name) for name in stats.sites)
        or {*stats.attentions} - {*ATTENTIONS}
        or {*stats.roles} - {*ROLES}
    ):
        raise ValueError("names")
    for name in SiteStats.__slots__[1:]:
        wanted = (steps,) if name == "timesteps" else (sites,)
        if name in PER_STEP and name != "timesteps":
            wanted = (steps, sites)
        if name.startswith("histogram"):
            wanted = (*wanted, HISTOGRAM_BINS)
        if np.shape(getattr(stats, name)) != wanted:
            raise ValueError(name)
    _check_values(stats)


def _check_values(stats: SiteStats) -> None:
    """Counts are whole numbers that add up; measures are numbers, or none where there is nothing to measure."""
    for name in ("timesteps", "blocks", "weights", "histogram_all", "histogram", *COUNTS):
        values = getattr(stats, name)
        if values.dtype.kind not in "iu" or (values < 0).any() or (values > MAX_COUNT).any():
            raise ValueError(name)
    for name in ("std", "logit_mean", "logit_std", "gradient_norm"):
        values = getattr(stats, name)
        if values.dtype.kind != "f" or (np.abs(values) > untrusted.MAX_NUMBER).any():
            raise ValueError(name)
    if (stats.weights < 1).any() or any((getattr(stats, name) > stats.weights).any() for name in COUNTS):
        raise ValueError("counts")
    for other in ("before", "first"):
        fewer = np.minimum(stats.removed, getattr(stats, f"removed_{other}"))
        if (getattr(stats, f"shared_{other}") > fewer).any():
            raise ValueError("shared")
    if (stats.histogram_all.sum(1) != stats.weights).any() or (stats.histogram.sum(2) != stats.removed).any():
        raise ValueError("histograms")
    if len(np.unique(stats.timesteps)) < len(stats.timesteps) or len({*stats.sites}) < len(stats.sites):
        raise ValueError("steps or sites")
