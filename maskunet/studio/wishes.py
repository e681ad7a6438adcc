"""Interventions that one visitor asks for quickly, one after the other: the newest wish wins."""

import threading
import time
from collections.abc import Callable

from maskunet.studio.queue import HEARTBEAT, Job, Queue
from maskunet.studio.work import Ended

INTERVENTIONS = ("knock_out", "held_mask")
REPLACED = "Replaced by what you asked for next."
LONGEST_LOADING = 120.0  # seconds that a wish waits for the one that it replaces, which may be loading a model


class Wishes:
    """What owners ask for on the Intervene tab, of which each owner's newest is made.

    Args:
        queue: what runs them. pictures: the work of their jobs.
    """

    def __init__(self, queue: Queue, pictures: Callable[[Job], Ended]):
        self._queue, self._pictures = queue, pictures
        self._newest: dict[str, object] = {}  # each owner's that has not begun
        self._beginning = threading.Lock()

    def instead(self, owner: str, start: Callable[[], str]) -> str | None:
        """Start a job in place of the owner's, which ends after its current update.

        Returns:
            The new job's id, or None if the owner asked for something else while the other one was waited for.
        """
        mine = self._newest[owner] = object()
        until = time.monotonic() + LONGEST_LOADING
        while self._newest.get(owner) is mine and time.monotonic() < until and (job := self._of(owner)):
            self._queue.stop(job, REPLACED)
            self._queue.ends(job, HEARTBEAT)
        with self._beginning:
            if self._newest.get(owner) is not mine:
                return None
            del self._newest[owner]
            return start()

    def withdraw(self, owner: str) -> None:
        """Give up the owner's wish: a picture that was there already is wanted instead."""
        with self._beginning:
            self._newest.pop(owner, None)
        if job := self._of(owner):
            self._queue.stop(job, REPLACED)

    def _of(self, owner: str) -> Job | None:
        """What is to make way for this owner's next wish."""
        mine = (job for job in self._queue.of(owner) if job.work == self._pictures)
        return next((job for job in mine if job.request.method in INTERVENTIONS), None)
