"""The map of a run: a row per site, a column per step, one number a cell; a second run's beside it."""

from collections.abc import Sequence
from html import escape
from itertools import groupby

import numpy as np

from maskunet.records import Run
from maskunet.records.site_stats import SiteStats, name_of
from maskunet.ui import explore_words, words
from maskunet.ui.html import plots
from visualize import SPECS
from visualize.base import nearest, spread


def heat(run: Run, step: int, site: str | None, other: Run | None = None) -> str:
    """The map of a run that has statistics, and of another one on the same scale.

    Args:
        step, site: what is chosen; None is all sites.
    """
    runs = [run] if other is None else [run, other]
    every = np.concatenate([each.stats.ratio.ravel() for each in runs])
    ends = float(every.min()), float(every.max())
    times = run.stats.timesteps
    grids = []
    for letter, each in zip("AB", runs, strict=False):
        columns = [nearest(times, t) for t in each.stats.timesteps]  # which step of A a click on it chooses
        named = letter == "A" or each.stats.sites != run.stats.sites
        grid = _grid(each.stats, ends, columns, (step, site), named=named, letter=letter)
        grids.append(f"<figure>{_caption(letter, each) if other else ''}{grid}</figure>")
    scale = (
        f'<div class="scale"><span>{plots.percent(ends[0])}</span><em></em><span>{plots.percent(ends[1])}</span>'
        f'<output aria-live="polite">{explore_words.HEAT_HINT}</output></div>'
    )
    inside = f'{scale}<div class="heats" style="--rows:{len(run.stats.sites)}">{"".join(grids)}</div>'
    table = [{**row, "site": row["name"]} for row in SPECS["removed_heat"].table(run)]
    rows = [{column: value for column, value in row.items() if column != "name"} for row in table]
    return plots.framed(explore_words.HEAT, inside, rows, "removed_heat")


def _caption(letter: str, run: Run) -> str:
    asked = run.request
    name = escape(words.run(asked.prompt, asked.seed, asked.method))
    return f'<figcaption title="{name}"><b>{letter}</b> {name}</figcaption>'


def _grid(
    stats: SiteStats,
    ends: tuple[float, float],
    columns: Sequence[int],
    chosen: tuple[int, str | None],
    *,
    named: bool,
    letter: str,
) -> str:  # fmt: skip
    """One run's cells; A's can be walked through with the arrow keys."""
    step, site = chosen
    shown = {*spread(len(columns))}  # as many timesteps as have room
    heads = "".join(
        f'<button type="button" class="time{" on" if t == step else ""}" tabindex="-1" data-step="{t}" data-time="{time}" '
        f'aria-label="Step {t + 1}, timestep {time}">{time if i in shown else ""}</button>'
        for i, (t, time) in enumerate(zip(columns, stats.timesteps.tolist(), strict=True))
    )
    corner = f'<button type="button" class="corner">{explore_words.ALL_SITES}</button>' if named else ""
    rows = "".join(
        _group(stats, [s for s, _ in sites], ends, columns, chosen, named=named)
        for _, sites in groupby(enumerate(stats.sites), key=lambda each: name_of(each[1]).rpartition(".")[0])
    )
    about = escape(f"{explore_words.HEAT}, {letter}", quote=True)
    walked = f'tabindex="0" role="group" aria-label="{about}"' if letter == "A" else ""
    return (
        f'<div class="heat{"" if named else " bare"}" style="--steps:{len(columns)}" data-step="{step}" '
        f'data-site="{escape(name_of(site or ""), quote=True)}" {walked}>{corner}{heads}{rows}</div>'
    )


def _group(
    stats: SiteStats,
    sites: Sequence[int],
    ends: tuple[float, float],
    columns: Sequence[int],
    chosen: tuple[int, str | None],
    *,
    named: bool,
) -> str:  # fmt: skip
    """The rows of one attention layer: its name once, then a role each; together they are the site's name."""
    ratio, (low, high) = stats.ratio, ends
    layer = name_of(stats.sites[sites[0]]).rpartition(".")[0]
    parts = "<wbr>".join(f"{escape(part)}." for part in layer.split("."))
    html = f'<b class="group" style="grid-row:span {len(sites)}">{parts}</b>' if named else ""
    for s in sites:
        name = escape(name_of(stats.sites[s]), quote=True)
        first = "first" if s == sites[0] else ""
        role = name.rpartition(".")[2]
        on = " on" if stats.sites[s] == chosen[1] else ""
        if named:
            html += f'<button type="button" class="name {first}{on}" tabindex="-1" data-site="{name}" aria-label="{name}">{role}</button>'
        for i, t in enumerate(columns):
            shade = (ratio[i, s] - low) / (high - low) if high > low else 0.0
            look = f'class="{first}{" on" if on and t == chosen[0] else ""}"' if first or on else ""
            told = escape(explore_words.cell(stats.sites[s], i, plots.percent(ratio[i, s])), quote=True)
            html += f'<i data-site="{name}" data-step="{t}" style="--v:{shade:.3f}" {look} title="{told}"></i>'
    return html
