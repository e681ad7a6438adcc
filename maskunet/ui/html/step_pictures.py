"""The pictures that a run predicted at each step, with a slider and a play button that need no server."""

from html import escape

import numpy as np

from maskunet.records import Run
from maskunet.ui import explore_words, words
from maskunet.ui.html import pictures, plots
from visualize import SPECS
from visualize.base import nearest


def strip(run: Run, other: Run | None = None) -> str:
    """The unmasked and the masked picture of a run at one step, and another run's masked one at the nearest timestep."""
    course = run.course
    last = 0 if course is None else len(course.timesteps) - 1
    sides = explore_words.SIDES if other is None else (explore_words.SIDES[0], explore_words.MASKED_AB[0])
    base, result = (run.base_image, run.result_image) if course is None else (course.base, course.result)
    cells = "" if base is None else _frame(base, sides[0], last)
    cells += _frame(result, sides[1], last)
    pinned = ""
    if other is not None:
        theirs = () if other.course is None else other.course.timesteps
        mine = [] if course is None or not theirs else [nearest(theirs, t) for t in course.timesteps]
        pinned = f' data-pinned="{",".join(map(str, mine))}"'
        shown = other.result_image if other.course is None else other.course.result
        asked = other.request
        name = f"{explore_words.MASKED_AB[1]}: {words.run(asked.prompt, asked.seed, asked.method)}"
        cells += _frame(shown, name, max(len(theirs) - 1, 0), "pinned")
    times = "" if course is None else ",".join(map(str, course.timesteps))
    bar = (
        f'<p class="hint">{explore_words.NO_STRIP}</p>'
        if course is None
        else f'<div class="bar"><button type="button" data-play="{explore_words.PLAY}" data-pause="{explore_words.PAUSE}">'
        f'{explore_words.PLAY}</button><input type="range" min="0" max="{last}" value="{last}" '
        f'aria-label="{explore_words.STEP}">'
        f"<output>{explore_words.at_step(last + 1, course.timesteps[last])}</output></div>"
    )
    inside = (
        f'<div class="scrub" data-times="{times}"{pinned} style="--i:{last};--j:{_end(other)}">'
        f'<div class="frames">{cells}</div>{bar}</div>'
    )
    rows = [] if course is None else SPECS["step_images"].table(run)
    return plots.framed(explore_words.STRIP, inside, rows, "step_images")


def _end(run: Run | None) -> int:
    """The last step whose picture a run kept."""
    return 0 if run is None or run.course is None else len(run.course.timesteps) - 1


def _frame(images: np.ndarray, name: str, last: int, look: str = "") -> str:
    """One picture (H, W, 3), or the steps' (T, H, W, 3) side by side, of which one is shown."""
    sheet = images if images.ndim == 3 else np.concatenate(list(images), axis=1)
    text = escape(name, quote=True)
    return (
        f'<figure><div class="frame {look}" {pictures.ZOOM} aria-label="Predicted image, {text}" '
        f'style="background-image:url({pictures.uri(sheet, sheet.shape[1])});--last:{max(last, 1)};--of:{last + 1}"></div>'
        f"<figcaption>{text}</figcaption></figure>"
    )
