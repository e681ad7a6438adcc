"""Where and when masks remove weights, over many pictures: by denoising step, and by kind of site."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from maskunet.evaluation.intervals import bootstrap
from maskunet.experiments.markdown import markdown_table
from maskunet.records import StepEvent
from maskunet.records.site_stats import name_of

BY_STEP, BY_SITE = "removed_by_step", "removed_by_site"
DIGITS = 4  # of a share on disk


def columns(chosen: Mapping[int, StepEvent]) -> dict[str, Any]:
    """What a picture's row says of it.

    Args:
        chosen: by step the event of the mask that the solver went on with; one without masks removes nothing.

    Returns:
        `BY_STEP`: the share removed of all masked sites' weights, in [0, 1], step by step; `BY_SITE`: a site's mean over
        the steps, by its name. Nothing where no step had a mask.
    """
    events = [chosen[step] for step in sorted(chosen)]
    sites = dict.fromkeys(site for event in events for site in event.keep_ratio)
    if not sites:
        return {}
    by_step = [0.0 if event.kept is None else round(1 - event.kept, DIGITS) for event in events]
    by_site = {site: 1 - float(np.mean([event.keep_ratio.get(site, 1.0) for event in events])) for site in sites}
    return {BY_STEP: by_step, BY_SITE: {name_of(site): round(share, DIGITS) for site, share in by_site.items()}}


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
