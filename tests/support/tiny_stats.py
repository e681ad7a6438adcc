"""A table of site statistics made from random masks on the CPU, and those masks; no model needed."""

import torch
from torch import nn

from maskunet.masks import mask
from maskunet.masks.counting import Collector
from maskunet.masks.sites import ATTENTION, ROLES, MaskSite
from maskunet.records.site_stats import SiteStats


class Sites(nn.Module):
    """Bare linear layers under the names that an SD U-Net gives them: sizes of the test's choice."""

    def __init__(self, widths: dict[int, tuple[int, int]], seed: int = 0):
        """Args: widths: of each up block with attention, its width and the text's."""
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.sites, self.layers = [], {}
        for block, (width, text) in widths.items():
            for attention in ATTENTION:
                for path, role in ROLES.items():
                    inner = text if attention == "attn2" and role in "kv" else width
                    name = f"up_blocks.{block}.attentions.0.transformer_blocks.0.{attention}.{path}"
                    self.sites.append(MaskSite(name, block, ATTENTION[attention], role, (width, inner)))
                    layer = nn.Linear(inner, width, bias=False)
                    layer.weight.data = torch.randn(width, inner, generator=generator) / inner**0.5
                    self.layers[name] = layer

    def get_submodule(self, target: str) -> nn.Module:
        return self.layers[target]


def random_masks(sites: Sites, removed: float, seed: int = 1) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {s.name: mask.bernoulli(s.shape, removed, generator) for s in sites.sites}


def stats_of(sites: Sites, masks: list[dict[str, torch.Tensor]]) -> SiteStats:
    collector = Collector(sites, sites.sites)
    times = [round(999 * (1 - i / len(masks))) for i in range(len(masks))]
    return SiteStats.joined([collector(t, m) for t, m in zip(times, masks, strict=True)])
