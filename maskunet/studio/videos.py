"""The studio's part for videos: the plain one and the masked one, made through the queue, and their files."""

import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from maskunet.library.library import Library
from maskunet.methods import method_of
from maskunet.methods.base import MethodSpec
from maskunet.records import Request, StepEvent
from maskunet.records.video import Motion, Video
from maskunet.runs.video import folder as files
from maskunet.runs.video.make import check, make
from maskunet.studio.queue import Job, Queue
from maskunet.studio.works import Works

GONE = "This video is not here any more. Make it again: the same form gives the same video."


class VideoStudio:
    """Makes videos through the studio's queue, and has their files.

    Args:
        queue: of the studio. limit: seconds of work on one job; what is made by then is kept.
        folder: of the runs; videos lie in a hidden folder of it.

    Attributes:
        works: the videos whose files can be downloaded.
    """

    def __init__(
        self, library: Library, methods: Mapping[str, MethodSpec], queue: Queue, folder: Path, *, limit: float = 900
    ):
        self._library, self._methods, self._queue, self._limit = library, methods, queue, limit
        self.works: Works[_Work] = Works(folder / ".videos", GONE)

    def start(self, request: Request, motion: Motion, owner: str = "", address: str = "") -> str:
        """Queue a video, before it the plain one of the same noise, and return the job's id.

        The rows of its events are `Video.numbers` of those that are made.

        Raises:
            ValueError: the method makes no videos, the model or rewards are not here, or as `Studio.start`.
        """
        spec = method_of(request.method, self._methods)
        self._library.find(request.model, spec.needs_rewards)
        self._library.find_added(request.added)
        spec.settings(request.preset, request.settings)
        check(spec, motion)
        work = _Work(request, motion, self)
        job = Job(request=request, kind="video", work=work.turn, owner=owner, address=address)
        job_id = self._queue.submit(job)
        self.works.add(job, work)
        return job_id

    def asked(self, job: str) -> tuple[Request, Motion]:
        """What a job was asked for.

        Raises:
            ValueError: no such video.
        """
        work = self.works.of(job)
        return work.request, work.motion

    def animations(self, job: str) -> list[Path]:
        """A WebP of each video that is made, the plain one first.

        Raises:
            ValueError: no such video.
        """
        return [self.works.folder / job / f"{number}.webp" for number in range(len(self.works.of(job).made))]

    def files(self, job: str) -> Mapping[str, Path]:
        """What can be downloaded, by its kind: the videos side by side as "gif", "webp" and, with a coder, "mp4"; their
        numbers as "csv", and the "json" that makes the last one again. Nothing before the first is made.

        Raises:
            ValueError: no such video.
        """
        self.works.of(job)
        names = files.GIF, files.WEBP, files.MP4, files.TABLE, files.RECORD
        found = [self.works.folder / job / name for name in names]
        return {path.suffix.removeprefix("."): path for path in found if path.is_file()}


class _Work:
    """The work on one job."""

    def __init__(self, request: Request, motion: Motion, studio: VideoStudio):
        self.request, self.motion, self._studio = request, motion, studio
        self.made: list[dict[str, Any]] = []  # their numbers; their pictures are on the disk

    def turn(self, job: Job) -> tuple[str, dict[str, Any]]:
        """Make the plain video, then the one that was asked for."""
        studio = self._studio
        if not studio._library.is_loaded(self.request.model, self.request.added):
            studio._queue.publish(job, "loading")
        spec = method_of(self.request.method, studio._methods)
        loaded = studio._library.load(self.request.model, with_rewards=spec.needs_rewards, added=self.request.added)
        job.worked, videos = time.monotonic(), []
        alike = studio._methods["plain"].taking_over(spec.settings(self.request.preset, self.request.settings))
        plain = replace(self.request, method="plain", preset="", settings=alike)
        for request in [plain, self.request][self.request.method == "plain" :]:
            with closing(make(loaded.model, loaded.rewards, request, self.motion)) as events:
                for item in events:
                    if isinstance(item, Video):
                        videos.append(item)
                    elif why := self._why(job):
                        return "stopped", {"message": why}
                    else:
                        step = StepEvent(step=item.step, steps=item.steps, timestep=0)
                        studio._queue.publish(job, item.phase, step)
            files.write_beside(videos, studio.works.folder / job.id)
            self.made = [video.numbers() for video in videos]
            studio._queue.publish(job, "frames", job.step, rows=list(self.made))
        return "done", {}

    def _why(self, job: Job) -> str:
        """Why the work must end now, or nothing."""
        limit = self._studio._limit
        late = time.monotonic() > job.worked + limit
        return job.reason or late * f"Stopped at the limit of {limit:g} seconds; what is made is kept."
