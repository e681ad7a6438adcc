"""Videos side by side with their numbers, and how far they are. All text is escaped here."""

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from maskunet.records import JobEvent, Request
from maskunet.records.video import Motion
from maskunet.ui import video_words, words
from maskunet.ui.html import status as status_line

Numbers = Sequence[Mapping[str, Any]]


def shown(
    animations: Sequence[Path], numbers: Numbers, request: Request, motion: Motion, titles: Mapping[str, str]
) -> str:
    """The videos that are made, and what their numbers are."""
    names = [titles.get(each["method"], each["method"]) for each in numbers]
    figures = "".join(_figure(path, name, request.prompt) for path, name in zip(animations, names, strict=True))
    one = ""
    if len(numbers) == 1 and request.method == numbers[0]["method"]:
        one = " one"
    elif len(numbers) == 1:  # the other one is being made, or was stopped
        figures += _blank(titles.get(request.method, request.method))
    asked = f'<p class="said">{escape(video_words.asked(motion.right, motion.down))}</p>'
    return f'<div class="pair{one}">{figures}</div>{asked}{_table(names, numbers)}'


def _figure(path: Path, name: str, prompt: str) -> str:
    try:
        data = base64.b64encode(path.read_bytes()).decode()
    except OSError:  # others' videos have taken its place
        return _blank(name)
    said = escape(f"{name}: {prompt}", quote=True)
    return f'<figure><img src="data:image/webp;base64,{data}" alt="{said}"><figcaption>{escape(name)}</figcaption></figure>'


def _blank(name: str) -> str:
    return f'<figure><div class="blank"></div><figcaption>{escape(name)}</figcaption></figure>'


def _table(names: Sequence[str], numbers: Numbers) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in names)
    told = {title: [_told(key, each) for each in numbers] for key, title in video_words.FIGURES.items()}
    rows = "".join(
        f'<tr><th scope="row">{escape(title)}</th>{"".join(f"<td>{value}</td>" for value in values)}</tr>'
        for title, values in told.items()
        if any(value != words.NOT_MEASURED for value in values)
    )
    return f'<table class="numbers"><thead><tr><td></td>{head}</tr></thead><tbody>{rows}</tbody></table>'


def _told(key: str, numbers: Mapping[str, Any]) -> str:
    """A figure as it is read."""
    if key == "moved":
        return f"{numbers['right_measured']:+.1%}, {numbers['down_measured']:+.1%}"
    value = numbers[key]
    if value is None:
        return words.NOT_MEASURED
    if key == "seconds":
        return words.seconds(value)
    return f"{value:.3f}" if key == "consistency" else f"{value:.1%}"


def status(event: JobEvent, method: str) -> str:
    """Which video, which of its phases, and how far."""
    name = video_words.PHASES.get(event.phase, event.phase)
    if event.phase == "failed":
        return status_line.failed(event.message)
    clock = words.seconds(event.elapsed)
    if event.phase in ("done", "stopped"):
        return status_line.said(event.message or name, clock)
    if event.phase == "queued":
        name = words.queued(event.ahead)
    step, far, done = event.step, "", 0.0
    if step is not None:
        name = f"{video_words.MAKING[bool(event.rows) and method != 'plain']}: {name}"
        far, done = f", step {step.step + 1} of {step.steps}", (step.step + 1) / step.steps
    return status_line.going(name, far, clock, done)
