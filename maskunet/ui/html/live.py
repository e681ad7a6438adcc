"""What the page shows of a job while it goes on: JobEvents in, HTML fragments out."""

from collections.abc import Mapping

import numpy as np

from maskunet.records import JobEvent
from maskunet.ui import words
from maskunet.ui.html import charts, pictures
from maskunet.ui.html import status as status_line


class Watcher:
    """Follows one job for one reader and remembers the pictures it has seen.

    Args:
        prompt: what is being drawn. model, method: their names.
        titles: of models, methods and rewards, by name; `weights`, of the rewards in the total.
    """

    def __init__(
        self, prompt: str, model: str, method: str, titles: Mapping[str, str], weights: Mapping[str, float] = charts.NONE
    ):  # fmt: skip
        self.prompt, self.titles, self.weights = prompt, titles, weights
        self.names = pictures.titled(model, method, titles)
        self.base: np.ndarray | None = None
        self.result: np.ndarray | None = None
        self.frames: dict[int, str] = {}
        self._pair = ""  # drawn once for all tabs

    def see(self, event: JobEvent) -> bool:
        """Take in one event; whether it brings the first picture."""
        if event.step is None or event.step.image is None:
            return False
        first, self._pair = self.base is self.result is None, ""
        if event.phase == "base":
            self.base = event.step.image
        else:
            self.result = event.step.image
            if event.step.best and not event.step.final:
                self.frames[event.step.step] = pictures.small(event.step.image)
        return first

    def pair(self) -> str:
        """Both pictures as they are now."""
        self._pair = self._pair or pictures.pair(self.base, self.result, self.names, self.prompt)
        return self._pair

    def optimize(self, event: JobEvent) -> str:
        """The view of the optimization: counters, both pictures, curves, the strip of steps."""
        curves = charts.charts(event.rows, self.titles, weights=self.weights, still=False)
        return f"{counters(event)}{self.pair()}{curves}{pictures.strip(self.frames)}"


def over(event: JobEvent) -> bool:
    """Whether nothing comes after it."""
    return event.run is not None or event.phase in ("failed", "stopped")


def status(event: JobEvent, more: str = "") -> str:
    """The line under the buttons: phase, progress, time gone and left; of a job without a picture also what `more` says."""
    name = words.PHASES.get(event.phase, event.phase)
    if event.phase == "queued":
        return _line(words.queued(event.ahead), 0.0, event)
    if event.phase == "failed":
        return status_line.failed(f"{event.message} {more}".strip())
    if event.run is not None or event.phase == "stopped":
        said = event.message or f"{name} in {words.seconds(event.elapsed)}"
        return status_line.said(f"{said} {more}".strip())
    return _line(name, share(event), event)


def share(event: JobEvent) -> float:
    """How much of the current picture is done, 0 to 1."""
    step = event.step
    if step is None:
        return 0.0
    within = (step.update + 1) / (step.updates + 1)
    return min(1.0, (step.step + within) / step.steps)


def counters(event: JobEvent) -> str:
    """Where the optimization is."""
    step = event.step
    if step is None or event.phase not in ("base", "result"):
        return ""
    if event.phase == "base":
        return f'<p class="counters">{words.PHASES["base"]}: step {step.step + 1} of {step.steps}</p>'
    update = f", update {step.update + 1} of {max(step.updates, step.update + 1)}" if step.loss is not None else ""
    return f'<p class="counters">Step {step.step + 1} of {step.steps}{update}, timestep {step.timestep}</p>'


def _line(text: str, done: float, event: JobEvent) -> str:
    step = "" if event.step is None else f", step {event.step.step + 1} of {event.step.steps}"
    return status_line.going(text, step, f"{words.seconds(event.elapsed)}{words.left(event.remaining)}", done)
