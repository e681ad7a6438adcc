"""The Video tab: a few frames that hang together, plain and masked, made as a job like any other."""

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from maskunet.records.video import FAR, MAX_FRAMES, Motion
from maskunet.ui import controls, links, remembered, video_words
from maskunet.ui.handlers import QUEUED, QUICK
from maskunet.ui.html import pictures
from maskunet.ui.html import video as views
from maskunet.ui.studio import Studio, VideoStudio
from maskunet.ui.tabs.base import Part, TabSpec

if TYPE_CHECKING:
    from maskunet.ui.page import Page

PACE = 0.5  # seconds between two looks of the page at least
USUAL = Motion()
MOST = 1000  # that is a number at all, before `Motion` looks at it


@dataclass(frozen=True, slots=True)
class VideoTab(Part):
    """The tab's components.

    Attributes:
        motion: frames, right and down in percent, and whose masks.
        job: of the newest video, kept in the browser. code: the command that makes it.
    """

    page: "Page"
    motion: tuple[Any, ...]
    job: gr.BrowserState
    start: gr.Button
    stop: gr.Button
    status: gr.HTML
    shown: gr.HTML
    row: gr.Row
    files: tuple[gr.DownloadButton, ...]
    code: gr.Code

    @property
    def studio(self) -> VideoStudio:
        """The studio's part for videos."""
        return self.page.studio.videos

    def wire(self, page: "Page") -> None:
        """Make it, stop it, and fill in what a link says."""
        outputs = [self.start, self.stop, self.status, self.shown, self.row, *self.files, self.code, page.video_query]
        asked = [*self.motion, *page.c.inputs(), page.owner]
        begun = self.start.click(self.begin, asked, [self.job, page.owner], **QUEUED)
        begun.success(self.follow, self.job, outputs, **QUEUED)
        page.restored.then(self.follow, self.job, outputs, **QUEUED)
        self.stop.click(self.end, self.job, None, **QUICK)
        page.restored.then(self.fill, page.place, [*self.motion], **QUICK)

    def begin(self, visitor: gr.Request, *values: Any) -> tuple[str, str]:
        """Queue what the fields say; the job's id goes to the browser, so that a reload finds it."""
        *form, owner = values
        owner, moves = remembered.owner(owner), motion(*form[:4])
        asked = self.page.request(controls.Values(*form[4:]))
        return self.studio.start(asked, moves, owner=owner, address=visitor.client.host), owner

    def follow(self, job: str | None) -> Iterator[tuple[Any, ...]]:
        """Show the newest video from now to its end; also after a reload, also when it is over."""
        unchanged = (gr.skip(),) * (7 + len(self.files))
        try:
            (asked, moves), events = self.studio.asked(job or ""), self.page.studio.events(job)
        except ValueError:  # there is none, or it is gone
            yield unchanged
            return
        code, query = self.page.studio.command(asked, motion=moves), links.query(asked) + links.motion(moves)
        seen, shown = -1, -math.inf
        for event in events:
            over = event.phase in ("done", "stopped", "failed")
            news = over or len(event.rows) != seen  # the last one says all of it again: the browser may merge two
            if not news and time.monotonic() - shown < PACE:
                continue
            seen, shown = len(event.rows), time.monotonic()
            paths = self.studio.animations(job)[:seen]
            drawn = views.shown(paths, event.rows, asked, moves, self.page.titles) if seen else _empty()
            yield (
                gr.Button(interactive=over),
                gr.Button(visible=not over),
                views.status(event, asked.method),
                drawn if news else gr.skip(),
                gr.Row(visible=bool(over and seen)) if news else gr.skip(),
                *(self.offered(job) if over and seen else (gr.skip(),) * len(self.files)),
                gr.Code(value=code, visible=bool(over and seen)) if news else gr.skip(),
                query if news else gr.skip(),
            )

    def offered(self, job: str) -> list[gr.DownloadButton]:
        """The files of what is made."""
        files = self.studio.files(job)
        return [
            gr.DownloadButton(value=str(files[kind]) if kind in files else None, visible=kind in files)
            for kind in video_words.FILES
        ]

    def end(self, job: str | None) -> None:
        """Ask the video to end after its current step; `follow` shows how it does."""
        with suppress(ValueError):  # it ended a moment ago
            self.page.studio.stop(job or "")

    def fill(self, place: Mapping[str, str]) -> tuple[Any, ...]:
        """The motion that a link says; what it does not say, or cannot be, stays as it is."""
        if "frames" not in place:
            return (gr.skip(),) * len(self.motion)
        try:
            shares = (float(place.get(name, getattr(USUAL, name))) for name in ("right", "down"))
            right, down = shares
            found = Motion(frames=int(place["frames"]), right=right, down=down, mask_per=place.get("mask_per", "video"))
        except ValueError:
            return (gr.skip(),) * len(self.motion)
        return found.frames, _percent(found.right), _percent(found.down), found.mask_per


def build(page: "Page", tab: gr.Tab) -> VideoTab:
    """Draw the tab over the studio's part for videos."""
    far = 100 * FAR
    with gr.Column(elem_id="video-form", elem_classes="tab-form"):
        with gr.Row():
            frames = gr.Slider(1, MAX_FRAMES, USUAL.frames, step=1, label=video_words.FRAMES, min_width=200, buttons=[])
            right = gr.Slider(
                -far, far, _percent(USUAL.right), step=0.01, label=video_words.RIGHT, min_width=200, buttons=[]
            )
            down = gr.Slider(
                -far, far, _percent(USUAL.down), step=0.01, label=video_words.DOWN, min_width=200, buttons=[]
            )
        masks = gr.Radio(video_words.MASKS_PER, value=USUAL.mask_per, label=video_words.MASKS)
        with gr.Row(elem_id="video-row"):
            start = gr.Button(video_words.MAKE, variant="primary", elem_id="make-video")
            stop = gr.Button(video_words.STOP, variant="stop", visible=False, elem_id="stop-video")
        status = gr.HTML("", elem_id="video-status")
    shown = gr.HTML(_empty(), elem_id="video")
    with gr.Row(visible=False, elem_id="video-files") as row:
        files = tuple(gr.DownloadButton(label, size="sm", visible=False) for label in video_words.FILES.values())
    code = gr.Code(
        language="shell", label=video_words.COMMAND, interactive=False, wrap_lines=True, lines=2, max_lines=6, visible=False,
        elem_id="video-command",
    )  # fmt: skip
    return VideoTab(page, (frames, right, down, masks), page.video, start, stop, status, shown, row, files, code)


def motion(frames: Any, right: Any, down: Any, mask_per: Any) -> Motion:
    """The motion that the fields hold, whose shares are percents.

    Raises:
        ValueError: a value is out of range, or no number.
    """
    given = frames, right, down
    if any(isinstance(each, bool) or not isinstance(each, int | float) or not abs(each) <= MOST for each in given):
        raise ValueError(video_words.NO_NUMBER)
    frames = int(frames) if float(frames).is_integer() else frames
    return Motion(frames=frames, right=round(right / 100, 6), down=round(down / 100, 6), mask_per=mask_per)


def _percent(share: float) -> float:
    return round(100 * share, 4)


def _empty() -> str:
    return pictures.empty(video_words.EMPTY)


def offered(studio: Studio) -> bool:
    """Not where the device is only lent."""
    return studio.videos is not None


SPEC = TabSpec(name="video", title=video_words.TITLE, order=37, build=build, offered=offered, starts="make-video")
