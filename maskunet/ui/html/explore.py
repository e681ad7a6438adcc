"""What the explorer shows of a run: the map of sites by steps, and the views that follow a selection."""

from html import escape

import numpy as np

from maskunet.records import Run
from maskunet.records.course import Course
from maskunet.records.site_stats import SiteStats
from maskunet.ui import words
from maskunet.ui.html import pictures, plots
from visualize import SPECS
from visualize.base import spread
from visualize.removed_heat import label


def heat(run: Run, step: int, site: str | None) -> str:
    """The map: a row per site, grouped by block and attention, a column per step, one number a cell."""
    stats = run.stats
    ratio, steps = stats.ratio, len(stats.timesteps)
    low, high = float(ratio.min()), float(ratio.max())
    shade = np.zeros_like(ratio) if high == low else (ratio - low) / (high - low)
    rows, group = [], None
    for s, name in enumerate(stats.sites):
        place, attention, role = label(stats, s).split(" ")
        if group != (group := (place, attention)):
            rows.append(f'<b class="group">{words.group(*group)}</b>')
        chosen = " on" if name == site else ""
        rows.append(
            f'<button type="button" class="name{chosen}" data-site="{escape(name, quote=True)}">{role}</button>'
        )
        short = escape(label(stats, s), quote=True)
        rows += [
            f'<i data-site="{escape(name, quote=True)}" data-step="{t}" style="--v:{shade[t, s]:.3f}"'
            f'{" class=on" if name == site and t == step else ""} title="{short}, step {t + 1}: '
            f'{plots.percent(ratio[t, s])} removed"></i>'
            for t in range(steps)
        ]
    head = "".join(
        f'<button type="button" class="time{" on" if t == step else ""}" data-step="{t}" '
        f'aria-label="Step {t + 1}, timestep {time}">{time}</button>'
        for t, time in enumerate(stats.timesteps.tolist())
    )
    table = SPECS["removed_heat"].table(run)
    chosen_site = escape(site or "", quote=True)
    scale = (
        f'<div class="scale"><span>{plots.percent(low)}</span><em></em><span>{plots.percent(high)}</span>'
        f'<output aria-live="polite">{words.HEAT_HINT}</output></div>'
    )
    grid = (
        f'<div class="heat" style="--steps:{steps}" data-step="{step}" data-site="{chosen_site}" tabindex="0" role="group" aria-label="{words.HEAT}">'
        f'<button type="button" class="corner">{words.ALL_SITES}</button>{head}{"".join(rows)}</div>'
    )
    return plots.framed(words.HEAT, scale + grid, table, "removed_heat")


def headline(run: Run, step: int, site: str | None) -> str:
    """The answer in words: which block loses most at the step, and what the chosen site loses."""
    stats = run.stats
    blocks = {
        int(b): stats.pooled(np.flatnonzero(stats.blocks == b), f"block {b}").ratio[step, 0]
        for b in np.unique(stats.blocks)
    }
    most = max(blocks, key=blocks.get)
    rest = ", ".join(f"block {b} {plots.percent(v)}" for b, v in blocks.items() if b != most)
    where = f"Step {step + 1} of {len(stats.timesteps)}, timestep {stats.timesteps[step]}. "
    text = f"{where}Up block {most} loses most: {plots.percent(blocks[most])} of its weights"
    text += f" ({rest}). " if rest else ". "
    one = stats.at(site)
    text += (
        f"{words.site(site)}: {one.removed[step, 0]:,} of {one.weights[0]:,} removed, "
        f"{plots.percent(one.ratio[step, 0])}."
    )
    if not stats.removed.any():
        text = words.NOTHING_REMOVED
    return f'<p class="said" id="headline">{escape(text)}</p>'


def views(run: Run, step: int, site: str | None, other: Run | None = None) -> str:
    """Everything that follows the selection."""
    parts = [weights(run, step, site), ratios(run, step, other), *dynamics(run, step, site)]
    if run.course is not None:
        parts.append(maps(run.course, run, int(run.stats.timesteps[step])))
    both = "".join(parts)
    return f"{columns(run, site)}<div class='plots'>{both}</div>"


def weights(run: Run, step: int, site: str | None) -> str:
    """Removed weights against all weights by value, both as shares so that shapes can be compared."""
    rows = [dict(row) for row in SPECS["removed_weights"].table(run, step, site)]
    for name, share in (("weights", "share_of_all"), ("removed", "share_of_removed")):
        total = sum(row[name] for row in rows)
        for row in rows:
            row[share] = row[name] / total if total else 0.0
    series = [("share_of_all", words.ALL_WEIGHTS, "all"), ("share_of_removed", words.REMOVED, "a")]
    drawn = plots.bars(rows, series, xlabel=words.STANDARDIZED, ylabel=words.SHARE, ys=plots.percent)
    return plots.framed(f"{words.BY_VALUE}: {words.site(site)}", drawn, rows, "removed_weights", words.BY_VALUE_HINT)


def ratios(run: Run, step: int, other: Run | None) -> str:
    """How many sites lose how much at the step, of one run or two."""
    rows = SPECS["ratio_histogram"].table(run, step, other)
    series = [("sites", "A", "a"), *([("sites_b", "B", "b")] if "sites_b" in rows[0] else [])]
    drawn = plots.bars(rows, series, xlabel=words.REMOVED, ylabel=words.SITES, xs=plots.percent)
    return plots.framed(words.RATIOS, drawn, rows, "ratio_histogram")


def dynamics(run: Run, step: int, site: str | None) -> list[str]:
    """Ratio and overlaps over the steps, and the logits where the method has any."""
    rows = [{**row, "number": row["step"] + 1} for row in SPECS["mask_dynamics"].table(run, site)]
    common = {"x": "number", "xlabel": words.STEP, "mark": step + 1}
    overlaps = [
        ("overlap_before", words.STEP_BEFORE, "image"),
        ("overlap_first", words.FIRST_STEP, "b"),
        ("chance_before", words.CHANCE, "all"),
    ]
    ratio = plots.lines(rows, [("removed_ratio", words.REMOVED, "a")], ylabel=words.REMOVED, ys=plots.percent, **common)
    overlap = plots.lines(rows, overlaps, ylabel=words.OVERLAP, **common)
    found = [
        plots.framed(f"{words.RATIO}: {words.site(site)}", ratio, rows, "removed_ratio"),
        plots.framed(f"{words.OVERLAPS}: {words.site(site)}", overlap, rows, "mask_dynamics", words.OVERLAP_HINT),
    ]
    if any(row["logit_mean"] is not None for row in rows):
        mean = plots.lines(rows, [("logit_mean", words.MEAN, "a")], ylabel=words.MEAN, floor=None, **common)
        norm = plots.lines(rows, [("gradient_norm", words.GRADIENT, "b")], ylabel=words.GRADIENT, **common)
        found += [
            plots.framed(f"{words.LOGITS}: {words.site(site)}", mean, rows, "logits"),
            plots.framed(f"{words.GRADIENT}: {words.site(site)}", norm, rows, "gradients"),
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
        {"step": step, **row}
        for step in spread(len(stats.timesteps))
        for row in SPECS["removed_weights"].table(run, step, site)
    ]
    return plots.framed(
        f"{words.COLUMNS}: {words.site(site)}",
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
    return f'<img src="{pictures.uri(image, 160)}" alt="Predicted image at timestep {timestep}">'


def maps(course: Course, run: Run, timestep: int) -> str:
    """The up blocks' outputs at the step, base above masked."""
    if not course.maps or timestep not in course.timesteps:
        return ""
    step = course.timesteps.index(timestep)
    cells = "".join(
        f'<figure><img src="{pictures.uri(both[side, step], 64, "png")}" alt="Features of up block {block}, '
        f'{words.SIDES[side].lower()}, timestep {timestep}"><figcaption>{words.SIDES[side]}, block {block}</figcaption></figure>'
        for side in (0, 1)
        for block, both in course.maps.items()
    )
    inside = f'<div class="maps" style="--blocks:{len(course.maps)}">{cells}</div>'
    return plots.framed(words.MAPS, inside, SPECS["feature_maps"].table(run), "feature_maps", words.MAPS_HINT)


def strip(run: Run) -> str:
    """Both predicted images at one step, with a slider and a play button that need no server."""
    course = run.course
    if course is None:
        return pictures.empty(words.NO_STRIP)
    sheets = [np.concatenate(list(row), axis=1) for row in (course.base, course.result)]
    last = len(course.timesteps) - 1
    cells = "".join(
        f'<figure><div class="frame" role="img" aria-label="Predicted image, {name.lower()}" '
        f'style="background-image:url({pictures.uri(sheet, sheet.shape[1])});--last:{max(last, 1)}"></div>'
        f"<figcaption>{name}</figcaption></figure>"
        for name, sheet in zip(words.SIDES, sheets, strict=True)
    )
    times = escape(",".join(str(t) for t in course.timesteps), quote=True)
    inside = (
        f'<div class="scrub" data-times="{times}" style="--i:{last}"><div class="pair">{cells}</div>'
        f'<div class="bar"><button type="button" data-play="{words.PLAY}" data-pause="{words.PAUSE}">{words.PLAY}</button>'
        f'<input type="range" min="0" max="{last}" value="{last}" aria-label="{words.STEP}">'
        f"<output>{words.at_step(last + 1, course.timesteps[last])}</output></div></div>"
    )
    return plots.framed(words.STRIP, inside, SPECS["step_images"].table(run), "step_images")


def usable(stats: SiteStats | None) -> bool:
    """Whether there is anything to explore."""
    return stats is not None and len(stats.timesteps) > 0
