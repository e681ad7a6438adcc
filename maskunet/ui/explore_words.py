"""Every label and message of the Explore tab."""

from collections.abc import Mapping

from maskunet.records.site_stats import name_of

EMPTY = "Nothing to explore yet. Make a run, or open a precomputed one."
NO_STATISTICS = "This run removed no weights, or was made before its statistics were kept. Choose a method that masks."
NO_STRIP = "This run kept no pictures of its steps; these are its last."
NO_MASKS = "To compare two runs’ masks, both must have kept them. Small models do; others need --keep-masks."
NO_OTHER = "none"
RUN_A, RUN_B = "Run", "Pin a second run (B)"
UPLOAD = "Open a run (.zip)"
DRAW_FIGURES, STOP_FIGURES = "Figures for print", "Stop drawing"
DOWNLOAD_FIGURES = "Download figures (.zip)"
FIGURES = {"waiting": "Waiting for other visitors’ figures", "drawing": "Drawing"}
FIGURES_STOPPED = "Stopped."
HEAT = "Removed by site and step"
HEAT_HINT = "Choose a cell, a site or a step."
ALL_SITES = "all sites"
KNOCK_OUT = "Knock this out"
NOTHING_REMOVED = "This run removed no weight at any site: its mask is all ones."
WEAKENED = "This run weakened weights and removed none: {what}. What is removed is all that is shown here."
BY_VALUE, BY_VALUE_HINT = "Removed by value", "Where outline and bars agree, a weight’s value did not matter."
STANDARDIZED = "weight / its site’s deviation"
SHARE, SITES, STEP, REMOVED, ALL_WEIGHTS = "share", "sites", "step", "removed", "all weights"
RATIOS = "Sites by removed ratio"
RATIO, LOGITS, MEAN, GRADIENT = "Removed ratio", "Logits", "mean logit", "Gradient norm"
OVERLAP, OVERLAPS, OVERLAP_AB = "overlap (IoU)", "Overlap of masks", "Overlap of A and B"
STEP_BEFORE, FIRST_STEP, CHANCE = "with the step before", "with the first step", "by chance"
COLUMNS = "By timestep"
MAPS, MAPS_HINT = "Feature maps", "In the unmasked run’s principal components."
SIDES, MASKED_AB = ("Unmasked", "Masked"), ("A, masked", "B, masked")
STRIP = "Step by step"
PLAY, PAUSE = "Play", "Pause"
STUDY = "How often does a random mask win?"
STUDY_HINT = "Bands are 95 % intervals; dashed is no effect, or the unmasked pictures’ share."
STUDY_COMMAND = "Copy its command"
WIN_RATE, REWARD_GAIN, CORRECT = "share whose reward rises", "reward difference", "share correct"
ASKED = "removed"


def figures_so_far(done: int, total: int) -> str:
    """How many plots are drawn."""
    return f", {done} of {total} plots"


def figures_of(prompt: str, seed: int) -> str:
    """Whose figures are ready."""
    return f"Figures of “{prompt}”, seed {seed}, are ready."


def site(name: str | None) -> str:
    """A site as people read it, or all of them."""
    return ALL_SITES if name is None else name_of(name)


def block(number: int) -> str:
    """An up block, as the names of its sites begin."""
    return f"block{number}"


def mapped(side: int, number: int) -> str:
    """The first of a row of feature maps."""
    return f"{SIDES[side]}, {block(number)}"


def cell(name: str, step: int, ratio: str) -> str:
    """One number of the map; `step` from 0."""
    return f"{site(name)}, step {step + 1}: {ratio} removed"


def when(step: int, steps: int, timestep: int) -> str:
    """Which step is chosen, from 0."""
    return f"Step {step + 1} of {steps}, timestep {timestep}"


def most(ratios: Mapping[str, str], chance: str, beyond: bool) -> str:
    """Which block loses the largest share, which is the first, and what it would be by chance."""
    (first, ratio), *others = ratios.items()
    if not others:
        return f"{first} loses {ratio} of its weights."
    rest = ", ".join(f"{name} {value}" for name, value in others)
    if beyond:
        return f"{first} loses most: {ratio} of its weights ({rest}; by chance up to {chance})."
    return f"No block loses more than by chance: {first} {ratio}, {rest}; chance gives up to {chance}."


def lost(name: str | None, removed: int, weights: int, ratio: str) -> str:
    """What a site, or all of them, lose."""
    return f"{removed:,} of {weights:,} weights removed at {site(name)}, {ratio}."


def at_step(number: int, timestep: int) -> str:
    """Where the strip of images is."""
    return f"step {number}, timestep {timestep}"


def study(base: str, n: int) -> str:
    """What the study of random masks compared."""
    return f"Random masks on {base} against the same pictures unmasked, n = {n} per point."
