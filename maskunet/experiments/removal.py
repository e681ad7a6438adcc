"""Where and when masks remove weights, over many pictures: by denoising step, and by kind of site."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from maskunet.evaluation.intervals import bootstrap
from maskunet.experiments.markdown import markdown_table
from maskunet.records.site_stats import name_of

BY_STEP, BY_SITE = "removed_by_step", "removed_by_site"
DIGITS = 4  # of a share on disk


def columns(kept: Mapping[int, Mapping[str, float]]) -> dict[str, Any]:
    """What a picture's row says of it.

    Args:
        kept: by step the share of weights kept of each site, in [0, 1]; a site that is not there has no mask then.

    Returns:
        `BY_STEP`: the mean share removed over the sites, by step; `BY_SITE`: over the steps, by the site's name. Nothing
        where no step had a mask.
    """
    sites = list(dict.fromkeys(site for step in kept.values() for site in step))
    if not sites:
        return {}
    shares = 1 - np.array([[kept[step].get(site, 1.0) for site in sites] for step in sorted(kept)])
    by_step, by_site = np.round(shares.mean(1), DIGITS), np.round(shares.mean(0), DIGITS)
    return {
        BY_STEP: by_step.tolist(),
        BY_SITE: {name_of(site): share for site, share in zip(sites, by_site.tolist(), strict=True)},
    }


def summarize(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One line per step, from 1 on, then one per kind of site: where, removed, and its 95 % interval over the pictures.

    A kind is all layers of a block with the same attention and role, such as “block1 cross v”. Empty if no row has masks,
    or if they differ in their steps or sites.
    """
    masked = [row for row in rows if BY_STEP in row]
    if len({(len(row[BY_STEP]), tuple(row[BY_SITE])) for row in masked}) != 1:
        return []
    kinds: dict[str, list[str]] = {}
    for site in masked[0][BY_SITE]:
        kinds.setdefault(_kind(site), []).append(site)
    steps = {
        f"step {number}": [row[BY_STEP][number - 1] for row in masked]
        for number in range(1, len(masked[0][BY_STEP]) + 1)
    }
    sites = {
        kind: [float(np.mean([row[BY_SITE][site] for site in same])) for row in masked] for kind, same in kinds.items()
    }
    return [_line(where, shares) for where, shares in (*steps.items(), *sorted(sites.items()))]


def _kind(site: str) -> str:
    """“block1.layer0.cross.v” without its layer; a name of another form as it is."""
    parts = site.split(".")
    return f"{parts[0]} {parts[-2]} {parts[-1]}" if len(parts) >= 4 and parts[0].startswith("block") else site


def _line(where: str, shares: Sequence[float]) -> dict[str, Any]:
    low, high = bootstrap(shares)
    return {"where": where, "pictures": len(shares), "removed": float(np.mean(shares)), "low": low, "high": high}


def table(lines: Sequence[Mapping[str, Any]]) -> str:
    """The lines of `summarize` as Markdown."""
    return markdown_table(
        ["where", "removed", "95 % interval"],
        [(line["where"], f"{line['removed']:.2%}", f"{line['low']:.2%} to {line['high']:.2%}") for line in lines],
    )
