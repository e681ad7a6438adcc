"""What follows a selection in the explorer's map: a sentence and linked plots."""

from html import escape
from statistics import NormalDist
from typing import Any

import numpy as np

from maskunet.records import FiguresEvent, Run
from maskunet.records.course import Course
from maskunet.records.site_stats import SiteStats
from maskunet.ui import explore_words, words
from maskunet.ui.html import pictures, plots
from maskunet.ui.html import status as status_line
from visualize import SPECS
from visualize.base import spread


def headline(run: Run, step: int, site: str | None) -> str:
    """The answer in words: which block loses most at the step, beside chance, and what the chosen site loses."""
    stats = run.stats
    if not stats.removed.any():
        what = str(run.request.settings.get("what", ""))  # of a knock-out
        said = explore_words.WEAKENED.format(what=what) if "=" in what else explore_words.NOTHING_REMOVED
        return f'<p class="said" id="headline">{escape(said)}</p>'
    blocks = {
        int(b): stats.pooled(np.flatnonzero(stats.blocks == b), f"block {b}").ratio[step, 0]
        for b in np.unique(stats.blocks)
    }
    ordered = sorted(blocks, key=blocks.get, reverse=True)
    chance = most_by_chance(stats, step, ordered[0])
    ratios = {explore_words.block(b): plots.percent(blocks[b]) for b in ordered}
    one = stats.at(site)
    said = (
        f"{explore_words.when(step, len(stats.timesteps), stats.timesteps[step])}. "
        f"{explore_words.most(ratios, plots.percent(chance), blocks[ordered[0]] > chance)} "
        f"{explore_words.lost(site, one.removed[step, 0], one.weights[0], plots.percent(one.ratio[step, 0]))}"
    )
    return f'<p class="said" id="headline">{escape(said)}</p>'


def drawing(event: FiguresEvent) -> str:
    """How far the figures for print are; at last of which run they are, as another one may be shown by then."""
    if event.phase == "stopped":
        return status_line.said(explore_words.FIGURES_STOPPED)
    if event.phase == "done":
        asked = event.request
        return status_line.said(explore_words.figures_of(asked.prompt, asked.seed) if asked else "")
    far = explore_words.figures_so_far(event.done, event.total) if event.total else ""
    share = event.done / event.total if event.total else None
    return status_line.going(explore_words.FIGURES[event.phase], far, words.seconds(event.seconds), share)


def most_by_chance(stats: SiteStats, step: int, block: int) -> float:
    """What share a block loses at most if every weight is removed with the same probability, by itself.

    The normal bound that no block passes in 95 of 100 such masks (Bonferroni's, over the blocks).
    """
    weights = int(stats.weights[stats.blocks == block].sum())
    share = float(stats.removed[step].sum() / stats.weights.sum())
    reach = NormalDist().inv_cdf(1 - 0.05 / len(np.unique(stats.blocks)))
    return min(1.0, share + reach * (share * (1 - share) / weights) ** 0.5)


def views(run: Run, step: int, site: str | None, other: Run | None = None) -> str:
    """Everything that follows the selection."""
    small = "".join([weights(run, step, site), ratios(run, step, other), *dynamics(run, step, site)])
    drawn = "" if run.course is None else maps(run.course, run, int(run.stats.timesteps[step]))
    return f"<div class='plots small'>{small}</div>{columns(run, site)}{drawn}"


def named(rows: plots.Rows, site: str | None, step: int | None = None) -> list[dict]:
    """Rows that say of which site they are, and of which step."""
    when = {} if step is None else {"step": step}
    return [{"site": explore_words.site(site), **when, **row} for row in rows]


def weights(run: Run, step: int, site: str | None) -> str:
    """Removed weights against all weights by value, both as shares so that shapes can be compared."""
    rows = named(SPECS["removed_weights"].table(run, step, site), site, step)
    for name, share in (("weights", "share_of_all"), ("removed", "share_of_removed")):
        total = sum(row[name] for row in rows)
        for row in rows:
            row[share] = row[name] / total if total else 0.0
    series = [("share_of_all", explore_words.ALL_WEIGHTS, "all"), ("share_of_removed", explore_words.REMOVED, "a")]
    drawn = plots.bars(
        rows, series, xlabel=explore_words.STANDARDIZED, ylabel=explore_words.SHARE, ys=plots.percent, size=plots.SMALL
    )
    return plots.framed(explore_words.BY_VALUE, drawn, rows, "removed_weights", explore_words.BY_VALUE_HINT)


def ratios(run: Run, step: int, other: Run | None) -> str:
    """How many sites lose how much at the step, of one run or two."""
    rows = [{"step": step, **row} for row in SPECS["ratio_histogram"].table(run, step, other)]
    series = [("sites", "A", "a"), *([("sites_b", "B", "b")] if "sites_b" in rows[0] else [])]
    drawn = plots.bars(
        rows, series, xlabel=explore_words.REMOVED, ylabel=explore_words.SITES, xs=plots.percent, size=plots.SMALL
    )
    return plots.framed(explore_words.RATIOS, drawn, rows, "ratio_histogram")


def dynamics(run: Run, step: int, site: str | None) -> list[str]:
    """Ratio and overlaps over the steps, and the logits where the method has any."""
    rows = named([{**row, "number": row["step"] + 1} for row in SPECS["mask_dynamics"].table(run, site)], site)
    common = {"x": "number", "xlabel": explore_words.STEP, "mark": step + 1, "size": plots.SMALL}

    def drawn(title: str, column: str, label: str, look: str, name: str, **how: Any) -> str:
        line = plots.lines(rows, [(column, label, look)], ylabel=label, **common, **how)
        return plots.framed(title, line, rows, name)

    overlaps = [
        ("overlap_before", explore_words.STEP_BEFORE, "image"),
        ("overlap_first", explore_words.FIRST_STEP, "b"),
        ("chance_before", explore_words.CHANCE, "all"),
    ]
    overlap = plots.lines(rows, overlaps, ylabel=explore_words.OVERLAP, **common)
    found = [
        drawn(explore_words.RATIO, "removed_ratio", explore_words.REMOVED, "a", "removed_ratio", ys=plots.percent),
        plots.framed(explore_words.OVERLAPS, overlap, rows, "mask_dynamics"),
    ]
    if any(row["logit_mean"] is not None for row in rows):
        found += [
            drawn(explore_words.LOGITS, "logit_mean", explore_words.MEAN, "a", "logits", floor=None),
            drawn(explore_words.GRADIENT, "gradient_norm", explore_words.GRADIENT, "b", "gradients"),
        ]
    return found


def columns(run: Run, site: str | None) -> str:
    """The layout of the paper's Fig. 1 (a): a small distribution per timestep, its image under it."""
    stats = run.stats.at(site)
    top = max(_share(stats.histogram_all[0]).max(), max(_share(h).max() for h in stats.histogram[:, 0]))
    cells = []
    for step in spread(len(stats.timesteps)):
        time = int(stats.timesteps[step])
        small = _small(stats.histogram_all[0], stats.histogram[step, 0], top)
        cells.append(
            f"<figure>{small}{_frame(run.course, time)}<figcaption>t {time}<br>{plots.percent(stats.ratio[step, 0])}</figcaption></figure>"
        )
    rows = [
        row
        for step in spread(len(stats.timesteps))
        for row in named(SPECS["removed_weights"].table(run, step, site), site, step)
    ]
    return plots.framed(
        explore_words.COLUMNS,
        f'<div class="columns">{"".join(cells)}</div>',
        rows,
        "columns",
    )


def _share(counts: np.ndarray) -> np.ndarray:
    total = counts.sum()
    return counts / total if total else np.zeros(len(counts))


def _small(everything: np.ndarray, removed: np.ndarray, top: float) -> str:
    def points(counts: np.ndarray) -> str:
        return " ".join(f"{i},{60 * (1 - v / (top or 1)):.1f}" for i, v in enumerate(_share(counts)))

    last = len(everything) - 1
    return (
        f'<svg viewBox="0 0 {last} 62" preserveAspectRatio="none" role="img" aria-label="Distribution of weights">'
        f'<polygon class="all" points="0,60 {points(everything)} {last},60"/>'
        f'<polyline class="a" points="{points(removed)}"/></svg>'
    )


def _frame(course: Course | None, timestep: int) -> str:
    if course is None or timestep not in course.timesteps:
        return ""
    image = course.result[course.timesteps.index(timestep)]
    return f'<img {pictures.ZOOM} src="{pictures.uri(image, 256)}" alt="Predicted image at timestep {timestep}">'


def maps(course: Course, run: Run, timestep: int) -> str:
    """The up blocks' outputs at the step, base above masked."""
    if not course.maps or timestep not in course.timesteps:
        return ""
    step = course.timesteps.index(timestep)
    cells = "".join(
        f'<figure><img {pictures.ZOOM} src="{pictures.uri(both[side, step], 64, "png")}" alt="Features of up block {block}, '
        f'{explore_words.SIDES[side].lower()}, timestep {timestep}"><figcaption>{explore_words.mapped(side, block) if n == 0 else explore_words.block(block)}</figcaption></figure>'
        for side in (0, 1)
        for n, (block, both) in enumerate(course.maps.items())
    )
    inside = f'<div class="maps" style="--blocks:{len(course.maps)}">{cells}</div>'
    return plots.framed(
        explore_words.MAPS, inside, SPECS["feature_maps"].table(run), "feature_maps", explore_words.MAPS_HINT
    )


def usable(stats: SiteStats | None) -> bool:
    """Whether there is anything to explore."""
    return stats is not None and len(stats.timesteps) > 0
